/**
 * The errors of GSS-API.
 *
 * @module
 */

/**
 * Why a GSS-API call failed.
 *
 * - `library`: the library, a permission or an FFI for it is missing
 * - `keytab`: the keytab is missing, not readable, or has no key for what the client
 *   has asked for
 * - `no-ticket`: there is no ticket, or it has expired
 * - `unknown-service`: Kerberos does not know the service of the proxy
 * - `kdc`: no KDC answers
 * - `clock`: the clocks of the two machines differ too much
 * - `replay`: the peer's token has been used before
 * - `token`: the peer's token is invalid
 * - `closed`: the context has been closed
 * - `other`: none of these
 */
export type GssErrorCode =
  | "library"
  | "keytab"
  | "no-ticket"
  | "unknown-service"
  | "kdc"
  | "clock"
  | "replay"
  | "token"
  | "closed"
  | "other";

/**
 * A GSS-API call failed. The message includes a remedy, if one is known.
 *
 * @example
 * ```ts
 * import { GssError, gssapi } from "@x/socks5/gssapi";
 * import { serve } from "@x/socks5/server";
 *
 * async function start(keytab: string) {
 *   try {
 *     return await serve({ auth: [await gssapi({ keytab })] });
 *   } catch (error) {
 *     if (!(error instanceof GssError)) throw error;
 *     console.log(error.code, error.message); // keytab Keytab FILE:… is nonexistent or empty …
 *   }
 * }
 * console.log(typeof start);
 * ```
 */
export class GssError extends Error {
  /** Always `"GssError"`. */
  override readonly name = "GssError";
  /** Why the call failed. */
  readonly code: GssErrorCode;

  /** Creates an error with this code; `cause` is the underlying error, if there is one. */
  constructor(code: GssErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
