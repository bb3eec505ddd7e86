/**
 * JSON with comments and trailing commas, as editors know it under the name JSONC.
 *
 * @module
 */

import { quote } from "../output/escape.ts";

/** How deep lists and objects may be nested. */
const MAX_DEPTH = 64;

/** What is wrong with a text, and where. */
export class JsoncError extends Error {
  /** Always `"JsoncError"`. */
  override readonly name = "JsoncError";
  /** Counted from 1. */
  readonly line: number;
  /** In UTF-16 code units, counted from 1. */
  readonly column: number;

  /** The place is that of `text` at `offset`. */
  constructor(reason: string, text: string, offset: number) {
    const lines = text.slice(0, offset).split(/\r\n|[\r\n]/);
    const [line, column] = [lines.length, lines.at(-1)!.length + 1];
    super(`line ${line}, column ${column}: ${reason}`);
    [this.line, this.column] = [line, column];
  }
}

/**
 * The value of a text: JSON (RFC 8259) in which comments and commas behind the
 * last element may stand. A key that an object has twice is refused, for one of
 * the two values would silently not count.
 *
 * @throws {JsoncError} at the first octet that makes no sense.
 */
export function parseJsonc(text: string): unknown {
  return new Parser(text).document();
}

const SPACE = /(?:[ \t\r\n]|\/\/[^\r\n]*|\/\*[^]*?\*\/)+/y;
const STRING =
  /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/uy;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const WORD = /[\w$.+-]+/y;
const WORDS: Readonly<Record<string, unknown>> = {
  true: true,
  false: false,
  null: null,
};

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
    if (this.#at < this.#text.length) this.#fail("the end is expected here");
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
        this.#fail('a key in double quotes or "}" is expected here');
      }
      const key = this.#string();
      if (entries.has(key)) {
        this.#fail(`the key ${quote(key)} is here for the second time`, start);
      }
      this.#skip();
      if (!this.#take(":")) this.#fail('":" is expected here');
      entries.set(key, this.#value());
    });
    // Unlike an assignment, this makes even "__proto__" a key like any other.
    return Object.fromEntries(entries);
  }

  #list(): unknown[] {
    const values: unknown[] = [];
    this.#elements("]", () => values.push(this.#value()));
    return values;
  }

  /** What stands between the brackets, the first of which is next. */
  #elements(close: "}" | "]", element: () => void): void {
    if (++this.#depth > MAX_DEPTH) {
      this.#fail(`nested deeper than ${MAX_DEPTH} levels`);
    }
    this.#at++;
    for (this.#skip(); !this.#take(close); this.#skip()) {
      element();
      this.#skip();
      if (!this.#take(",") && this.#text[this.#at] !== close) {
        this.#fail(`"," or "${close}" is expected here`);
      }
    }
    this.#depth--;
  }

  #string(): string {
    const start = this.#at;
    const token = this.#match(STRING);
    if (token !== undefined) return JSON.parse(token);
    const end = /["\r\n]|$/.exec(this.#text.slice(start + 1))!.index;
    this.#fail(
      this.#text[start + 1 + end] === '"'
        ? "a string with a control character or a wrong escape"
        : "a string without an end",
    );
  }

  #word(): unknown {
    const number = this.#match(NUMBER);
    if (number !== undefined) return Number(number);
    const start = this.#at;
    const word = this.#match(WORD);
    if (word !== undefined && Object.hasOwn(WORDS, word)) return WORDS[word];
    if (word === undefined && start < this.#text.length) {
      this.#fail(`a value is expected here, not ${quote(this.#text[start])}`);
    }
    this.#fail(
      word === undefined
        ? "a value is expected here, not the end"
        : `${quote(word.slice(0, 40))} is no value ` +
          "(strings stand in double quotes)",
      start,
    );
  }

  #skip(): void {
    this.#match(SPACE);
    if (this.#text.startsWith("/*", this.#at)) {
      this.#fail("a comment without an end");
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
