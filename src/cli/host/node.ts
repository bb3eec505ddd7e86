/**
 * {@linkcode Host} on Node.js.
 *
 * @module
 */

import type { Host, ProcessSignal } from "./host.ts";
import { chunks, encoder } from "./chunks.ts";

/** Says to a process that it is a worker of one that runs the same program. */
export const WORKER_VARIABLE = "SOCKS5_SERVER_WORKER";

/** The members of `process` that are used here. */
export interface NodeProcess {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeInput;
  readonly stdout: NodeOutput;
  readonly stderr: NodeOutput;
  /** Whether the process that started this one can talk to it. */
  readonly connected?: boolean;
  on(signal: ProcessSignal | "SIGHUP", listener: () => void): void;
  off(signal: ProcessSignal | "SIGHUP", listener: () => void): void;
  exit(code: number): never;
}

interface NodeOutput {
  readonly isTTY?: boolean;
  on(event: "error", listener: () => void): this;
  write(text: string, done?: () => void): void;
  readonly _handle?: { setBlocking?(on: boolean): void };
}

interface NodeInput extends AsyncIterable<Uint8Array> {
  readonly isTTY?: boolean;
  setRawMode(on: boolean): void;
}

/** How long a process that ends waits for its output to be read, in milliseconds. */
const PATIENCE = 1_000;

/** The process of Node.js. Only what is used looks at the standard streams, for that opens them. */
export function nodeHost(process: NodeProcess): Host {
  const isWorker = process.connected === true && WORKER_VARIABLE in process.env;
  let input: AsyncIterator<Uint8Array> | undefined;
  const stdout = onFirstUse(() => process.stdout);
  const stderr = onFirstUse(() => process.stderr);
  const write = (text: string) => nodeWrite(stdout(), text);
  return {
    args: process.argv.slice(2),
    env: (name) => process.env[name],
    mayReadEnv: () => true,
    onSignal(signal, listener) {
      process.on(signal, listener);
      return () => process.off(signal, listener);
    },
    hasTerminal: () => Promise.resolve(stdout().isTTY === true),
    get wantsColors() {
      const { NO_COLOR, TERM } = process.env;
      return !NO_COLOR && TERM !== "dumb";
    },
    write: isWorker ? inChunks(write) : write,
    writeError: (text) => stderr().write(text),
    input: {
      get isTerminal() {
        return process.stdin.isTTY === true;
      },
      setRaw: (on) => process.stdin.setRawMode(on),
      async read() {
        input ??= process.stdin[Symbol.asyncIterator]();
        const { value, done } = await input.next();
        return done ? null : value;
      },
    },
    end(code) {
      setTimeout(() => process.exit(code), PATIENCE);
      stdout().write("", () => stderr().write("", () => process.exit(code)));
    },
    exit: (code) => process.exit(code),
    isWorker,
  };
}

/** A standard stream; that nobody reads it any more is an error of nobody. */
function onFirstUse(open: () => NodeOutput): () => NodeOutput {
  let output: NodeOutput | undefined;
  return () => output ??= open().on("error", () => {});
}

/** Streams write to pipes without blocking, to files at once, and to terminals only so without blocking. */
function nodeWrite(stdout: NodeOutput, text: string): Promise<void> {
  if (stdout.isTTY) stdout._handle?.setBlocking?.(false);
  return new Promise((resolve) => stdout.write(text, () => resolve()));
}

/** Lest lines get into those of other processes with the same output. */
export function inChunks(
  write: (text: string) => Promise<void>,
): (text: string) => Promise<void> {
  const decoder = new TextDecoder();
  return async (text) => {
    for (const lines of chunks(encoder.encode(text))) {
      await write(decoder.decode(lines));
    }
  };
}
