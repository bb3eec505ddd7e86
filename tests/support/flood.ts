/**
 * Requests that make long lines in a log.
 *
 * @module
 */

import { detectTransport } from "../../src/transport/detect.ts";
import { LOOPBACK } from "../cli/echo.ts";

/**
 * A SOCKS4 request that nothing listens for, from a user id that makes a line
 * of more than 1,500 characters; gives when it is answered.
 */
export async function refuse(port: number): Promise<void> {
  const transport = await detectTransport();
  const conn = await transport.connect({ hostname: LOOPBACK, port });
  try {
    const userId = new Array(255).fill(1);
    await conn.write(Uint8Array.of(4, 1, 0, 1, 127, 0, 0, 1, ...userId, 0));
    while (await conn.read());
  } finally {
    conn.close();
  }
}

/** As many lines fill the pipe and the program's own buffer more than once. */
export const FLOOD = 1_600;

/** So many of them. */
export async function flood(port: number): Promise<void> {
  for (let i = 0; i < FLOOD; i += 20) {
    await Promise.all(Array.from({ length: 20 }, () => refuse(port)));
  }
}
