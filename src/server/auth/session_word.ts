/**
 * User names that end with a session word.
 *
 * @module
 */

/** A user name without its session word, and the word. */
export interface WordedName {
  readonly username: Uint8Array;
  readonly word: string;
}

const WORDED = /^[^]+(-session-([A-Za-z0-9_]{1,64}))$/;

/**
 * Splits a user name such as `alice-session-7`; `undefined` if it does not end with a session
 * word.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const name = new TextEncoder().encode("alice-session-7");
 * const { username, word } = splitSessionWord(name)!;
 * assertEquals([new TextDecoder().decode(username), word], ["alice", "7"]);
 * ```
 */
export function splitSessionWord(name: Uint8Array): WordedName | undefined {
  // One character for each byte, because the name need not be UTF-8.
  const [, end, word] = WORDED.exec(String.fromCharCode(...name)) ?? [];
  if (end === undefined) return undefined;
  return { username: name.subarray(0, name.length - end.length), word };
}
