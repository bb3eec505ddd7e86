/**
 * The targets of a check: listeners of this process, which answer only their own
 * visitors.
 *
 * @module
 */

import { isIp, isUnspecified } from "../../protocol/address.ts";
import { NetError } from "../../transport/errors.ts";
import { MessageReader } from "../../transport/message_reader.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import type {
  Address,
  Conn,
  DatagramSocket,
  Listener,
  Transport,
} from "../../transport/transport.ts";

const TOKEN_LENGTH = 16;
/** How many connections are open at a time: anyone who reaches the listeners can connect. */
const MAX_CONNS = 64;
/** How often a pair of ports with the same number is tried. */
const ATTEMPTS = 8;

/** Bytes that only the visitor knows; a target that has seen them was reached. */
export interface Visit {
  readonly token: Uint8Array;
  /** Where the target was reached from. */
  readonly from: Address | undefined;
}

/** The listeners at this machine's addresses. */
export class OwnTargets {
  readonly #transport: Transport;
  readonly #visits = new Map<string, { token: Uint8Array; from?: Address }>();
  readonly #conns = new Set<Conn>();
  readonly #open: (Listener | DatagramSocket)[] = [];
  #isClosed = false;
  /** Where TCP listens, by IP version; the port is the same if that was possible. */
  readonly tcp = new Map<4 | 6, Address>();
  /** Where UDP listens. */
  readonly udp = new Map<4 | 6, Address>();

  private constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Listens at these addresses. Those of an IP version that the machine lacks are left out. */
  static async open(
    transport: Transport,
    addresses: readonly string[],
  ): Promise<OwnTargets> {
    const targets = new OwnTargets(transport);
    try {
      for (const hostname of addresses) await targets.#listen(hostname);
    } catch (error) {
      await targets.close();
      throw error;
    }
    return targets;
  }

  async #listen(hostname: string): Promise<void> {
    const version = isIp(hostname);
    if (version === 0 || isUnspecified(hostname)) return;
    try {
      const listener = await this.#listenTcp(hostname);
      this.#open.push(listener);
      this.tcp.set(version, listener.addr);
      const socket = await this.#transport.datagrams(
        { hostname, port: 0 },
        (payload, from, port) => this.#answer(version, payload, from, port),
      );
      this.#open.push(socket);
      this.udp.set(version, socket.addr);
      this.#sockets.set(version, socket);
    } catch (error) {
      const isMissing = error instanceof NetError &&
        ["addr-not-available", "net-unreachable", "invalid", "other"]
          .includes(error.kind);
      if (!isMissing) throw error;
    }
  }

  readonly #sockets = new Map<4 | 6, DatagramSocket>();

  /** Prefers the port of the other IP version: a name may lead to either. */
  async #listenTcp(hostname: string): Promise<Listener> {
    const [other] = this.tcp.values();
    for (let left = ATTEMPTS;; left--) {
      const port = left > 0 && other ? other.port : 0;
      try {
        const onConn = (conn: Conn) => void this.#receive(conn);
        return await this.#transport.listen({ hostname, port }, onConn);
      } catch (error) {
        const isTaken = error instanceof NetError &&
          error.kind === "addr-in-use";
        if (!isTaken || port === 0) throw error;
        left = 1; // it stays taken
      }
    }
  }

  /** Prepares for a visitor. */
  expect(): Visit {
    const token = crypto.getRandomValues(new Uint8Array(TOKEN_LENGTH));
    const visit = { token };
    this.#visits.set(token.join(), visit);
    return visit as Visit;
  }

  /** Sends the token back, and once more after the visitor's FIN, followed by FIN. */
  async #receive(conn: Conn): Promise<void> {
    if (this.#isClosed || this.#conns.size >= MAX_CONNS) return conn.close();
    this.#conns.add(conn);
    try {
      const token = await readToken(conn);
      const visit = this.#visits.get(token.join());
      if (!visit) return;
      visit.from = conn.remoteAddr;
      await conn.write(token);
      while (await conn.read() !== null) continue;
      await conn.write(token);
      await conn.closeWrite();
      await conn.peek(); // the proxy closes first, or the check is over
    } catch {
      // The visitor notices.
    } finally {
      this.#conns.delete(conn);
      closeQuietly(conn);
    }
  }

  /** Sends datagrams back that begin with a token. */
  #answer(
    version: 4 | 6,
    payload: Uint8Array,
    hostname: string,
    port: number,
  ): void {
    const visit = this.#visits.get(payload.slice(0, TOKEN_LENGTH).join());
    if (!visit) return;
    visit.from = { hostname, port };
    this.#sockets.get(version)?.send(payload, hostname, port);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const conn of this.#conns) closeQuietly(conn);
    for (const it of this.#open) await it.close();
  }
}

/** Reads a token. Rejects if the connection ends before. */
export async function readToken(conn: Conn): Promise<Uint8Array> {
  const reader = new MessageReader(conn);
  const token = await reader.read((bytes) =>
    bytes.length < TOKEN_LENGTH
      ? undefined
      : { value: bytes.slice(0, TOKEN_LENGTH), size: TOKEN_LENGTH }
  );
  reader.release();
  return token;
}
