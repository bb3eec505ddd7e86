/**
 * How the user ids of SOCKS4 clients are checked, as an option of `serve()`.
 *
 * @module
 */

import type { LoginGuard } from "./lockout.ts";
import type { Verifier, VerifyLogin } from "./verifier.ts";

/**
 * The checks that the user id of a SOCKS4 client must pass, in this order.
 *
 * @example User ids that are stored in a database
 * ```ts
 * import { serve } from "@x/socks5/server";
 *
 * const tokens = new Set(["5f0c2a7d", "b81e44c0"]);
 * await using server = await serve({
 *   port: 0,
 *   socks4: { verifier: (userId) => tokens.has(userId) },
 * });
 * ```
 */
export interface Socks4Options {
  /** The user ids that are accepted; they are claims, not secrets. By default all. */
  readonly userIds?: readonly string[];
  /**
   * Verifies the user id. It gets the user id as the user name, and an empty
   * password. The answer to a wrong user id is delayed, and the client can be locked
   * out, as with {@linkcode userPass}. By default every user id is accepted.
   */
  readonly verifier?: Verifier | VerifyLogin;
  /** Counts the user ids that `verifier` refuses. By default a {@linkcode Lockout} of its own. */
  readonly guard?: LoginGuard;
  /**
   * Whether the ident server of the client's machine (RFC 1413) has to confirm the
   * user id. An object also sets the port of that server (default 113) and how long it
   * may take to answer, in milliseconds (default 5,000).
   *
   * @default {false}
   */
  readonly ident?: boolean | {
    readonly port?: number;
    readonly timeout?: number;
  };
}
