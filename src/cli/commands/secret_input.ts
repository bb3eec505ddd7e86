/**
 * Secrets that a person types.
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

/** What has become of a line. */
export type Line =
  | { readonly type: "octets"; readonly octets: Uint8Array }
  /** The person pressed Ctrl-C. */
  | { readonly type: "interrupted" }
  /** The person pressed Ctrl-D, or the terminal is gone. */
  | { readonly type: "ended" };

/**
 * Makes lines of the octets of keys. The octets stay what they are, in whatever
 * encoding the terminal has; only backspace knows how UTF-8 looks.
 */
export class LineEditor {
  #typed: number[] = [];
  /** What of an escape sequence, such as that of an arrow key, has come. */
  #escape = "";
  #last = 0;
  readonly #onIgnored: () => void;

  /** `onIgnored` is called for each key that types nothing. */
  constructor(onIgnored: () => void = () => {}) {
    this.#onIgnored = onIgnored;
  }

  /** Takes one octet; gives the line that it ends. */
  key(octet: number): Line | undefined {
    const last = this.#last;
    this.#last = octet;
    if (this.#escape !== "") return this.#continueEscape(octet);
    switch (octet) {
      case KEY.lineFeed:
        // Of CR LF, the LF is not another line.
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
    if (octet < 0x20) return this.#ignore();
    this.#typed.push(octet);
  }

  #enter(): Line {
    const octets = Uint8Array.from(this.#typed);
    this.#typed = [];
    return { type: "octets", octets };
  }

  #deleteCharacter(): undefined {
    let octet;
    do octet = this.#typed.pop(); while (octet && (octet & 0xc0) === 0x80);
  }

  /** `ESC [ … letter` or `ESC O letter`; any other key ends it, too. */
  #continueEscape(octet: number): Line | undefined {
    const isFirst = this.#escape === "\x1b";
    const isOver = octet >= 0x40 && octet !== KEY.delete;
    if (isFirst && (octet === 0x5b || octet === 0x4f)) {
      this.#escape += String.fromCharCode(octet);
      return undefined;
    }
    const isInside = !isFirst && octet >= 0x20 && octet < 0x40;
    if (isInside) return undefined;
    this.#escape = "";
    this.#ignore();
    // A lone Escape swallows no key.
    return isFirst || !isOver ? this.key(octet) : undefined;
  }

  #ignore(): undefined {
    this.#onIgnored();
  }
}

/**
 * Asks for lines on the terminal without showing what is typed: the one behind
 * each prompt. An empty line is asked for nothing more. The terminal is as it
 * was afterwards, whatever happens.
 */
export async function readSecrets(
  host: Host,
  prompts: readonly string[],
): Promise<Line[]> {
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
    return await readLines(host, prompts);
  } finally {
    restore();
    undo.forEach((it) => it());
  }
}

async function readLines(
  host: Host,
  prompts: readonly string[],
): Promise<Line[]> {
  const lines: Line[] = [];
  const editor = new LineEditor(() => host.writeError("\x07"));
  host.writeError(prompts[0]);
  for (let chunk; (chunk = await host.input.read());) {
    for (const octet of chunk) {
      const line = editor.key(octet);
      if (!line) continue;
      host.writeError("\r\n");
      lines.push(line);
      const isEmpty = line.type === "octets" && line.octets.length === 0;
      const isLast = line.type !== "octets" || isEmpty;
      if (isLast || lines.length === prompts.length) return lines;
      host.writeError(prompts[lines.length]);
    }
  }
  return [...lines, { type: "ended" }];
}

/** The first line of an input that is no terminal, without its line break. */
export async function readLine(host: Host): Promise<Uint8Array> {
  const octets: number[] = [];
  for (let chunk; (chunk = await host.input.read());) {
    const end = chunk.indexOf(KEY.lineFeed);
    octets.push(...(end < 0 ? chunk : chunk.subarray(0, end)));
    if (end >= 0 || octets.length > LONGEST) break;
  }
  if (octets.at(-1) === KEY.enter) octets.pop();
  return Uint8Array.from(octets);
}

/** More than any password has; an input without end must end somewhere. */
const LONGEST = 65_536;
