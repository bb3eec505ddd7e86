/**
 * Shows the progress of the tests: on a terminal in one line that changes, elsewhere in a
 * line every ten seconds.
 *
 * @module
 */

import type { Counts } from "./output.ts";
import { formatCounts } from "./results.ts";

/** The output of the test runner, usually the standard output. */
export interface Screen {
  /** The width of the terminal, or `undefined` if it is none. */
  columns?: number;
  write(text: string): void;
}

/** How often the line is shown, in milliseconds. */
const EVERY = { terminal: 250, other: 10_000 };

/** Formats the counts of the runtimes that are being tested, after `seconds`. */
export function progressLine(
  seconds: number,
  running: ReadonlyMap<string, Counts>,
): string {
  const texts = [...running].map(([name, it]) => `${name} ${formatCounts(it)}`);
  return `${Math.floor(seconds)} s: ${texts.join(" | ")}`;
}

/** Shows the progress until it is closed. */
export class Progress {
  readonly #screen: Screen;
  readonly #running = new Map<string, Counts>();
  readonly #start = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(screen: Screen, every?: number) {
    this.#screen = screen;
    const { terminal, other } = EVERY;
    const usual = screen.columns === undefined ? other : terminal;
    this.#timer = setInterval(() => this.show(), every ?? usual);
  }

  /** Shows these counts, which change, until {@linkcode Progress.end} is called. */
  begin(name: string, counts: Counts): void {
    this.#running.set(name, counts);
  }

  end(name: string): void {
    this.#running.delete(name);
  }

  /** Prints a text that stays. */
  print(text: string): void {
    this.#clear();
    this.#screen.write(`${text}\n`);
  }

  show(): void {
    if (this.#running.size === 0) return;
    const seconds = (performance.now() - this.#start) / 1000;
    const line = progressLine(seconds, this.#running);
    const { columns } = this.#screen;
    if (columns === undefined) return this.#screen.write(`${line}\n`);
    this.#clear();
    this.#screen.write(line.slice(0, columns - 1));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #clear(): void {
    if (this.#screen.columns !== undefined) this.#screen.write("\r\x1b[K");
  }
}
