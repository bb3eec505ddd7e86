/**
 * Password hashes, as text that includes their parameters. They are computed with Web
 * Crypto, which all runtimes have.
 *
 * @module
 */

/** The recommendation of OWASP for PBKDF2 with HMAC-SHA-256 (Password Storage Cheat Sheet). */
const ITERATIONS = 600_000;
/** These take a few seconds; more would delay the logins of others for too long. */
const MAX_ITERATIONS = 10_000_000;
const SALT_SIZE = 16;
/** One block of PBKDF2, so that the time depends on the iterations only. */
const KEY_SIZE = 32;

/** The fields of a hash made by {@linkcode hashPassword}. */
export interface PasswordHash {
  readonly iterations: number;
  readonly salt: BufferSource;
  readonly key: Uint8Array;
}

/** Options of {@linkcode hashPassword}. */
export interface HashOptions {
  /**
   * Rounds of PBKDF2, 1 to 10,000,000. They determine the cost of each login, and of each
   * guess of an attacker with a stolen hash.
   *
   * @default {600_000}
   */
  readonly iterations?: number;
}

/**
 * Hashes a password, as text for a users file:
 * `$pbkdf2-sha256$i=600000$SALT$KEY`, with a random salt of 16 bytes and a key of
 * 32 bytes in base64 without padding. A string is hashed as UTF-8. It takes about
 * a tenth of a second.
 *
 * A password that ends in NUL is refused: HMAC, and therefore PBKDF2, does not
 * distinguish it from the password without.
 *
 * @throws {TypeError} unless the password has 1 to 255 bytes, the last of which is
 * not NUL, and `iterations` is in its range.
 *
 * @example
 * ```ts
 * import { hashPassword, verifyPassword } from "@x/socks5/server";
 *
 * const hash = await hashPassword("correct horse");
 * console.log(await verifyPassword("correct horse", hash));
 * ```
 */
export async function hashPassword(
  password: string | Uint8Array,
  { iterations = ITERATIONS }: HashOptions = {},
): Promise<string> {
  const bytes = toBytes(password);
  if (!isUsable(bytes)) {
    throw new TypeError(
      "a password has 1 to 255 bytes, the last of which is not NUL",
    );
  }
  if (!isIterations(iterations)) {
    throw new TypeError(
      `iterations must be a whole number from 1 to ${MAX_ITERATIONS}`,
    );
  }
  const salt = crypto.getRandomValues(new Uint8Array(SALT_SIZE));
  const key = await deriveKey(bytes, { iterations, salt });
  return `$pbkdf2-sha256$i=${iterations}$${toBase64(salt)}$${toBase64(key)}`;
}

/**
 * Whether the hash matches this password. Takes the same time in either case.
 *
 * @throws {TypeError} if `hash` does not have the format of {@linkcode hashPassword}. The
 * message does not contain it.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { hashPassword, verifyPassword } from "@x/socks5/server";
 *
 * const hash = await hashPassword("secret", { iterations: 1_000 });
 * assert(await verifyPassword("secret", hash));
 * assert(!await verifyPassword("Secret", hash));
 * ```
 */
export async function verifyPassword(
  password: string | Uint8Array,
  hash: string,
): Promise<boolean> {
  return await matches(toBytes(password), parseHash(hash));
}

// The PHC string format, except that padding is accepted. 43 digits are 32 bytes.
const HASH =
  /^\$pbkdf2-sha256\$i=([1-9]\d{0,7})\$([A-Za-z0-9+/]{2,86})={0,2}\$([A-Za-z0-9+/]{43})=?$/;

/**
 * Parses a hash; the salt may have 1 to 64 bytes. Throws a `TypeError` that does
 * not contain the text.
 */
export function parseHash(text: string): PasswordHash {
  const [, iterations, salt, key] = HASH.exec(text) ?? [];
  if (
    iterations === undefined || salt.length % 4 === 1 ||
    !isIterations(Number(iterations))
  ) {
    throw new TypeError("not a hash of the form $pbkdf2-sha256$i=N$SALT$KEY");
  }
  return {
    iterations: Number(iterations),
    salt: fromBase64(salt),
    key: fromBase64(key),
  };
}

/** A hash that matches no password. */
export function unmatchedHash(iterations: number): PasswordHash {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_SIZE));
  const key = crypto.getRandomValues(new Uint8Array(KEY_SIZE));
  return { iterations, salt, key };
}

/** Whether the hash matches this password. The work is the same in either case. */
export async function matches(
  password: Uint8Array,
  hash: PasswordHash,
): Promise<boolean> {
  const usable = isUsable(password);
  const key = await deriveKey(usable ? password : STAND_IN, hash);
  return sameBytes(key, hash.key) && usable;
}

const STAND_IN = Uint8Array.of(0);

function isUsable(password: Uint8Array): boolean {
  const { length } = password;
  return length >= 1 && length <= 255 && password[length - 1] !== 0;
}

function isIterations(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= MAX_ITERATIONS;
}

async function deriveKey(
  password: Uint8Array,
  { iterations, salt }: Pick<PasswordHash, "iterations" | "salt">,
): Promise<Uint8Array> {
  const { subtle } = crypto;
  const name = "PBKDF2";
  const key = await subtle.importKey("raw", password.slice(), name, false, [
    "deriveBits",
  ]);
  const how = { name, hash: "SHA-256", salt, iterations };
  return new Uint8Array(await subtle.deriveBits(how, key, KEY_SIZE * 8));
}

/** Compares two digests of the same length in a time that does not depend on them. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  let differs = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) differs |= a[i] ^ b[i];
  return differs === 0;
}

function toBytes(password: string | Uint8Array): Uint8Array {
  return typeof password === "string"
    ? new TextEncoder().encode(password)
    : password;
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("=", "");
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
}
