/**
 * HMAC-MD5, which Web Crypto does not have.
 *
 * @module
 */

/**
 * Returns the HMAC-MD5 of `data`, 16 bytes (RFC 2104). Rejects if the runtime forbids
 * MD5, as Node.js does in FIPS mode.
 */
export async function hmacMd5(
  key: Uint8Array,
  data: Uint8Array,
): Promise<Uint8Array> {
  // Loaded lazily: only CHAP needs it.
  const { createHmac } = await import("node:crypto");
  return createHmac("md5", key).update(data).digest();
}
