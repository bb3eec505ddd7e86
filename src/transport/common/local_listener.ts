/**
 * Listeners that are no TCP port: Unix sockets, and sockets that another process has opened.
 *
 * @module
 */

import { NetError } from "../errors.ts";
import { localPlace } from "../local_place.ts";
import { innermost } from "../relay.ts";
import type { TlsFacts } from "../tls_options.ts";
import type { Address, Conn, Listener, ListenOptions } from "../transport.ts";
import { removeStale, setMode } from "./socket_file.ts";

/**
 * Listens at a place that is no TCP port. The socket file gets the permissions `mode`, and
 * one that a server has left behind is replaced. `open` opens the listener of the runtime.
 */
export async function listenLocally(
  { hostname, mode = PRIVATE, reusePort }: ListenOptions,
  onConn: (conn: Conn) => void,
  open: (onConn: (conn: Conn) => void) => Promise<Listener>,
): Promise<Listener> {
  if (reusePort) {
    throw new NetError("invalid", `listeners cannot share ${hostname}`);
  }
  const place = localPlace(hostname)!;
  if ("path" in place) await removeStale(place.path);
  const addr = { hostname, port: 0 };
  const named = (conn: Conn) =>
    conn.localAddr.hostname === "" ? new LocalConn(conn, addr) : conn;
  const listener = await open((conn) => onConn(named(conn)));
  try {
    if ("path" in place) await setMode(place.path, mode);
  } catch (error) {
    await listener.close();
    throw error;
  }
  const { startTls } = listener;
  const start = (conn: Conn) => named(startTls!(innermost(conn)));
  return { ...listener, addr, ...startTls && { startTls: start } };
}

/** Only the user of the server may connect. */
const PRIVATE = 0o600;

/** A connection over a Unix socket, both of whose ends have the name of the listener. */
class LocalConn implements Conn {
  readonly inner: Conn;
  readonly localAddr: Address;
  readonly remoteAddr: Address;
  declare readonly tls?: TlsFacts;

  constructor(inner: Conn, addr: Address) {
    this.inner = inner;
    this.localAddr = addr;
    this.remoteAddr = addr;
    // Without TLS it must not even have this member.
    if (!("tls" in inner)) return;
    Object.defineProperty(this, "tls", { get: () => inner.tls });
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
