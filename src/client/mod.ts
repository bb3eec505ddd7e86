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

export * from "./connect.ts";
export * from "./error.ts";
export { parseProxyUrl, type Proxy, type ProxyProtocol } from "./proxy.ts";
export {
  type DuplexStreams,
  fromStreams,
  toStreams,
} from "../transport/streams.ts";
export {
  type Address,
  type Conn,
  type Listener,
  type ListenOptions,
  NetError,
  type NetErrorKind,
  type Relay,
  type RelayEnd,
  type RelayOptions,
  type Transport,
} from "../transport/transport.ts";
export type { Endpoint } from "../protocol/address.ts";
