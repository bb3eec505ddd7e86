/**
 * Text as octets, and octets as text.
 *
 * @module
 */

/** Encodes a text as UTF-8. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Encodes a text of characters up to U+00FF as one octet each. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (it) => it.charCodeAt(0));
}

/** Decodes what {@linkcode latin1} encodes. */
export function fromLatin1(octets: Uint8Array): string {
  return String.fromCharCode(...octets);
}
