/**
 * SOCKS4, SOCKS4a and SOCKS5 for Deno, Bun and Node.js: a server, a client, and
 * the protocol's messages as pure functions.
 *
 * @example A server and a client that goes through it
 * ```ts
 * import { connect, serve } from "@x/socks5";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * await using conn = await connect(
 *   `socks5://127.0.0.1:${proxy.addr.port}`,
 *   target.addr,
 * );
 * conn.close();
 * ```
 *
 * @module
 */

export * from "./src/server/public.ts";
export * from "./src/client/mod.ts";

// The protocol
export {
  type Decode,
  type Decoded,
  ProtocolError,
  type ProtocolErrorCode,
} from "./src/protocol/decode.ts";
export * as address from "./src/protocol/address.ts";
export * as datagram from "./src/protocol/datagram.ts";
export * as password from "./src/protocol/password.ts";
export * as reply from "./src/protocol/reply.ts";
export * as socks4 from "./src/protocol/socks4.ts";
export * as socks5 from "./src/protocol/socks5.ts";

// The network
export { detectTransport } from "./src/transport/detect.ts";
export {
  type MessageDecoder,
  MessageReader,
} from "./src/transport/message_reader.ts";
export {
  type LimitedRelayOptions,
  relayByReading,
  type RelayRateLimiter,
} from "./src/transport/relay.ts";
