/**
 * The public names of the server.
 *
 * @module
 */

export type { AccountingOptions } from "./accounting/accounting_options.ts";
export {
  LocalUsageStore,
  type LocalUsageStoreOptions,
  type UsageRecord,
} from "./accounting/local_usage_store.ts";
export type {
  Usage,
  UsageReport,
  UsageStore,
  UserTotals,
} from "./accounting/usage_store.ts";
export type {
  Quota,
  QuotaPeriod,
  UserAttributes,
  UserAttributesLookup,
} from "./accounting/user_attributes.ts";
export { chap } from "./auth/chap.ts";
export {
  CommandVerifier,
  type CommandVerifierOptions,
} from "./auth/command_verifier.ts";
export type { GuardOptions } from "./auth/guarded_verifier.ts";
export {
  type LockedClient,
  Lockout,
  type LockoutOptions,
  type LoginGuard,
} from "./auth/lockout.ts";
export {
  type AuthExchange,
  type AuthMethod,
  type AuthResult,
  type LoginFailure,
  noAuth,
} from "./auth/method.ts";
export {
  type HashOptions,
  hashPassword,
  verifyPassword,
} from "./auth/password_hash.ts";
export type { SecretLookup, Secrets } from "./auth/secrets.ts";
export { parseSecrets } from "./auth/secrets_file.ts";
export type { Socks4Options } from "./auth/socks4_options.ts";
export { UsersError, type UsersProblem } from "./auth/user_lines.ts";
export { userPass } from "./auth/user_pass.ts";
export { type UserEntry, Users, type UsersOptions } from "./auth/users.ts";
export { parseUsers } from "./auth/users_file.ts";
export type {
  Credentials,
  Logins,
  Verifier,
  VerifyContext,
  VerifyLogin,
} from "./auth/verifier.ts";
export type { EgressOptions } from "./egress/egress_options.ts";
export type {
  CommandName,
  DatagramCounts,
  ProtocolName,
  ServerEvent,
  Session,
  SessionEndReason,
  SessionFacts,
  SessionPhase,
} from "./events.ts";
export {
  formatMetrics,
  type MetricFamily,
  METRICS,
  Metrics,
  type MetricTotals,
  type MetricValues,
} from "./metrics.ts";
export type { Accept, AcceptContext, Accepted, Origin } from "./accept.ts";
export type {
  LimitRequest,
  LimitSlot,
  PassRequest,
  RateRequest,
  SharedLimitsStore,
  SlotRequest,
} from "./cluster/store.ts";
export type {
  Dial,
  DialContext,
  DialedAssociation,
  DialedListener,
  Dialer,
} from "./dialer.ts";
export type {
  Limits,
  PortRange,
  ServeOptions,
  SharedLimits,
  Timeouts,
} from "./options.ts";
export { OptionError } from "./option_error.ts";
export {
  Denial,
  type Policy,
  type PolicyAnswer,
  type PolicyContext,
  type PolicyRequest,
  type Verdict,
} from "./policy/policy.ts";
export type { Rule, RuleTarget } from "./policy/rule.ts";
export { formatRule, parseRule } from "./policy/rule_text.ts";
export { HostList } from "./policy/host_list.ts";
export {
  type RulePolicy,
  type RuleRequest,
  rules,
  type RulesOptions,
} from "./policy/rules.ts";
export type { HostLists } from "./policy/compiled_rule.ts";
export { serve } from "./serve.ts";
export type { Server, ServerUpdate, ShutdownOptions } from "./server.ts";
export {
  NetError,
  type NetErrorKind,
  TlsError,
  type TlsProblem,
} from "../transport/errors.ts";
export type { TlsFacts, TlsServerOptions } from "../transport/tls_options.ts";
export type { ConnSource, DuplexStreams } from "../transport/streams.ts";
export type { Address, Conn, Transport } from "../transport/transport.ts";
export type { Clock } from "../transport/clock.ts";
export type { Exchange } from "../transport/exchange.ts";
export type { MessageDecoder } from "../transport/message_reader.ts";
export type { Endpoint } from "../protocol/address.ts";
export type { DatagramWrapper } from "../protocol/datagram.ts";
