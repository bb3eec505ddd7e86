/**
 * Verification of logins, apart from the protocol that carries them.
 *
 * @module
 */

import type { Address } from "../../transport/transport.ts";

/** A login, byte for byte as the client sent it. */
export interface Credentials {
  /** At least one byte, except for the user id of a SOCKS4 request. */
  readonly username: Uint8Array;
  /** At least one byte, except for SOCKS4, which has no password. */
  readonly password: Uint8Array;
}

/** The circumstances of a login. */
export interface VerifyContext {
  /** The client's address. */
  readonly client: Address;
  /** Aborted when the answer is no longer needed, because the session has ended: by its handshake timeout, for example. */
  readonly signal: AbortSignal;
  /**
   * Whether the answer still matters: the session has not ended, and its client
   * has not been locked out meanwhile. Check it before expensive work.
   */
  isWanted(): boolean;
}

/**
 * Decides whether logins are right. The same verifier serves every protocol:
 * RFC 1929 ({@linkcode userPass}) and the user ids of SOCKS4 (`socks4.verifier`
 * of `serve()`). {@linkcode Users} is one.
 *
 * @example A directory that is asked over the network
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { type Credentials, serve, userPass, type Verifier, type VerifyContext } from "@x/socks5/server";
 *
 * class Directory implements Verifier {
 *   async verify({ username, password }: Credentials, { signal }: VerifyContext) {
 *     const name = new TextDecoder().decode(username);
 *     try {
 *       return await this.bind(`uid=${name},ou=people`, password, signal);
 *     } catch {
 *       return undefined; // the directory is down: refused, but not counted as a wrong password
 *     }
 *   }
 *
 *   // Stands for the call of an LDAP client.
 *   bind(dn: string, password: Uint8Array, _signal: AbortSignal): Promise<boolean> {
 *     return Promise.resolve(dn.startsWith("uid=alice,") && password.length === 13);
 *   }
 * }
 *
 * const auth = [userPass(new Directory())];
 * await using server = await serve({ port: 0, auth });
 * assertEquals(server.sessions, []);
 * ```
 */
export interface Verifier {
  /**
   * Whether the login is right; `undefined` if that could not be found out,
   * which refuses the client without counting as a wrong login. So does a
   * rejection; its error is not reported, because it may contain the password.
   */
  verify(
    credentials: Credentials,
    context: VerifyContext,
  ): boolean | undefined | Promise<boolean | undefined>;
}

/**
 * A {@linkcode Verifier} as a function of text. A login that is not valid UTF-8
 * fails without a call; a login for which it throws could not be verified.
 *
 * @example
 * ```ts
 * import { userPass, type VerifyLogin } from "@x/socks5/server";
 *
 * const verify: VerifyLogin = async (username, password, { client, signal }) => {
 *   const body = JSON.stringify({ username, password, from: client.hostname });
 *   const answer = await fetch("https://login.example/", { method: "POST", body, signal });
 *   return answer.ok;
 * };
 * const auth = [userPass(verify)];
 * ```
 */
export type VerifyLogin = (
  username: string,
  password: string,
  context: VerifyContext,
) => boolean | Promise<boolean>;

/** All that logins can be verified by; a table maps user names to passwords. */
export type Logins =
  | Readonly<Record<string, string>>
  | Verifier
  | VerifyLogin;
