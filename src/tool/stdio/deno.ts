/**
 * The standard streams on Deno.
 *
 * @module
 */

import type { StandardStreams } from "./streams.ts";

/** The members of `Deno` that are used here. */
interface DenoStreams {
  readonly stdin: { read(into: Uint8Array): Promise<number | null> };
  readonly stdout: { write(bytes: Uint8Array): Promise<number> };
}

const BUFFER = 65_536;

/** How long to wait for a pipe that another process has made non-blocking, in milliseconds. */
const RETRY = 5;

/**
 * Opens the streams. The output cannot end before the input: `Deno.stdout.close()` closes
 * only a duplicate of the descriptor.
 */
export function openStreams(): StandardStreams {
  const { stdin, stdout } =
    (globalThis as unknown as { Deno: DenoStreams }).Deno;
  return {
    async read() {
      const buffer = new Uint8Array(BUFFER);
      const length = await whenReady(() => stdin.read(buffer));
      return length === null ? null : buffer.subarray(0, length);
    },
    async write(chunk) {
      for (let left = chunk; left.length > 0;) {
        left = left.subarray(await whenReady(() => stdout.write(left)));
      }
    },
  };
}

async function whenReady<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as Error).name !== "WouldBlock") throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }
}
