/**
 * Lines for the standard output.
 *
 * @module
 */

/** Options of {@linkcode LineWriter}. */
export interface LineWriterOptions {
  /** Writes text. The promise resolves when the text is written or cannot be written. */
  write(text: string): Promise<void>;
  /** Formats the line that reports the number of dropped lines. */
  formatDropped(lines: number): string;
  /**
   * The maximum number of characters that wait, including those being written.
   *
   * @default {1_048_576}
   */
  limit?: number;
  /**
   * How long lines are collected before a write, in milliseconds.
   *
   * @default {100}
   */
  delay?: number;
}

/** With this number of characters, a write does not wait any longer. */
const CHUNK_SIZE = 65_536;

/**
 * Collects lines, and writes them with one write at a time: a write per line
 * would add a considerable part to the cost of a session. If the reader is slow,
 * lines are dropped; the program never waits for it.
 */
export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #limit: number;
  #lines: string[] = [];
  /** The number of characters of `#lines` and of the write in progress. */
  #waiting = 0;
  #dropped = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> | undefined;

  /** Calls `options.write`, never twice at the same time. */
  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#limit = options.limit ?? 2 ** 20;
  }

  /** Queues a line, without its line break, to be written soon. */
  print(line: string): void {
    this.#push(line);
    if (this.#writing) return;
    if (this.#waiting >= CHUNK_SIZE) void this.flush();
    else {
      this.#timer ??= setTimeout(
        () => void this.flush(),
        this.#options.delay ?? 100,
      );
    }
  }

  /** Writes a line immediately, after those that wait. */
  printNow(line: string): void {
    this.#push(line);
    void this.flush();
  }

  /** Writes immediately. Resolves when all lines are written or cannot be written. */
  flush(): Promise<void> {
    // On Deno, the first use of timers takes a tenth of the time until a server listens.
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    // Without lines, `#writeAll()` would end before its promise is assigned.
    const isEmpty = this.#lines.length === 0 && this.#dropped === 0;
    if (isEmpty && !this.#writing) return Promise.resolve();
    return this.#writing ??= this.#writeAll();
  }

  /** As {@linkcode flush}, but waits no longer than `timeout` milliseconds. */
  async finish(timeout = 1_000): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) =>
      timer = setTimeout(resolve, timeout)
    );
    await Promise.race([this.flush(), late]);
    clearTimeout(timer);
  }

  #push(line: string): void {
    // After a dropped line, a shorter one is dropped as well, so that the report
    // of dropped lines is where they are missing.
    if (this.#dropped > 0 || this.#waiting + line.length >= this.#limit) {
      this.#dropped++;
    } else this.#add(line);
  }

  #add(line: string): void {
    this.#lines.push(line);
    this.#waiting += line.length + 1;
  }

  async #writeAll(): Promise<void> {
    for (;;) {
      if (this.#dropped > 0) {
        this.#add(this.#options.formatDropped(this.#dropped));
        this.#dropped = 0;
      }
      if (this.#lines.length === 0) break;
      const text = `${this.#lines.join("\n")}\n`;
      this.#lines = [];
      await this.#options.write(text);
      this.#waiting -= text.length;
    }
    this.#writing = undefined;
  }
}
