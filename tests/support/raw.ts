/**
 * A client that sends raw octets: requests and their replies, and UDP sockets
 * whose datagrams tests can await.
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

/** Formats octets as lower-case hexadecimal pairs. */
export function hex(bytes: Uint8Array): string {
  return [...bytes].map((it) => it.toString(16).padStart(2, "0")).join(" ");
}

/** Formats a port as two octets in hexadecimal. */
export function port(number: number): string {
  return hex(Uint8Array.of(number >> 8, number & 255));
}

/** Formats ATYP, ADDR and PORT in hexadecimal, such as `01 7f 00 00 01 04 38`. */
export function block(addr: Address): string {
  return hex(encodeAddress(addr));
}

/** The octets of a successful reply before ATYP. */
export const OK = "05 00 00";
/** A reply with a code and no address. */
export const ERROR = (rep: string) => `05 ${rep} 00 01 00 00 00 00 00 00`;
/** The only error reply that the server sends to SOCKS4 clients. */
export const REFUSED4 = "00 5b 00 00 00 00 00 00";

/** A SOCKS5 client without a login that has sent a request. */
export interface RawClient {
  readonly conn: Conn;
  /** The octets of the reply. */
  readonly reply: string;
  /** The code of the reply. */
  readonly rep: number;
  readonly bound: Address;
}

/**
 * Sends a request, given without its first octet `05`, and reads the reply.
 * `hostname` is the address of the server to connect to.
 */
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

/** Logs in with a name of two letters and the password `pw`, and requests a target. */
export async function connectAs(
  user: string,
  server: TestServer,
  target: Address,
): Promise<RawClient> {
  const conn = await server.client();
  const login = `01 02 ${hex(new TextEncoder().encode(user))} 02 70 77`;
  await conn.write(octets(`05 01 02 ${login} 05 01 00 ${block(target)}`));
  assertEquals(hex(await readExactly(conn, 4)), "05 02 01 00");
  return { conn, ...await readReply(conn) };
}

/** {@linkcode ask} from a local address; returns only the code of the reply. */
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

/** Reads the next reply. */
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

/** Formats an IPv6 address; only `::1` and `::` occur in the tests. */
function inIPv6(host: Uint8Array): string {
  const head = host.subarray(0, 15).every((it) => it === 0);
  return head && host[15] < 2 ? `::${host[15] || ""}` : hex(host);
}

/** Connects without a proxy. */
export async function connect(addr: Address): Promise<Conn> {
  return await (await detectTransport()).connect(addr);
}

/** Connects without a proxy, from a local address. */
export async function connectFrom(
  localAddress: string,
  { hostname, port }: Address,
): Promise<net.Socket> {
  const socket = net.connect({ host: hostname, port, localAddress });
  socket.on("error", () => {}); // some tests expect a reset
  await once(socket, "connect");
  return socket;
}

/** Resolves when the peer has closed the connection, by FIN or reset. */
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

/**
 * Passes if the server closes a connection from this address, possibly before
 * the client knows that it is connected.
 */
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

/** A received datagram. */
export interface Arrival {
  readonly payload: Uint8Array;
  readonly from: Address;
}

/** A UDP socket that records the datagrams it receives. */
export interface Udp {
  readonly addr: Address;
  /** All received datagrams. */
  readonly arrivals: readonly Arrival[];
  /** Resolves with the next datagram that no earlier call has returned. */
  next(): Promise<Arrival>;
  /** Sends a payload, given as octets or in the notation of {@linkcode octets}. */
  send(payload: string | Uint8Array, to: Address): void;
  close(): void;
}

/** Binds a UDP socket; `onArrival` is called for each datagram. */
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

/** A UDP target that echoes all datagrams. */
export function udpEcho(hostname?: string): Promise<Udp> {
  return udp(hostname, ({ payload, from }, self) => self.send(payload, from));
}
