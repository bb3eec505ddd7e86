/**
 * Requests that produce long lines in the log.
 *
 * @module
 */

import { detectTransport } from "../../src/transport/detect.ts";
import { LOOPBACK } from "../cli/echo.ts";

/**
 * Sends a SOCKS4 request for a port where nothing listens, with a user id that
 * produces a line of more than 1,500 characters. Resolves after the reply.
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

/** Enough lines to fill the pipe and the buffer of the program more than once. */
export const FLOOD = 1_600;

/** Sends {@linkcode FLOOD} requests. */
export async function flood(port: number): Promise<void> {
  for (let i = 0; i < FLOOD; i += 20) {
    await Promise.all(Array.from({ length: 20 }, () => refuse(port)));
  }
}
