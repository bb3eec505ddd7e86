/**
 * The bytes of user names as text.
 *
 * @module
 */

/**
 * Text for rules and events. A byte order mark is kept, because the name without it may
 * be that of another user.
 */
export function readName(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** The exact text, or `undefined` if the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(bytes);
  } catch {
    return undefined;
  }
}

/** Bytes, such as those of a name, as a key of a map. */
export function keyOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
