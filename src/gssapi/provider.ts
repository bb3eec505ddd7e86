/**
 * GSS-API as the authentication methods need it (RFC 2743).
 *
 * @module
 */

/** The result of a step of the negotiation. */
export interface GssStep {
  /** The token for the peer; empty if there is none to send. */
  readonly token: Uint8Array;
  /** Whether this side of the context is established. */
  readonly done: boolean;
}

/**
 * The position of a token that is not the next one in the peer's sequence (RFC 2743
 * section 1.2.3).
 *
 * - `duplicate`: it has come before
 * - `old`: it is too old to tell
 * - `late`: a later one has come before
 * - `gap`: at least one before it has not come
 */
export type GssOrder = "duplicate" | "old" | "late" | "gap";

/** A token without its protection. */
export interface GssUnwrapped {
  /** The data; the caller owns it. */
  readonly data: Uint8Array;
  /** Whether the token was encrypted, not only signed. */
  readonly confidential: boolean;
  /** Set if the token is out of order. */
  readonly order?: GssOrder;
}

/**
 * One side of a security context. Failed calls throw, or reject, with an error whose
 * message describes the failure. The server treats a `GssError` of an acceptor with code
 * `token`, `replay`, `clock`, `no-ticket` or `closed` as a wrong login, and any other
 * error as a failure of its own.
 */
export interface GssContext {
  /**
   * Continues the negotiation with the peer's token; `null` is for the first step of the
   * initiator. It must not block: an initiator may have to contact a KDC.
   */
  step(token: Uint8Array | null): GssStep | Promise<GssStep>;
  /** The name of the peer, such as `alice@EXAMPLE.ORG`; on the acceptor, once it is established. */
  readonly peer: string;
  /** Whether the initiator has verified the acceptor; once it is established. */
  readonly mutual: boolean;
  /** Whether the context can sign messages; once it is established. */
  readonly integrity: boolean;
  /** Whether the context can encrypt messages; once it is established. */
  readonly confidentiality: boolean;
  /** Protects data: encrypts and signs, or only signs. Throws rather than do less. */
  wrap(data: Uint8Array, confidential: boolean): Uint8Array;
  /** Verifies a token of the peer and removes its protection. */
  unwrap(token: Uint8Array): GssUnwrapped;
  /** The most data whose token has at most `maxToken` bytes. */
  wrapSizeLimit(maxToken: number, confidential: boolean): number;
  /** Releases the context. Idempotent, never throws. */
  close(): void;
}

/**
 * Creates security contexts. By default the methods use the system's Kerberos library;
 * any other implementation will do, for example in tests.
 *
 * @example A provider for tests, without any security
 * ```ts
 * import { type GssContext, type GssProvider, gssapi, gssapiLogin } from "@x/socks5/gssapi";
 * import { connect } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * const flip = (data: Uint8Array) => data.map((byte) => byte ^ 0x5a);
 * // One token in each direction: the name of the client, and its echo
 * function context(name: string): GssContext {
 *   let peer = "";
 *   return {
 *     step(token) {
 *       if (token === null) return { token: new TextEncoder().encode(name), done: false };
 *       if (name) return { token: new Uint8Array(0), done: true };
 *       peer = new TextDecoder().decode(token);
 *       return { token, done: true };
 *     },
 *     get peer() {
 *       return peer;
 *     },
 *     mutual: true,
 *     integrity: true,
 *     confidentiality: true,
 *     wrap: (data, confidential) => Uint8Array.of(confidential ? 1 : 0, ...flip(data)),
 *     unwrap: ([sealed, ...data]) => ({
 *       data: flip(Uint8Array.from(data)),
 *       confidential: sealed === 1,
 *     }),
 *     wrapSizeLimit: (maxToken) => maxToken - 1,
 *     close: () => {},
 *   };
 * }
 * const provider: GssProvider = {
 *   accept: () => context(""),
 *   initiate: () => context("alice@EXAMPLE.ORG"),
 * };
 *
 * await using proxy = await serve({ port: 0, auth: [await gssapi({ provider })] });
 * await using target = await serve({ port: 0 }); // anything that listens
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, target.addr, { auth: [gssapiLogin({ provider })] });
 * await conn.write(Uint8Array.of(5, 1, 0));
 * console.log(await conn.read(), proxy.sessions[0].user); // Uint8Array [5, 0] alice@EXAMPLE.ORG
 * ```
 */
export interface GssProvider {
  /** A context for a client of this server. */
  accept(): GssContext;
  /** A context with a service, such as `rcmd@proxy.example.org`. */
  initiate(service: string): GssContext;
}
