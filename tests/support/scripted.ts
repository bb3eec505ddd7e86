/**
 * Proxies that follow a script, and other helpers for tests of the client.
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

/** Passes if the promise rejects with a {@linkcode SocksError} of this code and phase. */
export async function assertSocksError(
  promise: Promise<unknown>,
  code: SocksErrorCode,
  phase: SocksPhase,
): Promise<SocksError> {
  const error = await assertRejects(() => promise, SocksError);
  assertEquals([error.code, error.phase], [code, phase], error.message);
  return error;
}

/** The steps of a scripted proxy: each expects octets, then sends octets. */
export type Script = readonly (readonly [expects: string, sends: string])[];

/**
 * Starts a proxy that follows a script. `played` resolves at the end of the
 * script, `rest` with the octets received after it.
 */
export async function startProxy(script: Script, split = false) {
  let onPlayed!: () => void;
  const played = new Promise<void>((resolve) => onPlayed = resolve);
  let onRest!: (bytes: Uint8Array) => void;
  let onError!: (error: unknown) => void;
  const rest = new Promise<Uint8Array>((resolve, reject) => {
    onRest = resolve;
    onError = reject;
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
    onRest(await readAll(conn));
    conn.close();
  };
  const target = await startTarget((conn) => play(conn).catch(onError));
  return { ...target, played, rest };
}

/**
 * Passes if the client of a scripted proxy closes the connection without sending
 * more, possibly before it has read everything.
 */
export async function assertClosesConnection(
  rest: Promise<Uint8Array>,
): Promise<void> {
  const bytes = await rest.catch(({ kind, message }) => {
    assertEquals(kind, "reset", message);
    return new Uint8Array();
  });
  assertEquals(bytes.length, 0);
}

const NAMES: Readonly<Record<string, string[]>> = {
  v6first: ["::1", "127.0.0.1"],
  "xn--bcher-kva.example": ["127.0.0.2"],
  zoned: ["fe80::1%2", "::1", "127.0.0.1"],
  "only-zoned": ["fe80::1%2"],
};

/** A transport that resolves some names; `v6first` has an address of each family. */
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

/** A connection with some members replaced. */
export function overridden(conn: Conn, override: Partial<Conn>): Conn {
  return new globalThis.Proxy(conn, {
    get(target, key: keyof Conn) {
      const value = override[key] ?? target[key];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A transport whose connections have some members replaced. */
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

/** Runs a command with invalid arguments over an existing connection. */
export type InvalidCommand = (conn: Conn) => Promise<unknown>;

/** Passes if each rejects with a TypeError and closes the connection. */
export async function assertClosesGiven(
  commands: InvalidCommand[],
): Promise<void> {
  const target = await startTarget();
  for (const run of commands) {
    const conn = await (await detectTransport()).connect(target.addr);
    await assertRejects(() => run(conn), TypeError);
    const error = await assertRejects(() => conn.read(), NetError);
    assertEquals(error.kind, "closed", run.toString());
  }
  await target.close();
}

/** Invalid durations. */
export const invalidTimeouts: number[] = [-1, NaN, -Infinity, "1" as never];

/**
 * Counts the listeners that are added to a signal after this call, by replacing
 * the methods of the signal.
 */
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

/** A way to abort a wait: the expected code, the options, and the trigger. */
export interface GivingUp {
  readonly code: SocksErrorCode;
  readonly options: ClientOptions;
  giveUp(): void;
}

/** All ways to abort a wait; each begins when it is called. */
export const waysToGiveUp: ((ms: number) => GivingUp)[] = [
  (timeout) => ({ code: "timeout", options: { timeout }, giveUp() {} }),
  () => bySignal("timeout", new DOMException("too late", "TimeoutError")),
  () => bySignal("aborted"),
];

/** Aborts as `AbortSignal.timeout()` and `AbortController` do. */
function bySignal(code: SocksErrorCode, reason?: DOMException): GivingUp {
  const controller = new AbortController();
  return {
    code,
    options: { timeout: 0, signal: controller.signal },
    giveUp: () => controller.abort(reason),
  };
}

/**
 * Aborts an attempt in all ways and passes if it rejects in this phase. A time
 * limit is extended if the machine was too slow to reach the phase.
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
