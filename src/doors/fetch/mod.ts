/**
 * `fetch()` and `WebSocket` through proxies, on Deno, Bun and Node.js.
 *
 * @module
 */

export { createFetch, type ProxiedFetch } from "./fetch.ts";
export type {
  FetchOptions,
  FetchTlsOptions,
  WebSocketOptions,
} from "./options.ts";
export {
  createWebSocket,
  type ProxiedWebSocket,
  type ProxiedWebSocketClass,
} from "./web_socket.ts";

export {
  type DialerOptions,
  type Hops,
  type ProxyConfig,
  SocksError,
  type TlsOptions,
} from "../../client/mod.ts";
