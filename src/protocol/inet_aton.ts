/**
 * IPv4 addresses in disguise: the spellings that resolvers accept as an address
 * and `parseIp` rejects. The rules are those of the WHATWG URL standard ("ends
 * in a number", "IPv4 parser"), which accepts everything that `inet_aton` does.
 *
 * @module
 */

import { formatIp } from "./ip.ts";

const NUMBER = /^(?:\d+|0x[0-9a-f]*)$/;
const PART = /^(?:0x[0-9a-f]*|0[0-7]*|[1-9]\d*)$/;

/**
 * Whether the last label of a name is a number. Such a name is an IPv4 address
 * or invalid. The name must be in lower case, without a trailing dot.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["127.1", "a.0x", "1.a", "a.1b"].map(endsInNumber), [
 *   true,
 *   true,
 *   false,
 *   false,
 * ]);
 * ```
 */
export function endsInNumber(name: string): boolean {
  const last = name.lastIndexOf(".") + 1;
  const first = name.charCodeAt(last);
  if (first < 0x30 || first > 0x39) return false; // nearly every name
  return NUMBER.test(name.slice(last));
}

/**
 * Parses 1 to 4 decimal, octal (`0`) or hexadecimal (`0x`) parts as an IPv4
 * address; the last part fills the remaining octets. Returns `undefined` if they
 * are not an address. The text must be in lower case.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(inetAton("127.1"), "127.0.0.1");
 * assertEquals(inetAton("0x7f000001"), "127.0.0.1");
 * assertEquals(inetAton("0177.0.0.01"), "127.0.0.1");
 * assertEquals(inetAton("127.0.0.256"), undefined);
 * ```
 */
export function inetAton(text: string): string | undefined {
  const values = text.split(".").map(partValue);
  if (values.length > 4) return undefined;
  const last = values.pop()!;
  let address = 0;
  for (const value of values) {
    if (!(value < 256)) return undefined; // also NaN
    address = address * 256 + value;
  }
  const rest = 256 ** (4 - values.length);
  if (!(last < rest)) return undefined;
  return formatUint32(address * rest + last);
}

/** Returns `NaN` if the text is not a number. */
function partValue(text: string): number {
  if (!PART.test(text)) return NaN;
  if (text.startsWith("0x")) return parseInt(text.slice(2) || "0", 16);
  return parseInt(text, text.startsWith("0") ? 8 : 10);
}

function formatUint32(value: number): string {
  return formatIp(
    Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value),
  );
}
