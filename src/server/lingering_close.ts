/**
 * Closes a connection so that its last bytes arrive.
 *
 * @module
 */

import type { Clock } from "../transport/clock.ts";
import type { Conn } from "../transport/transport.ts";

/**
 * How long a client may take to read an error reply and to close the connection,
 * in milliseconds (RFC 1928 section 6 allows 10 s).
 */
const LINGER_TIME = 2_000;
/**
 * How many bytes of such a client are read and dropped. Unread ones would turn
 * our FIN into a reset, which overtakes the reply.
 */
const LINGER_BYTES = 64 * 1024;

/** Options of {@linkcode lingeringClose}. */
export interface LingeringCloseOptions {
  /** Writes the last bytes. */
  readonly send: () => Promise<void>;
  readonly clock: Clock;
  /**
   * How many bytes of the client are read and dropped at most.
   *
   * @default {65_536}
   */
  readonly bytes?: number;
  /** Closes the connection of a client that takes too long. */
  readonly giveUp: () => void;
}

/**
 * Sends the last bytes and a FIN, and reads what the client still sends, so that no reset
 * overtakes them. Resolves when the client has closed the connection, or when its time is
 * up.
 */
export async function lingeringClose(
  conn: Conn,
  { send, clock, giveUp, bytes = LINGER_BYTES }: LingeringCloseOptions,
): Promise<void> {
  const timeout = clock.startTimeout(LINGER_TIME, giveUp);
  try {
    await send();
    await conn.closeWrite();
    let left = bytes;
    while (left > 0) {
      const chunk = await conn.read();
      if (chunk === null) break;
      left -= chunk.length;
    }
  } catch {
    // The client has closed the connection: there is nothing left to wait for.
  } finally {
    timeout.cancel();
  }
}
