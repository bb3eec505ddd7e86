/**
 * The text form of rules.
 *
 * @module
 */

import { isIp } from "../../protocol/address.ts";
import type { CommandName } from "../events.ts";
import type { PortRange } from "../options.ts";
import {
  COMMANDS,
  normalAction,
  normalRule,
  quote,
  type Rule,
  type RuleTarget,
} from "./rule.ts";

/** Longer texts are rejected without parsing. */
const MAX_TEXT = 16_384;

/** A word that is followed by its value. */
export type Keyword = "from" | "user" | "via" | "prefer";
/** The parts of a rule or a question, unparsed. */
export type Parts = { [part in Keyword | "commands" | "targets"]?: string };

const KEYWORDS: readonly Keyword[] = ["from", "user", "via", "prefer"];
/** Words that are more likely mistakes than hosts. A host with such a name is written with a trailing dot. */
const NO_HOSTS: readonly string[] = [
  ...COMMANDS,
  ...KEYWORDS,
  ...["allow", "deny", "to", "all", "any", "none", "tcp", "udp"],
  ...["users", "port", "ports", "ipv4", "ipv6"],
];
/** The characters of a user name that are percent-encoded: all except letters, digits and most ASCII signs; comma, quote, `%` and `*` are encoded. */
const SPECIAL = /[^\p{L}\p{N}!#$&'()+\-./:;<=>?@[\\\]^_`{|}~]/gu;

/**
 * Parses a rule:
 *
 * ```text
 * allow|deny [COMMANDS] [from CLIENTS] [user USERS] [TARGETS] [via ADDRESS] [prefer ipv4|ipv6]
 * ```
 *
 * Words are separated by spaces. The parts after the action may have any order,
 * and a missing part does not restrict the rule. The items of a list are
 * separated by commas, without spaces.
 *
 * - COMMANDS: `connect`, `bind`, `udp-associate`
 * - CLIENTS: IP addresses, and blocks of addresses: `192.0.2.1,2001:db8::/32`
 * - USERS: the names of authenticated users, or `*` for any authenticated user.
 *   Special characters are percent-encoded: `a%20b` is the user `a b`.
 * - TARGETS: hosts, each optionally with `:` and ports. A host is a name,
 *   `*.SUFFIX` (every name below the suffix, but not the suffix itself), an IP
 *   address, a block of addresses, or `*`. IPv6 is written in brackets:
 *   `[2001:db8::1]:443`, `[2001:db8::/32]`. Several ports are joined by `+`:
 *   `db.example:443+8000-8999`. A hostname that is also a word of this language
 *   is written with a trailing dot: `bind.`
 * - ADDRESS: the IP address of this machine to connect from, to send datagrams
 *   from, or to listen on for the peer of a BIND
 *
 * @throws {TypeError} with the error and the valid values, also for a text of
 * more than 16,384 characters.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
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
      via: parts.via,
      prefer: parts.prefer?.toLowerCase() as Rule["prefer"],
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
 *
 * assertEquals(
 *   formatRule({ action: "deny", users: ["a b"], to: [{ host: "::1" }] }),
 *   "deny user a%20b [::1]",
 * );
 * assertEquals(formatRule({ action: "allow" }), "allow *");
 * ```
 */
export function formatRule(rule: Rule): string {
  const { action, commands, from, users, to, via, prefer } = normalRule(rule);
  const words = [
    action,
    commands?.join(","),
    from && `from ${from.join(",")}`,
    users && `user ${users.map(formatUser).join(",")}`,
    to?.map(formatTarget).join(",") ?? "*",
    via && `via ${via}`,
    prefer && `prefer ${prefer}`,
  ];
  return words.filter((it) => it !== undefined).join(" ");
}

/** Calls `parse`, and adds the text to the message of its `TypeError`. */
export function withContext<T>(kind: string, text: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new TypeError(`${kind} ${quote(text)}: ${cause.message}`, { cause });
  }
}

/** Splits a rule or a question into its words. */
export function wordsOf(text: string): string[] {
  if (typeof text !== "string") throw new TypeError("it is not a string");
  if (text.length > MAX_TEXT) {
    throw new TypeError(`it has more than ${MAX_TEXT} characters`);
  }
  return text.split(/\s+/).filter((it) => it !== "");
}

/** Assigns words to the parts of a rule or a question. */
export function readParts(
  words: readonly string[],
  keywords: readonly Keyword[],
): Parts {
  const parts: Parts = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i].toLowerCase();
    const keyword = keywords.find((it) => it === word);
    const part = keyword ?? (isCommands(word) ? "commands" : "targets");
    if (parts[part] !== undefined) {
      throw twice(part, parts[part], words[i], keywords);
    }
    parts[part] = keyword ? valueOf(keyword, words[++i]) : words[i];
  }
  return parts;
}

function isCommands(word: string): boolean {
  const items = word.split(",");
  const isCommand = (it: string) => COMMANDS.some((command) => command === it);
  if (!items.some(isCommand)) return false;
  const other = items.find((it) => !isCommand(it));
  if (other === undefined) return true;
  throw new TypeError(
    `${quote(other)} in ${quote(word)} is not a command: the commands are ` +
      `${COMMANDS.join(", ")}, and a space separates them from targets`,
  );
}

function valueOf(keyword: Keyword, word: string | undefined): string {
  if (word !== undefined && !NO_HOSTS.includes(word.toLowerCase())) return word;
  if (keyword === "prefer" && word !== undefined) return word;
  throw new TypeError(
    `${keyword} must be followed by ${VALUES[keyword]}` +
      (word === undefined ? "" : `, not by ${quote(word)}`),
  );
}

const VALUES: Readonly<Record<Keyword, string>> = {
  from: "addresses of clients (192.0.2.1,10.0.0.0/8)",
  user: "the names of users (alice,bob or *)",
  via: "an IP address of this machine",
  prefer: "ipv4 or ipv6",
};

function twice(
  part: keyof Parts,
  first: string,
  second: string,
  keywords: readonly Keyword[],
): TypeError {
  if (part !== "targets") {
    return new TypeError(
      `${part} may appear only once; the items of a list are joined by commas`,
    );
  }
  return new TypeError(
    `${quote(first)} and ${quote(second)} would both be targets: targets are ` +
      `joined by commas; the other words are ${COMMANDS.join(", ")}, and ` +
      `before a value ${keywords.join(", ")}`,
  );
}

/** Parses the percent-encoded name of a user, or `*`. */
export function readUser(text: string): string {
  if (text === "*") return text;
  if (text.includes("*")) {
    throw new TypeError(
      `${
        quote(text)
      } is not a user: * is any authenticated user, and names have no other wildcard`,
    );
  }
  const name = decodeUser(text);
  if (name !== "*") return name;
  throw new TypeError(
    "a user named * cannot be distinguished from any authenticated user",
  );
}

function decodeUser(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError(
      `${quote(text)} has an invalid percent-encoding: a % is written as %25`,
    );
  }
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

const TARGET = /^(\[[^\]]*:[^\]]*\]|[^:[\]]+)(?::(.*))?$/;
const RANGE = /^(\d{1,5})(?:-(\d{1,5}))?$/;

function readTarget(text: string): RuleTarget {
  const { host, port } = splitTarget(text);
  return { host, ...port !== undefined && { ports: readPorts(port) } };
}

/** Splits a target into the host, in its brackets if it has any, and the text after the colon; the latter is `undefined` without a colon. */
export function splitTarget(text: string): { host: string; port?: string } {
  // No port can follow an IPv6 block without brackets, so that it is unambiguous.
  if (/^[\da-f:.]+\/\d+$/i.test(text)) return { host: text };
  const [, host, port] = TARGET.exec(text) ?? [];
  if (host === undefined || isIp(text) === 6) throw notATarget(text);
  if (!NO_HOSTS.includes(host.toLowerCase())) return { host, port };
  throw new TypeError(
    `${quote(host)} is not accepted as a target: any target is *, a host of ` +
      `that name is written ${host}. with a dot, and the commands are ` +
      COMMANDS.join(", "),
  );
}

function notATarget(text: string): TypeError {
  if (text === "") {
    return new TypeError("there is nothing before or after a comma");
  }
  const hint = isIp(text) === 6
    ? `needs brackets: [${text}]`
    : "is not a target: a target is HOST, HOST:PORTS, [IPV6] or [IPV6]:PORTS";
  return new TypeError(`${quote(text)} ${hint}`);
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
    : NO_HOSTS.includes(host)
    ? `${host}.`
    : host;
  return ports ? `${shown}:${ports.map(formatPorts).join("+")}` : shown;
}

function formatPorts(ports: number | PortRange): string {
  return typeof ports === "number"
    ? String(ports)
    : `${ports.first}-${ports.last}`;
}
