/**
 * A SOCKS4, SOCKS4a and SOCKS5 client for Deno, Bun and Node.js.
 *
 * @example
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * const { hostname, port } = proxy.addr;
 * await using conn = await connect(`socks5://${hostname}:${port}`, { hostname, port });
 * conn.close();
 * ```
 *
 * @module
 */

export type { ClientOptions } from "./attempt.ts";
export * from "./bind.ts";
export * from "./connect.ts";
export type { ReceivedDatagram } from "./datagram_queue.ts";
export {
  SocksError,
  type SocksErrorCode,
  type SocksErrorDetails,
  type SocksPhase,
} from "./error.ts";
export type { SocksConn } from "./socks_conn.ts";
export { udpAssociate, type UdpOptions } from "./udp_associate.ts";
export type { UdpAssociation } from "./udp_association.ts";
export {
  parseProxyUrl,
  type ProxyConfig,
  type ProxyProtocol,
} from "./proxy.ts";
export {
  type DuplexStreams,
  fromStreams,
  toStreams,
} from "../transport/streams.ts";
export type {
  Address,
  Conn,
  DatagramSocket,
  Listener,
  ListenOptions,
  OnDatagram,
  Relay,
  RelayEnd,
  RelayOptions,
  RelayOwner,
  Transport,
} from "../transport/transport.ts";
export { NetError, type NetErrorKind } from "../transport/errors.ts";
export type { Endpoint } from "../protocol/address.ts";
