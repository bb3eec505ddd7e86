/**
 * {@linkcode Host} on Bun: that of Node.js, but for the standard output. To
 * look at `process.stdout` loads the streams of Node.js, which takes a quarter
 * of the time until the server listens.
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
  write(text: string): unknown;
  /** Settles when it is written. Blocks the process at a stopped terminal. */
  flush(): unknown;
}

/** Bun's process. */
export function bunHost(process: NodeProcess, bun: BunOutput): Host {
  const { stdout } = bun;
  const node = nodeHost(process);
  let isTerminal: Promise<boolean> | undefined;
  let writer: BunWriter | undefined;
  const hasTerminal = () => isTerminal ??= askForTerminal(bun);
  const write = async (text: string) => {
    if (await hasTerminal()) return await writeDescriptor(text);
    try {
      writer ??= stdout.writer();
      writer.write(text);
      await writer.flush();
    } catch {
      // Nobody reads it any more, or the disk is full.
    }
  };
  return {
    ...node,
    hasTerminal,
    write: node.isWorker ? inChunks(write) : write,
    end: node.exit, // `console` does not wait for its reader
  };
}

/** What is no device is none, nor is the one of a service whose output nobody wants: that spares loading `node:tty`. */
async function askForTerminal({ stdout, file }: BunOutput): Promise<boolean> {
  try {
    const output = await stdout.stat();
    if (!output.isCharacterDevice()) return false;
    const nothing = await file("/dev/null").stat();
    if (output.rdev === nothing.rdev) return false;
  } catch {
    return false; // it is closed
  }
  const { isatty } = await import("node:tty");
  return isatty(1);
}

async function writeDescriptor(text: string): Promise<void> {
  const { write } = await import("node:fs");
  await writeAll(
    encoder.encode(text),
    (octets) =>
      new Promise((resolve, reject) =>
        write(
          1,
          octets,
          (error, length) => error ? reject(error) : resolve(length),
        )
      ),
  );
}
