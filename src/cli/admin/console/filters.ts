/**
 * The language of the console's filter box.
 *
 * @module
 */

/** Parses and writes filters of sessions. */
export interface Filters {
  /**
   * Returns the parameters of a request: words such as `user:alice` or `user:"a b"` are
   * exact filters, the rest is the text that the sessions are searched for.
   */
  parse(text: string): Record<string, string>;
  /** Writes an exact filter as a word that `parse` reads. */
  word(key: string, value: string): string;
}

/** Part of the page's script: must not refer to anything outside. */
export function filters(): Filters {
  const exact = /(client|user|target|command|phase):("(?:[^"\\]|\\.)*"|\S+)/gy;

  function unquoted(value: string): string {
    if (!value.startsWith('"')) return value;
    try {
      return JSON.parse(value);
    } catch {
      return value; // a quote in it
    }
  }

  function parse(text: string): Record<string, string> {
    const found: Record<string, string> = {};
    const rest: string[] = [];
    const words = /\S+/gy;
    for (let at = 0; at < text.length;) {
      exact.lastIndex = words.lastIndex = at;
      const filter = exact.exec(text);
      const word = filter?.[0] ?? words.exec(text)?.[0];
      if (filter) found[filter[1]] = unquoted(filter[2]);
      else if (word) rest.push(word);
      at += word?.length ?? 1;
    }
    if (rest.length > 0) found.text = rest.join(" ");
    return found;
  }

  function word(key: string, value: string): string {
    const isPlain = /^[^\s"]+$/.test(value);
    return `${key}:${isPlain ? value : JSON.stringify(value)}`;
  }

  return { parse, word };
}
