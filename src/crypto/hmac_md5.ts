/**
 * HMAC-MD5, which Web Crypto does not have.
 *
 * @module
 */

/** The members of `node:crypto` and `process` that are used here. */
interface Crypto {
  createHmac(algorithm: string, key: Uint8Array): {
    update(data: Uint8Array): { digest(): Uint8Array };
  };
}
interface Process {
  getBuiltinModule?(name: "node:crypto"): Crypto | undefined;
}

/**
 * Returns the HMAC-MD5 of `data`, 16 bytes (RFC 2104). Throws if the runtime forbids
 * MD5, as Node.js does in FIPS mode.
 */
export function hmacMd5(key: Uint8Array, data: Uint8Array): Uint8Array {
  const { process } = globalThis as { process?: Process };
  // Not imported: only CHAP needs it, and loading it takes time.
  const crypto = process?.getBuiltinModule?.("node:crypto");
  if (!crypto) throw new Error("this runtime has no HMAC-MD5");
  return crypto.createHmac("md5", key).update(data).digest();
}
