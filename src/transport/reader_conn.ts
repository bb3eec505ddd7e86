/**
 * Connections over objects that read into a buffer, as `Deno.Conn` does.
 *
 * @module
 */

import { CallQueue } from "./call_queue.ts";
import { closedError, type NetError, toStreamError } from "./errors.ts";
import { closeQuietly } from "./quiet.ts";
import type { Address, Conn } from "./transport.ts";

/** The members of `Deno.Conn` that are used here. */
export interface BufferReader {
  /** Reads as much as is available into the buffer; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes a part of the chunk, and returns how much. */
  write(chunk: Uint8Array): Promise<number>;
  /** Sends FIN. */
  closeWrite(): Promise<void>;
  /** Closes both directions. */
  close(): void;
}

const BUFFER_SIZE = 16 * 1024;

/** A {@linkcode BufferReader} as a {@linkcode Conn}. It cannot send RST. */
export class ReaderConn implements Conn {
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  readonly #source: BufferReader;
  readonly #unread: Uint8Array[] = [];
  /** The result of the read that a peek has started. */
  #ahead: Promise<Uint8Array | null> | undefined;
  readonly #writes = new CallQueue();
  #finSent = false;
  #closed = false;

  constructor(source: BufferReader, localAddr: Address, remoteAddr: Address) {
    this.#source = source;
    this.localAddr = localAddr;
    this.remoteAddr = remoteAddr;
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.#unread.pop();
    if (chunk) return Promise.resolve(chunk);
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead ?? this.#read();
  }

  async #read(): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(BUFFER_SIZE);
    try {
      let length: number | null;
      do length = await this.#source.read(buffer); while (length === 0);
      return length === null ? null : buffer.slice(0, length);
    } catch (error) {
      throw this.#why(error);
    }
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#unread.push(chunk);
  }

  peek(): Promise<boolean> {
    if (this.#unread.length > 0) return Promise.resolve(true);
    const answer = (this.#ahead ??= this.read()).then((it) => it !== null);
    answer.catch(() => {}); // a relay may have started meanwhile, and nothing awaits it
    return answer;
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#finSent) return Promise.reject(closedError());
    return this.#writes.add(() => this.#write(chunk));
  }

  async #write(chunk: Uint8Array): Promise<void> {
    try {
      for (let rest = chunk; rest.length > 0;) {
        rest = rest.subarray(await this.#source.write(rest));
      }
    } catch (error) {
      throw this.#why(error);
    }
  }

  closeWrite(): Promise<void> {
    this.#finSent = true;
    return this.#writes.add(() => this.#closeWrite());
  }

  async #closeWrite(): Promise<void> {
    try {
      await this.#source.closeWrite();
    } catch (error) {
      throw this.#why(error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unread.length = 0;
    this.#ahead = undefined;
    closeQuietly(this.#source); // throws if its owner has closed it
  }

  reset(): void {
    this.close();
  }

  /** Why a call failed. */
  #why(error: unknown): NetError {
    return this.#closed ? closedError() : toStreamError(error);
  }
}
