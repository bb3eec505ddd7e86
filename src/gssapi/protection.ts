/**
 * The protection of everything after the login: messages of the stream, and datagrams,
 * which share one context and its sequence.
 *
 * @module
 */

import { type DatagramWrapper, MAX_DATAGRAM } from "../protocol/datagram.ts";
import { ProtocolError } from "../protocol/decode.ts";
import {
  dataMessageSize,
  HEADER_SIZE,
  MAX_TOKEN,
  MESSAGE,
  writeHeader,
} from "../protocol/gssapi.ts";
import type { ProtectionLevel } from "./level.ts";
import type { GssContext, GssUnwrapped } from "./provider.ts";

/** Protects the messages of one session. */
export class Protection {
  readonly #context: GssContext;
  readonly #isConfidential: boolean;
  readonly #limit: number;
  /** Whether datagrams take numbers of the sequence, too, and may arrive before the stream. */
  #sharesSequence = false;
  #closed = false;

  /** Takes over an established context. */
  constructor(context: GssContext, level: Exclude<ProtectionLevel, 0>) {
    this.#context = context;
    this.#isConfidential = level === 2;
    this.#limit = context.wrapSizeLimit(MAX_TOKEN, this.#isConfidential);
    if (this.#limit > 0) return;
    throw new Error("the mechanism has no room for data");
  }

  /** The data as messages, each as long as possible, in one chunk. */
  wrap(data: Uint8Array): Uint8Array {
    if (data.length <= this.#limit) return this.#message(data);
    const messages: Uint8Array[] = [];
    for (let at = 0; at < data.length; at += this.#limit) {
      messages.push(this.#message(data.subarray(at, at + this.#limit)));
    }
    return join(messages);
  }

  #message(data: Uint8Array): Uint8Array {
    const token = this.#context.wrap(data, this.#isConfidential);
    const message = new Uint8Array(HEADER_SIZE + token.length);
    writeHeader(message, 0, MESSAGE.data, token.length);
    message.set(token, HEADER_SIZE);
    return message;
  }

  /**
   * The data of a message of the stream.
   *
   * @throws {ProtocolError} if the peer has not protected it so, or not sent it next.
   */
  unwrap(message: Uint8Array): Uint8Array {
    const { data, order } = this.#open(message.subarray(HEADER_SIZE));
    const isInOrder = order === undefined ||
      this.#sharesSequence && order !== "duplicate";
    if (isInOrder) return data;
    throw broken(`a message is out of order (${order})`);
  }

  #open(token: Uint8Array): GssUnwrapped {
    let opened: GssUnwrapped;
    try {
      opened = this.#context.unwrap(token);
    } catch (error) {
      throw broken((error as Error).message);
    }
    if (opened.confidential || !this.#isConfidential) return opened;
    throw broken("a message is not encrypted");
  }

  /** Protects datagrams (RFC 1961 section 5). They may get lost, and overtake each other. */
  datagrams(): DatagramWrapper {
    const limit = this.#context.wrapSizeLimit(
      MAX_DATAGRAM - HEADER_SIZE,
      this.#isConfidential,
    );
    return {
      overhead: MAX_DATAGRAM - limit,
      wrap: (datagram) => {
        this.#sharesSequence = true;
        return this.#message(datagram);
      },
      unwrap: (datagram) => this.#unwrapDatagram(datagram),
    };
  }

  #unwrapDatagram(datagram: Uint8Array): Uint8Array | undefined {
    if (this.#closed) return undefined;
    try {
      if (dataMessageSize(datagram) !== datagram.length) return undefined;
      const { data, order } = this.#open(datagram.subarray(HEADER_SIZE));
      this.#sharesSequence = true;
      return order === "duplicate" || order === "old" ? undefined : data;
    } catch (error) {
      if (error instanceof ProtocolError) return undefined;
      throw error;
    }
  }

  /** Releases the context. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#context.close();
  }
}

function broken(reason: string): ProtocolError {
  return new ProtocolError("message", reason);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
