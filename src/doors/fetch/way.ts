/**
 * The ways of the runtimes' own `fetch()` and `WebSocket` through proxies.
 *
 * @module
 */

import { SocksError } from "../../client/error.ts";
import { detectRuntime } from "../../transport/detect.ts";
import type { Failures } from "./failures.ts";
import type { Hops } from "./interim.ts";
import type { FetchOptions } from "./options.ts";

/** A way through proxies. */
export interface Way {
  /** The options that lead a call of `fetch()` or `new WebSocket()` this way. */
  readonly init: Readonly<Record<string, unknown>>;
  /** Makes such a call. */
  call<T>(start: () => T): T;
  /** Why targets could not be reached, if the runtime's errors do not contain that. */
  readonly failures?: Failures;
  /**
   * Resolves whether a call goes this way, to which `start` gets the name of a host and the
   * options in place of `init`: the runtime's function may have been replaced by one that
   * does not know them.
   */
  isReached(start: (hostname: string) => Promise<unknown>): Promise<boolean>;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** Opens the way of this runtime. */
export async function openWay(
  hops: Hops,
  options: FetchOptions,
): Promise<Way> {
  switch (detectRuntime()) {
    case "deno":
      return await (await import("./deno.ts")).openWay(hops, options);
    case "bun":
      return await (await import("./bun.ts")).openWay(hops, options);
    case "node":
      return await (await import("./node.ts")).openWay(hops, options);
  }
}

/** The error of the client that a runtime's error contains, if any. */
export function socksErrorIn(error: unknown): SocksError | undefined {
  for (let it = error, depth = 0; it && depth < 8; depth++) {
    if (it instanceof SocksError) return it;
    it = (it as { cause?: unknown }).cause;
  }
  return undefined;
}
