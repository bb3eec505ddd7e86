/**
 * The octet operations that all codecs share.
 *
 * @module
 */

import { ProtocolError } from "./decode.ts";

/**
 * Checks the version octet, if it has arrived.
 *
 * @throws {ProtocolError} `"version"` if it differs from `version`.
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
 * Returns `value` if it fits in one octet; `name` is used in the error message.
 *
 * @throws {TypeError} if it is not an integer from 0 to 255.
 */
export function octet(value: number, name: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 255) return value;
  throw new TypeError(`${name} must be an integer from 0 to 255, not ${value}`);
}

/**
 * Encodes a port as two octets in network order.
 *
 * @throws {TypeError} if it is not an integer from 0 to 65535.
 */
export function encodePort(port: number): [number, number] {
  if (!isPort(port)) {
    throw new TypeError(
      `port must be an integer from 0 to 65535, not ${showPort(port)}`,
    );
  }
  return [port >> 8, port & 0xff];
}

/** Formats a value that should have been a port, for error messages; it may be a string. */
export function showPort(port: unknown): string {
  return typeof port === "string"
    ? `the string ${JSON.stringify(port)}`
    : String(port);
}

/** Decodes the port in the two octets at `offset`, which must have arrived. */
export function decodePort(octets: Uint8Array, offset: number): number {
  return octets[offset] << 8 | octets[offset + 1];
}

/** Whether `port` is an integer from 0 to 65535. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 0 && port <= 0xffff;
}

/**
 * Copies a short range of `octets`, also of a `Buffer`, whose `slice()` does not
 * copy.
 */
export function copyOf(
  octets: Uint8Array,
  start: number,
  end: number,
): Uint8Array {
  const copy = new Uint8Array(end - start);
  for (let i = 0; i < copy.length; i++) copy[i] = octets[start + i];
  return copy;
}

/** Encodes a string as UTF-8; returns octets unchanged. */
export function toOctets(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? new TextEncoder().encode(value) : value;
}

/** Formats an octet as two hexadecimal digits, for error messages. */
export function hex(octet: number): string {
  return octet.toString(16).toUpperCase().padStart(2, "0");
}
