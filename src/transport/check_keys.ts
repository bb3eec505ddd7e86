/**
 * Keys of options objects: a misspelt one is an error that names the right one.
 *
 * @module
 */

/**
 * Checks that an options object has no unknown keys.
 *
 * @param options The object, called `name` in errors.
 * @throws {TypeError} if it is not an object, or for the first unknown key.
 */
export function checkKeys(
  options: unknown,
  known: readonly string[],
  name: string,
): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${name} must be an object, not ${show(options)}`);
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const meant = ALIASES[key] ?? nearest(key, known);
    const hint = meant !== undefined && known.includes(meant)
      ? `, did you mean "${meant}"?`
      : "";
    throw new TypeError(`unknown key ${quoteKey(key)} in ${name}${hint}`);
  }
}

/** Names that other libraries use. */
const ALIASES: Readonly<Record<string, string>> = {
  host: "hostname",
  pass: "password",
  user: "username",
};

/** Without characters that a terminal interprets or does not show. */
function quoteKey(key: string): string {
  return JSON.stringify(key.slice(0, MAX_LENGTH)).replace(
    /[^\x20-\x7e]/g,
    (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function show(value: unknown): string {
  return value === null ? "null" : `a ${typeof value}`;
}

/** The known word that an unknown one resembles; `undefined` if there is none. */
export function nearest(
  word: string,
  known: readonly string[],
): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const plain = plainText(word);
  let found: string | undefined;
  let least = Infinity;
  for (const it of known) {
    const distance = editDistance(plain, plainText(it));
    if (distance < least) [found, least] = [it, distance];
  }
  return found !== undefined && least <= Math.min(2, found.length / 2)
    ? found
    : undefined;
}

/** Longer words resemble no known one, and comparing them takes time. */
const MAX_LENGTH = 40;

function plainText(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z\d]/g, "");
}

/** The number of letters to insert, delete or replace (Levenshtein). */
function editDistance(a: string, b: string): number {
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
