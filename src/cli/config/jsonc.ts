/**
 * JSON with comments and trailing commas, which editors call JSONC.
 *
 * @module
 */

import { quote } from "../output/escape.ts";

/** The maximum depth of nested lists and objects. */
const MAX_DEPTH = 64;

/** A syntax error, and its position. */
export class JsoncError extends Error {
  /** Always `"JsoncError"`. */
  override readonly name = "JsoncError";
  /** The line, counted from 1. */
  readonly line: number;
  /** The column in UTF-16 code units, counted from 1. */
  readonly column: number;

  /** The position is the offset in the text. */
  constructor(reason: string, text: string, offset: number) {
    const lines = text.slice(0, offset).split(/\r\n|[\r\n]/);
    const [line, column] = [lines.length, lines.at(-1)!.length + 1];
    super(`line ${line}, column ${column}: ${reason}`);
    [this.line, this.column] = [line, column];
  }
}

/**
 * Parses JSON (RFC 8259) with comments and trailing commas. A duplicate key of an
 * object is an error, because one of the values would be silently ignored.
 *
 * @throws {JsoncError} at the first syntax error.
 */
export function parseJsonc(text: string): unknown {
  return new Parser(text).document();
}

const SPACE = /(?:[ \t\r\n]+|\/\/[^\r\n]*|\/\*[^]*?\*\/)+/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const WORD = /[\w$.+-]+/y;
const WORDS: Readonly<Record<string, unknown>> = {
  true: true,
  false: false,
  null: null,
};

/**
 * The offset of the quote that ends the string at `start`, or -1. A pattern would
 * not do: on Bun, one that repeats a group does not match a string of a megabyte.
 */
function closingQuote(text: string, start: number): number {
  let close = start;
  let first;
  do {
    close = text.indexOf('"', close + 1);
    first = close;
    while (text[first - 1] === "\\") first--;
  } while (close >= 0 && (close - first) % 2 === 1);
  return close;
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.startsWith("\ufeff")) this.#at = 1;
  }

  document(): unknown {
    const value = this.#value();
    this.#skip();
    if (this.#at < this.#text.length) {
      this.#fail("expected the end of the file");
    }
    return value;
  }

  #value(): unknown {
    this.#skip();
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object();
      case "[":
        return this.#list();
      case '"':
        return this.#string();
      default:
        return this.#word();
    }
  }

  #object(): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    this.#elements("}", () => {
      const start = this.#at;
      if (this.#text[start] !== '"') {
        this.#fail('expected a key in double quotes or "}"');
      }
      const key = this.#string();
      if (entries.has(key)) {
        this.#fail(`duplicate key ${quote(key)}`, start);
      }
      this.#skip();
      if (!this.#take(":")) this.#fail('expected ":"');
      entries.set(key, this.#value());
    });
    // Unlike an assignment, this makes "__proto__" an ordinary key.
    return Object.fromEntries(entries);
  }

  #list(): unknown[] {
    const values: unknown[] = [];
    this.#elements("]", () => values.push(this.#value()));
    return values;
  }

  /** Parses elements in brackets; the opening one is next. */
  #elements(close: "}" | "]", element: () => void): void {
    if (++this.#depth > MAX_DEPTH) {
      this.#fail(`nested deeper than ${MAX_DEPTH} levels`);
    }
    this.#at++;
    for (this.#skip(); !this.#take(close); this.#skip()) {
      element();
      this.#skip();
      if (!this.#take(",") && this.#text[this.#at] !== close) {
        this.#fail(`expected "," or "${close}"`);
      }
    }
    this.#depth--;
  }

  #string(): string {
    const start = this.#at;
    const close = closingQuote(this.#text, start);
    try {
      if (close >= 0) {
        const value = JSON.parse(this.#text.slice(start, close + 1));
        this.#at = close + 1;
        return value;
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
    const end = /["\r\n]|$/.exec(this.#text.slice(start + 1))!.index;
    this.#fail(
      this.#text[start + 1 + end] === '"'
        ? "control character or invalid escape in a string"
        : "unterminated string",
    );
  }

  #word(): unknown {
    const number = this.#match(NUMBER);
    if (number !== undefined) return Number(number);
    const start = this.#at;
    const word = this.#match(WORD);
    if (word !== undefined && Object.hasOwn(WORDS, word)) return WORDS[word];
    if (word === undefined && start < this.#text.length) {
      this.#fail(`expected a value, not ${quote(this.#text[start])}`);
    }
    this.#fail(
      word === undefined
        ? "expected a value, not the end of the file"
        : `${quote(word.slice(0, 40))} is not a value ` +
          "(strings need double quotes)",
      start,
    );
  }

  #skip(): void {
    this.#match(SPACE);
    if (this.#text.startsWith("/*", this.#at)) {
      this.#fail("unterminated comment");
    }
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #fail(reason: string, offset: number = this.#at): never {
    throw new JsoncError(reason, this.#text, offset);
  }
}
