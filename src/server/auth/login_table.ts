/**
 * Tables of users that programs pass.
 *
 * @module
 */

import { quote } from "../../protocol/escape.ts";

/**
 * Returns the entries of a table from user names to texts. Untyped code may pass anything:
 * a text or a list would have users called `0` and `1`, and a nested table one whose
 * password is `[object Object]`.
 *
 * @throws {TypeError} when it is no such table, or empty. No error repeats a value.
 */
export function loginEntries(
  table: Readonly<Record<string, string>>,
  what: "logins" | "secrets",
): [name: string, text: string][] {
  if (typeof table !== "object" || table === null || Array.isArray(table)) {
    throw new TypeError(
      `${what} are a function or a table such as { alice: "correct horse" }`,
    );
  }
  const entries = Object.entries(table);
  if (entries.length === 0) {
    throw new TypeError(`a table of ${what} needs at least one`);
  }
  for (const [name, text] of entries) {
    if (typeof text === "string") continue;
    throw new TypeError(
      `a table of ${what} has a text for every user (user ${quote(name)})`,
    );
  }
  return entries;
}
