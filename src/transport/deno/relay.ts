/**
 * Relays between sockets without TLS.
 *
 * @module
 */

import { giveBuffer, nextSize, sizeOf, takeBuffer } from "./buffers.ts";
import { DenoConn } from "./conn.ts";
import { nativeRelay } from "../relay.ts";
import type { RelayState } from "../relay_state.ts";
import type { Transport } from "../transport.ts";

/** One direction of a relay. Callbacks need half as much memory as a pending async function. */
class Pump {
  readonly #from: DenoConn;
  readonly #to: DenoConn;
  readonly #state: RelayState;
  #buffer = takeBuffer(0);
  #length = 0;

  constructor(from: DenoConn, to: DenoConn, state: RelayState) {
    this.#from = from;
    this.#to = to;
    this.#state = state;
  }

  read(): void {
    const chunk = this.#from.takeUnread();
    if (chunk) return this.#take(chunk);
    const ahead = this.#from.takeAhead();
    if (ahead) return this.#readAhead(ahead);
    this.#from.socket.read(this.#buffer).then(
      (length) => {
        if (length === null) return this.#end();
        this.#length = length;
        this.#take(this.#buffer.subarray(0, length));
      },
      (error) => this.#fail(this.#from, error),
    );
  }

  #readAhead(ahead: Promise<Uint8Array | null>): void {
    ahead.then(
      (chunk) => chunk ? this.#take(chunk) : this.#end(),
      (error) => this.#fail(this.#from, error),
    );
  }

  #take(chunk: Uint8Array): void {
    this.#state.count(this.#from.side, chunk.length);
    this.#write(chunk);
  }

  #write(chunk: Uint8Array): void {
    this.#to.socket.write(chunk).then(
      (written) => {
        if (written === chunk.length) return this.#written();
        this.#state.stirs++;
        this.#write(chunk.subarray(written));
      },
      (error) => this.#fail(this.#to, error),
    );
  }

  #written(): void {
    const size = sizeOf(this.#buffer);
    const next = nextSize(size, this.#length);
    if (next !== size) {
      giveBuffer(this.#buffer);
      this.#buffer = takeBuffer(next);
    }
    this.read();
  }

  #end(): void {
    giveBuffer(this.#buffer);
    const { side } = this.#from;
    if (this.#state.isLast(side)) return this.#state.finish(side);
    this.#to.closeWrite().then(
      () => this.#state.finish(side),
      (error) => this.#state.fail(this.#to.side, error),
    );
  }

  #fail(conn: DenoConn, error: unknown): void {
    giveBuffer(this.#buffer);
    this.#state.fail(conn.side, conn.why(error));
  }
}

/** Starts both directions. */
function move(a: DenoConn, b: DenoConn, state: RelayState): void {
  a.join(state, "a");
  b.join(state, "b");
  new Pump(a, b, state).read();
  new Pump(b, a, state).read();
}

/** Implements {@linkcode Transport.relay}. */
export const relay: Transport["relay"] = nativeRelay(DenoConn.isNative, move);
