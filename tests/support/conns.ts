/**
 * Reading and comparing the bytes of connections, and waiting for what happens to them.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { NetError, type NetErrorKind } from "../../src/transport/errors.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";

/** Returns `size` pseudo-random bytes. */
export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let x = seed >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** Reads up to the FIN. */
export async function readAll(conn: Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let c = await conn.read(); c; c = await conn.read()) chunks.push(c);
  return join(chunks);
}

/** Reads exactly this many bytes and unreads the rest. */
export async function readExactly(
  conn: Conn,
  size: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let have = 0;
  while (have < size) {
    const chunk = await conn.read();
    if (!chunk) throw new Error(`FIN after ${have} of ${size} bytes`);
    chunks.push(chunk);
    have += chunk.length;
  }
  const all = join(chunks);
  conn.unread(all.slice(size));
  return all.slice(0, size);
}

/** Joins chunks. */
export function join(chunks: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, c) => sum + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Compares many bytes without printing them. */
export function assertSameOctets(actual: Uint8Array, expected: Uint8Array) {
  assertEquals(actual.length, expected.length);
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  assertEquals(at, -1, `the bytes differ at ${at}`);
}

/** Passes if the promise rejects with a {@linkcode NetError} of one of these kinds. */
export async function assertKind(
  promise: Promise<unknown>,
  ...kinds: NetErrorKind[]
): Promise<void> {
  const error = await assertRejects(() => promise, NetError);
  assert(kinds.includes(error.kind), `kind ${error.kind}: ${error.message}`);
}

/** The two ends of a connection. */
export interface Pair {
  readonly near: Conn;
  readonly far: Conn;
  /** Closes both ends. */
  close(): Promise<void>;
}

/** Opens a connection through a listener of its own. */
export async function connectedPair(
  transport: Transport,
  hostname = "127.0.0.1",
): Promise<Pair> {
  let accepted!: (conn: Conn) => void;
  const far = new Promise<Conn>((resolve) => accepted = resolve);
  const listener = await transport.listen({ hostname, port: 0 }, accepted);
  const near = await transport.connect(listener.addr);
  const pair = { near, far: await far };
  await listener.close();
  return {
    ...pair,
    close() {
      pair.near.close();
      pair.far.close();
      return settled();
    },
  };
}

/** Waits until the runtime has closed the sockets that are closing. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Resolves when `holds()` returns `true`. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}
