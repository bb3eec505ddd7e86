/**
 * Names of users as text.
 *
 * @module
 */

/** Octets as text for rules and events. A byte order mark is a part of it: without, it would be another user's name. */
export function readName(octets: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(octets);
}
