/**
 * The text of the accounting file.
 *
 * @module
 */

import type { UsageRecord } from "../../server/accounting/local_usage_store.ts";
import type { Usage } from "../../server/accounting/usage_store.ts";

const VERSION = 1;

/** How many users are formatted at a time: sessions go on in between. */
const USERS_AT_ONCE = 1_000;

/** Formats the file, part by part: JSON with a line for each user. */
export function* formatState(
  records: readonly UsageRecord[],
): Generator<string, void> {
  yield `{"version":${VERSION},"users":[\n`;
  for (let at = 0; at < records.length; at += USERS_AT_ONCE) {
    const part = records.slice(at, at + USERS_AT_ONCE);
    const lines = part.map((it) => JSON.stringify(it)).join(",\n");
    yield at === 0 ? lines : `,\n${lines}`;
  }
  yield "\n]}\n";
}

/**
 * Parses the file.
 *
 * @throws {SyntaxError} if it is damaged; no part of it is used then.
 */
export function parseState(text: string): UsageRecord[] {
  const state = JSON.parse(text);
  if (state?.version > VERSION) {
    throw new SyntaxError("a later version of this program has written it");
  }
  if (state?.version !== VERSION || !Array.isArray(state.users)) {
    throw new SyntaxError("it is no accounting file");
  }
  const records: unknown[] = state.users;
  const wrong = records.findIndex((it) => !isRecord(it));
  if (wrong >= 0) throw new SyntaxError(`user ${wrong + 1} is malformed`);
  const users = new Set((records as UsageRecord[]).map(({ user }) => user));
  if (users.size === records.length) return records as UsageRecord[];
  throw new SyntaxError("a user occurs twice");
}

function isRecord(value: unknown): value is UsageRecord {
  const { user, total, day, month, since } = (value ?? {}) as UsageRecord;
  return typeof user === "string" && [total, day, month].every(isUsage) &&
    typeof since?.day === "string" && typeof since.month === "string";
}

function isUsage(value: Usage | undefined): boolean {
  const { sent, received, sessions } = value ?? {};
  return [sent, received, sessions].every((it) =>
    Number.isInteger(it) && it! >= 0
  );
}
