/**
 * A client made of octets: requests and what is answered to them, and UDP
 * sockets whose datagrams can be awaited.
 *
 * @module
 */

import { once } from "node:events";
import * as net from "node:net";
import { assertEquals } from "@std/assert";
import { encodeAddress } from "../../src/protocol/address.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type {
  Address,
  Conn,
  DatagramSocket,
} from "../../src/transport/transport.ts";
import { join, octets } from "./table.ts";
import { readExactly } from "../transport/contract.ts";
import type { TestServer } from "./server.ts";

/** Octets as lower-case hex pairs. */
export function hex(bytes: Uint8Array): string {
  return [...bytes].map((it) => it.toString(16).padStart(2, "0")).join(" ");
}

/** A port as two octets in hex. */
export function port(number: number): string {
  return hex(Uint8Array.of(number >> 8, number & 255));
}

/** Such as `01 7f 00 00 01 04 38`. */
export function block(addr: Address): string {
  return hex(encodeAddress(addr));
}

/** A reply's octets before its address block. */
export const OK = "05 00 00";
/** Replies without an address. */
export const ERROR = (rep: string) => `05 ${rep} 00 01 00 00 00 00 00 00`;
/** SOCKS4's only error. */
export const REFUSED4 = "00 5b 00 00 00 00 00 00";

/** A client of SOCKS5 without a login, which has asked for something. */
export interface RawClient {
  readonly conn: Conn;
  /** The reply's octets. */
  readonly reply: string;
  /** What the reply says. */
  readonly rep: number;
  readonly bound: Address;
}

/** Sends a request, all that stands behind `05`, and takes the reply. `hostname` is the server's address to use. */
export async function ask(
  server: TestServer,
  request: string,
  hostname = server.server.addr.hostname,
): Promise<RawClient> {
  const conn = await connect({ ...server.server.addr, hostname });
  await conn.write(octets(`05 01 00 05 ${request}`));
  assertEquals(hex(await readExactly(conn, 2)), "05 00");
  return { conn, ...await readReply(conn) };
}

/** The same from an address of its own choice; only the reply's number. */
export async function askFrom(
  localAddress: string,
  server: TestServer,
  request: string,
): Promise<{ socket: net.Socket; rep: number }> {
  const socket = await connectFrom(localAddress, server.server.addr);
  socket.write(octets(`05 01 00 05 ${request}`));
  let got: Uint8Array = new Uint8Array(0);
  while (got.length < 4) {
    const [chunk] = await once(socket, "data");
    got = join(got, chunk);
  }
  assertEquals(hex(got.subarray(0, 3)), "05 00 05");
  return { socket, rep: got[3] };
}

/** The next reply on a connection. */
export async function readReply(
  conn: Conn,
): Promise<Pick<RawClient, "reply" | "rep" | "bound">> {
  const head = await readExactly(conn, 4);
  const rest = await readExactly(conn, (head[3] === 4 ? 16 : 4) + 2);
  const host = rest.subarray(0, -2);
  return {
    reply: hex(join(head, rest)),
    rep: head[1],
    bound: {
      hostname: head[3] === 4 ? inIPv6(host) : host.join("."),
      port: rest.at(-2)! << 8 | rest.at(-1)!,
    },
  };
}

/** `::1` and `::` are the only ones in use here. */
function inIPv6(host: Uint8Array): string {
  const head = host.subarray(0, 15).every((it) => it === 0);
  return head && host[15] < 2 ? `::${host[15] || ""}` : hex(host);
}

/** Connects without a proxy. */
export async function connect(addr: Address): Promise<Conn> {
  return await (await detectTransport()).connect(addr);
}

/** A TCP connection that comes from an address of its own choice. */
export async function connectFrom(
  localAddress: string,
  { hostname, port }: Address,
): Promise<net.Socket> {
  const socket = net.connect({ host: hostname, port, localAddress });
  socket.on("error", () => {}); // a reset, where one is expected
  await once(socket, "connect");
  return socket;
}

/** Resolves when the other side has ended the connection, in whichever way. */
export async function hungUp(socket: net.Socket): Promise<void> {
  socket.resume();
  if (!socket.destroyed && !socket.readableEnded) {
    await new Promise((resolve) => {
      socket.once("end", resolve);
      socket.once("close", resolve);
    });
  }
  socket.destroy();
}

/** Passes when somebody listens who hangs up on a client from this address, be it before that knows of its connection. */
export async function assertTurnedAway(
  localAddress: string,
  addr: Address,
): Promise<void> {
  try {
    await hungUp(await connectFrom(localAddress, addr));
  } catch (error) {
    assertEquals((error as { code?: string }).code, "ECONNRESET");
  }
}

/** A datagram as it came. */
export interface Arrival {
  readonly payload: Uint8Array;
  readonly from: Address;
}

/** A UDP socket and what it gets. */
export interface Udp {
  readonly addr: Address;
  /** All that has come. */
  readonly arrivals: readonly Arrival[];
  /** The next that was not asked for yet. */
  next(): Promise<Arrival>;
  /** A text is in the notation of {@linkcode octets}. */
  send(payload: string | Uint8Array, to: Address): void;
  close(): void;
}

/** Binds a UDP socket; `onArrival` is told of each datagram. */
export async function udp(
  hostname = "127.0.0.1",
  onArrival: (arrival: Arrival, socket: Udp) => void = () => {},
  port = 0,
): Promise<Udp> {
  const arrivals: Arrival[] = [];
  let taken = 0;
  const wakes: (() => void)[] = [];
  const transport = await detectTransport();
  const socket: DatagramSocket = await transport.datagrams(
    { hostname, port },
    (payload, hostname, port) => {
      const arrival = {
        payload: new Uint8Array(payload),
        from: { hostname, port },
      };
      arrivals.push(arrival);
      onArrival(arrival, self);
      for (const wake of wakes.splice(0)) wake();
    },
  );
  const self: Udp = {
    addr: socket.addr,
    arrivals,
    async next() {
      const index = taken++;
      while (arrivals.length <= index) {
        await new Promise<void>((resolve) => wakes.push(resolve));
      }
      return arrivals[index];
    },
    send(payload, to) {
      const sent = typeof payload === "string" ? octets(payload) : payload;
      socket.send(sent, to.hostname, to.port);
    },
    close: () => socket.close(),
  };
  return self;
}

/** A UDP target that sends everything back. */
export function udpEcho(hostname?: string): Promise<Udp> {
  return udp(hostname, ({ payload, from }, self) => self.send(payload, from));
}
