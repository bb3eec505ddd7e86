/**
 * The few octet operations that all messages share.
 *
 * @module
 */

import { ProtocolError } from "./decode.ts";

/**
 * Checks the first octet, if it has arrived, against the version.
 *
 * @throws {ProtocolError} `"version"` when it is another.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * checkVersion(Uint8Array.of(), 5);
 * checkVersion(Uint8Array.of(5, 1), 5);
 * assertThrows(() => checkVersion(Uint8Array.of(4), 5));
 * ```
 */
export function checkVersion(octets: Uint8Array, version: number): void {
  if (octets.length === 0 || octets[0] === version) return;
  throw new ProtocolError(
    "version",
    `version octet is ${hex(octets[0])}, not ${hex(version)}`,
  );
}

/**
 * Returns `value` when it fits one octet; `what` names it in the error.
 *
 * @throws {TypeError} when it is not an integer from 0 to 255.
 */
export function octet(value: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 255) return value;
  throw new TypeError(`${what} must be an integer from 0 to 255, not ${value}`);
}

/**
 * A port as two octets in network order.
 *
 * @throws {TypeError} when it is not an integer from 0 to 65535.
 */
export function encodePort(port: number): [number, number] {
  if (!isPort(port)) {
    throw new TypeError(`port must be an integer from 0 to 65535, not ${port}`);
  }
  return [port >> 8, port & 0xff];
}

/** The port in the two octets at `offset`, which must be there. */
export function decodePort(octets: Uint8Array, offset: number): number {
  return octets[offset] << 8 | octets[offset + 1];
}

/** Whether `port` is an integer from 0 to 65535. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 0xffff;
}

/** A part of `octets`, which is short, in memory of its own, also of a `Buffer`, whose `slice()` does not copy. */
export function copyOf(
  octets: Uint8Array,
  start: number,
  end: number,
): Uint8Array {
  const copy = new Uint8Array(end - start);
  for (let i = 0; i < copy.length; i++) copy[i] = octets[start + i];
  return copy;
}

/** A string as UTF-8; octets stay as they are. */
export function toOctets(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? new TextEncoder().encode(value) : value;
}

/** One octet as two hex digits, for error messages. */
export function hex(octet: number): string {
  return octet.toString(16).toUpperCase().padStart(2, "0");
}
