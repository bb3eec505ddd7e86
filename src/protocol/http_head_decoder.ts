/**
 * Header sections of HTTP messages that arrive octet by octet.
 *
 * @module
 */

import type { Decode } from "./decode.ts";
import { CR, isControl, LF, MAX_HEAD } from "./http_head.ts";

/**
 * Creates a decoder for one message. It returns and throws what `decode` does, which
 * accepts only lines that end in CR LF, but looks at each octet of an incomplete header
 * once: a peer that sends 16 KiB in packets of one octet would cost seconds of CPU otherwise.
 *
 * Each call gets the octets of the call before and those that have arrived since.
 *
 * @example
 * ```ts
 * import { httpConnect } from "@x/socks5/protocol";
 * import { assertEquals } from "@std/assert";
 *
 * const decode = headDecoder(httpConnect.decodeRequest);
 * const octets = new TextEncoder().encode("CONNECT a.example:80 HTTP/1.0\r\n\r\n");
 * assertEquals(decode(octets.subarray(0, 32)), undefined);
 * assertEquals(decode(octets)?.size, 33);
 * ```
 */
export function headDecoder<T>(decode: Decode<T>): Decode<T> {
  let seen = 0;
  let hasLine = false;
  return (octets) => {
    const limit = Math.min(octets.length, MAX_HEAD);
    let isDue = octets.length >= MAX_HEAD;
    for (; seen < limit && !isDue; seen++) {
      isDue = isDecisive(octets, seen, hasLine);
      hasLine ||= octets[seen] === LF;
    }
    return isDue ? decode(octets) : undefined;
  };
}

/** Whether an octet ends the first line or the header section, or is invalid in them. */
function isDecisive(
  octets: Uint8Array,
  at: number,
  hasLine: boolean,
): boolean {
  const isAfterCr = octets[at - 1] === CR;
  if (octets[at] !== LF) {
    return isAfterCr || octets[at] !== CR && isControl(octets[at]);
  }
  return !hasLine || !isAfterCr || octets[at - 2] === LF;
}
