/**
 * The content of a response that is a stream.
 *
 * @module
 */

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

/** A stream for the octets of a connection. */
export class Download {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #source: Source;
  #controller!: ReadableByteStreamController;
  /** What the program has not asked for yet. */
  #queue: Uint8Array[] = [];
  #size = 0;
  #isWanted = false;
  #isPaused = false;
  #hasEnded = false;

  constructor(source: Source) {
    this.#source = source;
    this.stream = new ReadableStream({
      type: "bytes",
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#pull(),
      cancel: () => {
        this.#drop();
        source.abandon();
      },
    }, { highWaterMark: 0 });
  }

  /** Adds octets, which belong to the stream then; returns whether there is room for more. */
  push(octets: Uint8Array): boolean {
    if (octets.length === 0) return true;
    if (this.#isWanted) {
      this.#want(false);
      this.#controller.enqueue(own(octets));
      return true;
    }
    this.#queue.push(octets);
    this.#size += octets.length;
    this.#isPaused = this.#size >= LIMIT;
    return !this.#isPaused;
  }

  /** A read waits: streams with a high water mark of 0 ask for nothing before. */
  #pull(): void {
    const octets = this.#queue.shift();
    if (!octets) return this.#want(true);
    this.#size -= octets.length;
    this.#controller.enqueue(own(octets));
    if (this.#hasEnded) return this.#closeIfRead();
    if (!this.#isPaused || this.#size >= LIMIT / 2) return;
    this.#isPaused = false;
    this.#source.resume();
  }

  #want(isWanted: boolean): void {
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    this.#source.wait(isWanted);
  }

  /** There are no more octets. */
  close(): void {
    this.#hasEnded = true;
    this.#closeIfRead();
  }

  #closeIfRead(): void {
    if (this.#queue.length > 0) return;
    this.#want(false);
    const controller = this.#controller;
    controller.close();
    controller.byobRequest?.respond(0);
  }

  fail(error: unknown): void {
    this.#drop();
    this.#controller.error(error);
  }

  #drop(): void {
    this.#queue = [];
    this.#want(false);
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
