/**
 * Suggestions for misspelled words.
 *
 * @module
 */

import { nearest } from "../../transport/check_keys.ts";
import { quote } from "../output/escape.ts";

/** Suggests the known word nearest to `word`: `, did you mean "port"?`, or an empty text. */
export function hint(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `, did you mean ${quote(meant)}?`;
}
