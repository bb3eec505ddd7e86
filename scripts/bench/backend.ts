/**
 * The targets behind the servers: they echo, swallow or send as fast as they can.
 *
 * @module
 */

import { listenDatagrams } from "./datagrams.ts";
import { writeFully } from "./socks.ts";

/** How many ports echo: enough that addresses and ports in TIME_WAIT do not run out. */
const ECHOES = 8;

const BULK = 2 ** 20;

/** Where the targets listen, always on both addresses of `localhost`. */
export interface Ports {
  echo: number[];
  sink: number;
  source: number;
  /** Datagrams; IPv4 only. */
  echoDatagrams: number[];
}

/** The targets of one process. */
export class Backend {
  readonly ports: Ports;
  /** Octets that the sink has swallowed. */
  swallowed = 0;

  constructor() {
    const echo = Array.from(
      { length: ECHOES },
      () => listen((conn) => this.#echo(conn)),
    );
    this.ports = {
      echo,
      sink: listen((conn) => this.#swallow(conn)),
      source: listen(send),
      echoDatagrams: Array.from({ length: ECHOES }, echoDatagrams),
    };
  }

  async #echo(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(4096);
    for (;;) {
      const count = await conn.read(buffer);
      if (count === null) return;
      await writeFully(conn, buffer.subarray(0, count));
    }
  }

  async #swallow(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(BULK);
    for (;;) {
      const count = await conn.read(buffer);
      if (count === null) return;
      this.swallowed += count;
    }
  }
}

async function send(conn: Deno.Conn): Promise<void> {
  const chunk = new Uint8Array(BULK);
  for (;;) await conn.write(chunk);
}

/** Listens on a free port of `127.0.0.1` and, where there is IPv6, of `::1`. */
export function listen(
  serve: (conn: Deno.TcpConn) => Promise<void>,
): number {
  const listener = Deno.listen({
    hostname: "127.0.0.1",
    port: 0,
    tcpBacklog: 4096,
  });
  const { port } = listener.addr;
  accept(listener, serve);
  try {
    const other = Deno.listen({ hostname: "::1", port, tcpBacklog: 4096 });
    accept(other, serve);
  } catch (error) {
    // Taken by someone else there, or there is no IPv6.
    if (error instanceof Deno.errors.AddrInUse) return listen(serve);
  }
  return port;
}

async function accept(
  listener: Deno.TcpListener,
  serve: (conn: Deno.TcpConn) => Promise<void>,
): Promise<void> {
  for (;;) {
    // A connection that was reset before it was accepted makes this reject.
    const conn = await listener.accept().catch(() => undefined);
    if (conn === undefined) continue;
    serve(conn).catch(() => {}).finally(() => conn.close());
  }
}

function echoDatagrams(): number {
  const socket = listenDatagrams();
  void (async () => {
    const buffer = new Uint8Array(65_507);
    for (;;) {
      const [datagram, from] = await socket.receive(buffer);
      await socket.send(datagram, from);
    }
  })();
  return (socket.addr as Deno.NetAddr).port;
}
