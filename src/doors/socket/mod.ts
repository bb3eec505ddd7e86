/**
 * Sockets of `node:net` that connect through proxies, for every driver and library that
 * takes a socket or a function that creates one, on Deno, Bun and Node.js.
 *
 * @example
 * ```ts
 * import { dialSocket, SocksSocket } from "@x/socks5/socket";
 *
 * const url = "socks5h://127.0.0.1:1080";
 * const stream = () => new SocksSocket(url); // for drivers that connect the socket
 * const open = () => dialSocket(url, "db.example.com:5432"); // for those that take an open one
 * ```
 *
 * @module
 */

export type { ConnectError } from "./connect_error.ts";
export { type DialOptions, dialSocket } from "./dial_socket.ts";
export type { DoorOptions } from "./route.ts";
export { SocksSocket } from "./public.ts";
export type {
  SocksSocketConstructor,
  SocksSocketOptions,
} from "./socks_socket.ts";

export {
  type ClientAuth,
  type Hops,
  type ProxyConfig,
  SocksError,
  type TlsOptions,
} from "../../client/mod.ts";
export type { Endpoint } from "../../protocol/address.ts";
