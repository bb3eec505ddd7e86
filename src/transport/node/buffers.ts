/**
 * The buffers that sockets read into.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Clock } from "../clock.ts";
import type { Timeout } from "../timeouts.ts";

/** The buffer of all connections that are not busy. It is used until a callback returns. */
export const SHARED: Buffer = Buffer.allocUnsafeSlow(64 * 1024);

const BUSY_BUFFER = 256 * 1024;
/** A direction gives its buffer back after this time without a read, in milliseconds. */
const QUIET = 5_000;
const SPARE_BUFFERS = 16;
const spare: Buffer[] = [];

/** Copies bytes of the shared buffer that are used after the callback. */
export function copy(chunk: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(chunk.length); // from Node's pool if it is small
  bytes.set(chunk);
  return bytes;
}

/** The buffer of one direction of a relay while it is busy. */
export class BusyBuffer {
  buffer: Buffer = take();
  /** How many reads there were. */
  reads = 1;
  readonly #clock: Clock;
  readonly #onQuiet: () => boolean;
  #readsBefore = 0;
  #check: Timeout | undefined;

  /**
   * Calls `onQuiet` when there was no read for a while, until that returns `true`: it has
   * released the buffer then.
   */
  constructor(clock: Clock, onQuiet: () => boolean) {
    this.#clock = clock;
    this.#onQuiet = onQuiet;
    this.#watch();
  }

  /** Leaves the buffer to a write that still uses it, and takes another one. */
  replace(): void {
    this.buffer = take();
  }

  /** Gives the buffer back, which nothing uses any more. */
  release(): void {
    this.abandon();
    if (spare.length < SPARE_BUFFERS) spare.push(this.buffer);
  }

  /** Leaves the buffer to the garbage collector, because a write may still use it. */
  abandon(): void {
    this.#check?.cancel();
  }

  #watch(): void {
    const check = () => this.#checkQuiet();
    this.#check = this.#clock.startTimeout(QUIET, check);
  }

  #checkQuiet(): void {
    const quiet = this.reads === this.#readsBefore;
    this.#readsBefore = this.reads;
    if (!quiet || !this.#onQuiet()) this.#watch();
  }
}

function take(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(BUSY_BUFFER);
}
