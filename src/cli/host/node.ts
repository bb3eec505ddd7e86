/**
 * {@linkcode Host} on Node.js.
 *
 * @module
 */

import type { Host, HostSignal } from "./host.ts";
import { chunks, encoder } from "./chunks.ts";

/** The environment variable that marks a process as a worker of the one that started it. */
export const WORKER_VARIABLE = "SOCKS5_SERVER_WORKER";

/** The members of `process` that are used here. */
export interface NodeProcess {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeInput;
  readonly stdout: NodeOutput;
  readonly stderr: NodeOutput;
  /** Whether the IPC channel to the parent process is open. */
  readonly connected?: boolean;
  on(signal: HostSignal, listener: () => void): void;
  off(signal: HostSignal, listener: () => void): void;
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

/** How long `end()` waits until the output is read, in milliseconds. */
const END_TIMEOUT = 1_000;

/**
 * Creates the host on Node.js. It reads the properties of the standard streams
 * only on their first use, because reading them opens the streams.
 */
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
      setTimeout(() => process.exit(code), END_TIMEOUT);
      stdout().write("", () => stderr().write("", () => process.exit(code)));
    },
    exit: (code) => process.exit(code),
    isWorker,
  };
}

/** Opens a standard stream on first use. Ignores its errors, such as a closed reader. */
function onFirstUse(open: () => NodeOutput): () => NodeOutput {
  let output: NodeOutput | undefined;
  return () => output ??= open().on("error", () => {});
}

/**
 * Writes to a stream. Streams write to files immediately; on terminals they block unless
 * the handle is set to non-blocking. On a pipe they block as soon as another process that
 * shares it has made it blocking: a worker does when it starts and when it ends.
 */
function nodeWrite(stdout: NodeOutput, text: string): Promise<void> {
  stdout._handle?.setBlocking?.(false);
  return new Promise((resolve) => stdout.write(text, () => resolve()));
}

/**
 * Wraps `write` so that it writes chunks of whole lines. Otherwise the lines of
 * several processes with the same output would be mixed.
 */
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
