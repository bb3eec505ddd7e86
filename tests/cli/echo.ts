/**
 * A target that echoes, and sessions with it through a proxy.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { connect } from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";

export const LOOPBACK = "127.0.0.1";

/** Calls `use` with the port of a server that echoes. */
export async function withEcho(
  use: (port: number) => Promise<void>,
): Promise<void> {
  const transport = await detectTransport();
  const echo = async (conn: Conn) => {
    try {
      for (let chunk; (chunk = await conn.read());) await conn.write(chunk);
    } catch {
      // The client has closed the connection.
    }
    conn.close();
  };
  const listener = await transport.listen(
    { hostname: LOOPBACK, port: 0 },
    echo,
  );
  try {
    await use(listener.addr.port);
  } finally {
    await listener.close();
  }
}

/** Writes a text, and asserts that it is echoed. */
export async function assertEchoes(conn: Conn, text: string): Promise<void> {
  await conn.write(new TextEncoder().encode(text));
  let echoed = "";
  while (echoed.length < text.length) {
    const chunk = await conn.read();
    assert(chunk, "the connection ended");
    echoed += new TextDecoder().decode(chunk);
  }
  assertEquals(echoed, text);
}

/** Runs a whole session: CONNECT, one byte in each direction, the end. */
export async function visit(proxy: string, targetPort: number): Promise<void> {
  const target = { hostname: LOOPBACK, port: targetPort };
  const conn = await connect(proxy, target);
  try {
    await assertEchoes(conn, "?");
    await conn.closeWrite();
    assertEquals(await conn.read(), null);
  } finally {
    conn.close();
  }
}
