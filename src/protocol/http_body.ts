/**
 * The content of HTTP/1.1 messages: how its end is found (RFC 9112 sections 6 and 7).
 *
 * @module
 */

import { ProtocolError } from "./decode.ts";
import { HttpError, malformed } from "./http_error.ts";
import { CR, isControl, LF, MAX_HEAD } from "./http_head.ts";
import { toOctets } from "./octets.ts";

/** The length of a message's content in octets, or how its end is found. */
export type BodyLength =
  | number
  /** By the transfer coding "chunked". */
  | "chunked"
  /** By the end of the connection. */
  | "close";

/** A part of a message's content, and how many octets of the input it was. */
interface Taken {
  /** The content, which may share the memory of the input. */
  readonly content: Uint8Array;
  /** The octets after these do not belong to the message. */
  readonly size: number;
}

/** Finds the content of one message in the octets that arrive. */
export interface BodyDecoder {
  /** Whether the message is complete. */
  readonly isDone: boolean;
  /**
   * Takes the next octets.
   *
   * @throws {ProtocolError} `"header"` or `"size"` if the framing is not valid.
   */
  take(octets: Uint8Array): Taken;
}

/** Creates the decoder of a message's content. */
export function bodyDecoder(length: BodyLength): BodyDecoder {
  switch (length) {
    case "chunked":
      return new ChunkedDecoder();
    case "close":
      return new LengthDecoder(Infinity);
    default:
      return new LengthDecoder(length);
  }
}

class LengthDecoder implements BodyDecoder {
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  take(octets: Uint8Array): Taken {
    const content = octets.subarray(0, this.#left);
    this.#left -= content.length;
    return { content, size: content.length };
  }
}

// chunk-size [ chunk-ext ] CRLF                 RFC 9112 section 7.1
// chunk-data CRLF                               (not after the size 0)
// *( field-line CRLF )                          (after the last chunk)
// CRLF

/** The longest line with the size of a chunk, extensions included. */
const MAX_SIZE_LINE = 256;
const SIZE_LINE = /^([\da-f]{1,16})(?:;.*)?$/i;
const TRAILER = /^[\w!#$%&'*+.^`|~-]+:/;
/**
 * How many octets of framing may exceed 16 for each chunk and twice its data: otherwise
 * each octet of the content could cost a long extension.
 */
const MAX_EXCESS = 16 * 1024;

/** The part of the content that the next octets belong to. */
type State = "size" | "data" | "after-data" | "trailer" | "done";

/** Extensions and trailers are checked and dropped (RFC 9112 sections 7.1.1 and 7.1.2). */
class ChunkedDecoder implements BodyDecoder {
  #state: State = "size";
  /** The incomplete line. */
  #line = "";
  /** How many octets of the chunk are missing. */
  #left = 0;
  #excess = 0;
  #trailers = 0;

  get isDone(): boolean {
    return this.#state === "done";
  }

  take(octets: Uint8Array): Taken {
    const content = new Uint8Array(octets.length);
    let length = 0;
    let at = 0;
    while (at < octets.length && !this.isDone) {
      if (this.#state !== "data") {
        at = this.#takeLine(octets, at);
        continue;
      }
      const data = octets.subarray(at, at + this.#left);
      content.set(data, length);
      length += data.length;
      at += data.length;
      this.#left -= data.length;
      if (this.#left === 0) this.#state = "after-data";
    }
    return { content: content.subarray(0, length), size: at };
  }

  /** Takes the rest of a line, or the part of it that has arrived; returns where that ends. */
  #takeLine(octets: Uint8Array, start: number): number {
    for (let at = start; at < octets.length; at++) {
      const octet = octets[at];
      const isAfterCr = this.#line.endsWith("\r");
      if (octet === LF && isAfterCr) {
        const line = this.#line.slice(0, -1);
        this.#line = "";
        this.#endLine(line);
        return at + 1;
      }
      if (isAfterCr || octet !== CR && isControl(octet)) {
        throw malformed("a control character in a line of a chunk");
      }
      this.#line += String.fromCharCode(octet);
      this.#checkLine(octet);
    }
    return octets.length;
  }

  /** Bounds the memory for an incomplete line. */
  #checkLine(octet: number): void {
    switch (this.#state) {
      case "size":
        if (this.#line.length <= MAX_SIZE_LINE) return;
        throw new ProtocolError("size", "the line of a chunk is too long");
      case "after-data":
        if (octet === CR) return;
        throw malformed("a chunk is longer than its size");
      default:
        if (++this.#trailers <= MAX_HEAD) return;
        throw new ProtocolError("size", "a trailer section is too large");
    }
  }

  #endLine(line: string): void {
    if (this.#state === "size") return this.#startChunk(line);
    if (this.#state === "after-data") this.#state = "size";
    else if (line === "") this.#state = "done";
    else if (!TRAILER.test(line)) throw malformed("a trailer is no field");
  }

  #startChunk(line: string): void {
    const digits = SIZE_LINE.exec(line)?.[1];
    if (digits === undefined) throw malformed("a chunk without a size");
    const size = parseInt(digits, 16);
    if (!Number.isSafeInteger(size)) throw tooLarge();
    const excess = this.#excess + line.length + 4 - 16 - 2 * size;
    this.#excess = Math.max(excess, 0);
    if (this.#excess > MAX_EXCESS) {
      throw new ProtocolError("size", "the extensions of chunks are too long");
    }
    this.#left = size;
    this.#state = size === 0 ? "trailer" : "data";
  }
}

/** The error of a length that cannot be counted. */
export function tooLarge(): HttpError {
  return new HttpError(413, "the content is too large");
}

/** Encodes content as one chunk; it must not be empty, which would be the last chunk. */
export function encodeChunk(content: Uint8Array): Uint8Array {
  const head = toOctets(`${content.length.toString(16)}\r\n`);
  const chunk = new Uint8Array(head.length + content.length + 2);
  chunk.set(head);
  chunk.set(content, head.length);
  chunk.set([CR, LF], head.length + content.length);
  return chunk;
}

/** The last chunk, and no trailers. */
export const LAST_CHUNK: Uint8Array = toOctets("0\r\n\r\n");
