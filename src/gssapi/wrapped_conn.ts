/**
 * A connection whose bytes travel in protected messages (RFC 1961 section 5).
 *
 * @module
 */

import { CallQueue } from "../transport/call_queue.ts";
import { closedError, NetError } from "../transport/errors.ts";
import type { Closable } from "../transport/relay_state.ts";
import type { Address, Conn } from "../transport/transport.ts";
import { MessageQueue } from "./message_queue.ts";
import type { Protection } from "./protection.ts";

/** The most data that is wrapped at a time: longer chunks need no more memory. */
const MAX_WRITE = 256 * 1024;

/**
 * The same for both sides. It owns the connection below and the protection. Reading ahead
 * is bounded by the chunks of the connection below.
 */
export class WrappedConn implements Conn {
  readonly #conn: Conn & Pick<Closable, "unsent">;
  readonly #protection: Protection;
  readonly #queue: MessageQueue = new MessageQueue();
  readonly #unread: Uint8Array[] = [];
  /** The result of the read that a peek has started. */
  #ahead: Promise<Uint8Array | null> | undefined;
  readonly #writes = new CallQueue();
  /** Why reading has ended. */
  #error: unknown;
  #finSent = false;
  #closed = false;

  constructor(conn: Conn, protection: Protection) {
    this.#conn = conn;
    this.#protection = protection;
  }

  get localAddr(): Address {
    return this.#conn.localAddr;
  }

  get remoteAddr(): Address {
    return this.#conn.remoteAddr;
  }

  /** For relays: an idle side with unsent bytes is reset, not closed. */
  get unsent(): number | undefined {
    return this.#conn.unsent;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#closed) return Promise.reject(closedError());
    const chunk = this.#unread.pop();
    if (chunk) return Promise.resolve(chunk);
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead ?? this.#read();
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#unread.push(chunk);
  }

  peek(): Promise<boolean> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#unread.length > 0) return Promise.resolve(true);
    const answer = (this.#ahead ??= this.#read()).then((it) => it !== null);
    answer.catch(() => {}); // a relay may have started meanwhile, and nothing awaits it
    return answer;
  }

  /** An empty message is no data: the next one is waited for. */
  async #read(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const data = this.#next();
      if (data) {
        if (data.length > 0) return data;
        continue;
      }
      const chunk = await this.#conn.read();
      if (this.#closed) throw closedError();
      if (chunk) this.#queue.add(chunk);
      else if (!this.#queue.isInMessage) return null;
      else throw new NetError("ended", "FIN in the middle of a message");
    }
  }

  /** The data of the next message, if it has arrived. A broken one ends reading for ever. */
  #next(): Uint8Array | undefined {
    try {
      const message = this.#queue.take();
      return message && this.#protection.unwrap(message);
    } catch (error) {
      this.#error = error;
      throw error;
    }
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#closed || this.#finSent) return Promise.reject(closedError());
    return this.#writes.add(() => this.#write(chunk));
  }

  async #write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; at += MAX_WRITE) {
      if (this.#closed) throw closedError();
      const part = chunk.subarray(at, at + MAX_WRITE);
      await this.#conn.write(this.#protection.wrap(part));
    }
  }

  closeWrite(): Promise<void> {
    this.#finSent = true;
    return this.#writes.add(() => this.#conn.closeWrite());
  }

  close(): void {
    this.#end();
    this.#conn.close();
  }

  reset(): void {
    this.#end();
    this.#conn.reset();
  }

  #end(): void {
    this.#closed = true;
    this.#unread.length = 0;
    this.#protection.close();
  }

  keepAlive(): void {
    this.#conn.keepAlive?.();
  }
}
