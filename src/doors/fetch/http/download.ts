/**
 * The content of a response that is a stream.
 *
 * @module
 */

/** How many octets wait for the program before the connection is paused. */
const HIGH_WATER_MARK = 64 * 1024;

/** A stream for the octets of a connection. */
export class Download {
  readonly stream: ReadableStream<Uint8Array>;
  #controller!: ReadableByteStreamController;

  /** `resume` is called when there is room again, `abandon` when no more is wanted. */
  constructor(resume: () => void, abandon: () => void) {
    this.stream = new ReadableStream({
      type: "bytes",
      start: (controller) => void (this.#controller = controller),
      pull: resume,
      cancel: abandon,
    }, { highWaterMark: HIGH_WATER_MARK });
  }

  /** Adds octets, which belong to the stream then; returns whether there is room for more. */
  push(octets: Uint8Array): boolean {
    const controller = this.#controller;
    if (octets.length > 0) controller.enqueue(own(octets));
    return (controller.desiredSize ?? 0) > 0;
  }

  close(): void {
    const controller = this.#controller;
    controller.close();
    controller.byobRequest?.respond(0);
  }

  fail(error: unknown): void {
    this.#controller.error(error);
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
