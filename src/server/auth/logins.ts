/**
 * Verifiers from tables and functions.
 *
 * @module
 */

import { quote } from "../../protocol/escape.ts";
import { loginEntries } from "./login_table.ts";
import { decodeText, keyOf } from "./name.ts";
import { sameBytes } from "./password_hash.ts";
import type {
  Credentials,
  Logins,
  Verifier,
  VerifyContext,
  VerifyLogin,
} from "./verifier.ts";

/**
 * The verifier for any kind of logins.
 *
 * @throws {TypeError} when a table is empty, or one of its names or passwords is
 * not a text of 1 to 255 bytes.
 */
export function toVerifier(logins: Logins): Verifier {
  if (typeof logins === "function") return new FunctionVerifier(logins);
  return isVerifier(logins) ? logins : new LoginTable(logins);
}

/** In a table with a user called `verify`, the member is a string. */
function isVerifier(
  logins: Readonly<Record<string, string>> | Verifier,
): logins is Verifier {
  return typeof logins?.verify === "function";
}

/**
 * The same for protocols with passwords: a login with an empty name or password fails
 * (RFC 1929 section 2). It is not passed to the verifier, which might accept it: an LDAP
 * server treats a bind without a password as an anonymous one.
 */
export function toPasswordVerifier(logins: Logins): Verifier {
  const verifier = toVerifier(logins);
  return {
    verify: (credentials, context) =>
      credentials.username.length > 0 && credentials.password.length > 0 &&
      verifier.verify(credentials, context),
    ...verifier.knows && { knows: (name) => verifier.knows!(name) },
  };
}

class FunctionVerifier implements Verifier {
  readonly #verify: VerifyLogin;

  constructor(verify: VerifyLogin) {
    this.#verify = verify;
  }

  async verify(
    { username, password }: Credentials,
    context: VerifyContext,
  ): Promise<boolean> {
    const name = decodeText(username);
    const secret = decodeText(password);
    if (name === undefined || secret === undefined) return false;
    const verify = this.#verify;
    return await verify(name, secret, context) === true;
  }
}

/** Compares with one login, in a time that is independent of its name and password. */
class LoginTable implements Verifier {
  /** By the bytes of the names. */
  readonly #logins = new Map<string, Uint8Array>();
  /** Takes the place of a login that does not exist, so that the work is the same. */
  readonly #nobody = new Uint8Array(512);

  constructor(logins: Readonly<Record<string, string>>) {
    for (const entry of loginEntries(logins, "logins")) {
      const login = encodeLogin(entry);
      this.#logins.set(keyOf(login.subarray(1, 1 + login[0])), login);
    }
  }

  knows(username: Uint8Array): boolean {
    return this.#logins.has(keyOf(username));
  }

  verify({ username, password }: Credentials): boolean {
    if (username.length > 255 || password.length > 255) return false;
    const login = this.#logins.get(keyOf(username)) ?? this.#nobody;
    const isSame = sameBytes(login, pad(username, password));
    return isSame && login !== this.#nobody;
  }
}

function encodeLogin([username, password]: [string, string]): Uint8Array {
  const encoder = new TextEncoder();
  const bytes = [encoder.encode(username), encoder.encode(password)];
  if (bytes.some(({ length }) => length < 1 || length > 255)) {
    throw new TypeError(
      "a user name and its password each have 1 to 255 bytes" +
        (username ? ` (user ${quote(username)})` : ""),
    );
  }
  return pad(bytes[0], bytes[1]);
}

/** Name and password in 512 bytes, each after its length. */
function pad(username: Uint8Array, password: Uint8Array): Uint8Array {
  const login = new Uint8Array(512);
  login[0] = username.length;
  login.set(username, 1);
  login[256] = password.length;
  login.set(password, 257);
  return login;
}
