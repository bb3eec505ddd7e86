/**
 * What the program says of a configuration without serving it.
 *
 * @module
 */

import { formatEndpoint, isIp } from "../../protocol/address.ts";
import {
  explain,
  type Explanation,
  parseQuestion,
  type Question,
} from "../../server/policy/explain.ts";
import { resolveSettings } from "../../server/settings.ts";
import { OwnAddresses } from "../../server/policy/own_addresses.ts";
import { rules } from "../../server/policy/rules.ts";
import { detectTransport } from "../../transport/detect.ts";
import { NetError } from "../../transport/errors.ts";
import type { Transport } from "../../transport/transport.ts";
import { escapeText, quote } from "../output/escape.ts";
import type { Loaded } from "../config/load.ts";
import { countWorkers, openLauncher } from "../workers/launcher.ts";

/**
 * One line that says that all is well.
 *
 * @throws {TypeError} when the server would refuse the options.
 * @throws {UsageError} when there cannot be so many workers.
 */
export async function checkText(
  { options, users, rules, workers }: Loaded,
): Promise<string> {
  await resolveSettings(options, await detectTransport());
  const { hostname = "127.0.0.1", port = 1080 } = options;
  const where = formatEndpoint({
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    port,
  });
  const count = await countWorkers(workers);
  if (count > 1) await openLauncher();
  return `the configuration is good: ${where}, ` +
    `logins ${users.size}, rules ${rules}` +
    (count > 1 ? `, workers ${count}` : "");
}

/** What {@linkcode explainText} found. */
export interface Answer {
  /** A line for each address that decides, or one in all. */
  readonly text: string;
  /** What the answer leaves open. */
  readonly notes: readonly string[];
  /** Whether one of the addresses may be used. */
  readonly isAllowed: boolean;
}

/**
 * Who may do what, as `--explain` says it.
 *
 * @throws {TypeError} when the question makes no sense.
 */
export async function explainText(
  { options, users }: Loaded,
  text: string,
): Promise<Answer> {
  const question = parseQuestion(text);
  const transport = await detectTransport();
  // Whether it would start is another question.
  const closed = { ...options, openProxy: true };
  const { isExposed: exposed } = await resolveSettings(closed, transport);
  const own = new OwnAddresses(transport);
  const policy = options.policy ?? rules([]);
  const notes = notesOn(question, users);
  const lookup = (hostname: string) => addressesOf(transport, hostname, notes);
  const how = { exposed, isOwn: (address: string) => own.has(address) };
  let found = await explain(policy, question, { ...how, lookup });
  if (found.length === 0) found = await explain(policy, question, how);
  return {
    text: found.map((it) => explanationText(it, question)).join("\n"),
    notes,
    isAllowed: found.some((it) => it.verdict === "allow"),
  };
}

/** None where it cannot be looked up. */
async function addressesOf(
  transport: Transport,
  hostname: string,
  notes: string[],
): Promise<readonly string[]> {
  try {
    return await transport.lookup(hostname);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    notes.push(`no address is known: ${escapeText(error.message)}`);
    return [];
  }
}

function notesOn({ user }: Question, users: ReadonlySet<string>): string[] {
  if (users.size === 0 || user !== undefined && users.has(user)) return [];
  return [
    user === undefined
      ? "clients need a login, and the question names no user"
      : `there is no user ${quote(user)}`,
  ];
}

function explanationText(
  { verdict, address, rule, localAddress, family }: Explanation,
  { hostname }: Question,
): string {
  const which = address && !isIp(hostname) ? ` ${address}` : "";
  const via = localAddress ? `, via ${localAddress}` : "";
  const prefer = family ? `, IPv${family} first` : "";
  return `${verdict}${which}: ${escapeText(rule)}${via}${prefer}`;
}
