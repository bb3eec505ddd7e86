/**
 * A connection to somebody behind a proxy.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { type DuplexStreams, toStreams } from "../transport/streams.ts";
import type { Conn } from "../transport/transport.ts";

/** A connection through a proxy. */
export interface SocksConn extends DuplexStreams, AsyncDisposable {
  /** The proxy's end of the way to the target, as the proxy says; often zeros. */
  readonly boundAddr: Endpoint;
  /** The same connection without Web streams, faster. Use either it or the streams. */
  readonly conn: Conn;
  /** Ends both directions. Idempotent. */
  close(): void;
}

/** A {@linkcode SocksConn} over a connection whose handshake is done. */
export class Tunnel implements SocksConn {
  readonly conn: Conn;
  readonly boundAddr: Endpoint;
  #streams: DuplexStreams | undefined;

  constructor(conn: Conn, boundAddr: Endpoint) {
    this.conn = conn;
    this.boundAddr = boundAddr;
  }

  get readable(): ReadableStream<Uint8Array> {
    return (this.#streams ??= toStreams(this.conn)).readable;
  }

  get writable(): WritableStream<Uint8Array> {
    return (this.#streams ??= toStreams(this.conn)).writable;
  }

  close(): void {
    this.conn.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
