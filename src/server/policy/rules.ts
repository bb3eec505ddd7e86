/**
 * A policy of rules.
 *
 * @module
 */

import {
  type Cidr,
  cidrContains,
  isIp,
  isUnspecified,
} from "../../protocol/address.ts";
import { embeddedOctets, parseZoned } from "../../protocol/ip.ts";
import type { CommandName } from "../events.ts";
import {
  compile,
  type CompiledRule,
  type CompiledTarget,
  type HostLists,
} from "./compiled_rule.ts";
import type { HostList } from "./host_list.ts";
import type { Verdict } from "./policy.ts";
import type { Rule } from "./rule.ts";
import { RuleLookup } from "./rule_lookup.ts";

/** A question to rules. Every `PolicyRequest` is one. */
export interface RuleRequest {
  /** The session of the request: its client address and user. */
  readonly session: {
    readonly client: { readonly hostname: string };
    readonly user?: string;
  };
  /** The command of the request. */
  readonly command: CommandName;
  /** The hostname of the target, canonical as in `PolicyRequest`. */
  readonly hostname: string;
  /** The port of the target. */
  readonly port: number;
  /** The address that is about to be used for the target, if it is known. */
  readonly address?: string;
  /** Whether no address will be known, as in `PolicyRequest`. */
  readonly resolvedElsewhere?: true;
}

/** A policy of {@linkcode rules}, which answers synchronously. */
export interface RulePolicy {
  (request: RuleRequest): Verdict | undefined;
  /** The names of the upstreams that the rules use, also `direct` if they do. */
  readonly through: readonly string[];
  /** The addresses and prefixes of this machine that the rules connect from. */
  readonly via: readonly string[];
}

/** Options of {@linkcode rules}. */
export interface RulesOptions {
  /** The lists of hosts, by the names that the rules have for them: `@NAME`. */
  readonly lists?: HostLists;
}

/**
 * Makes a policy of rules, which are texts (`parseRule` describes the language)
 * or objects. The first rule that matches decides.
 *
 * - A request that no rule matches is denied if any rule allows something.
 *   Otherwise the default applies to it.
 * - A rule that allows a host or a block of addresses opens it, even if it is
 *   special-purpose: on a server beyond loopback `allow 10.0.0.0/8` opens that
 *   network, and `allow *.example.com` also opens the names in `example.com`
 *   that have private addresses. `allow *` opens no more than the default, so that
 *   a rule for all targets does not include this machine and its private networks.
 *   `allow 0.0.0.0/0` includes them.
 * - A name is matched as the client sent it. Denying a name does not deny its
 *   addresses.
 * - Rules for addresses do not match names that an upstream resolves.
 * - A name is denied before it is resolved if its addresses cannot change the
 *   verdict, so that no resolver is asked about a name that is denied.
 * - Rules with `user` match authenticated users only. The user id of a SOCKS4
 *   client does not authenticate it unless the option `socks4` is set.
 *
 * @throws {TypeError} with the number of the invalid rule, the error and the
 * valid values.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { rules } from "@x/socks5/server";
 *
 * const policy = rules([
 *   "deny *:25",
 *   "allow user bob *.example.com:443",
 *   "allow user alice",
 * ]);
 * const session = { client: { hostname: "192.0.2.1" }, user: "bob" };
 * const ask = (hostname: string, port: number) =>
 *   policy({ session, command: "connect", hostname, port })?.verdict;
 * assertEquals(ask("www.example.com", 443), "allow");
 * assertEquals(ask("www.example.com", 80), "deny");
 * ```
 */
export function rules(
  list: readonly (string | Rule)[],
  { lists = {} }: RulesOptions = {},
): RulePolicy {
  const compiled = list.map((it, index) => compile(it, index, lists));
  const judge = new Judge(compiled);
  const names = compiled.map(({ verdict }) => verdict.through);
  const through = new Set(names.filter((it) => it !== undefined));
  const via = new Set(
    compiled.flatMap(({ verdict }) => verdict.localAddress ?? []),
  );
  const policy = (request: RuleRequest) => judge.ask(request);
  return Object.assign(policy, { through: [...through], via: [...via] });
}

const NO_RULE: Verdict = Object.freeze({
  verdict: "deny",
  rule: "no rule allows it",
});

/** How a rule or one of its targets matches. A higher number takes precedence. */
const NO = 0;
/** The address decides, and is not known yet. */
const PERHAPS = 1;
/** The rule matches any target. */
const AS_ANY = 2;
/** The rule names the target. */
const AS_NAMED = 3;
type Match = typeof NO | typeof PERHAPS | typeof AS_ANY | typeof AS_NAMED;

/** From this number of rules on, an index costs less than comparing each of them. */
const MANY = 16;

class Judge {
  readonly #rules: readonly CompiledRule[];
  readonly #lookup: RuleLookup | undefined;
  readonly #otherwise: Verdict | undefined;
  readonly #client = new LastIp();
  readonly #target = new LastIp();

  constructor(rules: readonly CompiledRule[]) {
    this.#rules = rules;
    if (rules.length >= MANY) this.#lookup = new RuleLookup(rules);
    this.#otherwise = rules.some((it) => it.allows) ? NO_RULE : undefined;
  }

  ask(request: RuleRequest): Verdict | undefined {
    const address = addressOf(request);
    const { resolvedElsewhere } = request;
    const candidates = this.#lookup?.find({
      hostname: request.hostname,
      address: address === undefined
        ? undefined
        : this.#target.octets(address) ?? NO_ADDRESS,
      user: request.session.user,
      client: this.#client.octets(request.session.client.hostname),
    });
    if (resolvedElsewhere) candidates?.skipDeniedBlocks();
    let perhapsDenied = false;
    for (let i = -1;;) {
      const next = candidates ? candidates.next() : i + 1;
      if (next === undefined || next >= this.#rules.length) break;
      const rule = this.#rules[i = next];
      const match = this.#match(rule, request, address);
      if (match === NO || match === PERHAPS && resolvedElsewhere) continue;
      if (rule.allows) {
        if (perhapsDenied || match === PERHAPS) return undefined;
        return match === AS_ANY ? rule.byDefault : rule.verdict;
      }
      if (match !== PERHAPS) return rule.verdict;
      perhapsDenied = true;
      candidates?.skipDeniedBlocks();
    }
    return this.#otherwise;
  }

  /** The cheap checks come first. */
  #match(
    { commands, users, from, targets }: CompiledRule,
    { command, port, hostname, session }: RuleRequest,
    address: string | undefined,
  ): Match {
    if (commands && !commands.includes(command)) return NO;
    if (users && !isUser(users, session.user)) return NO;
    let match: Match = targets ? NO : AS_ANY;
    for (const target of targets ?? NO_TARGETS) {
      if (match === AS_NAMED) break;
      if (!holdsPort(target, port)) continue;
      const found = this.#matchHost(target, hostname, address);
      if (found > match) match = found;
    }
    if (match === NO || !from) return match;
    const client = this.#client.octets(session.client.hostname);
    return client && isIn(from, client) ? match : NO;
  }

  #matchHost(
    { isAny, name, suffix, block, list }: CompiledTarget,
    hostname: string,
    address: string | undefined,
  ): Match {
    if (isAny) return AS_ANY;
    if (list) return this.#matchList(list, hostname, address);
    if (!block) {
      const isNamed = name === hostname ||
        suffix !== undefined && hostname.endsWith(suffix);
      return isNamed ? AS_NAMED : NO;
    }
    if (address === undefined) return PERHAPS;
    const octets = this.#target.octets(address);
    return octets && holds(block, octets) ? AS_NAMED : NO;
  }

  #matchList(
    list: HostList,
    hostname: string,
    address: string | undefined,
  ): Match {
    if (list.hasName(hostname)) return AS_NAMED;
    if (address === undefined) return list.hasBlocks ? PERHAPS : NO;
    const octets = this.#target.octets(address);
    return octets && list.hasAddress(octets) ? AS_NAMED : NO;
  }
}

/**
 * The address to judge; `undefined` for a name that is not resolved yet, and
 * for a peer that may be anyone.
 */
function addressOf(
  { address, command, hostname }: RuleRequest,
): string | undefined {
  if (address !== undefined) return address;
  if (!isIp(hostname)) return undefined;
  return command === "bind" && isUnspecified(hostname) ? undefined : hostname;
}

/** Caches the octets of the last address, because all rules need the same one. */
class LastIp {
  #text: string | undefined;
  #octets: Uint8Array | undefined;

  octets(text: string): Uint8Array | undefined {
    if (text !== this.#text) {
      this.#octets = parseZoned(text);
      this.#text = text;
    }
    return this.#octets;
  }
}

/** No block contains it. */
const NO_ADDRESS = new Uint8Array(0);

const NO_TARGETS: readonly CompiledTarget[] = [];

function isUser(users: readonly string[], user: string | undefined): boolean {
  if (user === undefined) return false;
  return users[0] === "*" || users.includes(user);
}

function holdsPort({ ports }: CompiledTarget, port: number): boolean {
  if (!ports) return true;
  for (const { first, last } of ports) {
    if (port >= first && port <= last) return true;
  }
  return false;
}

/**
 * Whether the block contains the address. `0.0.0.0` and `::`, which a dialer
 * gets unchanged, also count as loopback, because sockets connect to
 * loopback then.
 */
function holds(block: Cidr, address: Uint8Array): boolean {
  if (cidrContains(block, address)) return true;
  const used = embeddedOctets(address) ?? address;
  return used.every((octet) => octet === 0) &&
    cidrContains(block, used.length === 4 ? "127.0.0.1" : "::1");
}

function isIn(blocks: readonly Cidr[], address: Uint8Array): boolean {
  for (const block of blocks) {
    if (cidrContains(block, address)) return true;
  }
  return false;
}
