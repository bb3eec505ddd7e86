/**
 * Who may do what.
 *
 * @module
 */

import {
  type Endpoint,
  isIp,
  isSpecialPurpose,
  isUnspecified,
  unmapIp,
} from "../../protocol/address.ts";
import { withSignal } from "../../transport/dial.ts";
import { NetError } from "../../transport/errors.ts";
import type { AbortSignalLike } from "../../transport/signal.ts";
import type { CommandSession } from "../commands/command.ts";
import type { CommandName, Session } from "../events.ts";

/** What a client wants to do, as a policy is asked about it. */
export interface PolicyRequest {
  /** Who: the client's address, the user, the version. */
  readonly session: Session;
  /** What it asked for. */
  readonly command: CommandName;
  /**
   * The target that the client named, of CONNECT or of a datagram, or the peer
   * that may come to a BIND, where `0.0.0.0` and `::` mean anyone. Canonical:
   * names in lower case without a trailing dot, IP addresses in every disguise
   * (`0x7f.1`) as such.
   */
  readonly hostname: string;
  /** Its port. */
  readonly port: number;
  /**
   * The address that is about to be used for it, IPv4-mapped IPv6 as IPv4, and
   * loopback for `0.0.0.0` and `::`, which sockets take for it; what is judged
   * is what is used. A name is asked about without one first, and then with
   * each of its addresses.
   */
  readonly address?: string;
}

/** What a policy says. */
export interface Verdict {
  /**
   * `default` means what holds without a policy: a server on loopback allows
   * everything, any other everything but special-purpose addresses.
   */
  readonly verdict: "allow" | "deny" | "default";
  /** Why, as events and logs show it. */
  readonly rule?: string;
  /** IP address of this machine to connect from, to send datagrams from, and to wait on for the peer of a BIND. */
  readonly localAddress?: string;
  /** IP version of the addresses of a name that are tried first. */
  readonly family?: 4 | 6;
}

/** `true` allows, `false` denies, `undefined` is the default. */
export type PolicyAnswer = boolean | Verdict | undefined;

/**
 * Says whether a client may; a rejection means no. It is asked for each
 * CONNECT, each BIND and whoever comes to it, and for the targets of datagrams,
 * where an answer counts for half a minute. With the option `dial` it is not
 * asked about a name's addresses, which are then none of the server's business.
 */
export type Policy = (
  request: PolicyRequest,
) => PolicyAnswer | Promise<PolicyAnswer>;

/** A target's addresses that may be used, and how. */
export interface Route {
  /** At least one, those to try first in front. */
  readonly addresses: string[];
  /** The address of this machine to use for one of them, if the rule that allows it names one. */
  readonly localAddressOf?: (address: string) => string | undefined;
}

/** Something was asked for that is not allowed. */
export class Denial extends NetError {
  /** The rule that denies it. */
  readonly rule: string | undefined;

  /** Names the rule, if there is one; `cause` is what a policy failed with. */
  constructor(rule?: string, cause?: Error) {
    super(
      "denied",
      rule ? `denied by: ${rule}` : cause?.message ?? "denied by the policy",
      cause,
    );
    this.rule = rule;
  }
}

/** What is about to be used for a target. */
interface Use {
  /** One of its addresses. */
  readonly address?: string;
  /** Ends the wait for the policy. */
  readonly signal?: AbortSignalLike;
}

/** Rejects with a {@linkcode Denial}, and tells of it, unless the session may use the target, or one address of it. */
export async function authorize(
  session: CommandSession,
  target: Endpoint,
  use: Use = {},
): Promise<Verdict> {
  try {
    const verdict = await judge(session, target, use);
    if (verdict.verdict === "allow") return verdict;
    throw new Denial(verdict.rule);
  } catch (error) {
    if (use.signal?.aborted) throw error;
    const denial = error instanceof Denial ? error : failed(error);
    const { hostname, port } = target;
    session.emit({
      type: "denied",
      session,
      hostname,
      port,
      address: use.address,
      rule: denial.rule,
    });
    throw denial;
  }
}

/** A policy that fails, with whatever, denies. */
function failed(error: unknown): Denial {
  return new Denial(
    undefined,
    error instanceof Error ? error : new Error(String(error)),
  );
}

/** The policy's verdict, with the default put into its place. */
async function judge(
  session: CommandSession,
  { hostname, port }: Endpoint,
  { address, signal }: Use,
): Promise<Verdict> {
  const { settings: { policy, isExposed }, command } = session;
  let verdict: Verdict = DEFAULT;
  if (policy && command) {
    if (session.client.hostname === "") throw gone();
    const answer = policy({ session, command, hostname, port, address });
    verdict = verdictOf(await withSignal(Promise.resolve(answer), signal));
  }
  if (verdict.verdict !== "default") return verdict;
  const rule = isExposed && address !== undefined
    ? defaultDenial(address, (it) => session.isOwn(it))
    : undefined;
  return rule === undefined
    ? { ...verdict, verdict: "allow" }
    : { verdict: "deny", rule };
}

/** Why an address is closed by default to the clients of a server beyond loopback, if it is. */
export function defaultDenial(
  address: string,
  isOwn: (address: string) => boolean,
): string | undefined {
  if (isSpecialPurpose(address)) return `special-purpose address ${address}`;
  return isOwn(address) ? `the server's own address ${address}` : undefined;
}

/** Where a client came from that has hung up can be unknown, and with it what it may. */
function gone(): Denial {
  return new Denial(undefined, new Error("the client has gone"));
}

const DEFAULT: Verdict = { verdict: "default" };

/** Whatever it does not understand, such as the word "deny" of who writes without types, is a no. */
function verdictOf(answer: PolicyAnswer): Verdict {
  if (answer === undefined) return DEFAULT;
  if (typeof answer === "object" && answer !== null) return answer;
  return { verdict: answer === true ? "allow" : "deny" };
}

/** The address that is used for one: sockets that are sent to `0.0.0.0` or `::` go to loopback. */
export function dialledAddress(text: string): string {
  const address = unmapIp(text);
  if (!isUnspecified(address)) return address;
  return isIp(address) === 4 ? "127.0.0.1" : "::1";
}

/** Those addresses of a target that the session may use. */
export async function resolve(
  session: CommandSession,
  target: Endpoint,
  signal?: AbortSignalLike,
): Promise<Route> {
  if (isIp(target.hostname)) {
    const address = dialledAddress(target.hostname);
    const { localAddress } = await authorize(session, target, {
      address,
      signal,
    });
    if (!localAddress) return { addresses: [address] };
    return { addresses: [address], localAddressOf: () => localAddress };
  }
  await authorize(session, target, { signal });
  const { transport } = session.settings;
  const asked = transport.lookup(target.hostname, signal);
  const found = await withSignal(asked, signal);
  return await allowedOf(session, target, found.map(dialledAddress), signal);
}

async function allowedOf(
  session: CommandSession,
  target: Endpoint,
  found: readonly string[],
  signal?: AbortSignalLike,
): Promise<Route> {
  const addresses: string[] = [];
  const local = new Map<string, string>();
  let first: Verdict | undefined;
  let denial: unknown;
  for (const address of found) {
    try {
      const verdict = await authorize(session, target, { address, signal });
      first ??= verdict;
      addresses.push(address);
      if (verdict.localAddress) local.set(address, verdict.localAddress);
    } catch (error) {
      if (signal?.aborted) throw error;
      denial ??= error;
    }
  }
  if (!first) throw denial;
  if (first.family) preferFamily(addresses, first.family);
  if (local.size === 0) return { addresses };
  return { addresses, localAddressOf: (address) => local.get(address) };
}

function preferFamily(addresses: string[], family: 4 | 6): void {
  const rank = (address: string) => isIp(address) === family ? 0 : 1;
  addresses.sort((a, b) => rank(a) - rank(b));
}
