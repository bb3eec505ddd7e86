/**
 * Authentication methods of the client: each is a value with a method number
 * and a negotiation.
 *
 * @module
 */

import type { DatagramWrapper } from "../protocol/datagram.ts";
import { decodeLoginStatus, encodeLogin } from "../protocol/password.ts";
import { METHOD } from "../protocol/socks5.ts";
import type { Exchange } from "../transport/exchange.ts";
import type { Conn } from "../transport/transport.ts";
import { SocksError } from "./error.ts";
import type { ResolvedProxy } from "./proxy.ts";

/** The exchange of an authentication method with the proxy. */
export interface ClientAuthExchange extends Exchange {
  /** The proxy, with the `username` and `password` that were given for it. */
  readonly proxy: ResolvedProxy;
  /**
   * Aborted when the attempt ends early, for example by its timeout; the connection
   * is closed then.
   */
  readonly signal: AbortSignal;
}

/** The outcome of a successful negotiation. */
export interface ClientAuthResult {
  /**
   * The connection for everything after the negotiation, for methods that wrap
   * the one of `take()`. The client closes it; closing it has to close the one
   * below. Its `read()` reports a broken message by a `ProtocolError`.
   */
  readonly conn?: Conn;
  /** Protects the datagrams of UDP ASSOCIATE in both directions, for methods that wrap. */
  readonly datagrams?: DatagramWrapper;
}

/** What an authentication method does next. */
export interface AuthStep {
  /** A message to send. By default none. */
  readonly send?: Uint8Array;
  /** Whether the proxy has accepted the client. @default {false} */
  readonly done?: boolean;
}

/** A negotiation without I/O. */
export interface AuthSteps {
  /** Begins the negotiation, after the proxy has chosen the method. */
  start(): AuthStep;
  /**
   * Decodes the proxy's next message, at the start of what has arrived: returns its `size`
   * and what to do next, or `undefined` if more bytes are needed. It limits how many bytes
   * it waits for. An error ends the attempt as a rejection of `negotiate` does.
   */
  feed(bytes: Uint8Array): AuthStep & { readonly size: number } | undefined;
}

/**
 * One way to authenticate with a proxy (RFC 1928 section 3). A method has either `steps`,
 * or `negotiate` if it has to wait for something else than the proxy or wraps the
 * connection. With neither it has no negotiation.
 *
 * @example A private method: four bytes of a shared secret
 * ```ts
 * import { type ClientAuth, connect } from "@x/socks5/client";
 * import { type AuthMethod, serve } from "@x/socks5/server";
 *
 * const token: ClientAuth = {
 *   number: 0x80, // 0x80 to 0xFE are for private methods
 *   name: "token",
 *   steps: () => ({
 *     start: () => ({ send: Uint8Array.of(1, 2, 3, 4), done: true }),
 *     feed: () => undefined, // the proxy sends nothing
 *   }),
 * };
 *
 * const accepted: AuthMethod = {
 *   number: token.number,
 *   name: token.name,
 *   async negotiate(exchange) {
 *     const sent = await exchange.read((bytes) =>
 *       bytes.length < 4 ? undefined : { value: bytes.slice(0, 4).join(), size: 4 }
 *     );
 *     return { ok: sent === "1,2,3,4", user: "token" };
 *   },
 * };
 * await using proxy = await serve({ port: 0, auth: [accepted] });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, target.addr, { auth: [token] });
 * ```
 *
 * @example A method that wraps the connection: all later bytes are scrambled
 * ```ts
 * import { type ClientAuth, connect } from "@x/socks5/client";
 * import { type AuthMethod, serve } from "@x/socks5/server";
 * import { type Conn, fromStreams, toStreams } from "@x/socks5/transport";
 *
 * const scramble = () =>
 *   new TransformStream<Uint8Array, Uint8Array>({
 *     transform: (chunk, out) => out.enqueue(chunk.map((byte) => byte ^ 0x5a)),
 *   });
 * function wrap(raw: Conn): Conn {
 *   const { readable, writable } = toStreams(raw);
 *   const sent = scramble();
 *   sent.readable.pipeTo(writable).catch(() => {}); // reported by the next write
 *   const received = readable.pipeThrough(scramble());
 *   return fromStreams({ readable: received, writable: sent.writable }, raw);
 * }
 *
 * const scrambled: ClientAuth = {
 *   number: 0x81,
 *   name: "scrambled",
 *   negotiate: ({ take }) => Promise.resolve({ conn: wrap(take()) }),
 * };
 *
 * const accepted: AuthMethod = {
 *   ...scrambled,
 *   negotiate: ({ take }) => Promise.resolve({ ok: true, conn: wrap(take()) }),
 * };
 * await using proxy = await serve({ port: 0, auth: [accepted] });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, target.addr, { auth: [scrambled] });
 * await conn.write(Uint8Array.of(5, 1, 0));
 * console.log(await conn.read()); // Uint8Array [5, 0]
 * ```
 */
export interface ClientAuth {
  /** The number on the wire: 0 to 254. */
  readonly number: number;
  /** The name in error messages. */
  readonly name: string;
  /**
   * Runs after the proxy has chosen the method, and resolves when the proxy has
   * accepted the client. A rejection ends the attempt with code `login-failed`;
   * a `NetError` of the connection ends it with `proxy-closed`, a
   * `ProtocolError` with `protocol`. It takes precedence over `steps`.
   */
  negotiate?(exchange: ClientAuthExchange): Promise<ClientAuthResult | void>;
  /**
   * The same without I/O, for one attempt; {@linkcode ClientHandshake} takes no other
   * methods.
   */
  steps?(proxy: ResolvedProxy): AuthSteps;
}

const ANONYMOUS: ClientAuth = { number: METHOD.none, name: "none" };

const PASSWORD: ClientAuth = {
  number: METHOD.password,
  name: "password",
  steps: sendLogin,
};

/**
 * Method 00: no authentication.
 *
 * @example Only a proxy that requires a login
 * ```ts
 * import { passwordLogin, SocksError, socks } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using server = await serve({ port: 0 }); // without logins
 * const proxy = socks(`socks5h://al:pw@127.0.0.1:${server.addr.port}`, {
 *   auth: [passwordLogin()], // by default [anonymous(), passwordLogin()]
 * });
 * const error = await proxy.connect("example.com:80").catch((error) => error);
 * console.log(error instanceof SocksError && error.code); // no-method
 * ```
 */
export function anonymous(): ClientAuth {
  return ANONYMOUS;
}

/**
 * Method 02: the user name and password of the proxy's URL (RFC 1929). They
 * travel unencrypted.
 *
 * @example
 * ```ts
 * import { anonymous, connect, passwordLogin } from "@x/socks5/client";
 * import { serve, userPass } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0, auth: [userPass({ al: "pw" })] });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * await using conn = await connect(
 *   `socks5h://al:pw@127.0.0.1:${proxy.addr.port}`,
 *   target.addr,
 *   { auth: [passwordLogin(), anonymous()] }, // in the order of preference
 * );
 * ```
 *
 * @example Tor isolates the streams of different logins
 * ```ts
 * import { passwordLogin, socks } from "@x/socks5/client";
 *
 * // Offered alone: a proxy that also accepts method 00 may prefer it, and would then
 * // never see the login.
 * const auth = [passwordLogin()];
 * const alice = socks("socks5h://alice:x@127.0.0.1:9050", { auth });
 * const bob = socks("socks5h://bob:x@127.0.0.1:9050", { auth });
 * console.log(`${alice}` === `${bob}`); // true: the URLs have no credentials
 * ```
 */
export function passwordLogin(): ClientAuth {
  return PASSWORD;
}

function sendLogin({ username = "", password = "" }: ResolvedProxy): AuthSteps {
  return {
    start: () => ({ send: encodeLogin({ username, password }) }),
    feed(octets) {
      const status = decodeLoginStatus(octets);
      if (status && status.value !== 0) throw loginRefused();
      return status && { size: status.size, done: true };
    },
  };
}

/** The error for a login that the proxy refuses. */
export function loginRefused(): SocksError {
  const message = "the proxy refused the login";
  return new SocksError("login-failed", message, { phase: "auth" });
}
