/**
 * A dry run of rules: their verdict on a question, and the rule that decides.
 *
 * @module
 */

import { isIp, isUnspecified, unmapIp } from "../../protocol/address.ts";
import { isPort } from "../../protocol/octets.ts";
import type { CommandName } from "../events.ts";
import { dialledAddress } from "./authorize.ts";
import type { Dialer } from "../dialer.ts";
import { defaultDenial, defaultNameDenial, type Verdict } from "./policy.ts";
import { COMMANDS, DIRECT, normalText, quote } from "./rule.ts";
import {
  type Keyword,
  readParts,
  readUser,
  splitTarget,
  withContext,
  wordsOf,
} from "./rule_words.ts";
import type { RuleRequest } from "./rules.ts";

/** A possible request of a client. */
export interface Question {
  /** The command. */
  readonly command: CommandName;
  /** The hostname of the target, canonical. */
  readonly hostname: string;
  /** The port of the target. */
  readonly port: number;
  /** The client's address. */
  readonly client: string;
  /** The authenticated user, if there is one. */
  readonly user?: string;
}

const KEYWORDS: readonly Keyword[] = ["from", "user"];
const FORM = "[COMMAND] [user USER] HOST:PORT [from ADDRESS]";

/**
 * Parses a question in the words of `parseRule`, with one value each: `[COMMAND]
 * [user USER] HOST:PORT [from ADDRESS]`, in any order. By default the command is
 * `connect` and the client is on this machine (127.0.0.1). The port of a BIND is
 * optional; look-ups have none.
 *
 * @throws {TypeError} with the error and the valid values.
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
  return withContext("question", text, () => {
    const parts = readParts(wordsOf(text), KEYWORDS);
    if (parts.targets === undefined) {
      throw new TypeError(`the target is missing: ${FORM}`);
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
  if (command === "resolve-ptr" && !isIp(hostname)) {
    throw new TypeError(`resolve-ptr takes an IP address, not ${quote(host)}`);
  }
  if (isLookup(command) && port !== undefined) {
    throw new TypeError(`a look-up has no port: ${command} ${host}`);
  }
  if (isLookup(command) || port === undefined && command === "bind") {
    return { hostname, port: 0 };
  }
  if (port !== undefined && /^\d{1,5}$/.test(port) && isPort(+port)) {
    return { hostname, port: +port };
  }
  throw new TypeError(`${quote(text)} needs one port: ${FORM}`);
}

/** Whether the command looks up a name or an address. */
export function isLookup(command: CommandName): boolean {
  return command === "resolve" || command === "resolve-ptr";
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

/** The verdict on a question. */
export interface Explanation {
  /** The judged address; `undefined` for the verdict on a name, or on any peer of a BIND. */
  readonly address?: string;
  /** `depends` if the verdict depends on the addresses, and they are unknown. */
  readonly verdict: "allow" | "deny" | "depends";
  /** The rule that decides, or the reason if none does. */
  readonly rule: string;
  /**
   * The rule that matches first but leaves the decision to the default, which
   * denies the address: the rule allows any target, and does not name it.
   */
  readonly matched?: string;
  /** The addresses and prefixes to connect from, if the rule names any. */
  readonly localAddress?: string | readonly string[];
  /** The IP version to try first, if the rule names one. */
  readonly family?: 4 | 6;
  /** The name of an upstream, or `direct`, if the rule names one. */
  readonly through?: string;
}

/** How targets are reached, as in the options of `serve()`. */
export interface Ways {
  readonly dial?: Pick<Dialer, "resolvesNames">;
  readonly upstreams?: Readonly<Record<string, Pick<Dialer, "resolvesNames">>>;
}

/** The policy that answers, such as one of rules. */
type Asked = (request: RuleRequest) => Verdict | undefined;

/** Options of {@linkcode explain}. */
export interface ExplainOptions {
  /**
   * Whether the session is exposed: special-purpose addresses and those of the
   * server then need a rule.
   */
  readonly exposed: boolean;
  /** Whether an address belongs to the server. By default none does. */
  readonly isOwn?: (address: string) => boolean;
  /** The upstreams. By default there are none. */
  readonly ways?: Ways;
  /** Resolves a name to its addresses. By default names are not resolved. */
  readonly lookup?: (
    hostname: string,
  ) => readonly string[] | Promise<readonly string[]>;
}

/**
 * Returns the verdict of the policy: for a name whose addresses decide, one for
 * each address, and otherwise a single one. Rejects as `lookup` does.
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
 *   matched: "allow *:443",
 * }]);
 * ```
 */
export async function explain(
  policy: Asked,
  question: Question,
  { lookup, ways = {}, ...options }: ExplainOptions,
): Promise<Explanation[]> {
  const { command, hostname } = question;
  const ask = (address?: string) => answer(policy, question, options, address);
  if (isIp(hostname)) {
    const isAnyone = command === "bind" && isUnspecified(hostname);
    return [ask(isAnyone ? undefined : dialledAddress(hostname))];
  }
  const elsewhere = resolvedElsewhere(policy, question, options, ways);
  if (elsewhere) return [elsewhere];
  const first = ask();
  if (first.verdict !== "depends" || !lookup) return [first];
  return (await lookup(hostname)).map((it) => ask(dialledAddress(it)));
}

/** The verdict on a name that an upstream resolves; `undefined` if the server resolves it. */
function resolvedElsewhere(
  policy: Asked,
  question: Question,
  options: Pick<ExplainOptions, "exposed" | "isOwn">,
  { dial, upstreams = {} }: Ways,
): Explanation | undefined {
  if (!dial && Object.keys(upstreams).length === 0) return undefined;
  const { command, hostname, port, client, user } = question;
  const session = { client: { hostname: client }, user };
  const target = { hostname, port, resolvedElsewhere: true } as const;
  const decided = policy({ session, command, ...target });
  const { verdict = "default", through, ...how } = decided ?? {};
  const isNamed = verdict !== "deny" && through !== undefined;
  const way = !isNamed
    ? dial
    : through === DIRECT
    ? undefined
    : upstreams[through];
  if (!way || way.resolvesNames === false) return undefined;
  const named = through !== undefined && { through };
  const closed = verdict === "default" && options.exposed
    ? defaultNameDenial(hostname)
    : undefined;
  if (closed !== undefined) return { verdict: "deny", rule: closed };
  const rule = "no rule matches";
  if (verdict === "deny") return { rule, ...how, verdict };
  return { rule, ...how, ...named, verdict: "allow" };
}

function answer(
  policy: Asked,
  { command, hostname, port, client, user }: Question,
  { exposed, isOwn = () => false }: ExplainOptions,
  address?: string,
): Explanation {
  const session = { client: { hostname: client }, user };
  const decided = policy({ session, command, hostname, port, address });
  const { verdict = "default", ...how } = decided ?? {};
  if (address === undefined) {
    return { rule: OPEN, ...how, verdict: openVerdict(decided, exposed) };
  }
  if (verdict === "default" && exposed) {
    const rule = defaultDenial(address, isOwn);
    const matched = decided?.rule;
    if (rule !== undefined) {
      return { address, verdict: "deny", rule, ...matched && { matched } };
    }
  }
  return {
    address,
    rule: "no rule matches",
    ...how,
    verdict: verdict === "deny" ? "deny" : "allow",
  };
}

const OPEN = "the addresses decide";

/**
 * The verdict without an address. The default is then known only if the session
 * is not exposed; no verdict at all means that the addresses decide.
 */
function openVerdict(
  decided: Verdict | undefined,
  exposed: boolean,
): Explanation["verdict"] {
  if (!decided || decided.verdict === "default" && exposed) return "depends";
  return decided.verdict === "deny" ? "deny" : "allow";
}
