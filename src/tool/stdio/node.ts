/**
 * The standard streams on Node.js and Bun.
 *
 * @module
 */

import * as fs from "node:fs";
import * as net from "node:net";
import process from "node:process";
import { isatty } from "node:tty";
import { detectRuntime } from "../../transport/detect.ts";
import type { StandardStreams } from "./streams.ts";

const INPUT = 0;
const OUTPUT = 1;

/** How long to wait for a pipe that another process has made non-blocking, in milliseconds. */
const RETRY = 5;

/** Opens the streams. */
export function openStreams(): Promise<StandardStreams> {
  const input = process.stdin[Symbol.asyncIterator]();
  const read = async () => {
    const { value, done } = await input.next();
    return done ? null : value as Uint8Array;
  };
  return Promise.resolve({ read, ...openOutput() });
}

type Output = Pick<StandardStreams, "write" | "endOutput">;

function openOutput(): Output {
  // Whoever sits at a terminal does not see the end of the output.
  if (isatty(INPUT)) return throughDescriptor(false);
  if (detectRuntime() === "bun") return throughDescriptor(!isShared());
  const stat = fs.fstatSync(OUTPUT);
  return stat.isFIFO() || stat.isSocket()
    ? throughSocket()
    : throughDescriptor(true);
}

/** Whether one socket is both the input and the output: closing the latter has no effect. */
function isShared(): boolean {
  const [input, output] = [INPUT, OUTPUT].map((it) => fs.fstatSync(it));
  return output.isSocket() && input.ino === output.ino;
}

/**
 * A stream of its own, because `process.stdout` blocks the process while the reader is
 * slow, and cannot be closed.
 */
function throughSocket(): Output {
  const socket = new net.Socket({
    fd: OUTPUT,
    readable: false,
    writable: true,
  });
  socket.on("error", () => {}); // reported by the write
  return {
    write: (chunk) =>
      new Promise((resolve, reject) =>
        socket.write(chunk, (error) => error ? reject(error) : resolve())
      ),
    endOutput: () =>
      new Promise((resolve) => {
        socket.once("close", () => {
          closeDescriptor();
          resolve();
        });
        socket.end();
      }),
  };
}

/** Bun writes to its streams synchronously. */
function throughDescriptor(canEnd: boolean): Output {
  return {
    async write(chunk) {
      for (let left = chunk; left.length > 0;) {
        left = left.subarray(await writeSome(left));
      }
    },
    ...(canEnd && {
      endOutput: () => Promise.resolve(closeDescriptor()),
    }),
  };
}

function writeSome(chunk: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) =>
    fs.write(OUTPUT, chunk, (error, length) => {
      if (!error) resolve(length);
      else if (error.code !== "EAGAIN") reject(error);
      else setTimeout(() => resolve(0), RETRY);
    })
  );
}

/** Node.js never closes this descriptor by itself, so that its reader would see no end. */
function closeDescriptor(): void {
  try {
    fs.closeSync(OUTPUT);
  } catch {
    // It is closed already.
  }
}
