/**
 * Dispatchers for the `fetch()` and the `WebSocket` of Node.js.
 *
 * @module
 */

import type { Socket } from "node:net";
import * as tls from "node:tls";
import type { Hops } from "../../client/hops.ts";
import { isIp } from "../../protocol/address.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { DOOR_KEYS, type DoorOptions, Route } from "../socket/route.ts";
import type { Dial } from "../socket/dial.ts";
import { limitTls } from "../socket/open_socket.ts";
import { type OnConnected, openFor, type Origin } from "./open_for.ts";

/** Options of {@linkcode dispatcher}. */
export interface DispatcherOptions extends DoorOptions {
  /** The options of `tls.connect()` for TLS to the targets, such as `ca`. */
  readonly targetTls?: tls.ConnectionOptions;
}

/** A dispatcher of the undici inside Node.js, with its connections. */
export interface ProxyDispatcher {
  /** Resolves when all requests are complete and all connections are closed. */
  close(): Promise<void>;
  /** Ends all requests and connections. */
  destroy(): Promise<void>;
}

/**
 * Creates a dispatcher for the option `dispatcher` of the `fetch()` and the `WebSocket` of
 * Node.js itself (20 to 26, `WebSocket` from 22 on), whose connections go through proxies.
 * The package `undici` is not needed, and its dispatchers fit only the `fetch()` of the same
 * package.
 *
 * @param hops One proxy as in `connect()` of the client, a list of them, each reached
 * through those before it, or a text of URLs with spaces between them.
 *
 * @throws {TypeError} when an argument is invalid.
 * @throws {Error} on Deno and Bun, whose `fetch()` has no dispatchers: use `createFetch()` of
 * `@x/socks5/fetch`. Also on Node.js if the program has replaced the global dispatcher
 * before.
 *
 * @example
 * ```ts
 * import { dispatcher } from "@x/socks5/undici";
 *
 * async function get(url: string): Promise<string> { // on Node.js
 *   const through = dispatcher("socks5h://al:pw@127.0.0.1:1080");
 *   const response = await fetch(url, { dispatcher: through } as RequestInit);
 *   return await response.text();
 * }
 * ```
 */
export function dispatcher(
  hops: Hops,
  options: DispatcherOptions = {},
): ProxyDispatcher {
  const keys = [...DOOR_KEYS, "targetTls"];
  checkKeys(options, keys, "the options of dispatcher()");
  const { targetTls, ...door } = options;
  const route = new Route(hops, door);
  const connect = (origin: Origin, callback: OnConnected) =>
    openFor(route, origin, callback, (socket, dial) => {
      secure(dial, socket, origin, callback, targetTls);
    });
  const Agent = builtInAgent();
  return new Agent({ connect });
}

type AgentClass = new (options: object) => ProxyDispatcher;

/** The class of the global dispatcher, which is all that Node.js shows of its undici. */
function builtInAgent(): AgentClass {
  const runtime = ["Deno", "Bun"].find((it) => it in globalThis);
  if (runtime !== undefined) {
    throw new Error(
      `fetch() of ${runtime} has no dispatchers; ` +
        "use createFetch() of @x/socks5/fetch",
    );
  }
  void globalThis.Headers; // loads undici
  const global = globalThis as unknown as Record<symbol, object | undefined>;
  const found = ["2", "1"]
    .map((it) => global[Symbol.for(`undici.globalDispatcher.${it}`)])
    .find((it) => it !== undefined);
  // Another class may ignore the option. That for the proxies of the environment
  // (NODE_USE_ENV_PROXY) has an Agent for direct connections.
  const agent = [found, ...membersOf(found)].find((it) =>
    it?.constructor?.name === "Agent"
  );
  if (agent) return agent.constructor as AgentClass;
  throw new Error(
    "the global dispatcher of undici has been replaced; " +
      "use connector() with the package undici, or createFetch() of @x/socks5/fetch",
  );
}

function membersOf(found: object | undefined): (object | undefined)[] {
  const members = (found ?? {}) as Record<symbol, object | undefined>;
  return Object.getOwnPropertySymbols(members).map((it) => members[it]);
}

function secure(
  dial: Dial,
  socket: Socket,
  { hostname, servername }: Origin,
  callback: OnConnected,
  options: tls.ConnectionOptions = {},
): void {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const name = servername || (isIp(host) ? "" : host);
  let secured: tls.TLSSocket;
  try {
    secured = tls.connect({
      ALPNProtocols: ["http/1.1"],
      ...name ? { servername: name } : {},
      host,
      ...options,
      socket,
    });
  } catch (error) {
    dial.end();
    socket.destroy();
    return callback(error as Error, null);
  }
  limitTls(dial, secured);
  const onError = (error: Error) => callback(error, null);
  secured.once("error", onError);
  secured.once("secureConnect", () => {
    secured.off("error", onError);
    callback(null, secured);
  });
}
