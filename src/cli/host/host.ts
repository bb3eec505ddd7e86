/**
 * The process that runs the program: arguments, environment, streams, signals.
 *
 * @module
 */

/** The signals that end the program, and their numbers. */
export const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** The name of a signal that ends the program. */
export type ProcessSignal = keyof typeof SIGNALS;

/**
 * Signals that the program ignores. Without a listener they end it, and SIGUSR1 opens
 * a debugger on Node.js. On Deno SIGUSR1 opens a debugger even if there is a listener:
 * https://github.com/denoland/deno/pull/35738
 */
export const IGNORED_SIGNALS = ["SIGUSR1", "SIGUSR2"] as const;

/** A signal that the program can listen for. */
export type HostSignal =
  | ProcessSignal
  | "SIGHUP"
  | typeof IGNORED_SIGNALS[number];

/** The parts of a process that the program uses. Each runtime has an adapter. */
export interface Host {
  /** The arguments after the name of the program. */
  readonly args: readonly string[];
  /**
   * Returns an environment variable. On Deno, returns `undefined` if reading the
   * variable would prompt for the permission: a server must not wait for an answer.
   */
  env(name: string): string | undefined;
  /** Whether the program has the permission to read the environment variable. */
  mayReadEnv(name: string): boolean;
  /**
   * Calls `listener` for a signal, which then no longer ends the process.
   * Returns a function that removes the listener.
   */
  onSignal(signal: HostSignal, listener: () => void): () => void;
  /** Whether the standard output is a terminal. */
  hasTerminal(): Promise<boolean>;
  /** Whether output to a terminal should be coloured (https://no-color.org). */
  readonly wantsColors: boolean;
  /**
   * Writes to the standard output and never blocks the process, unlike
   * `console.log()`, which blocks while the reader of a pipe or a terminal is
   * paused. Resolves when the text is written or cannot be written. Calls must not
   * overlap.
   */
  write(text: string): Promise<void>;
  /** Writes to the standard error. */
  writeError(text: string): void;
  /** The standard input. */
  readonly input: Input;
  /**
   * Ends the process after its output is written, or after a second if the output
   * is not read.
   */
  end(code: number): void;
  /** Ends the process immediately. */
  exit(code: number): never;
  /** Whether the program started this process, or on Deno this thread, as a worker. */
  readonly isWorker: boolean;
}

/** The standard input. */
export interface Input {
  /** Whether the input is a terminal. */
  readonly isTerminal: boolean;
  /**
   * Sets the raw mode of the terminal: it passes on each key immediately, does not
   * echo it, and does not interpret it.
   */
  setRaw(on: boolean): void;
  /** Reads the next chunk; `null` at the end of the input. */
  read(): Promise<Uint8Array | null>;
}
