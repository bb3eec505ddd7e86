/**
 * The secrets of users for methods that need them in clear.
 *
 * @module
 */

import { quote } from "../../protocol/escape.ts";
import { loginEntries } from "./login_table.ts";
import { decodeText } from "./name.ts";
import type { VerifyContext } from "./verifier.ts";

/**
 * Looks up the secret of a user. `undefined` and an empty string mean that there is no
 * such user; if the function throws, the login could not be verified. A name that is
 * not valid UTF-8 fails without a call.
 *
 * @example
 * ```ts
 * import { chap, type SecretLookup } from "@x/socks5/server";
 *
 * const vault = new Map([["alice", "4dYx-2mQp-9sLw-7hTk"]]);
 * const lookUp: SecretLookup = async (username) => {
 *   return await Promise.resolve(vault.get(username));
 * };
 * const auth = [chap(lookUp)];
 * ```
 */
export type SecretLookup = (
  username: string,
  context: VerifyContext,
) => string | undefined | Promise<string | undefined>;

/** The source of secrets: a table from user names to secrets, or a function. */
export type Secrets = Readonly<Record<string, string>> | SecretLookup;

/** {@linkcode Secrets} of any kind, by the bytes of user names. */
export interface SecretSource {
  /** The secret of a user, or `undefined` if there is no such user. */
  secretOf(
    username: Uint8Array,
    context: VerifyContext,
  ): Promise<string | undefined>;
  /** Takes the place of a secret that does not exist, so that the work is the same. */
  readonly standIn: string;
}

/**
 * The source for any kind of secrets.
 *
 * @throws {TypeError} when a table is empty, or has an entry that {@linkcode
 * problemOfSecret} does not accept.
 */
export function toSecretSource(secrets: Secrets): SecretSource {
  const lookUp = typeof secrets === "function" ? secrets : tableOf(secrets);
  return {
    standIn: crypto.randomUUID(),
    async secretOf(username, context) {
      const name = decodeText(username);
      if (!name) return undefined;
      const secret = await lookUp(name, context);
      if (secret === undefined || secret === "") return undefined;
      if (typeof secret === "string") return secret;
      throw new TypeError("the secret of a user must be a string");
    },
  };
}

function tableOf(secrets: Readonly<Record<string, string>>): SecretLookup {
  const table = new Map(loginEntries(secrets, "secrets"));
  for (const [name, secret] of table) {
    const problem = problemOfBytes("user name", name) ??
      problemOfSecret(secret);
    if (problem) throw new TypeError(`${problem} (user ${quote(name)})`);
  }
  return (username) => table.get(username);
}

/** Returns why this cannot be a secret, or `undefined` if it can. */
export function problemOfSecret(secret: string): string | undefined {
  // HMAC does not distinguish such a key from the one without (RFC 2104 section 2).
  if (secret.endsWith("\0")) return "the secret ends in NUL";
  return problemOfBytes("secret", secret);
}

function problemOfBytes(subject: string, text: string): string | undefined {
  const { length } = new TextEncoder().encode(text);
  return length < 1 || length > 255
    ? `a ${subject} has 1 to 255 bytes`
    : undefined;
}
