/**
 * Rules as text.
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

/** Longer texts are refused unread. */
const MAX_TEXT = 16_384;

/** What stands before its value. */
export type Keyword = "from" | "user" | "via" | "prefer";
/** The parts of a rule or of a question, as they are written. */
export type Parts = { [part in Keyword | "commands" | "targets"]?: string };

const KEYWORDS: readonly Keyword[] = ["from", "user", "via", "prefer"];
/** Rather mistakes than hosts. A host with such a name is written with a dot behind it. */
const NO_HOSTS: readonly string[] = [
  ...COMMANDS,
  ...KEYWORDS,
  ...["allow", "deny", "to", "all", "any", "none", "tcp", "udp"],
  ...["users", "port", "ports", "ipv4", "ipv6"],
];
/** What the name of a user is not written with: all but letters, digits and signs, and of these comma, quote, `%` and `*`. */
const SPECIAL = /[^\p{L}\p{N}!#$&'()+\-./:;<=>?@[\\\]^_`{|}~]/gu;

/**
 * Reads a rule:
 *
 * ```text
 * allow|deny [COMMANDS] [from CLIENTS] [user USERS] [TARGETS] [via ADDRESS] [prefer ipv4|ipv6]
 * ```
 *
 * Spaces part its words; behind the action they come in any order, and what is
 * left out does not restrict. Lists are joined by commas, without spaces.
 *
 * - COMMANDS: `connect`, `bind`, `udp-associate`
 * - CLIENTS: IP addresses and blocks of them: `192.0.2.1,2001:db8::/32`
 * - USERS: the names of who logged in, or `*` for anyone who did. Characters
 *   that have a meaning here are percent-encoded: `a%20b` is the user `a b`.
 * - TARGETS: hosts, each perhaps with `:` and ports. A host is a name,
 *   `*.SUFFIX` (every name below it, not itself), an IP address, a block of
 *   them, or `*`. IPv6 stands in brackets: `[2001:db8::1]:443`,
 *   `[2001:db8::/32]`. Ports are joined by `+`: `db.example:443+8000-8999`.
 *   The name of a host that is also a word of this language gets a dot behind
 *   it: `bind.`
 * - ADDRESS: the IP address of this machine to connect from, to send datagrams
 *   from, or to wait on for the peer of a BIND
 *
 * @throws {TypeError} that says what is wrong and what is possible; also when
 * the text has more than 16,384 characters.
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
  return explained("rule", text, () => {
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
 * The canonical text of a rule, as events show it; {@linkcode parseRule} reads
 * it.
 *
 * @throws {TypeError} that says what is wrong with the rule.
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

/** What `read` returns; its errors say where they come from. */
export function explained<T>(what: string, text: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new TypeError(`${what} ${quote(text)}: ${cause.message}`, { cause });
  }
}

/** The words of a rule or of a question. */
export function wordsOf(text: string): string[] {
  if (typeof text !== "string") throw new TypeError("it is not a text");
  if (text.length > MAX_TEXT) {
    throw new TypeError(`it has more than ${MAX_TEXT} characters`);
  }
  return text.split(/\s+/).filter((it) => it !== "");
}

/** Finds out which word is what. */
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
    `${quote(other)} is no command as the others of ${quote(word)} are: ` +
      `${COMMANDS.join(", ")}; a space parts commands and targets`,
  );
}

function valueOf(keyword: Keyword, word: string | undefined): string {
  if (word !== undefined && !NO_HOSTS.includes(word.toLowerCase())) return word;
  if (keyword === "prefer" && word !== undefined) return word;
  throw new TypeError(
    `${keyword} needs ${VALUES[keyword]} behind it` +
      (word === undefined ? "" : `, not ${quote(word)}`),
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
      `${part} may be said once; lists are joined by commas`,
    );
  }
  return new TypeError(
    `${quote(first)} and ${quote(second)} would both be targets, which are ` +
      `joined by commas; other words are ${COMMANDS.join(", ")}, and before ` +
      `their values ${keywords.join(", ")}`,
  );
}

/** The name of a user, percent-decoded. */
export function readUser(text: string): string {
  if (text === "*") return text;
  if (text.includes("*")) {
    throw new TypeError(
      `${
        quote(text)
      } is no user: * is anyone who logged in, and names have no other wildcard`,
    );
  }
  const name = decodeUser(text);
  if (name !== "*") return name;
  throw new TypeError(
    "a user named * cannot be told from anyone who logged in",
  );
}

function decodeUser(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError(
      `${quote(text)} has a broken percent-encoding: a % itself is %25`,
    );
  }
}

function formatUser(name: string): string {
  if (name === "*") return name;
  const text = name.replace(SPECIAL, percentEncode);
  // A word of the language reads as if the name were missing.
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

/** A target's host, with brackets, and what stands behind the colon, `undefined` without one. */
export function splitTarget(text: string): { host: string; port?: string } {
  // No port can follow an IPv6 block without brackets, so it is not mistaken for one.
  if (/^[\da-f:.]+\/\d+$/i.test(text)) return { host: text };
  const [, host, port] = TARGET.exec(text) ?? [];
  if (host === undefined || isIp(text) === 6) throw notATarget(text);
  if (!NO_HOSTS.includes(host.toLowerCase())) return { host, port };
  throw new TypeError(
    `${quote(host)} is not taken for a target: any is *, a host of that name ` +
      `is ${host}. with a dot, and commands are ${COMMANDS.join(", ")}`,
  );
}

function notATarget(text: string): TypeError {
  if (text === "") {
    return new TypeError("a comma has nothing before or behind it");
  }
  const hint = isIp(text) === 6
    ? `needs brackets: [${text}]`
    : "is no target: one is HOST, HOST:PORTS, [IPV6] or [IPV6]:PORTS";
  return new TypeError(`${quote(text)} ${hint}`);
}

function readPorts(text: string): (number | PortRange)[] {
  return text.split("+").map((item) => {
    const [, first, last = first] = RANGE.exec(item) ?? [];
    if (first !== undefined) return { first: +first, last: +last };
    throw new TypeError(
      `${quote(text)} are no ports: they are like 443, 1-1023 or 80+443`,
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
