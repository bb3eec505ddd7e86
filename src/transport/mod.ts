/**
 * The network below the server and the client: connections, listeners, UDP sockets and
 * relays, the same on Deno, Bun and Node.js. Use it to replace the network, to wrap
 * connections, or to supply connections of another origin.
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
  toNetError,
} from "./errors.ts";
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
