/**
 * What users of the server can import.
 *
 * @module
 */

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
} from "./auth/auth.ts";
export * from "./events.ts";
export {
  formatMetrics,
  type MetricFamily,
  METRICS,
  Metrics,
  type MetricValues,
} from "./metrics.ts";
export type { Accept, AcceptContext, Accepted, Origin } from "./accept.ts";
export type {
  CountedLimit,
  LimitRequest,
  SharedLimitsStore,
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
  Socks4Options,
  Timeouts,
} from "./options.ts";
export { OptionError } from "./options.ts";
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
export { type RulePolicy, type RuleRequest, rules } from "./policy/rules.ts";
export {
  serve,
  type Server,
  type ServerUpdate,
  type ShutdownOptions,
} from "./serve.ts";
export * from "../transport/transport.ts";
export type { MessageDecoder } from "../transport/message_reader.ts";
export type { Endpoint } from "../protocol/address.ts";
