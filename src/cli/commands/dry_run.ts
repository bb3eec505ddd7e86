/**
 * `--check` and `--explain`: questions about a configuration, without serving it.
 *
 * @module
 */

import { isIp } from "../../protocol/address.ts";
import {
  explain,
  type Explanation,
  isLookup,
  parseQuestion,
  type Question,
} from "../../server/policy/explain.ts";
import { resolveSettings } from "../../server/settings.ts";
import { OwnAddresses } from "../../server/policy/own_addresses.ts";
import { DIRECT } from "../../server/policy/rule.ts";
import { rules } from "../../server/policy/rules.ts";
import { parseRedisUrl } from "../../redis/redis_url.ts";
import { detectTransport } from "../../transport/detect.ts";
import { NetError } from "../../transport/errors.ts";
import type { Transport } from "../../transport/transport.ts";
import { type LoadedConfig, mayKnowMoreUsers } from "../config/load.ts";
import type { LoadedUpstreams } from "../config/load_upstreams.ts";
import {
  escapeText,
  mayHoldLogin,
  quote,
  showMessage,
  showPath,
  showValue,
} from "../output/escape.ts";
import { formatDuration } from "../output/format_duration.ts";
import { addressText, validText } from "../output/record.ts";
import { UsageError } from "../usage_error.ts";
import { countWorkers, openLauncher } from "../workers/launcher.ts";

/**
 * Checks a configuration, and returns a line that summarizes it.
 *
 * @throws {TypeError} if the server would reject the options.
 * @throws {UsageError} if there cannot be several workers.
 */
export async function checkText(
  loaded: LoadedConfig,
): Promise<string> {
  const { config, options, users, rules, workers, tls, upstreams } = loaded;
  await resolveSettings(options, await detectTransport());
  const { hostname = "127.0.0.1", port = 1080 } = options;
  const where = addressText({
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    port,
  });
  const count = await countWorkers(workers);
  if (count > 1) await openLauncher();
  return `the configuration is valid: ${where}, ` +
    `logins ${users.size}, rules ${rules}` +
    (config.gssapiKeytab === undefined ? "" : ", Kerberos logins") +
    (config.authCommand === undefined ? "" : ", logins by a program") +
    (tls ? `, ${validText(tls.validTo)}` : "") +
    upstreamsText(upstreams) +
    await accountingText(loaded) +
    (config.shared === undefined
      ? ""
      : `, limits shared in ${parseRedisUrl(config.shared).shown}`) +
    (count > 1 ? `, workers ${count}` : "");
}

/** Reads the accounting file, but does not lock or write it. */
async function accountingText(
  { accounting, accountingFile: path }: LoadedConfig,
): Promise<string> {
  if (!accounting) return "";
  const every = `, accounting every ${formatDuration(accounting)}`;
  if (path === undefined) return every;
  const { readState } = await import("../accounting/state_file.ts");
  await readState(path);
  return `${every} in ${showPath(path)}`;
}

function upstreamsText(upstreams: LoadedUpstreams | undefined): string {
  const { dial, named = {} } = upstreams ?? {};
  const ways = Object.entries(named).map(([name, it]) => `${name} (${it})`);
  return (dial ? `, through ${dial}` : "") +
    (ways.length > 0 ? `, upstreams ${ways.join(", ")}` : "");
}

/** The answer to a question of `--explain`. */
export interface Answer {
  /** A line for each address with a decision of its own, or a single line. */
  readonly text: string;
  /** Restrictions of the answer. */
  readonly notes: readonly string[];
  /** Whether the client may use the target, by at least one of its addresses. */
  readonly isAllowed: boolean;
}

/**
 * Answers a question about the rules.
 *
 * @throws {TypeError | UsageError} if the question is invalid.
 */
export async function explainText(
  { config, options, users, upstreams }: LoadedConfig,
  text: string,
): Promise<Answer> {
  const question = readQuestion(text);
  const transport = await detectTransport();
  // The question is about the rules, also of a server that would be refused as an open proxy.
  const allowed = { ...options, openProxy: true };
  const { isExposed: exposed } = await resolveSettings(allowed, transport);
  const own = new OwnAddresses(transport);
  const policy = options.policy ?? rules([]);
  const notes = mayKnowMoreUsers(config) ? [] : notesOn(question, users);
  if (isLookup(question.command) && !options.resolve) {
    notes.push("look-ups are refused: --resolve is missing");
  }
  const lookup = (hostname: string) => addressesOf(transport, hostname, notes);
  const ways = { dial: upstreams?.dial, upstreams: upstreams?.named };
  const isOwn = (address: string) => own.has(address);
  const context = { exposed, isOwn, ways };
  let found = await explain(policy, question, { ...context, lookup });
  if (found.length === 0) found = await explain(policy, question, context);
  return {
    text: found.map((it) =>
      explanationText(it, question) + wayText(it, upstreams)
    ).join("\n"),
    notes,
    isAllowed: found.some((it) => it.verdict === "allow"),
  };
}

function readQuestion(text: string): Question {
  try {
    return parseQuestion(text);
  } catch (error) {
    if (!(error instanceof TypeError) || !mayHoldLogin(text)) throw error;
    throw new UsageError(
      '--explain QUESTION has a word with ":" that is no HOST:PORT; it is not shown, ' +
        "because it may be a login",
    );
  }
}

/** Resolves a name. Returns no address, and adds a note, if it cannot be resolved. */
async function addressesOf(
  transport: Transport,
  hostname: string,
  notes: string[],
): Promise<readonly string[]> {
  try {
    return await transport.lookup(hostname);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    notes.push(`the name cannot be resolved: ${showMessage(error.message)}`);
    return [];
  }
}

function notesOn({ user }: Question, users: ReadonlySet<string>): string[] {
  if (users.size === 0 || user !== undefined && users.has(user)) return [];
  return [
    user === undefined
      ? "clients need a login, but the question names no user"
      : `there is no user ${showValue(user)}`,
  ];
}

/** How the target is reached, if there are upstreams. */
function wayText(
  { verdict, through }: Explanation,
  upstreams: LoadedUpstreams | undefined,
): string {
  if (!upstreams || verdict !== "allow") return "";
  const { dial, named } = upstreams;
  if (through !== undefined && through !== DIRECT) {
    return `, through ${through} (${named[through]})`;
  }
  return dial && through === undefined ? `, through ${dial}` : ", direct";
}

function explanationText(
  { verdict, address, rule, matched, localAddress, family }: Explanation,
  { hostname }: Question,
): string {
  const resolved = address && !isIp(hostname) ? ` ${address}` : "";
  const via = localAddress ? `, via ${[localAddress].flat().join(" or ")}` : "";
  const prefer = family ? `, IPv${family} first` : "";
  const first = matched === undefined
    ? ""
    : ` (${quote(matched)} matches first, and does not name the address: ` +
      "an earlier rule that names it would decide)";
  return `${verdict}${resolved}: ${escapeText(rule)}${via}${prefer}${first}`;
}
