/**
 * The choice of a front end by the first byte of a connection.
 *
 * @module
 */

import type { MessageReader } from "../../transport/message_reader.ts";
import type { Frontend } from "./frontend.ts";
import { Refusal } from "./refusal.ts";
import { SOCKS4 } from "./socks4.ts";
import { SOCKS5 } from "./socks5.ts";

const FRONTENDS: readonly Frontend[] = [SOCKS5, SOCKS4];

/**
 * Waits for the first byte, which stays in the reader. Rejects with a {@linkcode
 * Refusal} when no front end accepts it.
 */
export function detectFrontend(reader: MessageReader): Promise<Frontend> {
  return reader.read(peekFrontend);
}

function peekFrontend(bytes: Uint8Array): { value: Frontend; size: number } {
  const first = bytes[0];
  for (const frontend of FRONTENDS) {
    if (frontend.accepts(first)) return { value: frontend, size: 0 };
  }
  throw new Refusal("protocol-error", `no SOCKS version: ${first}`);
}
