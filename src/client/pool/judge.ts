/**
 * What the errors of calls say about alternatives.
 *
 * @module
 */

import { AFTER_LOGIN } from "../chain.ts";
import { SocksError } from "../error.ts";

/** What an error says about an alternative. */
export type Judgement =
  /** It works: its last hop has answered that the target fails. */
  | "reached"
  /** Nothing that is certain, but another attempt is not wanted. */
  | "unknown"
  /** It cannot do this, but another one may be able to. */
  | "unfit"
  | "failed";

/** Judges an alternative that has so many hops. */
export function judge(error: unknown, hops: number): Judgement {
  if (!(error instanceof SocksError)) return "unknown"; // an invalid argument
  const { code, phase, hop } = error;
  if (code === "aborted") return "unknown";
  if (code === "unsupported" || code === "address-type") return "unfit";
  // The alert may come after the request, which HTTP and SOCKS4 send at once.
  const isUntrusted = code.startsWith("tls-") && phase !== "target-tls";
  const isAfterLogin = hop?.number === hops && AFTER_LOGIN.includes(phase) &&
    !isUntrusted;
  if (!isAfterLogin || code === "protocol") return "failed";
  // Not if the connection was closed: some proxies do that when the target refuses.
  const isOfTarget = code === "rejected" || phase === "target-tls";
  return isOfTarget ? "reached" : "unknown";
}

/** The error of a call after all alternatives, of which at least one was tried. */
export function allFailed(errors: readonly SocksError[]): SocksError {
  const failures = errors.filter((it) => judge(it, NaN) === "failed");
  const last = failures.at(-1);
  if (!last || failures.length === 1) return last ?? errors[0];
  const { code, phase, reply, hop } = last;
  const message =
    `${failures.length} alternatives have failed, the last one: ${last.message}`;
  const cause = new AggregateError(failures, message);
  return new SocksError(code, message, { phase, reply, hop, cause });
}
