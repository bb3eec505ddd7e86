/**
 * The vocabulary of policies: the question, the answer and the denial.
 *
 * @module
 */

import { isSpecialPurpose } from "../../protocol/address.ts";
import { NetError } from "../../transport/errors.ts";
import type { CommandName, Session } from "../events.ts";

/** A question to a {@linkcode Policy}. */
export interface PolicyRequest {
  /** The session that asks: its client address, user and SOCKS version. */
  readonly session: Session;
  /** The command of its request. */
  readonly command: CommandName;
  /**
   * The target that the client named in a CONNECT or a datagram, or the peer
   * that a BIND expects, where `0.0.0.0` and `::` mean anyone. Canonical: names
   * are in lower case without a trailing dot, IP addresses in any disguise
   * (`0x7f.1`) are written as addresses.
   */
  readonly hostname: string;
  /** Its port. */
  readonly port: number;
  /**
   * The address that is about to be used, with IPv4-mapped IPv6 as IPv4 and with
   * loopback in place of `0.0.0.0` and `::`, because sockets connect to loopback
   * then: the address that is checked is the one that is dialled. For a name the
   * policy is asked without an address first, and then with each of its addresses.
   */
  readonly address?: string;
}

/** The circumstances of a question to a {@linkcode Policy}. */
export interface PolicyContext {
  /** Aborted when the answer is no longer needed, for example because the session has ended. */
  readonly signal: AbortSignal;
}

/** The answer of a {@linkcode Policy}. */
export interface Verdict {
  /**
   * `default` means the answer of a server without a policy: sessions that are
   * not exposed may reach everything, others everything but special-purpose and
   * the server's own addresses.
   */
  readonly verdict: "allow" | "deny" | "default";
  /** The reason, as events and logs show it. */
  readonly rule?: string;
  /** IP address of this machine to connect from, to send datagrams from, and to wait on for the peer of a BIND. */
  readonly localAddress?: string;
  /** IP version whose addresses of a name are tried first. */
  readonly family?: 4 | 6;
}

/** `true` allows, `false` denies, `undefined` means the default. */
export type PolicyAnswer = boolean | Verdict | undefined;

/**
 * Decides whether a client may do something; a rejection or an exception means
 * no. It is asked for each CONNECT, for each BIND and each peer that comes to it,
 * and for the targets of datagrams, where an answer is valid for 30 seconds. With
 * the option `dial` it is not asked about the addresses of a name: the dialer
 * resolves it.
 *
 * @example Deny a port to all but one user
 * ```ts
 * import { type Policy, serve } from "@x/socks5/server";
 *
 * const policy: Policy = ({ port, session }) =>
 *   port === 25 && session.user !== "mailer" ? false : undefined;
 * await using server = await serve({ port: 0, policy });
 * ```
 */
export type Policy = (
  request: PolicyRequest,
  context: PolicyContext,
) => PolicyAnswer | Promise<PolicyAnswer>;

/** The error of a request that the policy does not allow. */
export class Denial extends NetError {
  /** The rule that denies it, if one does. */
  readonly rule: string | undefined;

  /** `rule` names the rule, if there is one; `cause` is the error of a policy that failed. */
  constructor(rule?: string, cause?: Error) {
    super(
      "denied",
      rule ? `denied by: ${rule}` : cause?.message ?? "denied by the policy",
      cause,
    );
    this.rule = rule;
  }
}

/** Why an address is closed to exposed sessions by default; `undefined` if it is open. */
export function defaultDenial(
  address: string,
  isOwn: (address: string) => boolean,
): string | undefined {
  if (isSpecialPurpose(address)) return `special-purpose address ${address}`;
  return isOwn(address) ? `the server's own address ${address}` : undefined;
}
