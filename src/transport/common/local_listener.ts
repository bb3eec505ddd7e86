/**
 * Listeners that are no TCP port: Unix sockets, and sockets that another process has opened.
 *
 * @module
 */

import { NetError } from "../errors.ts";
import { ForwardingConn } from "../forwarding_conn.ts";
import { localPlace } from "../local_place.ts";
import { innermost } from "../relay.ts";
import type { TlsFacts } from "../tls_options.ts";
import type {
  Address,
  Conn,
  Listener,
  ListenOptions,
  Transport,
} from "../transport.ts";
import { listenOnFile } from "./socket_file.ts";

/** Opens a listener of the runtime. */
export type Open = Transport["listen"];

/**
 * Listens at a place that is no TCP port. The file of a Unix socket gets the permissions
 * `mode`, and one that a killed server has left is replaced.
 */
export async function listenLocally(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
  onError: ((error: NetError) => void) | undefined,
  open: Open,
): Promise<Listener> {
  const { hostname, mode = PRIVATE, reusePort } = options;
  if (reusePort) {
    throw new NetError("invalid", `listeners cannot share ${hostname}`);
  }
  const addr = { hostname, port: 0 };
  const named = (conn: Conn) =>
    conn.localAddr.hostname === "" ? new LocalConn(conn, addr) : conn;
  const openAt = (hostname: string) =>
    open({ ...options, hostname }, (conn) => onConn(named(conn)), onError);
  const place = localPlace(hostname)!;
  const opened = "path" in place
    ? await listenOnFile(place.path, mode, (path) => openAt(`unix:${path}`))
    : await openAt(hostname);
  const { startTls } = opened;
  const start = (conn: Conn) => named(startTls!(innermost(conn)));
  return { ...opened, addr, ...startTls && { startTls: start } };
}

/** Only the user of the server may connect. */
const PRIVATE = 0o600;

/** A connection over a Unix socket, both of whose ends have the name of the listener. */
class LocalConn extends ForwardingConn {
  readonly #addr: Address;
  declare readonly tls?: TlsFacts;

  constructor(inner: Conn, addr: Address) {
    super(inner);
    this.#addr = addr;
    // Without TLS it must not even have this member.
    if (!("tls" in inner)) return;
    Object.defineProperty(this, "tls", { get: () => inner.tls });
  }

  override get localAddr(): Address {
    return this.#addr;
  }

  override get remoteAddr(): Address {
    return this.#addr;
  }
}
