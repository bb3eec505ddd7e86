/**
 * The targets that agents connect to.
 *
 * @module
 */

import type { Duplex } from "node:stream";
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

/** Called with a connection or an error. */
export type OnConnection = (error: Error | null, stream: Duplex) => void;

/** There is no connection. */
export const NONE = undefined as unknown as Duplex;

/** Throws a TypeError for anything that proxies cannot connect to. */
export function targetOf(
  { host, port, socketPath }: ConnectionOptions,
): Endpoint {
  if (socketPath) {
    throw new TypeError("socketPath would lead around the proxies");
  }
  return parseTarget({ hostname: host ?? "localhost", port: Number(port) });
}
