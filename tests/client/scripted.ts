/**
 * Proxies that follow a script, and what else the client's tests share.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import {
  type ClientOptions,
  NetError,
  SocksError,
  type SocksErrorCode,
  type SocksPhase,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { octets } from "../protocol/table.ts";
import { startTarget } from "../support.ts";
import { readAll, readExactly } from "../transport/contract.ts";

/** Rejects with a {@linkcode SocksError} of this code and phase. */
export async function assertSocksError(
  promise: Promise<unknown>,
  code: SocksErrorCode,
  phase: SocksPhase,
): Promise<SocksError> {
  const error = await assertRejects(() => promise, SocksError);
  assertEquals([error.code, error.phase], [code, phase], error.message);
  return error;
}

/** What a scripted proxy does, step by step: expects octets, then sends some. */
export type Script = readonly (readonly [expects: string, sends: string])[];

/** A proxy that follows a script; `seen` resolves with what came after it. */
export async function startProxy(script: Script, split = false) {
  let tell!: (seen: Uint8Array) => void;
  let fail!: (error: unknown) => void;
  const rest = new Promise<Uint8Array>((resolve, reject) => {
    tell = resolve;
    fail = reject;
  });
  rest.catch(() => {});
  const play = async (conn: Conn) => {
    for (const [expects, sends] of script) {
      const expected = octets(expects);
      assertEquals(await readExactly(conn, expected.length), expected);
      const message = octets(sends);
      const step = split ? 1 : Math.max(1, message.length);
      for (let at = 0; at < message.length; at += step) {
        await conn.write(message.slice(at, at + step));
        if (split) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    tell(await readAll(conn));
    conn.close();
  };
  const target = await startTarget((conn) => play(conn).catch(fail));
  return { ...target, rest };
}

/** A transport that knows one name, with an address of each family. */
export async function withNames(): Promise<ClientOptions> {
  return {
    transport: {
      ...await detectTransport(),
      lookup: (name) =>
        name === "v6first"
          ? Promise.resolve(["::1", "127.0.0.1"])
          : Promise.reject(new NetError("dns", `no such name: ${name}`)),
    },
  };
}

/** How many listeners a signal has more than when this was called; does it in the signal's own methods. */
export function countListeners(signal?: AbortSignal): () => number {
  let count = 0;
  if (!signal) return () => count;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = function (...args: unknown[]) {
    count++;
    Reflect.apply(addEventListener, signal, args);
  };
  signal.removeEventListener = function (...args: unknown[]) {
    count--;
    Reflect.apply(removeEventListener, signal, args);
  };
  return () => count;
}

/** A way to give a wait up: what it ends with, the options, and what does it. */
export interface GivingUp {
  readonly code: SocksErrorCode;
  readonly options: ClientOptions;
  giveUp(): void;
}

/** All of them, begun when called. */
export const waysToGiveUp: (() => GivingUp)[] = [
  () => ({ code: "timeout", options: { timeout: 150 }, giveUp() {} }),
  () => ({
    code: "timeout",
    options: { timeout: 0, signal: AbortSignal.timeout(150) },
    giveUp() {},
  }),
  () => {
    const controller = new AbortController();
    return {
      code: "aborted",
      options: { signal: controller.signal },
      giveUp: () => controller.abort(),
    };
  },
];
