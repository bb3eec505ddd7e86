/**
 * Lines on their way to the standard output.
 *
 * @module
 */

/** Options of {@linkcode Output}. */
export interface OutputOptions {
  /** Settles when the text is written, or never will be. */
  write(text: string): Promise<void>;
  /** The line that tells how many lines were dropped. */
  tellDropped(lines: number): string;
  /**
   * How many characters may wait to be written, those being written included.
   *
   * @default {1_048_576}
   */
  limit?: number;
  /**
   * For how long lines are gathered, in milliseconds.
   *
   * @default {100}
   */
  gather?: number;
}

/** That many characters are not gathered any longer. */
const ENOUGH = 65_536;

/**
 * Gathers lines and writes them one write at a time: a write for each line
 * would cost the program a good part of what a session costs. A reader that is
 * too slow loses lines instead of holding up the program.
 */
export class Output {
  readonly #options: OutputOptions;
  readonly #limit: number;
  #lines: string[] = [];
  /** The characters of `#lines` and of what is being written. */
  #waiting = 0;
  #dropped = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> | undefined;

  /** Writes with `options.write`, of which only one runs at a time. */
  constructor(options: OutputOptions) {
    this.#options = options;
    this.#limit = options.limit ?? 2 ** 20;
  }

  /** Takes a line, without its line break, to be written soon. */
  print(line: string): void {
    this.#take(line);
    if (this.#writing) return;
    if (this.#waiting >= ENOUGH) void this.flush();
    else {
      this.#timer ??= setTimeout(
        () => void this.flush(),
        this.#options.gather ?? 100,
      );
    }
  }

  /** Takes a line that someone waits for, and writes it at once. */
  printNow(line: string): void {
    this.#take(line);
    void this.flush();
  }

  /** Writes at once; settles when all lines are written, or never will be. */
  flush(): Promise<void> {
    // The first use of timers takes Deno a tenth of the time until a server listens.
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#writing ??= this.#writeAll();
  }

  /** As {@linkcode flush}, and gives up after so many milliseconds. */
  async finish(patience = 1_000): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) =>
      timer = setTimeout(resolve, patience)
    );
    await Promise.race([this.flush(), late]);
    clearTimeout(timer);
  }

  #take(line: string): void {
    // Not even a short one after that: the order shows where lines are missing.
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
        this.#add(this.#options.tellDropped(this.#dropped));
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
