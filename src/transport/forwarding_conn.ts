/**
 * The base of layers that change only a part of a connection.
 *
 * @module
 */

import type { Address, Conn } from "./transport.ts";

/** A connection that passes all calls on to another one. Relays use that one directly. */
export class ForwardingConn implements Conn {
  readonly inner: Conn;

  constructor(inner: Conn) {
    this.inner = inner;
  }

  get localAddr(): Address {
    return this.inner.localAddr;
  }

  get remoteAddr(): Address {
    return this.inner.remoteAddr;
  }

  read(): Promise<Uint8Array | null> {
    return this.inner.read();
  }

  unread(chunk: Uint8Array): void {
    this.inner.unread(chunk);
  }

  peek(): Promise<boolean> {
    return this.inner.peek();
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.inner.write(chunk);
  }

  closeWrite(): Promise<void> {
    return this.inner.closeWrite();
  }

  close(): void {
    this.inner.close();
  }

  reset(): void {
    this.inner.reset();
  }

  keepAlive(): void {
    this.inner.keepAlive?.();
  }
}
