/**
 * The agent for `http:`.
 *
 * @module
 */

import * as http from "node:http";
import type { Duplex } from "node:stream";
import type { Route } from "../socket/route.ts";
import { createSocket } from "../socket/proxy_socket.ts";
import {
  type ConnectionOptions,
  NONE,
  type OnConnection,
  targetOf,
} from "./connection.ts";

/** Creates sockets that connect through the proxies of a route. */
export class ProxyHttpAgent extends http.Agent {
  readonly #route: Route;

  constructor(route: Route, options: http.AgentOptions) {
    super(options);
    this.#route = route;
  }

  override createConnection(
    options: ConnectionOptions,
    callback?: OnConnection,
  ): Duplex {
    const { noDelay, keepAlive, keepAliveInitialDelay, timeout } = options;
    const socket = createSocket(this.#route);
    try {
      const { hostname: host, port } = targetOf(options);
      socket.connect({ host, port, noDelay, keepAlive, keepAliveInitialDelay });
    } catch (error) {
      callback?.(error as Error, NONE);
      return NONE;
    }
    if (timeout) socket.setTimeout(timeout);
    return socket;
  }
}
