/**
 * A SOCKS4, SOCKS4a, SOCKS5 and HTTP CONNECT client for Deno, Bun and Node.js.
 *
 * @example
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * const { hostname, port } = proxy.addr;
 * await using conn = await connect(`socks5://${hostname}:${port}`, { hostname, port });
 * ```
 *
 * @module
 */

export {
  anonymous,
  type AuthStep,
  type AuthSteps,
  type ClientAuth,
  type ClientAuthExchange,
  type ClientAuthResult,
  passwordLogin,
} from "./auth.ts";
export { bind } from "./bind.ts";
export { chapLogin } from "./chap_login.ts";
export { ClientHandshake, type HandshakeOptions } from "./client_handshake.ts";
export { connect } from "./connect.ts";
export {
  createDialer,
  type DialerOptions,
  type HopConnectOptions,
  type HopDialer,
  type HopOptions,
} from "./dialer.ts";
export type { ReceivedDatagram } from "./datagram_queue.ts";
export {
  SocksError,
  type SocksErrorCode,
  type SocksErrorDetails,
  type SocksHop,
  type SocksPhase,
} from "./error.ts";
export { errorAtHop, hopAddress, type Hops, parseHops } from "./hops.ts";
export type {
  ClientConnectOptions,
  ClientOptions,
  ProxyOptions,
  TargetTlsOptions,
  TlsOptions,
} from "./options.ts";
export type {
  PlainProtocol,
  ProxyConfig,
  ProxyProtocol,
  ResolvedProxy,
} from "./proxy.ts";
export { proxyFromEnv } from "./proxy_from_env.ts";
export { parseProxyUrl } from "./proxy_url.ts";
export { resolve, reverse } from "./resolve.ts";
export { socks, type SocksProxy } from "./socks.ts";
export type { SocksConn } from "./socks_conn.ts";
export type {
  AcceptOptions,
  InboundConn,
  SocksListener,
} from "./socks_listener.ts";
export { udpAssociate } from "./udp_associate.ts";
export type { UdpAssociation } from "./udp_association.ts";
export type { UdpOptions } from "./udp_options.ts";

export type { Endpoint } from "../protocol/address.ts";
export type { DatagramWrapper } from "../protocol/datagram.ts";
export {
  NetError,
  type NetErrorKind,
  TlsError,
  type TlsProblem,
} from "../transport/errors.ts";
export type { TlsClientOptions, TlsFacts } from "../transport/tls_options.ts";
export type { Exchange } from "../transport/exchange.ts";
export type { MessageDecoder } from "../transport/message_reader.ts";
export type { ConnSource, DuplexStreams } from "../transport/streams.ts";
export type { Address, Conn, Transport } from "../transport/transport.ts";
