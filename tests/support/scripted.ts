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
import { octets } from "./table.ts";
import { startTarget } from "./server.ts";
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

/** A proxy that follows a script: `played` resolves when it is at its end, `rest` with what comes after it. */
export async function startProxy(script: Script, split = false) {
  let onPlayed!: () => void;
  const played = new Promise<void>((resolve) => onPlayed = resolve);
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
    onPlayed();
    tell(await readAll(conn));
    conn.close();
  };
  const target = await startTarget((conn) => play(conn).catch(fail));
  return { ...target, played, rest };
}

/** Passes when a scripted proxy's client hangs up without another word, be it before it has read all that it was sent. */
export async function assertHangsUp(rest: Promise<Uint8Array>): Promise<void> {
  const said = await rest.catch(({ kind, message }) => {
    assertEquals(kind, "reset", message);
    return new Uint8Array();
  });
  assertEquals(said.length, 0);
}

const NAMES: Readonly<Record<string, string[]>> = {
  v6first: ["::1", "127.0.0.1"],
  zoned: ["fe80::1%2", "::1", "127.0.0.1"],
  "only-zoned": ["fe80::1%2"],
};

/** A transport that knows some names, of which `v6first` has an address of each family. */
export async function withNames(): Promise<ClientOptions> {
  return {
    transport: {
      ...await detectTransport(),
      lookup: (name) =>
        NAMES[name]
          ? Promise.resolve(NAMES[name])
          : Promise.reject(new NetError("dns", `no such name: ${name}`)),
    },
  };
}

/** A connection with other members in place of some of its own. */
export function overridden(conn: Conn, override: Partial<Conn>): Conn {
  return new globalThis.Proxy(conn, {
    get(target, key: keyof Conn) {
      const value = override[key] ?? target[key];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A transport that does so with every connection it makes. */
export async function withConns(
  override: Partial<Conn>,
): Promise<Required<Pick<ClientOptions, "transport">>> {
  const transport = await detectTransport();
  return {
    transport: {
      ...transport,
      connect: async (options) =>
        overridden(await transport.connect(options), override),
    },
  };
}

/** A command with arguments that make no sense, over a connection that exists. */
export type Senseless = (conn: Conn) => Promise<unknown>;

/** Passes when each rejects with a TypeError and the connection is closed then. */
export async function assertClosesWhatItGot(
  senseless: Senseless[],
): Promise<void> {
  const target = await startTarget();
  for (const run of senseless) {
    const conn = await (await detectTransport()).connect(target.addr);
    await assertRejects(() => run(conn), TypeError);
    const error = await assertRejects(() => conn.read(), NetError);
    assertEquals(error.kind, "closed", run.toString());
  }
  await target.close();
}

/** Times that are none. */
export const noTimes: number[] = [-1, NaN, -Infinity, "1" as never];

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

/** A way to give a wait up: what it ends with, the options, and what does it, unless time does. */
export interface GivingUp {
  readonly code: SocksErrorCode;
  readonly options: ClientOptions;
  giveUp(): void;
}

/** All of them, begun when called. */
export const waysToGiveUp: ((ms: number) => GivingUp)[] = [
  (timeout) => ({ code: "timeout", options: { timeout }, giveUp() {} }),
  () => bySignal("timeout", new DOMException("too late", "TimeoutError")),
  () => bySignal("aborted"),
];

/** As `AbortSignal.timeout()` and `AbortController` do it. */
function bySignal(code: SocksErrorCode, reason?: DOMException): GivingUp {
  const controller = new AbortController();
  return {
    code,
    options: { timeout: 0, signal: controller.signal },
    giveUp: () => controller.abort(reason),
  };
}

/**
 * Gives an attempt up in all ways; it has to reject in this phase. What ends
 * with a time limit gets more time when the machine was too slow to come as far.
 */
export async function assertGivesUp(
  phase: SocksPhase,
  attempt: (way: GivingUp) => Promise<SocksError>,
): Promise<void> {
  for (const way of waysToGiveUp) {
    for (let ms = 60;; ms *= 4) {
      const given = way(ms);
      const error = await attempt(given);
      assertEquals(error.code, given.code, error.message);
      const isTooSoon = given.options.timeout === ms && ms < 10_000;
      if (error.phase !== phase && isTooSoon) continue;
      assertEquals(error.phase, phase);
      break;
    }
  }
}
