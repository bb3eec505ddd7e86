/**
 * The words of rules and questions.
 *
 * @module
 */

import { isIp } from "../../protocol/address.ts";
import { COMMANDS, quote } from "./rule.ts";

/** Longer texts are rejected without parsing. */
const MAX_TEXT = 16_384;

/** A word that is followed by its value. */
export type Keyword = "from" | "user" | "via" | "prefer" | "through";
/** The parts of a rule or a question, unparsed. */
export type Parts = { [part in Keyword | "commands" | "targets"]?: string };

/** All keywords. */
export const KEYWORDS: readonly Keyword[] = [
  "from",
  "user",
  "via",
  "prefer",
  "through",
];
/**
 * Words that are more likely mistakes than hosts. A host with such a name is
 * written with a trailing dot.
 */
export const NO_HOSTS: readonly string[] = [
  ...COMMANDS,
  ...KEYWORDS,
  ...["allow", "deny", "to", "all", "any", "none", "tcp", "udp"],
  ...["users", "port", "ports", "ipv4", "ipv6"],
];

const PRIVATE =
  "private networks are 10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,[fc00::/7]";
const ANY = "any target is *";
const ANY_CLIENT = "a rule without from, user and targets matches everyone";

/**
 * Words that look like filters, and how the filter is written. Like
 * {@linkcode NO_HOSTS}, but a user may have such a name.
 */
const FILTERS: ReadonlyMap<string, string> = new Map([
  ["associate", "the command is udp-associate"],
  ["private", PRIVATE],
  ["local", PRIVATE],
  ["lan", PRIVATE],
  ["loopback", "this machine is 127.0.0.0/8,[::1]"],
  ["everything", ANY],
  ["anything", ANY],
  ["everywhere", ANY],
  ["anywhere", ANY],
  ["internet", ANY],
  ["public", ANY],
  ["everyone", ANY_CLIENT],
  ["anyone", ANY_CLIENT],
]);

/** The ports of services whose names look like filters if no port follows. */
const SERVICES: ReadonlyMap<string, number> = new Map([
  ["http", 80],
  ["https", 443],
  ["ssh", 22],
  ["smtp", 25],
  ["dns", 53],
]);

/** Ports without a host. As a host, `25` would be the address 0.0.0.25. */
const ONLY_PORTS = /^\d{1,5}(?:[-+]\d{1,5})*$/;

/** Whether the text of a host would be taken for something else in a rule. */
export function needsDot(host: string): boolean {
  return NO_HOSTS.includes(host) || FILTERS.has(host) || SERVICES.has(host) ||
    ONLY_PORTS.test(host);
}

/** Rejects a target of a rule that is only a port: `--deny 25`. */
export function refusePorts(text: string): void {
  if (!ONLY_PORTS.test(text)) return;
  throw new TypeError(
    `${quote(text)} is not a target: a port of any target is written *:${text}`,
  );
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
  via: "IP addresses of this machine (192.0.2.1,2001:db8:1::/64)",
  prefer: "ipv4 or ipv6",
  through: "direct or the name of an upstream",
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

const TARGET = /^(\[[^\]]*:[^\]]*\]|[^:[\]]+)(?::(.*))?$/;

/**
 * Splits a target into the host, in its brackets if it has any, and the text
 * after the colon; the latter is `undefined` without a colon.
 */
export function splitTarget(text: string): { host: string; port?: string } {
  // No port can follow an IPv6 block without brackets, so that it is unambiguous.
  if (/^[\da-f:.]+\/\d+$/i.test(text)) return { host: text };
  const [, host, port] = TARGET.exec(text) ?? [];
  if (host === undefined || isIp(text) === 6) throw notATarget(text);
  const word = host.toLowerCase();
  const service = port === undefined ? SERVICES.get(word) : undefined;
  const filter = service === undefined
    ? FILTERS.get(word)
    : `a port is written *:${service}`;
  if (filter) {
    throw new TypeError(
      `${quote(host)} is not accepted as a target: ${filter}, and a host of ` +
        `that name is written ${host}. with a dot`,
    );
  }
  if (!NO_HOSTS.includes(word)) return { host, port };
  throw new TypeError(
    `${quote(host)} is not accepted as a target: any target is *, a host of ` +
      `that name is written ${host}. with a dot, and the commands are ` +
      COMMANDS.join(", "),
  );
}

function notATarget(text: string): TypeError {
  if (text === "") {
    return new TypeError("a comma has no item before or after it");
  }
  const hint = isIp(text) === 6
    ? `needs brackets: [${text}]`
    : "is not a target: a target is HOST, HOST:PORTS, [IPV6] or [IPV6]:PORTS";
  return new TypeError(`${quote(text)} ${hint}`);
}
