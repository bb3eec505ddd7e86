/**
 * The targets of the load: they echo, discard or send data as fast as possible.
 *
 * @module
 */

import { listenDatagrams } from "./datagrams.ts";
import { writeFully } from "./socks.ts";

/** The number of echo ports: enough that TIME_WAIT does not exhaust the client's ports. */
const ECHOES = 8;

const BULK = 2 ** 20;

/** The ports of the targets, on both addresses of `localhost`. */
export interface Ports {
  echo: number[];
  sink: number;
  source: number;
  /** UDP, on IPv4 only. */
  echoDatagrams: number[];
}

/** The targets of one process. */
export class Backend {
  readonly ports: Ports;
  /** The number of octets that the sink has read. */
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

/** Listens on a free port of `127.0.0.1` and, if IPv6 is available, of `::1`. */
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
    // The port is in use on ::1, or IPv6 is not available.
    if (error instanceof Deno.errors.AddrInUse) return listen(serve);
  }
  return port;
}

async function accept(
  listener: Deno.TcpListener,
  serve: (conn: Deno.TcpConn) => Promise<void>,
): Promise<void> {
  for (;;) {
    // accept() rejects if the connection was reset before.
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
