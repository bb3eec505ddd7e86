/**
 * Datagram sockets of Deno, which need `--unstable-net`.
 *
 * @module
 */

/** The used members of `Deno.DatagramConn`. */
export interface DatagramSocket {
  readonly addr: Deno.Addr;
  receive(buffer: Uint8Array): Promise<[Uint8Array, Deno.Addr]>;
  send(datagram: Uint8Array, to: Deno.Addr): Promise<number>;
  close(): void;
}

interface UnstableNet {
  listenDatagram(
    options: { transport: "udp"; hostname: string; port: number },
  ): DatagramSocket;
}

/** Binds a socket to a free port of `127.0.0.1`. */
export function listenDatagrams(): DatagramSocket {
  const { listenDatagram } = Deno as unknown as UnstableNet;
  return listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
}
