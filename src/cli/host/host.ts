/**
 * The process that the program runs in.
 *
 * On each runtime by what is there anyway, looked up structurally: to load
 * `node:process` on Deno, or to look at `process.stdout` on Bun, would be a good
 * part of the time until the server listens.
 *
 * @module
 */

import { bunHost, type BunOutput } from "./bun.ts";
import { denoHost, type DenoProcess } from "./deno.ts";
import { nodeHost, type NodeProcess } from "./node.ts";

/** The signals that end the program, and their numbers. */
export const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** The name of such a signal. */
export type ProcessSignal = keyof typeof SIGNALS;

/** What the program needs of its process. */
export interface Host {
  /** The arguments behind the program's name. */
  readonly args: readonly string[];
  /**
   * An environment variable. `undefined` also where Deno would have to ask for
   * the permission: a server must not wait for an answer.
   */
  env(name: string): string | undefined;
  /** Whether {@linkcode Host.env} may be asked for it. */
  mayReadEnv(name: string): boolean;
  /** Calls `listener` for a signal instead of ending the process. Gives what undoes it. */
  onSignal(signal: ProcessSignal | "SIGHUP", listener: () => void): () => void;
  /** Whether the standard output is a terminal. */
  hasTerminal(): Promise<boolean>;
  /** Whether a terminal is to be coloured (https://no-color.org). */
  readonly wantsColors: boolean;
  /**
   * Writes to the standard output without ever blocking the process, which
   * `console.log()` does while the reader of a pipe or a terminal has stopped.
   * Settles when it is written or cannot be; call it for one text at a time.
   */
  write(text: string): Promise<void>;
  /** Writes to the standard error. */
  writeError(text: string): void;
  /** The standard input. */
  readonly input: Input;
  /** Ends the process when its output is written, or after a second without a reader. */
  end(code: number): void;
  /** Ends the process now. */
  exit(code: number): never;
  /** Whether it is a process that another one has started to serve for it. */
  readonly isWorker: boolean;
}

/** The standard input. */
export interface Input {
  /** Whether a person types it. */
  readonly isTerminal: boolean;
  /** Whether a terminal gives each key at once, does not show it and obeys none. */
  setRaw(on: boolean): void;
  /** What comes next; `null` at the end. */
  read(): Promise<Uint8Array | null>;
}

/** The process of the runtime that runs this. */
export function thisHost(): Host {
  const runtime = globalThis as unknown as {
    Deno?: DenoProcess;
    Bun?: BunOutput;
    process: NodeProcess;
  };
  const { Deno: deno, Bun: bun } = runtime;
  if (deno) return denoHost(deno); // where to look at `process` loads it
  return bun ? bunHost(runtime.process, bun) : nodeHost(runtime.process);
}
