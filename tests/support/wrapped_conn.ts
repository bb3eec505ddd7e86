/**
 * An authentication method that wraps the connection and its datagrams, as
 * GSSAPI does (RFC 1961), with a protection that any test can compute.
 *
 * @module
 */

import type { DatagramWrapper } from "../../src/protocol/datagram.ts";
import { ProtocolError } from "../../src/protocol/decode.ts";
import type { AuthMethod } from "../../src/server/mod.ts";
import { closedError, NetError } from "../../src/transport/errors.ts";
import type { Closable } from "../../src/transport/relay_state.ts";
import type { Address, Conn } from "../../src/transport/transport.ts";

/** The number of {@linkcode wrappingMethod}. */
export const WRAPPING = 0x80;
/** The only message of the client in the negotiation; any other one is rejected. */
export const TOKEN = 0x2a;
/** The answers of the server; wrapped frames follow {@linkcode ACCEPTED}. */
export const ACCEPTED = 0;
export const REFUSED = 1;

const KEY = 0x5a;
const MAX_FRAME = 0xffff;

/** Adds the protection to octets, or removes it. */
export function hide(octets: Uint8Array): Uint8Array {
  return octets.map((it) => it ^ KEY);
}

// +-----+----------+
// | LEN |   DATA   |   1 to 65,535 octets, hidden
// +-----+----------+
// |  2  | Variable |
// +-----+----------+

/** Encodes a frame with 1 to 65,535 octets of data. */
export function frame(octets: Uint8Array): Uint8Array {
  const { length } = octets;
  return joined(Uint8Array.of(length >> 8, length & 0xff), hide(octets));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** A malformed frame: it has no data. */
export const BROKEN_FRAME: Uint8Array = Uint8Array.of(0, 0);

/** A connection whose bytes travel in frames; the same for both sides. */
export class WrappedConn implements Conn {
  readonly #conn: Conn & Pick<Closable, "unsent">;
  readonly #unread: Uint8Array[] = [];
  /** The received octets of frames that have not been read yet. */
  #arrived: Uint8Array = new Uint8Array(0);
  /** The frame that a peek has read, or is reading. */
  #ahead: Promise<Uint8Array | null> | undefined;
  #closed = false;

  constructor(conn: Conn) {
    this.#conn = conn;
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
    const chunk = this.#unread.shift();
    if (chunk) return Promise.resolve(chunk);
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead ?? this.#readFrame();
  }

  unread(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#unread.unshift(chunk);
  }

  peek(): Promise<boolean> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#unread.length > 0) return Promise.resolve(true);
    const answer = (this.#ahead ??= this.#readFrame()).then((it) =>
      it !== null
    );
    answer.catch(() => {}); // reported by the next read
    return answer;
  }

  /** Reads at most one frame ahead; later data stays in the kernel. */
  async #readFrame(): Promise<Uint8Array | null> {
    while (true) {
      const data = this.#takeFrame();
      if (data) return data;
      const chunk = await this.#conn.read();
      if (chunk) this.#arrived = joined(this.#arrived, chunk);
      else if (this.#arrived.length === 0) return null;
      else throw new NetError("ended", "FIN in the middle of a frame");
    }
  }

  #takeFrame(): Uint8Array | undefined {
    const arrived = this.#arrived;
    if (arrived.length < 2) return undefined;
    const end = 2 + (arrived[0] << 8 | arrived[1]);
    if (end === 2) throw new ProtocolError("message", "a frame without data");
    if (arrived.length < end) return undefined;
    this.#arrived = arrived.subarray(end);
    return hide(arrived.subarray(2, end));
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; at += MAX_FRAME) {
      await this.#conn.write(frame(chunk.subarray(at, at + MAX_FRAME)));
    }
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    this.#closed = true;
    this.#conn.close();
  }

  reset(): void {
    this.#closed = true;
    this.#conn.reset();
  }

  keepAlive(): void {
    this.#conn.keepAlive?.();
  }
}

/** Hides datagrams, and appends a check octet: the sum of all others. */
export const xorDatagrams: DatagramWrapper = {
  overhead: 1,
  wrap: (datagram) => joined(hide(datagram), Uint8Array.of(sum(datagram))),
  unwrap(datagram) {
    const plain = hide(datagram.subarray(0, -1));
    return datagram.at(-1) === sum(plain) ? plain : undefined;
  },
};

function sum(octets: Uint8Array): number {
  return octets.reduce((total, it) => total + it & 0xff, 0);
}

/** The server side: reads {@linkcode TOKEN}, answers, and wraps all later data. */
export function wrappingMethod(): AuthMethod {
  return {
    number: WRAPPING,
    name: "wrapping",
    async negotiate(exchange) {
      const token = await exchange.read(
        (octets) =>
          octets.length > 0 ? { value: octets[0], size: 1 } : undefined,
      );
      if (token !== TOKEN) {
        return { ok: false, farewell: Uint8Array.of(REFUSED) };
      }
      await exchange.write(Uint8Array.of(ACCEPTED));
      const conn = new WrappedConn(exchange.take());
      return { ok: true, user: "al", conn, datagrams: xorDatagrams };
    },
  };
}
