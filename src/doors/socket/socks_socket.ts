/**
 * The class for drivers that take a socket.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { Hops } from "../../client/hops.ts";
import type { DoorOptions } from "./route.ts";

/** Options of a `SocksSocket`. */
export interface SocksSocketOptions extends DoorOptions {
  /** As in `new net.Socket()`. @default {false} */
  readonly allowHalfOpen?: boolean;
  /** Destroys the socket, at any time, as in `new net.Socket()`. */
  readonly signal?: AbortSignal;
}

/**
 * A `net.Socket` whose `connect()` goes through proxies: for drivers and libraries that take
 * a socket, or a function that creates one. It behaves like a socket of `node:net` in
 * everything else: `connect` is emitted when the last proxy has connected to the target,
 * what is written before waits, and errors have the codes of direct connections. The bytes of
 * a target that speaks first wait for the reader.
 *
 * Its addresses are those of the connection to the first proxy. For TLS to the target use
 * `dialSocket()`, or `tls.connect({ socket })` after the event `connect`.
 *
 * @example A driver that takes a socket
 * ```ts
 * import { SocksSocket } from "@x/socks5/socket";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * const socket = new SocksSocket(url); // as in new pg.Pool({ stream: () => new SocksSocket(url) })
 * socket.connect(target.addr.port, "127.0.0.1");
 * socket.write(Uint8Array.of(5, 1, 0));
 * for await (const chunk of socket) {
 *   console.log(chunk); // <Buffer 05 00>
 *   break;
 * }
 * ```
 */
export interface SocksSocketConstructor {
  /**
   * Creates a socket. Of the options of its `connect()` only `host`, `port`, `noDelay`,
   * `keepAlive` and `keepAliveInitialDelay` have an effect; the others are about direct
   * connections. A path, or an invalid target, is a `TypeError`.
   *
   * @param hops One proxy as in `connect()` of the client, a list of them, each reached
   * through those before it, or a text of URLs with spaces between them.
   *
   * @throws {TypeError} when an argument is invalid.
   */
  new (hops: Hops, options?: SocksSocketOptions): Socket;
  /** The members of its sockets. */
  readonly prototype: Socket;
}
