/**
 * What agents want to connect to.
 *
 * @module
 */

import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";

/** The options of an agent for one connection. */
export interface ConnectionOptions {
  readonly host?: string | null;
  readonly port?: number | string | null;
  readonly socketPath?: unknown;
  readonly timeout?: number;
  readonly noDelay?: boolean;
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
  /** The name of the pool. */
  readonly _agentKey?: string;
}

/** Called by agents with a connection or an error. */
export type OnConnection<T> = (error: Error | null, socket?: T) => void;

/** Throws a TypeError for anything that proxies cannot connect to. */
export function targetOf(
  { host, port, socketPath }: ConnectionOptions,
): Endpoint {
  if (socketPath) {
    throw new TypeError("socketPath would lead around the proxies");
  }
  return parseTarget({ hostname: host ?? "localhost", port: Number(port) });
}
