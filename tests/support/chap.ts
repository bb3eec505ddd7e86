/**
 * CHAP over a raw connection: the messages of a client of which every part may be
 * wrong.
 *
 * @module
 */

import { createHmac } from "node:crypto";
import { assertEquals } from "@std/assert";
import type { Conn } from "../../src/transport/transport.ts";
import { readExactly } from "../transport/contract.ts";
import { hex } from "./raw.ts";
import { octets } from "./table.ts";

/** The status messages of the server. */
export const ACCEPTED = "01 01 00 01 00";
export const REFUSED = "01 01 00 01 01";

/** The first message of PuTTY: HMAC-MD5 and the user name. */
export function offer(user: string): string {
  const name = new TextEncoder().encode(user);
  return `01 02 11 01 85 02 ${hex(Uint8Array.of(name.length, ...name))}`;
}

/** The second message: the response to a challenge. */
export function response(secret: string, challenge: Uint8Array): string {
  const mac = createHmac("md5", secret).update(challenge).digest();
  return `01 01 04 10 ${hex(mac)}`;
}

/** Offers method 03 alone, sends the first message, and reads the challenge. */
export async function challengeOf(
  conn: Conn,
  firstMessage: string,
): Promise<Uint8Array> {
  await conn.write(octets(`05 01 03 ${firstMessage}`));
  return await readChallenge(conn);
}

/** Reads the choice of method 03, and the challenge. */
export async function readChallenge(conn: Conn): Promise<Uint8Array> {
  assertEquals(hex(await readExactly(conn, 9)), "05 03 01 02 11 01 85 03 20");
  return await readExactly(conn, 32);
}
