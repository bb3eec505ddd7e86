/**
 * The standard input and output as a connection.
 *
 * @module
 */

import { detectRuntime } from "../../transport/detect.ts";
import { NetError, toStreamError } from "../../transport/errors.ts";
import { NO_ADDRESS } from "../../transport/socket.ts";
import type { Address, Conn } from "../../transport/transport.ts";
import type { StandardStreams } from "./streams.ts";

/** Opens the standard streams. From then on, nothing else may use them. */
export async function openStdio(): Promise<Conn> {
  const streams = detectRuntime() === "deno"
    ? (await import("./deno.ts")).openStreams()
    : await (await import("./node.ts")).openStreams();
  return new StdioConn(streams);
}

/** A {@linkcode Conn} over standard streams. */
export class StdioConn implements Conn {
  readonly localAddr: Address = NO_ADDRESS;
  readonly remoteAddr: Address = NO_ADDRESS;
  readonly #streams: StandardStreams;
  readonly #unread: Uint8Array[] = [];
  /** Resolves when the input is no longer wanted. */
  readonly #ended: Promise<null>;
  #end!: (end: null) => void;
  #isOutputOver = false;

  constructor(streams: StandardStreams) {
    this.#streams = streams;
    this.#ended = new Promise((resolve) => this.#end = resolve);
  }

  async read(): Promise<Uint8Array | null> {
    const first = this.#unread.pop();
    if (first) return first;
    try {
      return await Promise.race([this.#ended, this.#streams.read()]);
    } catch (error) {
      throw toStreamError(error);
    }
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
    if (this.#isOutputOver) throw new NetError("closed");
    try {
      await this.#streams.write(chunk);
    } catch (error) {
      throw toStreamError(error);
    }
  }

  async closeWrite(): Promise<void> {
    if (this.#isOutputOver) return;
    this.#isOutputOver = true;
    const { endOutput } = this.#streams;
    if (!endOutput) return this.#end(null);
    await endOutput().catch(() => {}); // the reader is gone
  }

  close(): void {
    this.#end(null);
  }

  reset(): void {
    this.close();
  }
}
