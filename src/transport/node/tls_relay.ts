/**
 * Relays between a connection with TLS and one without. They take about half the CPU time
 * and memory of reading and writing record by record.
 *
 * @module
 */

import * as net from "node:net";
import { BusyBuffer, copy, SHARED } from "./buffers.ts";
import { NodeConn } from "./conn.ts";
import { Pump, relay as plainRelay } from "./relay.ts";
import { closedError, type NetError } from "../errors.ts";
import { innermost, type Sink } from "../relay.ts";
import { RelayState, type Side } from "../relay_state.ts";
import { TlsConn } from "../tls/conn.ts";
import type { Transport } from "../transport.ts";

const EMPTY = new Uint8Array(0);
/** The most bytes that a record holds (RFC 8446 section 5.1), and Node.js passes at once. */
const RECORD = 16 * 1024;
/** After a record of at least this many bytes, others are expected at once. */
const BUSY_RECORD = 4 * 1024;
/** So are they after more than this many smaller ones in one turn of the event loop. */
const BUSY_RECORDS = 8;

/** Implements {@linkcode Transport.relay}. */
export const relay: Transport["relay"] = (client, target, options) => {
  const a = innermost(client);
  const b = innermost(target);
  if (TlsConn.isNative(a) && NodeConn.isNative(b)) {
    const state = new RelayState(a, b, options);
    a.drainInto(new Decryption(a, b, "a", state));
    b.drainInto(new Pump(b, a, "b", state));
    return state;
  }
  if (NodeConn.isNative(a) && TlsConn.isNative(b)) {
    const state = new RelayState(a, b, options);
    a.drainInto(new Pump(a, b, "a", state));
    b.drainInto(new Decryption(b, a, "b", state));
    return state;
  }
  return plainRelay(a, b, options);
};

/** Undocumented members; without them, Node.js allocates memory for each record. */
interface Internals {
  readonly _handle?: { useUserBuffer?(buffer: Uint8Array): void } | null;
  [member: symbol]: unknown;
}

/** The members for `onread`, which sockets with TLS do not support as an option. */
const [BUFFER, CALLBACK, NEXT_BUFFER] = ["kBuffer", "kBufferCb", "kBufferGen"]
  .map((name) => {
    const symbols = Object.getOwnPropertySymbols(new net.Socket());
    return symbols.find(({ description }) => description === name);
  });

/** Makes a socket read into `SHARED`, and then into what `next` returns after each record. */
function readInto(
  socket: net.Socket,
  onRecord: (length: number) => void,
  next: () => Uint8Array,
): void {
  const internals = socket as unknown as Internals;
  if (!BUFFER || !CALLBACK || !NEXT_BUFFER || !useBuffer(socket, SHARED)) {
    return;
  }
  internals[BUFFER] = SHARED;
  internals[CALLBACK] = onRecord;
  internals[NEXT_BUFFER] = next;
}

/** Makes `buffer` the one of the next read; see {@linkcode NodeConn.useBuffer}. */
function useBuffer(socket: net.Socket, buffer: Uint8Array): boolean {
  const { _handle: handle } = socket as unknown as Internals;
  if (!handle?.useUserBuffer) return false;
  handle.useUserBuffer(buffer);
  return true;
}

/**
 * The direction from a connection with TLS. Node.js passes each record to a callback of its
 * own. Those that arrive together are gathered in one buffer, and written at once.
 */
class Decryption implements Sink {
  readonly #from: TlsConn;
  readonly #to: net.Socket;
  readonly #side: Side;
  readonly #state: RelayState;
  #busy: BusyBuffer | undefined;
  /** What is gathered in the buffer; the next record follows it. */
  #start = 0;
  #end = 0;
  #isDue = false;
  /** How many records below `BUSY_RECORD` have come in this turn of the event loop. */
  #small = 0;
  #isWriting = false;

  constructor(from: TlsConn, to: NodeConn, side: Side, state: RelayState) {
    this.#from = from;
    this.#to = to.socket;
    this.#side = side;
    this.#state = state;
    const onRecord = (length: number) => this.#add(length);
    readInto(from.socket, onRecord, () => this.#next());
  }

  take(chunk: Uint8Array): boolean {
    if (this.#state.ended) return false;
    this.#state.count(this.#side, chunk.length);
    this.#to.write(chunk);
    if (this.#to.writableLength === 0) return true;
    this.#wait();
    return false;
  }

  end(): void {
    this.#flush();
    const { writableLength } = this.#to;
    if (writableLength === 0 && this.#state.isLast(this.#side)) {
      return this.#finish();
    }
    this.#to.end((error?: Error | null) => {
      if (!error && !this.#state.ended) this.#finish();
    });
  }

  fail(error?: NetError): void {
    this.#flush();
    this.#busy?.abandon();
    if (this.#state.ended) return;
    this.#state.fail(this.#side, error ?? closedError());
  }

  /** Adds a record, which is in the buffer already. */
  #add(length: number): void {
    if (this.#state.ended) return;
    if (this.#busy) {
      this.#busy.reads++;
    } else {
      const record = SHARED.subarray(0, length);
      if (!this.#isBulk(length)) return this.#from.receive(copy(record));
      this.#borrow().set(record);
    }
    this.#end += length;
    const isFull = this.#busy!.buffer.length - this.#end < RECORD;
    if (isFull) this.#flush();
    else this.#flushSoon();
  }

  /** Whether more records are expected. Some clients send bulk data in small ones. */
  #isBulk(length: number): boolean {
    if (length >= BUSY_RECORD) return true;
    this.#flushSoon(); // ends the count
    return ++this.#small > BUSY_RECORDS;
  }

  /** Called after each record: where the next one goes, at any time. */
  #next(): Uint8Array {
    const busy = this.#busy;
    if (!busy) return SHARED;
    if (this.#start === this.#end) {
      if (this.#to.writableLength > 0) busy.replace();
      this.#start = this.#end = 0;
    }
    return busy.buffer.subarray(this.#end);
  }

  /** In this turn of the event loop, after all records that have arrived. */
  #flushSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#small = 0;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#start === this.#end || this.#state.ended) return;
    const chunk = this.#busy!.buffer.subarray(this.#start, this.#end);
    this.#start = this.#end;
    this.#from.receive(chunk);
  }

  /** Pauses until the kernel has accepted everything that was written. */
  #wait(): void {
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#to.write(EMPTY, (error) => {
      this.#isWriting = false;
      if (error || this.#state.ended) return;
      if (this.#to.writableLength === 0) this.#from.resume();
      else this.#wait();
    });
  }

  #borrow(): Uint8Array {
    const onQuiet = () => {
      if (this.#state.ended) return true; // a write may still use it
      const isUsed = this.#isWriting || this.#start < this.#end;
      if (isUsed || !useBuffer(this.#from.socket, SHARED)) return false;
      this.#release();
      return true;
    };
    this.#busy = new BusyBuffer(this.#state.clock, onQuiet);
    return this.#busy.buffer;
  }

  /** Nothing reads into the buffer any more, and no write uses it. */
  #release(): void {
    this.#busy?.release();
    this.#busy = undefined;
    this.#start = this.#end = 0;
  }

  #finish(): void {
    this.#release();
    this.#state.finish(this.#side);
  }
}
