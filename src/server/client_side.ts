/**
 * The connection of a client, with the layers below it and their addresses.
 *
 * @module
 */

import { isUnspecified } from "../protocol/address.ts";
import { closeQuietly } from "../transport/quiet.ts";
import type { TlsFacts } from "../transport/tls_options.ts";
import type { Address, Conn } from "../transport/transport.ts";
import type { Incoming } from "./accept.ts";

/** The connection of a client, and the layers below it. */
export class ClientSide {
  /** The connection that is served. */
  readonly conn: Conn;
  readonly #raw: Conn;
  readonly #destination: Address | undefined;
  #client: Address | undefined;

  /**
   * With `readsClient`, the client's address is read now if only the connection has it: a
   * closed socket no longer reports it.
   */
  constructor(
    { conn, raw, client, destination }: Incoming,
    readsClient: boolean,
  ) {
    this.conn = conn;
    this.#raw = raw;
    this.#destination = destination;
    this.#client = client ?? (readsClient ? conn.remoteAddr : undefined);
  }

  /** The client's address. */
  get client(): Address {
    return this.#client ??= this.conn.remoteAddr;
  }

  /** The facts of the TLS handshake, once it is complete; `undefined` without TLS. */
  get tls(): TlsFacts | undefined {
    return this.#raw.tls;
  }

  /** Whether the port speaks TLS, and its handshake is not complete. */
  get waitsForTls(): boolean {
    return "tls" in this.#raw && !this.#raw.tls;
  }

  /** Whether the client has reached the server at this address. */
  isReachedAt(address: string): boolean {
    const { conn } = this;
    const raw = this.#raw;
    return isLocal(address, conn) || raw !== conn && isLocal(address, raw) ||
      this.#destination?.hostname === address;
  }

  /**
   * The address at which the client has reached the server, given the connection of its
   * request: the first that is known.
   */
  reachedAt({ localAddr }: Conn): Address {
    for (const known of [localAddr, this.conn.localAddr]) {
      if (!isUnspecified(known.hostname)) return known;
    }
    return this.#raw.localAddr;
  }

  /** The same connection, to serve its next request. */
  again(exposed: boolean): Incoming {
    return {
      conn: this.conn,
      raw: this.#raw,
      client: this.#client,
      exposed,
      destination: this.#destination,
      isCertified: false, // matters only at accept
      waited: 0,
    };
  }

  /** Closes the connection with all its layers. */
  close(): void {
    closeQuietly(this.conn);
    if (this.#raw !== this.conn) closeQuietly(this.#raw);
  }
}

/** A closed socket no longer reports its address; every address counts as local then. */
function isLocal(address: string, { localAddr }: Conn): boolean {
  return localAddr.hostname === "" || localAddr.hostname === address;
}
