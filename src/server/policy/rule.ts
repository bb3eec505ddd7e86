/**
 * One rule of a policy, and its normal form.
 *
 * @module
 */

import {
  canonicalHostname,
  cidrFault,
  isIp,
  parseCidr,
  unmapIp,
} from "../../protocol/address.ts";
import { quote as quoteText } from "../../protocol/escape.ts";
import { isPort } from "../../protocol/octets.ts";
import { MAX_SOURCES } from "../egress/source_list.ts";
import type { CommandName } from "../events.ts";
import type { PortRange } from "./port_range.ts";

/**
 * A rule of `rules()`. It matches a request if all of its parts do; a missing
 * part matches every request.
 */
export interface Rule {
  /** The verdict on matching requests. */
  readonly action: "allow" | "deny";
  /** The commands. */
  readonly commands?: readonly CommandName[];
  /** The client's address: IP addresses, and blocks such as `10.0.0.0/8`. */
  readonly from?: readonly string[];
  /** The names of authenticated users, compared exactly; `*` is any authenticated user. */
  readonly users?: readonly string[];
  /** The targets. */
  readonly to?: readonly RuleTarget[];
  /**
   * The IP addresses of this machine, and prefixes such as `2001:db8:1::/64`, to connect
   * from, to send datagrams from, and to listen on for the peer of a BIND; see {@linkcode
   * Verdict.localAddress}. At most 256; a text is a list of one. Only in rules that allow.
   */
  readonly via?: string | readonly string[];
  /** The IP version to try first if a name has addresses of both. Only in rules that allow. */
  readonly prefer?: "ipv4" | "ipv6";
  /**
   * The name of an upstream, or `direct`: how to reach the targets, in place of the way that
   * the server otherwise uses. Only in rules that allow.
   */
  readonly through?: string;
}

/** A target of a rule. */
export interface RuleTarget {
  /**
   * A name; `*.example.com` for every name below `example.com`, but not that
   * name itself; an IP address; a block of addresses; `@NAME` for the entries of a
   * `HostList`; or `*`. @default {"*"}
   */
  readonly host?: string;
  /** Ports and port ranges; by default all. */
  readonly ports?: readonly (number | PortRange)[];
}

/** All commands, in the order in which they are shown. */
export const COMMANDS: readonly CommandName[] = [
  "connect",
  "bind",
  "udp-associate",
  "resolve",
  "resolve-ptr",
];

/** The way without an upstream, in {@linkcode Rule.through}. */
export const DIRECT = "direct";

const PARTS = [
  ...["action", "commands", "from", "users", "to", "via", "prefer"],
  "through",
];
/** The maximum length of a hostname and of a user name in SOCKS. */
const MAX_NAME = 255;

/**
 * Returns the rule in normal form: hosts and addresses are canonical, and parts
 * that restrict nothing are left out.
 *
 * @throws {TypeError} with the invalid part and the valid values.
 */
export function normalRule(rule: Rule): Rule {
  checkKeys(rule, PARTS, "a rule");
  const { via, prefer, through } = rule;
  const action = normalAction(rule.action);
  if (action === "deny" && (via ?? prefer ?? through) !== undefined) {
    throw new TypeError(
      "via, prefer and through are valid only in rules that allow",
    );
  }
  if (via !== undefined && (through ?? DIRECT) !== DIRECT) {
    throw new TypeError(
      "via is for direct connections, not through an upstream",
    );
  }
  const commands = normalList("commands", rule.commands, normalCommand);
  const from = normalList("from", rule.from, normalBlock);
  const users = normalList("users", rule.users, normalUser);
  const to = normalTargets(rule.to);
  return {
    action,
    ...commands && { commands: COMMANDS.filter((it) => commands.includes(it)) },
    ...from && { from },
    ...users && { users: users.includes("*") ? ["*"] : users },
    ...to && { to },
    ...via !== undefined && { via: normalVia(via) },
    ...prefer !== undefined && { prefer: normalPreference(prefer) },
    ...through !== undefined && { through: normalUpstream(through) },
  };
}

/** Returns the action, or throws a `TypeError`. */
export function normalAction(text: string): Rule["action"] {
  if (text === "allow" || text === "deny") return text;
  throw new TypeError(`a rule begins with allow or deny, not ${quote(text)}`);
}

/** Rejects unknown keys: a misspelt part would be ignored, and the rule would match too much. */
function checkKeys(value: object, known: string[], what: string): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${what} is an object, not ${quote(value)}`);
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new TypeError(
    `${what} has no ${quote(unknown)}, only ${known.join(", ")}`,
  );
}

function normalList<T, R>(
  name: string,
  list: readonly T[] | undefined,
  normal: (item: T) => R,
): R[] | undefined {
  if (list === undefined) return undefined;
  if (!Array.isArray(list) || list.length === 0) {
    throw new TypeError(`${name} is a list of at least one item`);
  }
  return [...new Set(list.map(normal))];
}

function normalCommand(text: CommandName): CommandName {
  if (COMMANDS.includes(text)) return text;
  throw new TypeError(
    `a command is one of ${COMMANDS.join(", ")}, not ${quote(text)}`,
  );
}

function normalUser(name: string): string {
  const fits = typeof name === "string" && name.length > 0 &&
    name.length <= MAX_NAME && !/\p{Cs}/u.test(name);
  if (fits) return name;
  throw new TypeError(
    `a user name is text of 1 to 255 bytes, not ${quote(name)}`,
  );
}

/** Returns a list of one item as a text. */
function normalVia(given: string | readonly string[]): string | string[] {
  const list = typeof given === "string" ? [given] : given;
  const items = normalList("via", list, normalSource)!;
  if (items.length <= MAX_SOURCES) return items.length > 1 ? items : items[0];
  throw new TypeError(`via takes at most ${MAX_SOURCES} addresses`);
}

function normalSource(text: string): string {
  const isText = typeof text === "string" && text.length <= MAX_NAME;
  const isBlock = isText && text.includes("/");
  if (isBlock) return checkPrefix(normalBlock(withoutBrackets(text)));
  const ip = isText ? normalText(text) : undefined;
  if (ip !== undefined && isIp(ip)) return unmapIp(ip);
  throw new TypeError(
    `via takes IP addresses and prefixes of this machine, not ${quote(text)}`,
  );
}

/** A shorter prefix is considered a mistake: no machine has so many addresses. */
const MIN_PREFIX: Readonly<Record<number, number>> = { 4: 8, 16: 16 };

function checkPrefix(text: string): string {
  const { network, prefix } = parseCidr(text)!;
  const least = MIN_PREFIX[network.length];
  if (prefix >= least) return text;
  throw new TypeError(
    `via takes prefixes of at least ${least} bits, not ${quote(text)}`,
  );
}

function normalPreference(text: "ipv4" | "ipv6"): "ipv4" | "ipv6" {
  if (text === "ipv4" || text === "ipv6") return text;
  throw new TypeError(`prefer takes ipv4 or ipv6, not ${quote(text)}`);
}

/** Whether an upstream can have this name; `direct` is the way without one. */
export function isUpstreamName(name: unknown): name is string {
  return typeof name === "string" && name !== DIRECT &&
    /^[a-z\d][a-z\d_.-]{0,63}$/.test(name);
}

function normalUpstream(name: string): string {
  if (name === DIRECT || isUpstreamName(name)) return name;
  throw new TypeError(
    `through takes ${DIRECT} or the name of an upstream, not ${quote(name)}`,
  );
}

/** Returns `undefined` for a list that matches every target. */
function normalTargets(list: Rule["to"]): readonly RuleTarget[] | undefined {
  const targets = normalList("to", list, normalTarget);
  const isAny = targets?.length === 1 && targets[0].host === "*" &&
    !targets[0].ports;
  return isAny ? undefined : targets;
}

function normalTarget(target: RuleTarget): RuleTarget {
  checkKeys(target, ["host", "ports"], "a target");
  const ports = normalList("ports", target.ports, normalPorts);
  return { host: normalHost(target.host ?? "*"), ...ports && { ports } };
}

function normalPorts(ports: number | PortRange): number | PortRange {
  const { first, last } = rangeOf(ports);
  if (isPort(first) && isPort(last) && first <= last) {
    return first === last ? first : { first, last };
  }
  throw new TypeError(
    `ports are from 0 to 65535, the lowest one first, not ` +
      (first === last ? String(first) : `${first}-${last}`),
  );
}

/** Returns a port as a range. */
export function rangeOf(ports: number | PortRange): PortRange {
  if (typeof ports === "number") return { first: ports, last: ports };
  checkKeys(ports, ["first", "last"], "a range of ports");
  return ports;
}

function normalHost(text: string): string {
  if (text === "*") return text;
  if (typeof text !== "string" || text.length > MAX_NAME) throw notAHost(text);
  if (isList(text)) return text;
  if (text.includes("/")) return normalBlock(withoutBrackets(text));
  const wild = text.startsWith("*.");
  const host = normalText(wild ? text.slice(2) : text);
  if (host === undefined || wild && isIp(host)) throw notAHost(text);
  return wild ? `*.${host}` : isIp(host) ? normalBlock(host) : host;
}

/** Whether a host is a list of hosts: `@` and the name of the list. */
export function isList(host: string): boolean {
  return /^@[^\s,:[\]]+$/.test(host);
}

/** Returns a block of addresses; a block of one address becomes that address. */
function normalBlock(text: string): string {
  if (typeof text !== "string" || text.length > MAX_NAME) {
    throw new TypeError(`${quote(text)} is not a block of IP addresses`);
  }
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new TypeError(cidrFault(text));
  const { network, prefix } = cidr;
  const isOne = prefix === network.length * 8;
  return isOne ? cidr.text.slice(0, cidr.text.indexOf("/")) : cidr.text;
}

/**
 * Returns the canonical text of a name or an IP address, which may be in
 * brackets if it is IPv6.
 */
export function normalText(text: string): string | undefined {
  return canonicalHostname(withoutBrackets(text));
}

function withoutBrackets(text: string): string {
  return /^\[([^\]]*:[^\]]*)\]$/.exec(text)?.[1] ?? text;
}

function notAHost(text: string): TypeError {
  return new TypeError(
    `${quote(text)} is not a target: a target is *, a name, *.SUFFIX (there ` +
      `is no other wildcard), an IP address, ADDRESS/PREFIX or @LIST`,
  );
}

/** Quotes a text of unknown origin, cut at 80 characters. */
export function quote(value: unknown): string {
  return quoteText(String(value), 80);
}
