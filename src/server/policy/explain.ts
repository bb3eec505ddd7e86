/**
 * A dry run of rules: what they would say, and which one says it.
 *
 * @module
 */

import { isIp, isUnspecified, unmapIp } from "../../protocol/address.ts";
import { isPort } from "../../protocol/octets.ts";
import type { CommandName } from "../events.ts";
import { dialledAddress } from "./authorize.ts";
import { defaultDenial, type Verdict } from "./policy.ts";
import { COMMANDS, normalText, quote } from "./rule.ts";
import {
  explained,
  type Keyword,
  readParts,
  readUser,
  splitTarget,
  wordsOf,
} from "./rule_text.ts";
import type { RulePolicy } from "./rules.ts";

/** What someone might ask of the server. */
export interface Question {
  /** What for. */
  readonly command: CommandName;
  /** The target, canonical. */
  readonly hostname: string;
  /** Its port. */
  readonly port: number;
  /** The client's address. */
  readonly client: string;
  /** Who logged in, `undefined` when nobody did. */
  readonly user?: string;
}

const KEYWORDS: readonly Keyword[] = ["from", "user"];
const FORM = "[COMMAND] [user USER] HOST:PORT [from ADDRESS]";

/**
 * Reads a question in the words of `parseRule`, one value each: `[COMMAND]
 * [user USER] HOST:PORT [from ADDRESS]`, in any order. The command is `connect`
 * and the client on this machine (127.0.0.1) unless the text says otherwise; the
 * port of a BIND may be left out.
 *
 * @throws {TypeError} that says what is wrong and what is possible.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseQuestion("user alice db.internal:5432 from 203.0.113.9"), {
 *   command: "connect",
 *   hostname: "db.internal",
 *   port: 5432,
 *   client: "203.0.113.9",
 *   user: "alice",
 * });
 * ```
 */
export function parseQuestion(text: string): Question {
  return explained("question", text, () => {
    const parts = readParts(wordsOf(text), KEYWORDS);
    if (parts.targets === undefined) {
      throw new TypeError(`there is no target in it: ${FORM}`);
    }
    const command = readCommand(parts.commands);
    return {
      command,
      ...readEndpoint(parts.targets, command),
      client: readClient(parts.from ?? "127.0.0.1"),
      ...parts.user !== undefined && { user: readOne(parts.user) },
    };
  });
}

function readCommand(text = "connect"): CommandName {
  const command = COMMANDS.find((it) => it === text.toLowerCase());
  if (command) return command;
  throw new TypeError(`one command at a time: ${COMMANDS.join(", ")}`);
}

function readEndpoint(
  text: string,
  command: CommandName,
): { hostname: string; port: number } {
  const { host, port } = splitTarget(text);
  const hostname = normalText(host);
  if (hostname === undefined) {
    throw new TypeError(`${quote(host)} is neither a name nor an IP address`);
  }
  if (port === undefined && command === "bind") return { hostname, port: 0 };
  if (port !== undefined && /^\d{1,5}$/.test(port) && isPort(+port)) {
    return { hostname, port: +port };
  }
  throw new TypeError(`${quote(text)} needs one port: ${FORM}`);
}

function readClient(text: string): string {
  const client = normalText(text);
  if (client !== undefined && isIp(client)) return unmapIp(client);
  throw new TypeError(`from takes one IP address, not ${quote(text)}`);
}

function readOne(text: string): string {
  const user = readUser(text);
  if (user !== "*" && !text.includes(",")) return user;
  throw new TypeError(`user takes one name, not ${quote(text)}`);
}

/** What rules say to a question. */
export interface Explanation {
  /** The address that this is about; `undefined` when it is about the name, or about a peer that may be anyone. */
  readonly address?: string;
  /** `depends` when the addresses decide, and none was given. */
  readonly verdict: "allow" | "deny" | "depends";
  /** The rule that decides, or what does if none of them. */
  readonly rule: string;
  /** The IP address to connect from, if the rule names one. */
  readonly localAddress?: string;
  /** The IP version to try first, if the rule names one. */
  readonly family?: 4 | 6;
}

/** Options of {@linkcode explain}. */
export interface ExplainOptions {
  /** Whether the server listens beyond loopback, where special-purpose addresses and its own need a rule. */
  readonly exposed: boolean;
  /** Whether an address is the server's own. By default none is. */
  readonly isOwn?: (address: string) => boolean;
  /** The addresses of a name; without it a name is not looked up. */
  readonly lookup?: (
    hostname: string,
  ) => readonly string[] | Promise<readonly string[]>;
}

/**
 * What the policy says: of a name that its addresses decide about one answer
 * for each of them, else one in all. Rejects as `lookup` does.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const policy = () => ({ verdict: "default", rule: "allow *:443" } as const);
 * const question = parseQuestion("name.example:443");
 * const lookup = () => ["10.0.0.1"];
 * assertEquals(await explain(policy, question, { exposed: true, lookup }), [{
 *   address: "10.0.0.1",
 *   verdict: "deny",
 *   rule: "special-purpose address 10.0.0.1",
 * }]);
 * ```
 */
export async function explain(
  policy: RulePolicy,
  question: Question,
  { lookup, ...options }: ExplainOptions,
): Promise<Explanation[]> {
  const { command, hostname } = question;
  const ask = (address?: string) => answer(policy, question, options, address);
  if (isIp(hostname)) {
    const isAnyone = command === "bind" && isUnspecified(hostname);
    return [ask(isAnyone ? undefined : dialledAddress(hostname))];
  }
  const first = ask();
  if (first.verdict !== "depends" || !lookup) return [first];
  return (await lookup(hostname)).map((it) => ask(dialledAddress(it)));
}

function answer(
  policy: RulePolicy,
  { command, hostname, port, client, user }: Question,
  { exposed, isOwn = () => false }: ExplainOptions,
  address?: string,
): Explanation {
  const session = { client: { hostname: client }, user };
  const said = policy({ session, command, hostname, port, address });
  const { verdict = "default", ...how } = said ?? {};
  if (address === undefined) {
    return { rule: OPEN, ...how, verdict: openVerdict(said, exposed) };
  }
  if (verdict === "default" && exposed) {
    const rule = defaultDenial(address, isOwn);
    if (rule !== undefined) return { address, verdict: "deny", rule };
  }
  return {
    address,
    rule: "no rule matches",
    ...how,
    verdict: verdict === "deny" ? "deny" : "allow",
  };
}

const OPEN = "the addresses decide";

/** Without an address the default is known on loopback only, and no verdict at all is no default. */
function openVerdict(
  said: Verdict | undefined,
  exposed: boolean,
): Explanation["verdict"] {
  if (!said || said.verdict === "default" && exposed) return "depends";
  return said.verdict === "deny" ? "deny" : "allow";
}
