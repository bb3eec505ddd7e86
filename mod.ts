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

// The server
export {
  type AuthExchange,
  type AuthMethod,
  type AuthResult,
  type HashOptions,
  hashPassword,
  type LockoutOptions,
  type LoginAttempt,
  noAuth,
  parseUsers,
  userPass,
  Users,
  UsersError,
  type UsersOptions,
  type UsersProblem,
  type VerifyLogin,
  verifyPassword,
} from "./src/server/auth/auth.ts";
export * from "./src/server/events.ts";
export type {
  Dial,
  DialRequest,
  Limits,
  PortRange,
  ServeOptions,
  Socks4Options,
  Timeouts,
} from "./src/server/options.ts";
export { OptionError } from "./src/server/options.ts";
export {
  Denial,
  type Policy,
  type PolicyAnswer,
  type PolicyRequest,
  type Verdict,
} from "./src/server/policy/policy.ts";
export type { Rule, RuleTarget } from "./src/server/policy/rule.ts";
export { formatRule, parseRule } from "./src/server/policy/rule_text.ts";
export {
  type RulePolicy,
  type RuleRequest,
  rules,
} from "./src/server/policy/rules.ts";
export {
  serve,
  type Server,
  type ServerUpdate,
  type ShutdownOptions,
} from "./src/server/serve.ts";

// The client
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
  relayByReading,
  type RelayThrottle,
  type ThrottledRelayOptions,
} from "./src/transport/relay.ts";
export * from "./src/transport/transport.ts";
