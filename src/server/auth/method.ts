/**
 * The authentication methods of the server: each is a value with a number and a
 * negotiation.
 *
 * @module
 */

import type { DatagramWrapper } from "../../protocol/datagram.ts";
import { METHOD } from "../../protocol/socks5.ts";
import type { Exchange } from "../../transport/exchange.ts";
import type { Address, Conn } from "../../transport/transport.ts";

/**
 * How a method communicates with the client: by messages, or over the connection itself
 * after `take()`.
 */
export interface AuthExchange extends Exchange {
  /** The client's address. */
  readonly client: Address;
  /**
   * Aborted when the session ends during the negotiation, for example by its
   * handshake timeout; the connection is closed by then.
   */
  readonly signal: AbortSignal;
  /** Whether user names may end with a session word; see `sessionWords` of `serve()`. */
  readonly sessionWords?: boolean;
}

/** Why a login is refused, if not because it is wrong. */
export interface LoginFailure {
  /**
   * - `locked-out`: too many logins of the client's address have failed
   * - `not-verified`: the login could not be verified
   * - `wrong`: it is wrong in a way that `cause` describes
   */
  readonly kind: "locked-out" | "not-verified" | "wrong";
  /** The error of the verifier. It must not contain the password. */
  readonly cause?: Error;
}

/** The outcome of a negotiation. */
export interface AuthResult {
  /** Whether the client may proceed to its request. */
  readonly ok: boolean;
  /** The client's user name; if the login failed, the name that the client claimed. */
  readonly user?: string;
  /** The session word of the login, which is no part of the user name. */
  readonly sessionWord?: string;
  /**
   * Why `ok` is false, if the login is not simply wrong. It is reported at the end of the
   * session, but not to the client.
   */
  readonly failure?: LoginFailure;
  /** Sent before the connection is closed if `ok` is false. */
  readonly farewell?: Uint8Array;
  /**
   * The connection for everything after the negotiation, for methods that wrap the one of
   * `take()`. The session closes it; closing it must also close the underlying one. Its
   * `read()` reports a malformed message by a `ProtocolError`.
   */
  readonly conn?: Conn;
  /** Protects the datagrams of UDP ASSOCIATE in both directions, for methods that wrap. */
  readonly datagrams?: DatagramWrapper;
}

/**
 * One way to authenticate a client (RFC 1928 section 3).
 *
 * @example A private method: four bytes of a shared secret
 * ```ts
 * import { type AuthMethod, serve } from "@x/socks5/server";
 *
 * const token: AuthMethod = {
 *   number: 0x80, // 0x80 to 0xFE are for private methods
 *   name: "token",
 *   async negotiate(exchange) {
 *     const value = await exchange.read((bytes) =>
 *       bytes.length < 4 ? undefined : { value: bytes.slice(0, 4).join(), size: 4 }
 *     );
 *     return { ok: value === "1,2,3,4", user: "token" };
 *   },
 * };
 * await using server = await serve({ port: 0, auth: [token] });
 * ```
 *
 * @example A method that wraps the connection: all later bytes are scrambled
 * ```ts
 * import { type AuthMethod, serve } from "@x/socks5/server";
 * import { fromStreams, toStreams } from "@x/socks5/transport";
 *
 * const scramble = () =>
 *   new TransformStream<Uint8Array, Uint8Array>({
 *     transform: (chunk, out) => out.enqueue(chunk.map((byte) => byte ^ 0x5a)),
 *   });
 * const scrambled: AuthMethod = {
 *   number: 0x81,
 *   name: "scrambled",
 *   negotiate(exchange) {
 *     const raw = exchange.take();
 *     const { readable, writable } = toStreams(raw);
 *     const sent = scramble();
 *     sent.readable.pipeTo(writable).catch(() => {}); // reported by the next write
 *     const received = readable.pipeThrough(scramble());
 *     const conn = fromStreams({ readable: received, writable: sent.writable }, raw);
 *     return Promise.resolve({ ok: true, conn });
 *   },
 * };
 * await using server = await serve({ port: 0, auth: [scrambled] });
 * ```
 */
export interface AuthMethod {
  /** The number on the wire: 0 to 254. */
  readonly number: number;
  /** The name in events, logs and metrics. */
  readonly name: string;
  /**
   * Runs after the method was chosen. A rejection closes the connection: the session
   * ends with `login-error`, or with `login-failed` for a `ProtocolError`. A method
   * without a negotiation accepts every client.
   */
  negotiate?(exchange: AuthExchange): Promise<AuthResult>;
}

/**
 * Method 00: every SOCKS5 client is accepted. SOCKS4 clients are accepted as well, unless
 * the option `socks4` is set, which then checks their user ids.
 *
 * @example SOCKS5 for everyone, SOCKS4 for one user id
 * ```ts
 * import { noAuth, serve } from "@x/socks5/server";
 * import { connect, SocksError } from "@x/socks5/client";
 *
 * await using server = await serve({
 *   port: 0,
 *   auth: [noAuth()], // the default
 *   socks4: { userIds: ["alice"] },
 * });
 * const { hostname, port } = server.addr;
 * await using five = await connect(`socks5://${hostname}:${port}`, server.addr);
 * await using four = await connect(`socks4://alice@${hostname}:${port}`, server.addr);
 * const error = await connect(`socks4://bob@${hostname}:${port}`, server.addr)
 *   .catch((error) => error);
 * console.log(error instanceof SocksError && error.code); // rejected
 * ```
 */
export function noAuth(): AuthMethod {
  return { number: METHOD.none, name: "none" };
}
