/**
 * Splits output into chunks that a pipe takes at once.
 *
 * @module
 */

/** Encodes text as UTF-8. */
export const encoder = new TextEncoder();

/** PIPE_BUF, in bytes: a pipe takes a write of up to this size as a whole or not at all. */
const PIPE_BUF = 4096;

/**
 * Splits bytes into chunks of whole lines, as many as a pipe takes at once. After
 * a larger write to a non-blocking pipe, which `npx` creates, Deno reports "would
 * block" even if it has written a part of the bytes.
 */
export function* chunks(bytes: Uint8Array): Iterable<Uint8Array> {
  const lineFeed = 0x0a;
  for (let end; bytes.length > 0; bytes = bytes.subarray(end)) {
    end = bytes.length;
    if (end > PIPE_BUF) end = bytes.lastIndexOf(lineFeed, PIPE_BUF - 1) + 1;
    // The first line alone is larger than a chunk.
    if (end === 0) end = bytes.indexOf(lineFeed) + 1 || bytes.length;
    yield bytes.subarray(0, end);
  }
}

/** Calls `write` until all bytes are written, or until an error such as a full disk. */
export async function writeAll(
  bytes: Uint8Array,
  write: (bytes: Uint8Array) => Promise<number>,
): Promise<void> {
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(await write(bytes));
    } catch (error) {
      if (!isBusy(error)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Whether a pipe is full that another process has made non-blocking. */
function isBusy(error: unknown): boolean {
  const { name, code } = error as { name?: string; code?: string };
  return name === "WouldBlock" || code === "EAGAIN";
}
