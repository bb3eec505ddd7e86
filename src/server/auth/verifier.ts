/**
 * Verification of logins, apart from the protocol that carries them.
 *
 * @module
 */

import type { Address } from "../../transport/transport.ts";

/** A login, byte for byte as the client sent it. */
export interface Credentials {
  /** 1 to 255 bytes; the user id of a SOCKS4 request has 0 to 512. */
  readonly username: Uint8Array;
  /** 1 to 255 bytes; none for SOCKS4, which has no password. */
  readonly password: Uint8Array;
}

/** The circumstances of a login. */
export interface VerifyContext {
  /** The client's address. */
  readonly client: Address;
  /**
   * Aborted when the answer is no longer needed, because the session has ended:
   * by its handshake timeout, for example.
   */
  readonly signal: AbortSignal;
  /**
   * Whether the answer still matters: the session has not ended, and its client has not
   * been locked out in the meantime. Check it before expensive work.
   */
  isWanted(): boolean;
}

/**
 * Verifies the logins of any protocol: RFC 1929 and HTTP Basic ({@linkcode userPass}), or
 * SOCKS4 with its user ids (`socks4.verifier` of `serve()`). {@linkcode Users} implements it.
 *
 * @example A directory such as LDAP
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { serve, userPass, type Verifier } from "@x/socks5/server";
 *
 * // Stands for a client of the directory.
 * const directory = {
 *   bind(name: string, password: string, _options: { signal: AbortSignal }) {
 *     return Promise.resolve(name === "alice" && password === "open sesame");
 *   },
 * };
 * const verifier: Verifier = {
 *   async verify({ username, password }, { signal }) {
 *     const [name, secret] = [username, password].map((it) => new TextDecoder().decode(it));
 *     try {
 *       return await directory.bind(name, secret, { signal });
 *     } catch (error) {
 *       console.error("the directory does not answer:", error);
 *       return undefined; // refused, but not a wrong password
 *     }
 *   },
 * };
 * await using server = await serve({ port: 0, auth: [userPass(verifier)] });
 *
 * const proxy = `socks5://alice:open%20sesame@127.0.0.1:${server.addr.port}`;
 * await using conn = await connect(proxy, server.addr);
 * ```
 */
export interface Verifier {
  /**
   * Whether the login is correct; `undefined` if it could not be verified. In that case
   * the client is refused, and the session ends with `login-error`, but the login does
   * not count as a failed one. A rejection has the same effect; its error is the `cause`
   * of the session's error, unless it contains the password.
   */
  verify(
    credentials: Credentials,
    context: VerifyContext,
  ): boolean | undefined | Promise<boolean | undefined>;
  /**
   * Whether there is a user of this name. It saves a server with session words
   * (`sessionWords` of `serve()`) from verifying two names for one login.
   */
  knows?(username: Uint8Array): boolean;
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

/** How logins are verified: a table from user names to passwords, a verifier, or a function. */
export type Logins =
  | Readonly<Record<string, string>>
  | Verifier
  | VerifyLogin;
