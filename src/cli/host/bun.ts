/**
 * {@linkcode Host} on Bun. It differs from that of Node.js in the standard output:
 * reading `process.stdout` loads the streams of Node.js, which takes a quarter of
 * the time until the server listens.
 *
 * @module
 */

import type { Host } from "./host.ts";
import { inChunks, nodeHost, type NodeProcess } from "./node.ts";
import { encoder, writeAll } from "./chunks.ts";

/** The members of `Bun` that are used here. */
export interface BunOutput {
  readonly stdout: BunFile & { writer(): BunWriter };
  file(path: string): BunFile;
}

interface BunFile {
  stat(): Promise<{ readonly rdev: number; isCharacterDevice(): boolean }>;
}

interface BunWriter {
  /**
   * Returns a promise if the text is longer than the buffer. It is then written
   * without `flush()`, and only this promise reports an error.
   */
  write(text: string): unknown;
  /** Settles when the text is written. Blocks the process if a terminal is stopped. */
  flush(): unknown;
}

/** Creates the host on Bun. */
export function bunHost(process: NodeProcess, bun: BunOutput): Host {
  const { stdout } = bun;
  const node = nodeHost(process);
  let isTerminal: Promise<boolean> | undefined;
  let writer: BunWriter | undefined;
  const hasTerminal = () => isTerminal ??= detectTerminal(bun);
  const write = async (text: string) => {
    if (await hasTerminal()) return await writeDescriptor(text);
    try {
      writer ??= stdout.writer();
      await writer.write(text);
      await writer.flush();
    } catch {
      // The reader of the pipe is closed, or the disk is full.
    }
  };
  return {
    ...node,
    hasTerminal,
    write: node.isWorker ? inChunks(write) : write,
    end: node.exit, // `console` does not wait for its reader
  };
}

/**
 * Only a character device can be a terminal. `/dev/null`, the usual output of a
 * service that needs none, is one too, but no terminal. Both checks avoid loading
 * `node:tty`.
 */
async function detectTerminal({ stdout, file }: BunOutput): Promise<boolean> {
  try {
    const output = await stdout.stat();
    if (!output.isCharacterDevice()) return false;
    const nullDevice = await file("/dev/null").stat();
    if (output.rdev === nullDevice.rdev) return false;
  } catch {
    return false; // the output is closed
  }
  const { isatty } = await import("node:tty");
  return isatty(1);
}

async function writeDescriptor(text: string): Promise<void> {
  const { write } = await import("node:fs");
  await writeAll(
    encoder.encode(text),
    (bytes) =>
      new Promise((resolve, reject) =>
        write(
          1,
          bytes,
          (error, length) => error ? reject(error) : resolve(length),
        )
      ),
  );
}
