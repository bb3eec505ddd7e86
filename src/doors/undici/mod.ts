/**
 * Connections of undici through proxies: for npm's `undici`, and for the `fetch()` and
 * `WebSocket` of Node.js without it.
 *
 * @module
 */

export {
  connector,
  type ConnectorOptions,
  type UndiciConnect,
} from "./connector.ts";
export {
  dispatcher,
  type DispatcherOptions,
  type ProxyDispatcher,
} from "./dispatcher.ts";
export type { ConnectError } from "../socket/connect_error.ts";
export type { DoorOptions } from "../socket/route.ts";

export {
  type ClientAuth,
  type Hops,
  type ProxyConfig,
  SocksError,
  type TlsOptions,
} from "../../client/mod.ts";
