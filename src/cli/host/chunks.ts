/**
 * Text in pieces that a pipe takes.
 *
 * @module
 */

/** To UTF-8. */
export const encoder = new TextEncoder();

/** What a pipe takes as a whole or not at all, in octets: PIPE_BUF. */
const PIECE = 4096;

/**
 * Whole lines, as many as a pipe takes at once. Of more than that Deno says
 * "would block" also when it has written a part, if the pipe is non-blocking,
 * as `npx` makes it.
 */
export function* chunks(octets: Uint8Array): Iterable<Uint8Array> {
  const lineFeed = 0x0a;
  for (let end; octets.length > 0; octets = octets.subarray(end)) {
    end = octets.length;
    if (end > PIECE) end = octets.lastIndexOf(lineFeed, PIECE - 1) + 1;
    // A single line is longer than that.
    if (end === 0) end = octets.indexOf(lineFeed) + 1 || octets.length;
    yield octets.subarray(0, end);
  }
}

/** Writes in as many steps as it takes; a failure, such as a full disk, ends it. */
export async function writeAll(
  octets: Uint8Array,
  write: (octets: Uint8Array) => Promise<number>,
): Promise<void> {
  while (octets.length > 0) {
    try {
      octets = octets.subarray(await write(octets));
    } catch (error) {
      if (!isBusy(error)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A pipe that another process made non-blocking is full. */
function isBusy(error: unknown): boolean {
  const { name, code } = error as { name?: string; code?: string };
  return name === "WouldBlock" || code === "EAGAIN";
}
