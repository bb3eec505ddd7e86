/**
 * Asks the policy about targets, and resolves them to their allowed addresses.
 *
 * @module
 */

import {
  type Endpoint,
  isIp,
  isUnspecified,
  unmapIp,
} from "../../protocol/address.ts";
import { withSignal } from "../../transport/dial.ts";
import type { LocalAddresses } from "../../transport/local_addresses.ts";
import { type AbortSignalLike, signalContext } from "../../transport/signal.ts";
import type { Transport } from "../../transport/transport.ts";
import type { UserAttributesLookup } from "../accounting/user_attributes.ts";
import type { Dialer } from "../dialer.ts";
import type { EgressSettings } from "../egress/egress_options.ts";
import { SessionSources } from "../egress/session_sources.ts";
import type { ServerEvent, Session } from "../events.ts";
import { DIRECT } from "./rule.ts";
import {
  defaultDenial,
  defaultNameDenial,
  Denial,
  type Policy,
  type PolicyAnswer,
  type Verdict,
} from "./policy.ts";

/** The members of a session that authorization needs. */
export interface PolicySubject extends Session {
  /** The current policy, and the network that resolves names. */
  readonly settings: {
    readonly policy: Policy | undefined;
    readonly dial: Dialer | undefined;
    /** The dialers that verdicts can name. */
    readonly upstreams: ReadonlyMap<string, Dialer>;
    readonly transport: Transport;
    readonly userAttributes: UserAttributesLookup | undefined;
    readonly egress: EgressSettings;
  };
  /** Whether special-purpose and own addresses are closed by default. */
  readonly exposed: boolean;
  /** Whether an address belongs to this machine. */
  isOwn(address: string): boolean;
  /** Reports an event. */
  emit(event: ServerEvent): void;
}

/** The allowed addresses of a target, and how to reach them. */
export interface Route {
  /** Reaches them; `undefined` for direct connections. */
  readonly dialer?: Dialer;
  /** At least one, in the order in which they are tried. */
  readonly addresses: string[];
  /** The local addresses for one of them, if a rule or the user has any. */
  readonly localAddressesOf?: (address: string) => LocalAddresses | undefined;
  /** The IP version that a rule prefers; its addresses come first. */
  readonly family?: 4 | 6;
}

/** Options of {@linkcode authorize}. */
export interface AuthorizeOptions {
  /** The address of the target that is about to be used, if it is known. */
  readonly address?: string;
  /** Whether a dialer resolves the name. */
  readonly resolvedElsewhere?: true;
  /** Ends the wait for the policy. */
  readonly signal?: AbortSignalLike;
}

/**
 * Resolves with the verdict if the session may use a target, or one of its addresses.
 * Otherwise reports an event and rejects with a {@linkcode Denial}.
 */
export async function authorize(
  session: PolicySubject,
  target: Endpoint,
  options: AuthorizeOptions = {},
): Promise<Verdict> {
  try {
    const verdict = await judge(session, target, options);
    if (verdict.verdict === "allow") return verdict;
    throw new Denial(verdict.rule);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw reported(session, target, options.address, error);
  }
}

/** Reports that a target is denied, and returns the denial. */
function reported(
  session: PolicySubject,
  { hostname, port }: Endpoint,
  address: string | undefined,
  error: unknown,
): Denial {
  const denial = error instanceof Denial ? error : failed(error);
  const { rule } = denial;
  session.emit({ type: "denied", session, hostname, port, address, rule });
  return denial;
}

/** The denial by a policy that fails. */
function failed(error: unknown): Denial {
  return new Denial(
    undefined,
    error instanceof Error ? error : new Error(String(error)),
  );
}

/**
 * The verdict of the policy, with the default filled in. If an update comes meanwhile, the new
 * policy is asked as well: what the old one has allowed was allowed in the old way only, such
 * as through the option `dial`, which may be gone.
 */
async function judge(
  session: PolicySubject,
  target: Endpoint,
  options: AuthorizeOptions,
): Promise<Verdict> {
  for (;;) {
    const { settings } = session;
    const verdict = await judgeOnce(session, target, options);
    const isOver = verdict.verdict === "deny" || options.signal?.aborted;
    if (isOver || settings === session.settings) return verdict;
  }
}

async function judgeOnce(
  session: PolicySubject,
  { hostname, port }: Endpoint,
  { address, resolvedElsewhere, signal }: AuthorizeOptions,
): Promise<Verdict> {
  const { settings: { policy }, command, exposed } = session;
  let verdict: Verdict = DEFAULT;
  if (policy && command) {
    const { hostname: from } = session.client;
    if (from === "" || isUnspecified(from)) throw clientUnknown(from);
    const request = {
      session,
      command: command === "forward" ? "connect" : command,
      hostname,
      port,
      address,
      ...resolvedElsewhere && { resolvedElsewhere },
    } as const;
    const answer = policy(request, signalContext(signal));
    verdict = verdictOf(await withSignal(Promise.resolve(answer), signal));
    if (verdict.verdict !== "deny") dialerOf(session, verdict); // or throws
  }
  if (verdict.verdict !== "default") return verdict;
  const isOwn = (it: string) => session.isOwn(it);
  const rule = !exposed
    ? undefined
    : address !== undefined
    ? defaultDenial(address, isOwn)
    : resolvedElsewhere && defaultNameDenial(hostname);
  return rule === undefined
    ? { ...verdict, verdict: "allow" }
    : { verdict: "deny", rule };
}

/** The denial of a client whose address is unknown: no policy can judge its requests. */
function clientUnknown(hostname: string): Denial {
  const why = hostname === ""
    ? "the client has closed its connection" // a closed socket no longer reports its address
    : "the client's address is not known";
  return new Denial(undefined, new Error(why));
}

const DEFAULT: Verdict = { verdict: "default" };

/** Treats every unknown answer as a denial, such as the string "deny" from untyped code. */
function verdictOf(answer: PolicyAnswer): Verdict {
  if (answer === undefined) return DEFAULT;
  if (typeof answer === "object" && answer !== null) return answer;
  return { verdict: answer === true ? "allow" : "deny" };
}

/** The address that a socket actually connects to: loopback for `0.0.0.0` and `::`. */
export function dialledAddress(text: string): string {
  const address = unmapIp(text);
  if (!isUnspecified(address)) return address;
  return isIp(address) === 4 ? "127.0.0.1" : "::1";
}

/**
 * Resolves a target to the addresses that the session may use. With a dialer, they may be
 * the name.
 */
export async function resolve(
  session: PolicySubject,
  target: Endpoint,
  signal?: AbortSignalLike,
): Promise<Route> {
  const { hostname } = target;
  if (isIp(hostname)) {
    const address = dialledAddress(hostname);
    const options = { address, signal };
    const verdict = await authorize(session, target, options);
    const dialer = dialerOf(session, verdict);
    if (dialer) return { dialer, addresses: [hostname] };
    const local = localAddressesOf(session, verdict);
    if (!local) return { addresses: [address] };
    return { addresses: [address], localAddressesOf: () => local };
  }
  const dialer = await resolverOf(session, target, signal);
  if (dialer) return { dialer, addresses: [hostname] };
  await authorize(session, target, { signal });
  const { transport } = session.settings;
  const lookup = transport.lookup(hostname, signal);
  const found = await withSignal(lookup, signal);
  return await allowedOf(session, target, found.map(dialledAddress), signal);
}

/**
 * The dialer that reaches a name and resolves it, after the policy has allowed the name;
 * `undefined` if this server resolves it. The policy decides by the name alone then, and no
 * resolver of this machine learns the name.
 */
export async function resolverOf(
  session: PolicySubject,
  target: Endpoint,
  signal?: AbortSignalLike,
  resolves: (dialer: Dialer) => boolean = resolvesNames,
): Promise<Dialer | undefined> {
  const { dial, upstreams } = session.settings;
  if (!dial && upstreams.size === 0) return undefined;
  const options = { resolvedElsewhere: true, signal } as const;
  let verdict: Verdict | undefined;
  let denial: unknown;
  try {
    verdict = await judge(session, target, options);
    if (verdict.verdict === "deny") throw new Denial(verdict.rule);
  } catch (error) {
    if (signal?.aborted) throw error;
    denial = error;
  }
  const dialer = denial ? dial : dialerOf(session, verdict!);
  if (!dialer || !resolves(dialer)) return undefined;
  if (denial) throw reported(session, target, undefined, denial);
  return dialer;
}

function resolvesNames(dialer: Dialer): boolean {
  return dialer.resolvesNames !== false;
}

/**
 * The dialer that a verdict chooses; `undefined` for direct connections.
 *
 * @throws {Denial} if there is no such upstream.
 */
export function dialerOf(
  { settings: { dial, upstreams } }: PolicySubject,
  { through }: Verdict,
): Dialer | undefined {
  if (through === undefined) return dial;
  if (through === DIRECT) return undefined;
  const dialer = upstreams.get(through);
  if (dialer) return dialer;
  throw new Denial(undefined, new Error(`there is no upstream ${through}`));
}

async function allowedOf(
  session: PolicySubject,
  target: Endpoint,
  found: readonly string[],
  signal?: AbortSignalLike,
): Promise<Route> {
  const { settings } = session;
  const addresses: string[] = [];
  const verdicts = new Map<string, Verdict>();
  let first: Verdict | undefined;
  let denial: unknown;
  for (const address of found) {
    try {
      const verdict = await authorize(session, target, { address, signal });
      first ??= verdict;
      // All of them are reached in one way.
      if (verdict.through !== first.through) continue;
      addresses.push(address);
      verdicts.set(address, verdict);
    } catch (error) {
      if (signal?.aborted) throw error;
      denial ??= error;
    }
  }
  if (!first) throw denial;
  if (settings !== session.settings) {
    return await allowedOf(session, target, found, signal); // an update came meanwhile
  }
  const { family } = first;
  if (family) preferFamily(addresses, family);
  const dialer = dialerOf(session, first);
  if (dialer) return { dialer, addresses, family };
  const local = new Map<string, LocalAddresses>();
  for (const [address, verdict] of verdicts) {
    const from = localAddressesOf(session, verdict);
    if (from) local.set(address, from);
  }
  if (local.size === 0) return { addresses, family };
  return { addresses, family, localAddressesOf: (it) => local.get(it) };
}

/**
 * Whether every target may be reached directly and from any address, so that no target needs
 * {@linkcode resolve}.
 */
export function isUnrestricted(
  { settings: { policy, dial, userAttributes }, exposed, user }: PolicySubject,
): boolean {
  if (userAttributes && user !== undefined) return false;
  return !policy && !dial && !exposed;
}

/**
 * The addresses to connect from: those of the verdict, or else of the user.
 *
 * @throws {TypeError} if they are no addresses or prefixes.
 */
export function localAddressesOf(
  session: PolicySubject,
  { localAddress }: Verdict,
): LocalAddresses | undefined {
  if (localAddress !== undefined) {
    return new SessionSources(session, localAddress);
  }
  const { user, settings: { userAttributes, egress } } = session;
  if (!userAttributes || user === undefined) return undefined;
  const { via = [] } = userAttributes(user) ?? {};
  if (via.length === 0) return undefined;
  for (const it of via) egress.own.addLater(it);
  return new SessionSources(session, via);
}

/** Sorts addresses so that those of an IP version come first. */
export function preferFamily(addresses: string[], family: 4 | 6): void {
  const rank = (address: string) => isIp(address) === family ? 0 : 1;
  addresses.sort((a, b) => rank(a) - rank(b));
}
