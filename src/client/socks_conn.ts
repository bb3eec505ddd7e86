/**
 * Connections through a proxy.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { ForwardingConn } from "../transport/forwarding_conn.ts";
import { type DuplexStreams, toStreams } from "../transport/streams.ts";
import type { TlsFacts } from "../transport/tls_options.ts";
import type { Conn } from "../transport/transport.ts";

/**
 * A connection to a target through a proxy. Use it either as a
 * {@linkcode Conn}, which is faster, or through its Web streams, which are
 * created on first use.
 *
 * Its own addresses are those of the connection to the proxy: `remoteAddr` is
 * the proxy's end, not the target.
 *
 * TCP keepalive is enabled, so that reads reject some minutes after the proxy has died. It
 * is between this machine and the proxy only.
 */
export interface SocksConn extends Conn, DuplexStreams, AsyncDisposable {
  /** The proxy's address towards the target, as the proxy reports it; often zeros. */
  readonly boundAddr: Endpoint;
  /**
   * The connection to the proxy, as the authentication method has wrapped it if it does; with
   * `targetTls` the TLS connection over it.
   */
  readonly inner: Conn;
  /** The application protocol agreed on with the target by `targetTls`, if there is one. */
  readonly alpn?: string;
}

/** A {@linkcode SocksConn} over a connection whose handshake is complete. */
export class Tunnel extends ForwardingConn implements SocksConn {
  readonly boundAddr: Endpoint;
  #streams: DuplexStreams | undefined;

  /** Set if the connection speaks TLS with the target, not with the proxy only. */
  readonly tls: TlsFacts | undefined;

  constructor(inner: Conn, boundAddr: Endpoint, tls?: TlsFacts) {
    super(inner);
    this.boundAddr = boundAddr;
    this.tls = tls;
  }

  get alpn(): string | undefined {
    return this.tls?.alpn;
  }

  get readable(): ReadableStream<Uint8Array> {
    return (this.#streams ??= toStreams(this.inner)).readable;
  }

  get writable(): WritableStream<Uint8Array> {
    return (this.#streams ??= toStreams(this.inner)).writable;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
