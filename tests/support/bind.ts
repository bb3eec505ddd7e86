/**
 * Requests for a BIND, and checks of its ends.
 *
 * @module
 */

import { assertEquals, assertNotEquals } from "@std/assert";
import type { NetError } from "../../src/transport/errors.ts";
import type { Address, Conn } from "../../src/transport/transport.ts";
import { readAll, readExactly, settled } from "../transport/contract.ts";
import { ask, connect, hex, type RawClient } from "./raw.ts";
import type { TestServer } from "./server.ts";
import { octets } from "./table.ts";

/** DST of a request whose peer has this machine's address. */
export const LOOPBACK = "01 7F 00 00 01 00 00";
/** DST of a request whose peer may have any address. */
export const ANYONE = "01 00 00 00 00 00 00";

/** Asks for a BIND and takes the first reply, which must be a good one. */
export async function bind(
  server: TestServer,
  peer = LOOPBACK,
  hostname?: string,
): Promise<RawClient> {
  const client = await ask(server, `02 00 ${peer}`, hostname);
  assertEquals(client.rep, 0, client.reply);
  const { bound } = client;
  const { addr } = server.server;
  assertNotEquals(bound.port, 0);
  // Beside it, over the other IP version, the same number is another port.
  const isV6 = (it: string) => it.includes(":");
  if (isV6(bound.hostname) === isV6(addr.hostname)) {
    assertNotEquals(bound.port, addr.port);
  }
  return client;
}

/** Passes when octets go both ways and both ends can be ended on their own. */
export async function assertStream(client: Conn, peer: Conn): Promise<void> {
  await client.write(octets('"to the peer"'));
  assertEquals(await readExactly(peer, 11), octets('"to the peer"'));
  await peer.write(octets('"to the client"'));
  assertEquals(await readExactly(client, 13), octets('"to the client"'));
  await client.closeWrite();
  assertEquals(hex(await readAll(peer)), "");
  await peer.write(octets('"still here"'));
  await peer.closeWrite();
  assertEquals(await readAll(client), octets('"still here"'));
  client.close();
  peer.close();
}

/**
 * Passes when nothing listens there; a connection in the queue of a listener
 * that is being closed is reset.
 */
export async function assertClosed(addr: Address): Promise<void> {
  for (let left = 100; left > 0; left--) {
    try {
      (await connect(addr)).close();
    } catch (error) {
      const { kind } = error as NetError;
      if (kind === "refused") return;
      assertEquals(kind, "reset");
    }
    await settled();
  }
  throw new Error("The listener is still there");
}
