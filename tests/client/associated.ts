/**
 * Associations with a scripted proxy, and the sockets around them.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  type Address,
  type Conn,
  type Endpoint,
  type ProxyConfig,
  udpAssociate,
  type UdpAssociation,
  type UdpOptions,
} from "../../src/client/mod.ts";
import { parseIp } from "../../src/protocol/address.ts";
import { encodeDatagram } from "../../src/protocol/datagram.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { DatagramSocket } from "../../src/transport/transport.ts";
import { startProxy } from "../support/scripted.ts";
import { assertSameOctets, pattern, until } from "../transport/contract.ts";

export const CHOSEN = ["05 01 00", "05 00"] as const;
export const ASKED = "05 03 00 01 6*00";
export const SOMEWHERE = "05 00 00 01 7F 00 00 01 12 34";

export const plain = { protocol: "socks5" } as const;
export const distant = { protocol: "socks5h" } as const;
export const TARGET = { hostname: "192.0.2.1", port: 53 };
/** The header of a datagram to or from {@linkcode TARGET}. */
export const HEADER = "00 00 00 01 C0 00 02 01 00 35";

export interface Packet extends Address {
  readonly payload: Uint8Array;
}

/** A socket that keeps the datagrams it receives. */
export interface Mailbox extends DatagramSocket {
  readonly got: Packet[];
  /** The datagram at this index, as soon as it has arrived. */
  packet(index: number): Promise<Packet>;
}

export async function startMailbox(hostname = "127.0.0.1"): Promise<Mailbox> {
  const got: Packet[] = [];
  const socket = await (await detectTransport()).datagrams(
    { hostname, port: 0 },
    (payload, hostname, port) => got.push({ payload, hostname, port }),
  );
  return {
    ...socket,
    addr: socket.addr,
    send: (...args) => socket.send(...args),
    close: () => socket.close(),
    got,
    async packet(index) {
      await until(() => got.length > index);
      return got[index];
    },
  };
}

/** The address block of a reply, in the notation of scripts. */
export function bound({ hostname, port }: Endpoint): string {
  const ip = parseIp(hostname)!;
  const all = [ip.length === 4 ? 1 : 4, ...ip, port >> 8, port & 0xff];
  return all.map((it) => it.toString(16).padStart(2, "0")).join(" ");
}

export interface Scene {
  readonly udp: UdpAssociation;
  /** The proxy's end of the connection. */
  readonly control: Conn;
  readonly relay: Mailbox;
  /** Resolves when the client has closed the connection. */
  readonly rest: Promise<Uint8Array>;
  /** Sends the client a datagram from the target. */
  answer(payload: Uint8Array | string): void;
}

/** An association with a scripted proxy. */
export async function associated(
  use: (scene: Scene) => Promise<void>,
  options: UdpOptions = {},
  proxy: Omit<ProxyConfig, "hostname" | "port"> = plain,
): Promise<void> {
  const relay = await startMailbox();
  const reply = `05 00 00 ${bound(relay.addr)}`;
  const server = await startProxy([CHOSEN, [ASKED, reply]]);
  const udp = await udpAssociate({ ...proxy, ...server.addr }, options);
  try {
    await use({
      udp,
      control: server.conns[0],
      relay,
      rest: server.rest,
      answer(payload) {
        const { hostname, port } = udp.localAddr;
        const content = typeof payload === "string" ? text(payload) : payload;
        const datagram = encodeDatagram({ ...TARGET, payload: content });
        relay.send(datagram, hostname, port);
      },
    });
  } finally {
    udp.close();
    relay.close();
    await server.close();
  }
}

export function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

/** The next datagram's payload as text. */
export async function nextText(udp: UdpAssociation): Promise<string> {
  const { done, value } = await udp.next();
  assert(!done, "the association is over");
  return new TextDecoder().decode(value[0]);
}

export async function assertDone(udp: UdpAssociation): Promise<void> {
  assertEquals(await udp.next(), { done: true, value: undefined });
}

/** A socket that sends everything back. */
export async function startEcho(hostname: string): Promise<DatagramSocket> {
  const socket = await (await detectTransport()).datagrams(
    { hostname, port: 0 },
    (payload, hostname, port) => socket.send(payload, hostname, port),
  );
  return socket;
}

export async function assertEchoed(
  udp: UdpAssociation,
  to: string | Endpoint,
  from: Endpoint,
): Promise<void> {
  const sent = pattern(1200);
  await udp.send(sent, to);
  const { value } = await udp.next();
  assertSameOctets(value![0], sent);
  assertEquals(value![1], from);
}
