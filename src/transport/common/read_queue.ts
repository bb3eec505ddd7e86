/**
 * {@linkcode Conn.read} for runtimes whose sockets push chunks.
 *
 * @module
 */

import { closedError, NetError } from "../errors.ts";

/** How many bytes may be queued without a reader before the socket is paused. */
const READ_QUEUE_LIMIT = 64 * 1024;

interface Reader {
  resolve(chunk: Uint8Array | null): void;
  reject(error: NetError): void;
}

interface Peeker {
  readonly answer: Promise<boolean>;
  resolve(more: boolean): void;
  reject(error: NetError): void;
}

/** Holds chunks until they are read, and a read until a chunk arrives. */
export class ReadQueue {
  /** `undefined` while it is empty: most connections are idle relays, which need no queue. */
  #chunks: Uint8Array[] | undefined;
  #size = 0;
  #reader: Reader | undefined;
  #peeker: Peeker | undefined;
  #end: null | NetError | undefined;
  #closed = false;

  /** Whether the socket should be paused. */
  get full(): boolean {
    return this.#size >= READ_QUEUE_LIMIT;
  }

  /** How many bytes are queued. */
  get size(): number {
    return this.#size;
  }

  /** Adds a chunk, which the queue owns from then on. */
  push(chunk: Uint8Array): void {
    if (this.#peeker) this.#answer(true);
    const reader = this.#reader;
    if (reader) {
      this.#reader = undefined;
      return reader.resolve(chunk);
    }
    (this.#chunks ??= []).push(chunk);
    this.#size += chunk.length;
  }

  /** Puts a chunk in front of all others. */
  unshift(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#peeker) this.#answer(true);
    (this.#chunks ??= []).unshift(chunk);
    this.#size += chunk.length;
  }

  /**
   * Ends the stream by the peer's FIN (`null`) or by an error. Only the first call
   * has an effect; chunks before it can still be read.
   */
  end(end: null | NetError): void {
    if (this.#end !== undefined || this.#closed) return;
    this.#end = end;
    if (this.#peeker) this.#answer(end ?? false);
    const reader = this.#reader;
    this.#reader = undefined;
    if (!reader) return;
    if (end === null) reader.resolve(null);
    else reader.reject(end);
  }

  /** Drops all chunks; reads reject with `closed` from now on. */
  close(): void {
    this.#closed = true;
    this.#chunks = undefined;
    this.#size = 0;
    if (this.#peeker) this.#answer(closedError());
    this.#reader?.reject(closedError());
    this.#reader = undefined;
  }

  /** Removes and returns the oldest chunk; `undefined` if there is none. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks?.shift();
    if (!chunk) return undefined;
    this.#size -= chunk.length;
    if (this.#chunks?.length === 0) this.#chunks = undefined;
    return chunk;
  }

  /** How the peer has ended the stream: see {@linkcode end}; `undefined` until then. */
  get ending(): null | NetError | undefined {
    return this.#end;
  }

  /** Whether {@linkcode close} was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Returns the next chunk, or `null` at the end. */
  read(): Promise<Uint8Array | null> {
    const chunk = this.shift();
    if (chunk) return Promise.resolve(chunk);
    if (this.#closed) return Promise.reject(closedError());
    if (this.#end === null) return Promise.resolve(null);
    if (this.#end) return Promise.reject(this.#end);
    if (this.#reader) {
      return Promise.reject(new NetError("invalid", "a read is under way"));
    }
    return new Promise((resolve, reject) => this.#reader = { resolve, reject });
  }

  /** Resolves when it is known whether the next {@linkcode read} returns bytes. */
  peek(): Promise<boolean> {
    if (this.#chunks) return Promise.resolve(true);
    if (this.#closed) return Promise.reject(closedError());
    if (this.#end !== undefined) {
      return this.#end ? Promise.reject(this.#end) : Promise.resolve(false);
    }
    return (this.#peeker ??= createPeeker()).answer;
  }

  #answer(answer: boolean | NetError): void {
    const peeker = this.#peeker!;
    this.#peeker = undefined;
    if (answer instanceof NetError) peeker.reject(answer);
    else peeker.resolve(answer);
  }
}

function createPeeker(): Peeker {
  let resolve!: Peeker["resolve"];
  let reject!: Peeker["reject"];
  const answer = new Promise<boolean>((...settle) =>
    [resolve, reject] = settle
  );
  answer.catch(() => {}); // a relay may have started meanwhile, and nothing awaits it
  return { answer, resolve, reject };
}
