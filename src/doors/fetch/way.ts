/**
 * The ways of the runtimes' own `fetch()` and `WebSocket` through proxies.
 *
 * @module
 */

import { SocksError } from "../../client/error.ts";
import type { Failures } from "./failures.ts";
import type { WebSocketOptions } from "./options.ts";

/** What a way is for. */
export type Purpose = "fetch" | "WebSocket";

/** A call of `fetch()`, with its arguments checked. */
export interface Call {
  readonly input: string | Request;
  readonly init: RequestInit;
  readonly url: string;
  readonly signal: AbortSignal | null | undefined;
}

/** What a call of `fetch()` is made with; by default what the caller has given. */
export interface Change {
  /** The only URL that it fetches, if it follows no redirects. */
  readonly url?: URL;
  readonly input?: string | Request;
  readonly init?: RequestInit;
  /** In place of {@linkcode Way.init}. */
  readonly way?: Way["init"];
}

/** Makes a call of `fetch()`. */
export type Start = (change?: Change) => Promise<Response>;

/** A way through proxies. */
export interface Way {
  /** The options that lead a call of `fetch()` or `new WebSocket()` this way. */
  readonly init: Readonly<Record<string, unknown>>;
  /** Makes such a call. */
  call<T>(start: () => T): T;
  /**
   * Creates a `WebSocket`, where options and {@linkcode Way.call} do not suffice. `create`
   * calls the constructor; its last argument returns why the target could not be reached.
   */
  webSocket?<T extends WebSocket>(
    url: string,
    options: WebSocketOptions,
    create: (
      url: string,
      options: object,
      failureOf: () => SocksError | undefined,
    ) => T,
  ): T;
  /** Takes part in a call of `fetch()`. By default only `start` is called. */
  watch?(call: Call, start: Start): Promise<Response>;
  /** Why targets could not be reached, if the runtime's errors do not contain that. */
  readonly failures?: Failures;
  /** Why the way has answered in place of a target; `undefined` if the target has. */
  errorIn?(response: Response): unknown;
  /** A test of the way, if it depends on the runtime's own functions. */
  readonly probe?: Probe;
  /** Closes all connections. */
  close(): Promise<void>;
}

/**
 * A host that is called once to find out whether calls really go this way: the runtime's
 * functions may have been replaced by some that do not know the options.
 */
export interface Probe {
  /** Its name and, possibly, port, as in URLs. */
  readonly host: string;
  /** The options in place of {@linkcode Way.init}, if they differ. */
  readonly init?: Readonly<Record<string, unknown>>;
  /** Whether the call went this way, given its error. */
  hasArrived(error: unknown): boolean;
}

/** The error of the client that a runtime's error contains, if any. */
export function socksErrorIn(error: unknown): SocksError | undefined {
  for (let it = error, depth = 0; it && depth < 8; depth++) {
    if (it instanceof SocksError) return it;
    it = (it as { cause?: unknown }).cause;
  }
  return undefined;
}

/** The error for a call after close(). */
export function closedError(): TypeError {
  return new TypeError("the way through the proxies is closed");
}
