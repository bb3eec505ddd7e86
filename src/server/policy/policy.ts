/**
 * The vocabulary of policies: the question, the answer and the denial.
 *
 * @module
 */

import { embeddedIpv4, isSpecialPurpose } from "../../protocol/address.ts";
import { NetError } from "../../transport/errors.ts";
import type { CommandName, Session } from "../events.ts";

/** A question to a {@linkcode Policy}. */
export interface PolicyRequest {
  /** The session of the request, with its client address, user and SOCKS version. */
  readonly session: Session;
  /** The command of its request. */
  readonly command: CommandName;
  /**
   * The target of a CONNECT or a datagram, the expected peer of a BIND, where `0.0.0.0`
   * and `::` mean any peer, or the subject of a look-up. The text is canonical: a name is
   * in lower case and has no trailing dot, and an IP address in another notation
   * (`0x7f.1`) is written as an address.
   */
  readonly hostname: string;
  /** The port of the target; 0 for a look-up. */
  readonly port: number;
  /**
   * The address that is about to be used: the address that is checked is the one
   * that is dialled. An IPv4-mapped IPv6 address is written as IPv4, and
   * `0.0.0.0` and `::` as loopback, because sockets connect to loopback then. For
   * a name the policy is asked without an address first, and then once for each
   * address of the name.
   */
  readonly address?: string;
  /**
   * Whether the name is resolved by an upstream, so that the policy is not asked about its
   * addresses.
   */
  readonly resolvedElsewhere?: true;
}

/** The circumstances of a question to a {@linkcode Policy}. */
export interface PolicyContext {
  /** Aborts when the answer is no longer needed, for example because the session has ended. */
  readonly signal: AbortSignal;
}

/** The answer of a {@linkcode Policy}. */
export interface Verdict {
  /**
   * `default` means the verdict of a server without a policy: a session that is
   * not exposed may reach everything, an exposed one everything except
   * special-purpose addresses and those of the server itself.
   */
  readonly verdict: "allow" | "deny" | "default";
  /** The reason, as events and logs show it. */
  readonly rule?: string;
  /**
   * The IP address of this machine to connect from, to send datagrams from, and to listen on
   * for the peer of a BIND; or a prefix such as `2001:db8:1::/64`, or a list of both, of at
   * most 256. It takes precedence over {@linkcode UserAttributes.via}.
   *
   * Of several addresses, those of the target's IP version are used, each by as many clients
   * as the others (of a prefix and an address, by as many again). A client keeps its address
   * as long as {@linkcode EgressOptions.sticky} says. It is the user with the session word if
   * there is one ({@linkcode ServeOptions.sessionWords}), else the user, and without a login
   * the client's address. If no source port of an address is free, or this machine does not
   * have it, up to 15 others are tried.
   */
  readonly localAddress?: string | readonly string[];
  /** The IP version to try first if a name has addresses of both. */
  readonly family?: 4 | 6;
  /**
   * The name of an upstream in the server's option `upstreams`, or `direct`: how to reach
   * the target. By default the option `dial`, or a direct connection without it. A name
   * that the server does not know denies the request.
   */
  readonly through?: string;
}

/** `true` allows, `false` denies, `undefined` means the default. */
export type PolicyAnswer = boolean | Verdict | undefined;

/**
 * Decides whether a client may reach a target. An exception or a rejection denies
 * the request.
 *
 * The policy is asked for each CONNECT, for each look-up, for each BIND and each peer
 * that connects to it, and for the targets of datagrams, where a verdict is valid for
 * 30 seconds. If a dialer resolves the names (see `Dialer.resolvesNames`), it is not asked
 * about the addresses of a name; the one that the dialer returns for a look-up is an
 * exception.
 *
 * @example A function: deny a port to all users except one
 * ```ts
 * import { type Policy, serve } from "@x/socks5/server";
 *
 * const policy: Policy = ({ port, session }) =>
 *   port === 25 && session.user !== "mailer" ? false : undefined;
 * await using server = await serve({ port: 0, policy });
 * ```
 *
 * @example Rules
 * ```ts
 * import { rules, serve } from "@x/socks5/server";
 *
 * const policy = rules(["deny *:25", "allow *.example.com:443"]);
 * await using server = await serve({ port: 0, policy });
 * ```
 */
export type Policy = (
  request: PolicyRequest,
  context: PolicyContext,
) => PolicyAnswer | Promise<PolicyAnswer>;

/**
 * The error of a request that the policy denies, as the event `session-end` has
 * it.
 *
 * @example Log the denied requests
 * ```ts
 * import { Denial, serve } from "@x/socks5/server";
 *
 * await using server = await serve({
 *   port: 0,
 *   policy: () => ({ verdict: "deny", rule: "maintenance" }),
 *   onEvent(event) {
 *     if (event.type !== "session-end") return;
 *     if (!(event.error instanceof Denial)) return;
 *     const { client, target } = event.session;
 *     console.log(client.hostname, target?.hostname, event.error.rule);
 *   },
 * });
 * ```
 */
export class Denial extends NetError {
  /** The rule that denies it, if there is one. */
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

/**
 * The reason why a name that an upstream resolves is closed to exposed sessions by default;
 * `undefined` if it is open. The upstream may run on this machine (RFC 6761 section 6.3).
 */
export function defaultNameDenial(hostname: string): string | undefined {
  return hostname === "localhost" || hostname.endsWith(".localhost")
    ? `special-purpose name ${hostname}`
    : undefined;
}

/**
 * The reason why an address is closed to exposed sessions by default;
 * `undefined` if it is open.
 */
export function defaultDenial(
  address: string,
  isOwn: (address: string) => boolean,
): string | undefined {
  if (isSpecialPurpose(address)) return `special-purpose address ${address}`;
  // A gateway (NAT64, 6to4) may bring the packets back to this machine.
  const embedded = embeddedIpv4(address);
  return isOwn(address) || embedded !== undefined && isOwn(embedded)
    ? `the server's own address ${address}`
    : undefined;
}
