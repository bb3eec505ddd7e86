/**
 * Suggestions for misspelled words.
 *
 * @module
 */

import { quote } from "../output/escape.ts";

/** Suggests the known word nearest to `word`: `, did you mean "port"?`, or an empty text. */
export function hint(word: string, known: readonly string[]): string {
  const plain = (text: string) =>
    text.toLowerCase().replaceAll(/[^a-z\d]/g, "");
  const near = known.map((it) => ({
    it,
    // A long word is near to none, and measuring it would take long.
    far: word.length > 40 ? Infinity : distance(plain(word), plain(it)),
  })).sort((a, b) => a.far - b.far)[0];
  return near && near.far <= Math.min(2, near.it.length / 2)
    ? `, did you mean ${quote(near.it)}?`
    : "";
}

/** The Levenshtein distance: how many letters must be inserted, deleted or replaced. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const change = row[j] + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(change, row[j + 1] + 1, next[j] + 1));
    }
    row = next;
  }
  return row[b.length];
}
