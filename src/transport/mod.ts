/**
 * The network below the server and the client: connections, listeners, UDP sockets and
 * relays, the same on Deno, Bun and Node.js. Use it to replace the network, to wrap
 * connections, or to supply connections of another origin.
 *
 * The runtimes differ where they have no means to do the same:
 *
 * - Deno has no call that sends a reset: the kernel sends one only when bytes are left
 *   unread, and FIN otherwise, also when a timeout ends a side that has not taken all its
 *   bytes or whose peer has not sent FIN.
 * - Deno cannot look up the route to an address. With `--allow-sys=networkInterfaces` a
 *   listener for one peer (BIND) is at the address on the peer's network; otherwise, and for
 *   peers farther away, it listens on all addresses and announces the one at which the
 *   client reached the server, or an address of `advertise`.
 * - On Deno UDP goes through `Deno.listenDatagram`, which exists only with
 *   `--unstable-net`, or else through `node:dgram`, which takes three times the CPU.
 * - `Deno.connect` cannot choose the local address. With one, connections go through
 *   `node:net`, which takes more CPU; an upload that continues after the target's FIN is
 *   broken off if the target does not keep up.
 * - TCP keepalive detects a dead peer within minutes; on Deno, which cannot set the
 *   interval, after the default of the system, two hours.
 * - `Bun.connect` cannot be cancelled: at most 64 attempts that were given up keep their
 *   socket, and keep an otherwise idle process alive, until the kernel gives up.
 * - The limit of open descriptors is not known on Deno: `limits.sessions` should be less
 *   than half of `ulimit -n`. After descriptors have run out there, the HTTP server of the
 *   metrics accepts no connection any more and needs a restart; the proxy goes on.
 * - BIND and UDP ASSOCIATE do not work for link-local clients (fe80::), except BIND on
 *   Node.js.
 *
 * @example A transport that connects to loopback only
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 * import { detectTransport, NetError, type Transport } from "@x/socks5/transport";
 * import { assertRejects } from "@std/assert";
 *
 * const native = await detectTransport();
 * const transport: Transport = {
 *   ...native,
 *   connect(options) {
 *     return options.hostname.startsWith("127.")
 *       ? native.connect(options)
 *       : Promise.reject(new NetError("denied", "loopback only"));
 *   },
 * };
 * await using proxy = await serve({ port: 0, transport });
 * const url = `socks5://127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, proxy.addr);
 * await assertRejects(() => connect(url, { hostname: "192.0.2.1", port: 80 }));
 * ```
 *
 * @module
 */

export {
  type Address,
  type Conn,
  type ConnectOptions,
  type DatagramSocket,
  type Listener,
  type ListenOptions,
  type OnDatagram,
  type Relay,
  type RelayEnd,
  type RelayOptions,
  type RelayOwner,
  type Transport,
} from "./transport.ts";
export { detectRuntime, detectTransport, type RuntimeName } from "./detect.ts";
export {
  abortError,
  NetError,
  type NetErrorKind,
  TlsError,
  type TlsProblem,
  toNetError,
} from "./errors.ts";
export type {
  TlsClientOptions,
  TlsFacts,
  TlsServerOptions,
} from "./tls_options.ts";
export { type Clock, systemClock } from "./clock.ts";
export type { Timeout } from "./timeouts.ts";
export { type AbortSignalLike, toAbortSignal } from "./signal.ts";
export {
  type LimitedRelayOptions,
  relayByReading,
  type RelayRateLimiter,
} from "./relay.ts";
export { type MessageDecoder, MessageReader } from "./message_reader.ts";
export type { Exchange } from "./exchange.ts";
export {
  type ConnSource,
  type DuplexStreams,
  fromStreams,
  toConn,
  toStreams,
} from "./streams.ts";
export type { NodeDuplex } from "./duplex_conn.ts";
