/**
 * Input of secrets.
 *
 * @module
 */

import { type Host, type ProcessSignal, SIGNALS } from "../host/host.ts";

const KEY = {
  interrupt: 0x03, // Ctrl-C
  end: 0x04, // Ctrl-D
  backspace: 0x08,
  lineFeed: 0x0a,
  enter: 0x0d,
  clear: 0x15, // Ctrl-U
  escape: 0x1b,
  delete: 0x7f,
} as const;

/** The outcome of a prompt. */
export type Line =
  | { readonly type: "line"; readonly bytes: Uint8Array }
  /** Ctrl-C was pressed. */
  | { readonly type: "interrupted" }
  /** Ctrl-D was pressed, or the terminal was closed. */
  | { readonly type: "ended" };

/**
 * Makes lines of the bytes of keys. The bytes are not decoded, so they may be in
 * any encoding; only backspace assumes UTF-8.
 */
export class LineEditor {
  #typed: number[] = [];
  /** The beginning of an incomplete escape sequence, such as that of an arrow key. */
  #escape = "";
  #last = 0;
  readonly #onIgnored: () => void;

  /** Calls `onIgnored` for each key that has no effect. */
  constructor(onIgnored: () => void = () => {}) {
    this.#onIgnored = onIgnored;
  }

  /** Processes a byte. Returns the line if the byte ends it. */
  key(byte: number): Line | undefined {
    const last = this.#last;
    this.#last = byte;
    if (this.#escape !== "") return this.#continueEscape(byte);
    switch (byte) {
      case KEY.lineFeed:
        // The LF of CR LF does not end another line.
        return last === KEY.enter ? undefined : this.#enter();
      case KEY.enter:
        return this.#enter();
      case KEY.interrupt:
        return { type: "interrupted" };
      case KEY.end:
        return this.#typed.length === 0 ? { type: "ended" } : this.#ignore();
      case KEY.backspace:
      case KEY.delete:
        return this.#deleteCharacter();
      case KEY.clear:
        this.#typed = [];
        return undefined;
      case KEY.escape:
        this.#escape = "\x1b";
        return undefined;
    }
    if (byte < 0x20) return this.#ignore();
    this.#typed.push(byte);
  }

  #enter(): Line {
    const bytes = Uint8Array.from(this.#typed);
    this.#typed = [];
    return { type: "line", bytes };
  }

  #deleteCharacter(): undefined {
    let byte;
    do byte = this.#typed.pop(); while (byte && (byte & 0xc0) === 0x80);
  }

  /** An escape sequence is `ESC [ … letter` or `ESC O letter`. Any other key ends it, too. */
  #continueEscape(byte: number): Line | undefined {
    const isFirst = this.#escape === "\x1b";
    const isFinal = byte >= 0x40 && byte !== KEY.delete;
    if (isFirst && (byte === 0x5b || byte === 0x4f)) {
      this.#escape += String.fromCharCode(byte);
      return undefined;
    }
    const isInside = !isFirst && byte >= 0x20 && byte < 0x40;
    if (isInside) return undefined;
    this.#escape = "";
    this.#ignore();
    // A key after a lone Escape has its usual effect.
    return isFirst || !isFinal ? this.key(byte) : undefined;
  }

  #ignore(): undefined {
    this.#onIgnored();
  }
}

/**
 * Asks for a line on the terminal. Keys that were typed before the prompt count: pasted
 * text may have several lines.
 */
export type Ask = (prompt: string) => Promise<Line>;

/** Calls `use` with a terminal that does not show the input, and restores it in any case. */
export async function withSecrets<T>(
  host: Host,
  use: (ask: Ask) => Promise<T>,
): Promise<T> {
  const { input } = host;
  const restore = () => input.setRaw(false);
  const undo = Object.entries(SIGNALS).map(([name, number]) =>
    host.onSignal(name as ProcessSignal, () => {
      restore();
      host.exit(128 + number);
    })
  );
  input.setRaw(true);
  try {
    return await use(askOn(host));
  } finally {
    restore();
    undo.forEach((it) => it());
  }
}

function askOn(host: Host): Ask {
  const editor = new LineEditor(() => host.writeError("\x07"));
  let typed: Iterator<number> = [].values();
  return async (prompt) => {
    host.writeError(prompt);
    for (;;) {
      for (let key; !(key = typed.next()).done;) {
        const line = editor.key(key.value);
        if (!line) continue;
        host.writeError("\r\n");
        return line;
      }
      const chunk = await host.input.read();
      if (!chunk) return { type: "ended" };
      typed = chunk.values();
    }
  };
}

/**
 * Reads the first line of an input that is not a terminal, without its line break
 * and a byte order mark.
 */
export async function readLine(host: Host): Promise<Uint8Array> {
  const bytes: number[] = [];
  for (let chunk; (chunk = await host.input.read());) {
    const end = chunk.indexOf(KEY.lineFeed);
    for (const byte of end < 0 ? chunk : chunk.subarray(0, end)) {
      bytes.push(byte);
    }
    if (end >= 0 || bytes.length > MAX_LENGTH) break;
  }
  if (bytes.at(-1) === KEY.enter) bytes.pop();
  // A byte order mark, which some editors and shells on Windows write.
  if (BYTE_ORDER_MARK.every((byte, i) => bytes[i] === byte)) bytes.splice(0, 3);
  return Uint8Array.from(bytes);
}

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Longer than any password: an endless line must not fill the memory. */
const MAX_LENGTH = 65_536;
