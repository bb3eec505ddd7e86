/**
 * Passwords as hashes that tell how they were made. Octets in, text out: Web
 * Crypto is the same on every runtime.
 *
 * @module
 */

/** What OWASP advises for PBKDF2 with HMAC-SHA-256 (Password Storage Cheat Sheet). */
const ITERATIONS = 600_000;
/** Some seconds: a hash that takes longer would keep others from logging in. */
const MAX_ITERATIONS = 10_000_000;
const SALT_SIZE = 16;
/** One block of PBKDF2: the time depends on nothing but the iterations. */
const KEY_SIZE = 32;

/** What a line of {@linkcode hashPassword} says. */
export interface PasswordHash {
  readonly iterations: number;
  readonly salt: BufferSource;
  readonly key: Uint8Array;
}

/** How {@linkcode hashPassword} works. */
export interface HashOptions {
  /**
   * Rounds of PBKDF2, 1 to 10,000,000: what a login costs, and a guess at a
   * stolen hash.
   *
   * @default {600_000}
   */
  readonly iterations?: number;
}

/**
 * The hash of a password, as text for a users file:
 * `$pbkdf2-sha256$i=600000$SALT$KEY`, with a random salt of 16 octets and a key
 * of 32 in base64 without padding. A string is hashed as UTF-8. It takes about
 * a tenth of a second.
 *
 * A password that ends in NUL is refused: to HMAC, and so to PBKDF2, it is the
 * same as without.
 *
 * @throws {TypeError} unless the password has 1 to 255 octets, of which the
 * last is not NUL, and `iterations` is in its range.
 *
 * @example
 * ```ts
 * const hash = await hashPassword("correct horse");
 * console.log(await verifyPassword("correct horse", hash));
 * ```
 */
export async function hashPassword(
  password: string | Uint8Array,
  { iterations = ITERATIONS }: HashOptions = {},
): Promise<string> {
  const octets = toOctets(password);
  if (!isUsable(octets)) {
    throw new TypeError(
      "a password has 1 to 255 octets, of which the last is not NUL",
    );
  }
  if (!isIterations(iterations)) {
    throw new TypeError(
      `iterations must be a whole number from 1 to ${MAX_ITERATIONS}`,
    );
  }
  const salt = crypto.getRandomValues(new Uint8Array(SALT_SIZE));
  const key = await deriveKey(octets, { iterations, salt });
  return `$pbkdf2-sha256$i=${iterations}$${toBase64(salt)}$${toBase64(key)}`;
}

/**
 * Whether the hash is of this password; takes as long when it is not.
 *
 * @throws {TypeError} when `hash` is none of {@linkcode hashPassword}; the
 * message does not contain it.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
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
  return await matches(toOctets(password), parseHash(hash));
}

// As the PHC string format writes it; padding is taken too. 43 digits are 32 octets.
const HASH =
  /^\$pbkdf2-sha256\$i=([1-9]\d{0,7})\$([A-Za-z0-9+/]{2,86})={0,2}\$([A-Za-z0-9+/]{43})=?$/;

/** Reads what {@linkcode hashPassword} wrote; salts may have 1 to 64 octets. Throws a `TypeError` that does not show the text. */
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

/** A hash that no password has. */
export function unmatchedHash(iterations: number): PasswordHash {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_SIZE));
  const key = crypto.getRandomValues(new Uint8Array(KEY_SIZE));
  return { iterations, salt, key };
}

/** Whether the hash is of this password, for the same work in any case. */
export async function matches(
  password: Uint8Array,
  hash: PasswordHash,
): Promise<boolean> {
  const usable = isUsable(password);
  const key = await deriveKey(usable ? password : STAND_IN, hash);
  return sameOctets(key, hash.key) && usable;
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
export function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  let differs = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) differs |= a[i] ^ b[i];
  return differs === 0;
}

function toOctets(password: string | Uint8Array): Uint8Array {
  return typeof password === "string"
    ? new TextEncoder().encode(password)
    : password;
}

function toBase64(octets: Uint8Array): string {
  return btoa(String.fromCharCode(...octets)).replaceAll("=", "");
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
}
