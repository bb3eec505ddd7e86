/**
 * The content of a request that is a stream.
 *
 * @module
 */

import type { Writable } from "node:stream";
import { setImmediate } from "node:timers";
import { joined } from "./octets.ts";

/** What a stream has given. */
type Reading = Promise<{ done: boolean; value?: unknown }>;

/** Content that is read while it is sent, once. */
export class Upload {
  readonly #reader: ReadableStreamDefaultReader<unknown>;
  readonly #readings: Reading[];
  /** Whether anything was read. */
  isUsed = false;

  /** The readings have been started before. */
  constructor(
    reader: ReadableStreamDefaultReader<unknown>,
    readings: Reading[] = [],
  ) {
    this.#reader = reader;
    this.#readings = readings;
  }

  /** The next octets; `undefined` at the end. */
  async next(): Promise<Uint8Array | undefined> {
    this.isUsed = true;
    const { done, value } =
      await (this.#readings.shift() ?? this.#reader.read());
    if (done) return undefined;
    return octetsOf(value);
  }

  /** The same as a stream. */
  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream({
      pull: async (controller) => {
        const octets = await this.next();
        if (octets) controller.enqueue(octets);
        else controller.close();
      },
      cancel: (reason) => this.cancel(reason),
    });
  }

  /** No more octets are needed. */
  cancel(reason?: unknown): void {
    this.#reader.cancel(reason).catch(() => {});
  }
}

/** Resolves when more can be written, or never will be. */
export function drained(to: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (to.destroyed) return resolve();
    const done = () => {
      to.off("drain", done);
      to.off("close", done);
      resolve();
    };
    to.on("drain", done);
    to.on("close", done);
  });
}

function octetsOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError(
    "the stream of a request body must consist of Uint8Arrays",
  );
}

/** How many parts of a stream are looked at before it counts as one. */
const MAX_PARTS = 16;

/**
 * Returns the octets of a body, if they are all there: nothing else shows whether the body of
 * a `Request` is a stream of the program.
 */
export async function contentOf(
  body: ReadableStream<unknown>,
): Promise<Uint8Array | Upload> {
  const reader = body.getReader();
  const readings: Reading[] = [];
  const parts: Uint8Array[] = [];
  const turn = new Promise<void>((resolve) => setImmediate(resolve));
  while (readings.length < MAX_PARTS) {
    const reading = reader.read();
    readings.push(reading);
    reading.catch(() => {}); // next() reports it
    const found = await Promise.race([reading, turn]).catch(() => {});
    if (!found) break;
    if (found.done) return joined(parts);
    parts.push(octetsOf(found.value));
  }
  return new Upload(reader, readings);
}
