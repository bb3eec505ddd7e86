/**
 * Method 02, user name and password (RFC 1929).
 *
 * @module
 */

import { ProtocolError } from "../../protocol/decode.ts";
import { decodeLogin, encodeLoginStatus } from "../../protocol/password.ts";
import { METHOD } from "../../protocol/socks5.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import {
  GUARD_KEYS,
  GuardedVerifier,
  type GuardOptions,
} from "./guarded_verifier.ts";
import { toPasswordVerifier } from "./logins.ts";
import type { AuthExchange, AuthMethod, AuthResult } from "./method.ts";
import { readName } from "./name.ts";
import type { Logins } from "./verifier.ts";

/**
 * Method 02, user name and password (RFC 1929). With the option `http` of `serve()` it
 * also verifies the logins of HTTP clients (Basic, RFC 7617).
 *
 * - A table maps names to passwords. Bytes are compared in a time that is independent of
 *   the names and passwords.
 * - {@linkcode Users} hold hashes. Unknown users cost the same work and time as
 *   known ones.
 * - A function gets both as text; see {@linkcode VerifyLogin}.
 * - Any other {@linkcode Verifier} gets both as bytes.
 *
 * From the third consecutive failure on, answers to the client's address are delayed,
 * first by 250 ms and then by twice as long each time, up to 4 s; after `failedLogins`
 * failures all its logins fail at once for `lockout` ms. A correct login clears the
 * count; a login that could not be verified does not count. Servers with the same method
 * object share the counts. If all clients come from one address, for example because of a
 * load balancer, set `lockout` to 0.
 *
 * @throws {TypeError} when the table is empty, a name or password in it is not 1
 * to 255 bytes long, or a number of the options is not a whole number.
 *
 * @example
 * ```ts
 * import { hashPassword, userPass, Users } from "@x/socks5/server";
 *
 * const fromTable = userPass({ alice: "correct horse" });
 * const fromHashes = userPass(
 *   new Users([["alice", await hashPassword("correct horse")]]),
 *   { failedLogins: 5 },
 * );
 * const fromFunction = userPass(async (username, password) => {
 *   return await Promise.resolve(username === "bob" && password.length > 3);
 * });
 * ```
 *
 * @example Two groups of users, with one lockout for both
 * ```ts
 * import { Lockout, serve, userPass } from "@x/socks5/server";
 *
 * const guard = new Lockout({ failedLogins: 5, lockout: 60_000 });
 * await using staff = await serve({
 *   port: 0,
 *   auth: [userPass({ alice: "correct horse" }, { guard })],
 * });
 * await using guests = await serve({
 *   port: 0,
 *   auth: [userPass({ guest: "battery staple" }, { guard })],
 * });
 * ```
 */
export function userPass(
  logins: Logins,
  options: GuardOptions = {},
): AuthMethod {
  checkKeys(options, GUARD_KEYS, "the options of userPass()");
  const verifier = new GuardedVerifier(toPasswordVerifier(logins), options);
  const method: AuthMethod = {
    number: METHOD.password,
    name: "password",
    negotiate: (exchange) => negotiate(exchange, verifier),
  };
  verifiers.set(method, verifier);
  return method;
}

/**
 * No member of the method: a copy of it with another negotiation, which may be stricter,
 * must not have the same verifier.
 */
const verifiers = new WeakMap<AuthMethod, GuardedVerifier>();

/**
 * The verifier of a method that {@linkcode userPass} has returned, for other protocols
 * that carry user names and passwords.
 */
export function passwordVerifierOf(
  method: AuthMethod,
): GuardedVerifier | undefined {
  return verifiers.get(method);
}

async function negotiate(
  exchange: AuthExchange,
  verifier: GuardedVerifier,
): Promise<AuthResult> {
  let login;
  try {
    login = await exchange.read(decodeLogin);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { ok: false, farewell: encodeLoginStatus(1) };
  }
  const user = readName(login.username);
  const { ok, failure, worded } = await verifier.check(
    login,
    exchange,
    exchange.sessionWords,
  );
  if (ok !== true) {
    return { ok: false, user, failure, farewell: encodeLoginStatus(1) };
  }
  await exchange.write(encodeLoginStatus(0));
  if (!worded) return { ok: true, user };
  return { ok, user: readName(worded.username), sessionWord: worded.word };
}
