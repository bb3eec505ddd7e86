/**
 * The parameters of requests.
 *
 * @module
 */

import type { SessionPhase } from "../../server/events.ts";
import {
  SESSION_KEYS,
  type SessionFilter,
  type SessionQuery,
} from "../serve/control/control.ts";
import { RequestError } from "./answer.ts";

/** The filters of sessions. */
export const FILTERS = [
  "user",
  "client",
  "target",
  "command",
  "phase",
  "text",
] as const;

/** What users are sorted by. */
export const USER_KEYS = ["name", "sessions", "sent", "received"] as const;

/** The commands of sessions, by their names in filters. */
export const COMMANDS = [
  "connect",
  "forward",
  "bind",
  "udp-associate",
  "resolve",
  "resolve-ptr",
] as const;

/** The phases of open sessions. */
export const PHASES = [
  "handshake",
  "dial",
  "bind",
  "relay",
] as const satisfies readonly SessionPhase[];

/** The limit of a list if the request has none, and the greatest one. */
export const LIMIT = { standard: 100, max: 1_000 } as const;

/** The maximum number of requests in a batch. */
export const MAX_BATCH = 8;

/** A way to sort: a key, or `-` and a key. */
export type Sort<K extends string> = K | `-${K}`;

/**
 * Reads the parameters after `?`.
 *
 * @throws {RequestError} for unknown, repeated and empty ones: an empty variable in a
 * script must not select everything.
 */
export function readParameters(
  text: string,
  known: readonly string[],
): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    if (!known.includes(name)) {
      const names = known.length > 0 ? known.join(", ") : "none";
      throw new RequestError(400, `unknown parameter: known are ${names}`);
    }
    if (Object.hasOwn(values, name)) {
      throw new RequestError(400, `${name} is given twice`);
    }
    if (value === "") throw new RequestError(400, `${name} is empty`);
    values[name] = value;
  }
  return values;
}

/** The query of `GET /sessions`. */
export function sessionQuery(
  { sort, limit, ...filter }: Readonly<Record<string, string>>,
): SessionQuery {
  return {
    ...sessionFilter(filter),
    sort: readSort(sort, SESSION_KEYS, "-received"),
    limit: readLimit(limit),
  };
}

/** Checks the members of a filter that have certain values. */
export function sessionFilter(
  filter: Readonly<Record<string, string>>,
): SessionFilter {
  checkChoice("command", filter.command, COMMANDS);
  checkChoice("phase", filter.phase, PHASES);
  return filter;
}

/** Reads `limit`. */
export function readLimit(text: string | undefined): number {
  if (text === undefined) return LIMIT.standard;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : Infinity;
  if (limit <= LIMIT.max) return limit;
  throw new RequestError(400, `limit must be a number from 0 to ${LIMIT.max}`);
}

/** Reads `since`, a time in milliseconds since the epoch. */
export function readTime(text: string | undefined): number {
  if (text === undefined) return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new RequestError(400, "since must be a time in milliseconds");
}

/** Reads `sort`. */
export function readSort<K extends string>(
  text: string | undefined,
  keys: readonly K[],
  standard: Sort<K>,
): Sort<K> {
  if (text === undefined) return standard;
  if ((keys as readonly string[]).includes(text.replace(/^-/, ""))) {
    return text as Sort<K>;
  }
  const choices = keys.join(", ");
  throw new RequestError(400, `sort must be one of ${choices}, or - and one`);
}

function checkChoice(
  name: string,
  value: string | undefined,
  choices: readonly string[],
): void {
  if (value === undefined || choices.includes(value)) return;
  throw new RequestError(400, `${name} must be one of ${choices.join(", ")}`);
}
