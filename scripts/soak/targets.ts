/**
 * The targets of the soak test, well-behaved ones and others.
 *
 * @module
 */

import { Backend, listen } from "../bench/backend.ts";
import { freePort } from "../bench/running.ts";
import { writeFully } from "../bench/socks.ts";
import { isPattern, patternAt } from "./pattern.ts";

/** The size of a transfer in octets. */
export const TRANSFER = 4 * 2 ** 20;

/** The answer of a target that has received an intact upload. */
export const INTACT = 1;

/**
 * How long the deaf target does nothing after a FIN, in milliseconds: longer than
 * the server may wait.
 */
const DEAFNESS = 10_000;

const CHUNK = 2 ** 17;

/** The ports of `127.0.0.1` that clients connect to. */
export class Targets extends Backend {
  /** Sends {@linkcode TRANSFER} octets and a FIN. */
  readonly sender: number = listen(sendPattern);
  /** Reads until FIN, and answers whether it received {@linkcode TRANSFER} intact octets. */
  readonly checker: number = listen(checkPattern);
  /** Closes with unread octets, which resets the connection. */
  readonly resetter: number = listen(reset);
  /** Keeps the connection open after a FIN. */
  readonly deaf: number = listen(listenOnly);
  /** Nothing listens there. */
  readonly refuser: number = freePort();
}

async function sendPattern(conn: Deno.TcpConn): Promise<void> {
  await writePattern(conn, TRANSFER);
  await conn.closeWrite();
  await drain(conn);
}

/** Sends octets of the pattern from its start. */
export async function writePattern(
  conn: Deno.Conn,
  length: number,
): Promise<void> {
  for (let at = 0; at < length; at += CHUNK) {
    await writeFully(conn, patternAt(at, Math.min(CHUNK, length - at)));
  }
}

/** Reads until FIN or `enough` octets; throws if they are not the pattern. */
export async function readPattern(
  conn: Deno.Conn,
  enough = Infinity,
): Promise<number> {
  const buffer = new Uint8Array(CHUNK);
  let at = 0;
  while (at < enough) {
    const count = await conn.read(buffer);
    if (count === null) break;
    if (!isPattern(buffer.subarray(0, count), at)) {
      throw new Error(`octets differ after ${at}`);
    }
    at += count;
  }
  return at;
}

async function checkPattern(conn: Deno.TcpConn): Promise<void> {
  const isIntact = await readPattern(conn) === TRANSFER;
  await conn.write(Uint8Array.of(isIntact ? INTACT : 0));
}

async function reset(conn: Deno.TcpConn): Promise<void> {
  await conn.read(new Uint8Array(1));
}

async function listenOnly(conn: Deno.TcpConn): Promise<void> {
  await drain(conn);
  await new Promise((resolve) => setTimeout(resolve, DEAFNESS));
}

async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(CHUNK);
  while (await conn.read(buffer) !== null);
}
