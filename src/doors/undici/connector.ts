/**
 * The option `connect` of npm's undici.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Hops } from "../../client/hops.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { DOOR_KEYS, type DoorOptions, Route } from "../socket/route.ts";
import { type OnConnected, openFor, type Origin } from "./open_for.ts";

/** Options of {@linkcode connector}. */
export interface ConnectorOptions extends DoorOptions {
  /** The options of `buildConnector()`, such as `ca` and `allowH2`, for TLS to the targets. */
  readonly connect?: object;
}

/** A function for the option `connect` of undici's dispatchers. */
export type UndiciConnect = (
  // deno-lint-ignore no-explicit-any -- the types are those of the version of undici
  ...args: any[]
) => unknown;

/**
 * Returns the option `connect` for the dispatchers of npm's undici (`Agent`, `Pool`,
 * `Client`), so that their connections go through proxies. HTTP/2 works as without proxies.
 *
 * @param buildConnector The function of this name that undici exports. It does TLS.
 * @param hops One proxy as in `connect()` of the client, a list of them, each reached
 * through those before it, or a text of URLs with spaces between them.
 *
 * @throws {TypeError} when an argument is invalid.
 * @throws {Error} on Bun, which replaces the package `undici` by an own one that ignores
 * dispatchers: use `createFetch()` of `@x/socks5/fetch`.
 *
 * @example
 * ```ts ignore
 * import { connector } from "@x/socks5/undici";
 * import { Agent, buildConnector, fetch } from "undici";
 *
 * const connect = connector(buildConnector, "socks5h://127.0.0.1:1080");
 * const dispatcher = new Agent({ connect, allowH2: true });
 * const response = await fetch("https://example.com/", { dispatcher });
 * ```
 */
export function connector<Connect extends UndiciConnect>(
  buildConnector: (options?: never) => Connect,
  hops: Hops,
  options: ConnectorOptions = {},
): Connect {
  checkKeys(options, [...DOOR_KEYS, "connect"], "the options of connector()");
  if ("Bun" in globalThis) throw noUndici();
  if (typeof buildConnector !== "function") {
    throw new TypeError("connector() takes buildConnector of undici");
  }
  const { connect = {}, ...door } = options;
  if ("socketPath" in connect) {
    throw new TypeError("connect.socketPath would lead around the proxies");
  }
  const route = new Route(hops, door);
  const secure = buildConnector(connect as never);
  const open = (origin: Origin, callback: OnConnected) =>
    openFor(route, origin, callback, (httpSocket: Socket, dial) => {
      dial.end(); // it has a time limit of its own
      secure({ ...origin, httpSocket }, callback);
    });
  return open as Connect;
}

function noUndici(): Error {
  return new Error(
    "Bun replaces the package undici by an own one, whose dispatchers have no effect; " +
      "use createFetch() of @x/socks5/fetch",
  );
}
