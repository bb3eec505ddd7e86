/**
 * Targets that have not answered an HTTP request in absolute form. The bridge would answer
 * with a status of its own, which a caller could not tell from one of the target.
 *
 * @module
 */

import { NetError } from "../../transport/errors.ts";
import { NO_ADDRESS } from "../../transport/socket.ts";
import type { Address, Conn } from "../../transport/transport.ts";

/** The header field with the number of a failure. The bridge's login keeps it secret. */
const FIELD = "x-socks5-failure";

/** How many failures may wait for their responses to be read. */
const KEPT = 1_000;

/** The failures whose responses are on their way. */
export class FailedTargets {
  readonly #errors = new Map<string, unknown>();

  /** Stands for a target that was not reached. */
  unreached(error: unknown): Conn {
    return new AnsweringConn(undefined, () => this.#answer(error));
  }

  /** Stands for a target that was reached, but may hang up before it answers. */
  reached(conn: Conn): Conn {
    return new AnsweringConn(conn, (error) => this.#answer(error));
  }

  /** Why the target has not answered; `undefined` if the response is its own. */
  errorIn(response: Response): unknown {
    const key = response.headers.get(FIELD) ?? "";
    const error = this.#errors.get(key);
    this.#errors.delete(key);
    return error;
  }

  #answer(error: unknown): Uint8Array {
    const key = crypto.randomUUID();
    this.#errors.set(key, error);
    if (this.#errors.size > KEPT) {
      const [oldest] = this.#errors.keys();
      this.#errors.delete(oldest);
    }
    return new TextEncoder().encode(
      "HTTP/1.1 502 Bad Gateway\r\n" +
        `${FIELD}: ${key}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
  }
}

/** A connection to a target, if any, that answers itself if it ends before its first byte. */
class AnsweringConn implements Conn {
  readonly #target: Conn | undefined;
  readonly #answer: (error: unknown) => Uint8Array;
  readonly #unread: Uint8Array[] = [];
  /** Whether the target has sent a byte. */
  #hasBegun = false;
  #hasAnswered = false;

  constructor(
    target: Conn | undefined,
    answer: (error: unknown) => Uint8Array,
  ) {
    this.#target = target;
    this.#answer = answer;
  }

  get localAddr(): Address {
    return this.#target?.localAddr ?? NO_ADDRESS;
  }

  get remoteAddr(): Address {
    return this.#target?.remoteAddr ?? NO_ADDRESS;
  }

  async read(): Promise<Uint8Array | null> {
    const unread = this.#unread.pop();
    if (unread) return unread;
    if (this.#hasAnswered) return null;
    let failure: unknown;
    try {
      const chunk = await this.#target?.read() ?? null;
      if (chunk) this.#hasBegun = true;
      if (this.#hasBegun) return chunk;
      failure = new NetError("ended", "the target closed the connection");
    } catch (error) {
      if (this.#hasBegun) throw error;
      failure = error;
    }
    this.#hasAnswered = true;
    return this.#answer(failure);
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#unread.push(chunk);
  }

  async peek(): Promise<boolean> {
    const chunk = await this.read();
    if (chunk) this.unread(chunk);
    return chunk !== null;
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#target?.write(chunk);
  }

  async closeWrite(): Promise<void> {
    await this.#target?.closeWrite();
  }

  close(): void {
    this.#target?.close();
  }

  reset(): void {
    this.#target?.reset();
  }
}
