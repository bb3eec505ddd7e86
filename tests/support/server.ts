/**
 * Fixtures for tests of the server and the client: a target, a raw client, and a
 * server that records its events.
 *
 * @module
 */

import {
  serve,
  type ServeOptions,
  type Server,
  type ServerEvent,
  type SessionEndReason,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn, Listener } from "../../src/transport/transport.ts";
import { settled } from "../transport/contract.ts";

/** A server and its recorded events. */
export interface TestServer {
  readonly server: Server;
  readonly events: ServerEvent[];
  /** Resolves with the next `session-end` event that no earlier call has returned. */
  ended(): Promise<SessionEnd>;
  /** Connects to the server without sending anything. */
  client(): Promise<Conn>;
  close(): Promise<void>;
}

/** The event at the end of a session. */
export type SessionEnd = Extract<ServerEvent, { type: "session-end" }>;

/** Starts a server on a free port of 127.0.0.1. */
export async function startServer(
  options: ServeOptions = {},
): Promise<TestServer> {
  const events: ServerEvent[] = [];
  const ends = new Channel<SessionEnd>();
  const server = await serve({
    port: 0,
    ...options,
    onEvent(event) {
      events.push(event);
      if (event.type === "session-end") ends.push(event);
      options.onEvent?.(event);
    },
  });
  const clients: Conn[] = [];
  return {
    server,
    events,
    ended: () => ends.next(),
    async client() {
      const conn = await (await detectTransport()).connect(server.addr);
      clients.push(conn);
      return conn;
    },
    async close() {
      for (const conn of clients) conn.close();
      await server.shutdown({ grace: 0 });
      await settled();
    },
  };
}

/** The URL of a server; `start` is its scheme, or all before the host. */
export function urlOf({ server }: TestServer, start = "socks5h"): string {
  const before = start.endsWith("@") ? start : `${start}://`;
  return `${before}127.0.0.1:${server.addr.port}`;
}

/** A listening target and the connections it has accepted. */
export interface Target {
  readonly addr: Listener["addr"];
  readonly conns: Conn[];
  /** Resolves with the next connection. */
  accepted(): Promise<Conn>;
  close(): Promise<void>;
}

/** Starts a target that calls `onConn` for each connection. */
export async function startTarget(
  onConn: (conn: Conn) => unknown = () => {},
  hostname = "127.0.0.1",
): Promise<Target> {
  const accepted = new Channel<Conn>();
  const conns: Conn[] = [];
  const transport = await detectTransport();
  const listener = await transport.listen({ hostname, port: 0 }, (conn) => {
    conns.push(conn);
    accepted.push(conn);
    onConn(conn);
  });
  return {
    addr: listener.addr,
    conns,
    accepted: () => accepted.next(),
    async close() {
      await listener.close();
      for (const conn of conns) conn.close();
      await settled();
    },
  };
}

/** Echoes everything until FIN, then sends FIN. */
export async function echo(conn: Conn): Promise<void> {
  try {
    for (let c = await conn.read(); c; c = await conn.read()) {
      await conn.write(c);
    }
    await conn.closeWrite();
  } catch {
    conn.close();
  }
}

/** A port of 127.0.0.1 where nothing listens. */
export async function closedPort(): Promise<number> {
  const target = await startTarget();
  await target.close();
  return target.addr.port;
}

/** Resolves with the reason of the next `session-end` event. */
export async function reasonOf(
  server: TestServer,
): Promise<SessionEndReason> {
  return (await server.ended()).reason;
}

class Channel<T> {
  readonly #values: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  push(value: T): void {
    const taker = this.#takers.shift();
    if (taker) taker(value);
    else this.#values.push(value);
  }

  next(): Promise<T> {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift()!);
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}
