/**
 * Relays between sockets without TLS.
 *
 * @module
 */

import type * as net from "node:net";
import { BusyBuffer, copy, SHARED } from "./buffers.ts";
import { NodeConn } from "./conn.ts";
import { closedError, type NetError } from "../errors.ts";
import { nativeRelay, type Sink } from "../relay.ts";
import type { RelayState, Side } from "../relay_state.ts";
import type { TlsConn } from "../tls/conn.ts";
import type { Transport } from "../transport.ts";

const EMPTY = new Uint8Array(0);
/** After a read of at least this many bytes, a direction gets a buffer of its own. */
const BUSY_READ = 16 * 1024;

/** One direction of a relay, from a socket without TLS. */
export class Pump implements Sink {
  readonly #from: NodeConn;
  readonly #to: net.Socket;
  readonly #encrypts: boolean;
  readonly #state: RelayState;
  readonly #side: Side;
  #busy: BusyBuffer | undefined;
  #writing = false;

  constructor(
    from: NodeConn,
    to: NodeConn | TlsConn,
    side: Side,
    state: RelayState,
  ) {
    this.#from = from;
    this.#to = to.socket;
    this.#encrypts = !NodeConn.isNative(to);
    this.#side = side;
    this.#state = state;
  }

  take(chunk: Uint8Array): boolean {
    if (this.#state.ended) return false;
    if (this.#busy) this.#busy.reads++;
    this.#state.count(this.#side, chunk.length);
    const own = this.#busy !== undefined;
    const shared = chunk.buffer === SHARED.buffer;
    const bytes = shared ? copy(chunk) : chunk;
    if (shared && chunk.length >= BUSY_READ) this.#borrow();
    if (this.#encrypts) return this.#encrypt(bytes, own);
    const room = this.#to.write(bytes);
    if (this.#to.writableLength === 0 || (room && !own)) return true;
    this.#writing = true;
    // Node.js calls back when the kernel has accepted everything before it.
    this.#to.write(EMPTY, (error) => this.#written(error));
    return false;
  }

  end(): void {
    const isWritten = this.#to.writableLength === 0;
    if (isWritten && this.#state.isLast(this.#side)) return this.#finish();
    this.#to.end((error?: Error | null) => {
      if (!error && !this.#state.ended) this.#finish();
    });
  }

  fail(error?: NetError): void {
    this.#busy?.abandon();
    if (this.#state.ended) return;
    this.#state.fail(this.#side, error ?? closedError());
  }

  /** Writes to a TLS socket, which never completes a write at once. */
  #encrypt(bytes: Uint8Array, own: boolean): boolean {
    const { writableLength, writableHighWaterMark } = this.#to;
    const room = writableLength + bytes.length < writableHighWaterMark;
    if (room && !own) return this.#to.write(bytes);
    this.#writing = true;
    this.#to.write(bytes, (error) => this.#written(error));
    return false;
  }

  #written(error?: Error | null): void {
    this.#writing = false;
    if (!error && !this.#state.ended) this.#from.resume();
  }

  #finish(): void {
    this.#giveBack();
    this.#state.finish(this.#side);
  }

  #borrow(): void {
    if (this.#busy) return;
    const onQuiet = () => !this.#writing && this.#giveBack();
    this.#busy = new BusyBuffer(this.#state.clock, onQuiet);
    this.#from.buffer = this.#busy.buffer;
  }

  #giveBack(): boolean {
    if (!this.#busy) return true;
    const ended = this.#from.queue.ending === null;
    if (!ended && !this.#from.useBuffer(SHARED)) return false;
    this.#from.buffer = SHARED;
    this.#busy.release();
    this.#busy = undefined;
    return true;
  }
}

/** Starts both directions. */
function move(a: NodeConn, b: NodeConn, state: RelayState): void {
  const up = new Pump(a, b, "a", state);
  const down = new Pump(b, a, "b", state);
  a.drainInto(up);
  b.drainInto(down);
}

/** Implements {@linkcode Transport.relay} between sockets without TLS. */
export const relay: Transport["relay"] = nativeRelay(NodeConn.isNative, move);
