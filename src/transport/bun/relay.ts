/**
 * Relays between sockets without TLS.
 *
 * @module
 */

import { BunConn } from "./conn.ts";
import { closedError, type NetError } from "../errors.ts";
import { nativeRelay, type Sink } from "../relay.ts";
import type { RelayState, Side } from "../relay_state.ts";
import type { Transport } from "../transport.ts";

/** One direction of a relay. */
class Pump implements Sink {
  readonly #to: BunConn;
  readonly #state: RelayState;
  readonly #side: Side;

  constructor(from: BunConn, to: BunConn, side: Side, state: RelayState) {
    this.#to = to;
    this.#side = side;
    this.#state = state;
    const onSent = () => from.socket.resume();
    to.onSent = onSent;
  }

  take(chunk: Uint8Array): boolean {
    if (this.#state.ended) return false;
    this.#state.count(this.#side, chunk.length);
    return this.#to.send(chunk);
  }

  end(): void {
    const isLast = this.#state.isLast(this.#side);
    if (isLast && this.#to.unsent === 0) return this.#state.finish(this.#side);
    this.#to.closeWrite().then(
      () => this.#state.finish(this.#side),
      () => {}, // the relay has failed for the same reason
    );
  }

  fail(error?: NetError): void {
    if (this.#state.ended) return;
    this.#state.fail(this.#side, error ?? closedError());
  }
}

/** Starts both directions. */
function move(a: BunConn, b: BunConn, state: RelayState): void {
  const up = new Pump(a, b, "a", state);
  const down = new Pump(b, a, "b", state);
  a.drainInto(up);
  b.drainInto(down);
}

/** Implements {@linkcode Transport.relay}. */
export const relay: Transport["relay"] = nativeRelay(BunConn.isNative, move);
