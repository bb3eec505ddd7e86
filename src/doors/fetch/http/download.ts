/**
 * The content of a response that is a stream.
 *
 * @module
 */

import { joined } from "./octets.ts";

/** How many octets may wait for the program before the connection is paused. */
const LIMIT = 64 * 1024;

/** The connection of a {@linkcode Download}. */
export interface Source {
  /** There is room again. */
  resume(): void;
  /** The program wants no more. */
  abandon(): void;
  /** The program waits for octets, or does not: only then may the process end. */
  wait(isWaiting: boolean): void;
}

/** Lets connections go whose content the program has dropped without reading it. */
const dropped = new FinalizationRegistry<() => void>((abandon) => abandon());

/**
 * A stream for the octets of a connection. It is the program's: the connection holds it only
 * while a read waits.
 */
export class Download {
  readonly #source: Source;
  #controller: WeakRef<ReadableByteStreamController> | undefined;
  /** The controller while a read waits, so that it stays. */
  #reading: ReadableByteStreamController | undefined;
  /** What the program has not asked for yet. */
  #queue: Uint8Array[] = [];
  #size = 0;
  #isPaused = false;
  #hasEnded = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(source: Source) {
    this.#source = source;
  }

  /** All octets, if they have arrived already: then no stream is needed. */
  whole(): Uint8Array | undefined {
    return this.#hasEnded && !this.#failure ? joined(this.#queue) : undefined;
  }

  /** Returns the stream for the program, once. */
  open(): ReadableStream<Uint8Array> {
    const stream = new ReadableStream({
      type: "bytes",
      start: (it) => this.#start(it),
      pull: (it) => this.#pull(it),
      cancel: () => this.abandon(),
    }, { highWaterMark: 0 });
    dropped.register(stream, () => this.abandon());
    return stream;
  }

  #start(controller: ReadableByteStreamController): void {
    this.#controller = new WeakRef(controller);
    if (this.#failure) return controller.error(this.#failure.error);
    if (this.#hasEnded) this.#closeIfRead();
  }

  /** Nobody reads the rest. */
  abandon(): void {
    this.#drop();
    this.#source.abandon();
  }

  /** Adds octets, which belong to the stream then; returns whether there is room for more. */
  push(octets: Uint8Array): boolean {
    if (octets.length === 0) return true;
    const controller = this.#reading;
    if (controller) {
      this.#want(undefined);
      controller.enqueue(own(octets));
      return true;
    }
    this.#queue.push(octets);
    this.#size += octets.length;
    this.#isPaused = this.#size >= LIMIT;
    return !this.#isPaused;
  }

  /** A read waits: streams with a high water mark of 0 ask for nothing before. */
  #pull(controller: ReadableByteStreamController): void {
    const octets = this.#queue.shift();
    if (!octets) return this.#want(controller);
    this.#size -= octets.length;
    controller.enqueue(own(octets));
    if (this.#hasEnded) return this.#closeIfRead();
    if (!this.#isPaused || this.#size >= LIMIT / 2) return;
    this.#isPaused = false;
    this.#source.resume();
  }

  #want(reading: ReadableByteStreamController | undefined): void {
    const before = this.#reading;
    this.#reading = reading;
    if (!before !== !reading) this.#source.wait(reading !== undefined);
  }

  /** There are no more octets. */
  close(): void {
    this.#hasEnded = true;
    this.#closeIfRead();
  }

  #closeIfRead(): void {
    if (this.#queue.length > 0) return;
    const controller = this.#controller?.deref();
    this.#want(undefined);
    controller?.close();
    controller?.byobRequest?.respond(0);
  }

  fail(error: unknown): void {
    this.#failure = { error };
    const controller = this.#controller?.deref();
    this.#drop();
    controller?.error(error);
  }

  #drop(): void {
    this.#queue = [];
    this.#want(undefined);
  }
}

/** Octets with memory of their own: a stream takes all of it. */
function own(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = octets;
  const isOwn = byteLength === buffer.byteLength &&
    buffer instanceof ArrayBuffer;
  return isOwn
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(octets);
}
