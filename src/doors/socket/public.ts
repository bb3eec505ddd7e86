/**
 * The public form of {@linkcode ProxySocket}, without what it overrides.
 *
 * @module
 */

import type { Socket } from "node:net";
import { ProxySocket } from "./proxy_socket.ts";
import type { SocksSocketConstructor } from "./socks_socket.ts";

/** A `net.Socket` that connects through proxies. */
export type SocksSocket = Socket;
/** The class of sockets that connect through proxies, see {@linkcode SocksSocketConstructor}. */
export const SocksSocket: SocksSocketConstructor = ProxySocket;
