/**
 * A server with a UDP association, its client and a target.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { ServeOptions } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Clock } from "../../src/transport/clock.ts";
import type {
  Address,
  Conn,
  Transport,
} from "../../src/transport/transport.ts";
import { NetError } from "../../src/transport/errors.ts";
import { octets } from "./table.ts";
import { startServer, type TestServer } from "./server.ts";
import { settled } from "../transport/contract.ts";
import {
  ask,
  block,
  hex,
  type RawClient,
  type Udp,
  udp,
  udpEcho,
} from "./raw.ts";

/** DST of a request that does not announce the source of datagrams. */
export const ZEROS = "01 00 00 00 00 00 00";

/** A server, a client with an association, and a target. */
export interface World {
  readonly server: TestServer;
  readonly client: RawClient;
  readonly control: Conn;
  /** The address to which the client sends its datagrams. */
  readonly relay: Address;
  /** The socket of the client. */
  readonly own: Udp;
  /** A target that echoes all datagrams. */
  readonly target: Udp;
  counts(): { sent: number; received: number; dropped: number };
  /** Sends through the relay and waits for the answer. */
  echo(payload?: string): Promise<void>;
  close(): Promise<void>;
}

/** Starts a {@linkcode World}. */
export async function start(
  options: ServeOptions = {},
  destination = ZEROS,
): Promise<World> {
  const server = await startServer(options);
  const target = await udpEcho();
  const own = await udp();
  const client = await ask(server, `03 00 ${destination}`);
  const relay = client.bound;
  const [session] = server.server.sessions;
  return {
    server,
    client,
    control: client.conn,
    relay,
    own,
    target,
    counts: () => ({ ...session.datagrams! }),
    async echo(payload = '"ping"') {
      const datagram = to(target.addr, payload);
      own.send(datagram, relay);
      assertEquals(await got(own), datagram);
    },
    async close() {
      client.conn.close();
      own.close();
      target.close();
      await server.close();
    },
  };
}

/** A datagram from the client to a target. */
export function to(
  target: Address,
  payload: string,
  head = "00 00 00",
): string {
  return hex(octets(`${head} ${block(target)} ${payload}`));
}

/** Resolves with the next payload in hexadecimal. */
export async function got(socket: Udp): Promise<string> {
  return hex((await socket.next()).payload);
}

/** All received payloads in hexadecimal. */
export function texts(socket: Udp): string[] {
  return socket.arrivals.map((it) => hex(it.payload));
}

/** ATYP and ADDR of a name. */
export const FROM_NAME = '03 0B "target.test"';

/** A transport that resolves these names. */
export async function withNames(
  names: Record<string, string[] | Promise<string[]>>,
): Promise<ServeOptions> {
  const lookup = async (name: string) => {
    const found = await names[name];
    if (found) return found;
    throw new NetError("dns", `no such name: ${name}`);
  };
  return { transport: { ...await detectTransport(), lookup } };
}

/** The runtime's transport with a clock of the test's. */
export async function timed(
  clock: Clock,
): Promise<{ readonly transport: Transport }> {
  return { transport: { ...await detectTransport(), clock } };
}

/** `Promise.withResolvers()`, which Node.js 20 lacks. */
export function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
} {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((it) => resolve = it);
  return { promise, resolve };
}

/** Passes if the association has ended and its ports are free. */
export async function assertOver(
  world: World,
  ...reasons: string[]
): Promise<void> {
  const { relay, server, target } = world;
  const { reason, session } = await server.ended();
  assert(reasons.includes(reason), reason);
  assertEquals(session.phase, "ended");
  const { port } = target.arrivals[0].from;
  (await rebound(relay)).close();
  (await rebound({ hostname: "0.0.0.0", port })).close();
}

/**
 * Binds a socket as soon as the port is free: Deno closes a socket only after
 * its last receive has returned.
 */
export async function rebound({ hostname, port }: Address): Promise<Udp> {
  for (;;) {
    try {
      return await udp(hostname, () => {}, port);
    } catch (error) {
      assertEquals((error as NetError).kind, "addr-in-use");
      await settled();
    }
  }
}
