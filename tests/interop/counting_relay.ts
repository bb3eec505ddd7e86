/**
 * A relay that counts connections: what goes through a foreign proxy passes by it.
 *
 * @module
 */

import { once } from "node:events";
import * as net from "node:net";

/** A running relay on 127.0.0.1. */
export interface CountingRelay {
  readonly port: number;
  /** How many connections have carried an answer. */
  readonly connections: number;
  close(): Promise<void>;
}

/** Starts a relay to a port of 127.0.0.1. */
export async function startRelay(to: number): Promise<CountingRelay> {
  let connections = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const how = { host: "127.0.0.1", port: to, allowHalfOpen: true };
    const proxy = net.connect(how);
    proxy.once("data", () => connections++);
    for (const [from, other] of [[client, proxy], [proxy, client]]) {
      sockets.add(from);
      from.on("error", () => other.destroy());
      from.on("close", () => {
        sockets.delete(from);
        if (from.errored) other.destroy();
      });
      from.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return connections;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
