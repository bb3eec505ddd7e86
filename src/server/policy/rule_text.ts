/**
 * The text form of rules.
 *
 * @module
 */

import type { CommandName } from "../events.ts";
import type { PortRange } from "./port_range.ts";
import {
  normalAction,
  normalRule,
  quote,
  type Rule,
  type RuleTarget,
} from "./rule.ts";
import {
  KEYWORDS,
  needsDot,
  NO_HOSTS,
  readParts,
  readUser,
  refusePorts,
  splitTarget,
  withContext,
  wordsOf,
} from "./rule_words.ts";

/**
 * The characters of a user name that are percent-encoded: all except letters,
 * digits and most ASCII signs; comma, quote, `%` and `*` are encoded.
 */
const SPECIAL = /[^\p{L}\p{N}!#$&'()+\-./:;<=>?@[\\\]^_`{|}~]/gu;

/**
 * Parses a rule:
 *
 * ```text
 * allow|deny [COMMANDS] [from CLIENTS] [user USERS] [TARGETS] [via ADDRESSES]
 *   [prefer ipv4|ipv6] [through UPSTREAM|direct]
 * ```
 *
 * Words are separated by spaces. The parts after the action may have any order,
 * and a missing part does not restrict the rule. The items of a list are
 * separated by commas, without spaces.
 *
 * - COMMANDS: `connect`, `bind`, `udp-associate`, and with the option `resolve` also
 *   `resolve` and `resolve-ptr`, whose port is 0
 * - CLIENTS: IP addresses, and blocks of addresses: `192.0.2.1,2001:db8::/32`
 * - USERS: the names of authenticated users, or `*` for any authenticated user.
 *   Special characters are percent-encoded: `a%20b` is the user `a b`.
 * - TARGETS: hosts, each optionally with `:` and ports. A host is a name,
 *   `*.SUFFIX` (every name below the suffix, but not the suffix itself), an IP
 *   address, a block of addresses, `@NAME` for the entries of a `HostList`, or `*`.
 *   IPv6 is written in brackets:
 *   `[2001:db8::1]:443`, `[2001:db8::/32]`. Several ports are joined by `+`:
 *   `db.example:443+8000-8999`. A hostname that is also a word of this language
 *   is written with a trailing dot: `bind.`
 * - ADDRESSES: the IP addresses of this machine, and prefixes, to connect from, to send
 *   datagrams from, or to listen on for the peer of a BIND: `192.0.2.1,2001:db8:1::/64`
 * - UPSTREAM: the name of an upstream in the server's option `upstreams`: small letters,
 *   digits, `.`, `_` and `-`. `direct` means none, also if the server has the option `dial`.
 *
 * @throws {TypeError} with the error and the valid values, also for a text of
 * more than 16,384 characters.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseRule } from "@x/socks5/server";
 *
 * assertEquals(parseRule("allow connect user alice *.Example.com:443+8000-8999"), {
 *   action: "allow",
 *   commands: ["connect"],
 *   users: ["alice"],
 *   to: [{ host: "*.example.com", ports: [443, { first: 8000, last: 8999 }] }],
 * });
 * assertEquals(parseRule("deny *"), { action: "deny" });
 * ```
 */
export function parseRule(text: string): Rule {
  return withContext("rule", text, () => {
    const [first = "", ...words] = wordsOf(text);
    const action = normalAction(first.toLowerCase());
    const parts = readParts(words, KEYWORDS);
    return normalRule({
      action,
      commands: parts.commands?.toLowerCase().split(",") as CommandName[],
      from: parts.from?.split(","),
      users: parts.user?.split(",").map(readUser),
      to: parts.targets?.split(",").map(readTarget),
      via: parts.via?.split(","),
      prefer: parts.prefer?.toLowerCase() as Rule["prefer"],
      through: parts.through,
    });
  });
}

/**
 * Formats a rule as the text that events show and {@linkcode parseRule} parses.
 *
 * @throws {TypeError} if the rule is invalid.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { formatRule } from "@x/socks5/server";
 *
 * assertEquals(
 *   formatRule({ action: "deny", users: ["a b"], to: [{ host: "::1" }] }),
 *   "deny user a%20b [::1]",
 * );
 * assertEquals(formatRule({ action: "allow" }), "allow *");
 * ```
 */
export function formatRule(rule: Rule): string {
  const { action, commands, from, users, to, ...way } = normalRule(rule);
  const { via, prefer, through } = way;
  const words = [
    action,
    commands?.join(","),
    from && `from ${from.join(",")}`,
    users && `user ${users.map(formatUser).join(",")}`,
    to?.map(formatTarget).join(",") ?? "*",
    via && `via ${typeof via === "string" ? via : via.join(",")}`,
    prefer && `prefer ${prefer}`,
    through && `through ${through}`,
  ];
  return words.filter((it) => it !== undefined).join(" ");
}

function formatUser(name: string): string {
  if (name === "*") return name;
  const text = name.replace(SPECIAL, percentEncode);
  // A word of the language would read as if the name were missing.
  return NO_HOSTS.includes(text.toLowerCase())
    ? percentEncode(text[0]) + text.slice(1)
    : text;
}

function percentEncode(character: string): string {
  return Array.from(
    new TextEncoder().encode(character),
    (octet) => `%${octet.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}

const RANGE = /^(\d{1,5})(?:-(\d{1,5}))?$/;

function readTarget(text: string): RuleTarget {
  refusePorts(text);
  const { host, port } = splitTarget(text);
  return { host, ...port !== undefined && { ports: readPorts(port) } };
}

function readPorts(text: string): (number | PortRange)[] {
  return text.split("+").map((item) => {
    const [, first, last = first] = RANGE.exec(item) ?? [];
    if (first !== undefined) return { first: +first, last: +last };
    throw new TypeError(
      `${quote(text)} is not a list of ports such as 443, 1-1023 or 80+443`,
    );
  });
}

function formatTarget({ host = "*", ports }: RuleTarget): string {
  const shown = host.includes(":")
    ? `[${host}]`
    : needsDot(host)
    ? `${host}.`
    : host;
  return ports ? `${shown}:${ports.map(formatPorts).join("+")}` : shown;
}

function formatPorts(ports: number | PortRange): string {
  return typeof ports === "number"
    ? String(ports)
    : `${ports.first}-${ports.last}`;
}
