/**
 * Handshakes without I/O.
 *
 * @module
 */

import { type Endpoint, isIp } from "../protocol/address.ts";
import { COMMAND } from "../protocol/socks5.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { abortError, NetError } from "../transport/errors.ts";
import type { ClientAuth } from "./auth.ts";
import type { ClientDialect, HandshakeAttempt } from "./dialect.ts";
import { dialectOf } from "./dialects.ts";
import { SocksError, type SocksPhase } from "./error.ts";
import { Handshake } from "./handshake.ts";
import { NO_OCTETS } from "./octet_buffer.ts";
import type { ProxyConfig } from "./proxy.ts";
import { resolveAuth } from "./resolve_auth.ts";
import { resolveProxy } from "./resolve_proxy.ts";
import { parseTarget, pickAddress } from "./target.ts";
import { abortToSocksError, toSocksError } from "./to_socks_error.ts";

/** Options of {@linkcode ClientHandshake}. */
export interface HandshakeOptions {
  /**
   * As in `connect()`, except that each method has to work without I/O: it has no
   * {@linkcode ClientAuth.negotiate}.
   */
  readonly auth?: readonly ClientAuth[];
  /** The command, by default CONNECT: a number of `socks5.COMMAND`. @default {1} */
  readonly command?: number;
}

const KEYS = ["auth", "command"];

/**
 * The handshake with one proxy without I/O: SOCKS4, SOCKS4a, SOCKS5 or HTTP CONNECT, from
 * the first message to the reply. For programs that have a connection of their own kind;
 * `connect()` does the same with its own.
 *
 * It does not do TLS: the connection to a proxy such as `https:` speaks it already. Names
 * are not resolved: with `socks4:` and `socks5:` the target has to be an IP address.
 *
 * @example Over a socket of Node.js
 * ```ts
 * import { once } from "node:events";
 * import net from "node:net";
 * import { ClientHandshake } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const { hostname, port } = proxy.addr;
 * const handshake = new ClientHandshake(`socks5h://${hostname}:${port}`, target.addr);
 * const socket = net.connect(port, hostname);
 * await once(socket, "connect");
 * socket.write(handshake.start());
 * while (!handshake.done) {
 *   const [chunk] = await once(socket, "data");
 *   const message = handshake.feed(chunk);
 *   if (message) socket.write(message);
 * }
 * console.log(handshake.bound.hostname); // 127.0.0.1
 * socket.destroy();
 * ```
 */
export class ClientHandshake {
  readonly #attempt: HandshakeAttempt;
  readonly #handshake: Handshake;
  readonly #isBind: boolean;
  #error: SocksError | undefined;

  /**
   * Checks everything; nothing is sent before {@linkcode start}.
   *
   * @param proxy As in `connect()`; checked each time, unless it comes from `parseHops()`.
   * @param target As in `connect()`.
   *
   * @throws {TypeError} when an argument is invalid, a method needs I/O, or the target is a
   * name that this client would have to resolve.
   * @throws {SocksError} with code `address-type` or `unsupported` when the protocol cannot
   * carry the address or does not have the command.
   */
  constructor(
    proxy: string | URL | ProxyConfig,
    target: string | Endpoint,
    options: HandshakeOptions = {},
  ) {
    checkKeys(options, KEYS, "the options of ClientHandshake");
    const { auth, command = COMMAND.connect } = options;
    const resolved = resolveProxy(proxy);
    const dialect = dialectOf(resolved);
    const methods = resolveAuth(auth, resolved, dialect);
    const asynchronous = methods.find((it) => it.negotiate);
    if (asynchronous) throw needsConnection(asynchronous);
    checkCommand(dialect, command);
    const wanted = checkTarget(dialect, parseTarget(target), command);
    this.#attempt = { proxy: resolved, dialect, auth: methods, phase: "dial" };
    this.#handshake = new Handshake(this.#attempt, command, wanted);
    this.#isBind = command === COMMAND.bind;
  }

  /** What the handshake waits for; `dial` before {@linkcode start}. */
  get phase(): SocksPhase {
    return this.#attempt.phase;
  }

  /** Whether the proxy has granted the request. */
  get done(): boolean {
    return this.#handshake.bound !== undefined;
  }

  /**
   * The bound address, as the proxy reports it; often zeros. After the second reply to BIND
   * the address of the peer.
   *
   * @throws {TypeError} before the handshake is done.
   */
  get bound(): Endpoint {
    return this.#granted();
  }

  /**
   * The bytes that came after the reply, which are the first ones of the target.
   *
   * @throws {TypeError} before the handshake is done.
   */
  get rest(): Uint8Array {
    this.#granted();
    return this.#handshake.rest;
  }

  #granted(): Endpoint {
    const { bound } = this.#handshake;
    if (!bound) throw new TypeError("the handshake is not done");
    return bound;
  }

  /** Returns the bytes to send first, once the connection to the proxy is open. */
  start(): Uint8Array {
    if (this.phase !== "dial") throw new TypeError("start() was called before");
    return this.#handshake.start();
  }

  /**
   * Takes bytes from the proxy, split or joined in any way; they may change after the call.
   * Returns bytes to send, or `undefined` if there are none: the handshake is done, or needs
   * more.
   *
   * @throws {SocksError} when the handshake has failed; the connection has to be closed then.
   * @throws {TypeError} when it is done, or not started.
   */
  feed(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#error) throw this.#error;
    if (this.done || this.phase === "dial") {
      throw new TypeError("feed() is for the time between start() and done");
    }
    try {
      return this.#handshake.feed(bytes);
    } catch (error) {
      throw this.#error = this.#at(error);
    }
  }

  /**
   * Waits for the second reply to BIND: {@linkcode done} is false again until `feed` gets it,
   * unless it came together with the first one.
   *
   * @throws {SocksError} as `feed` does.
   * @throws {TypeError} if the command is another one, or the first reply has not come.
   */
  awaitPeer(): void {
    if (!this.#isBind) throw new TypeError("awaitPeer() is for BIND");
    this.#granted();
    this.#handshake.awaitPeer();
    this.feed(NO_OCTETS);
  }

  /**
   * Returns the error for a connection that has ended or failed now, for example with the
   * code `proxy-unreachable` before {@linkcode start} and `proxy-closed` after it.
   */
  ended(cause: unknown = new NetError("ended", "it sent FIN")): SocksError {
    return this.#error ?? this.#at(cause);
  }

  /**
   * Returns the error for a handshake that this side ends now: code `timeout` if the reason
   * is a `NetError` of this kind or a `TimeoutError`, otherwise `aborted`.
   */
  stopped(reason?: unknown): SocksError {
    const { phase, proxy } = this.#attempt;
    const error = abortError({ reason } as AbortSignal);
    return this.#error ?? abortToSocksError(error, phase, proxy);
  }

  #at(error: unknown): SocksError {
    const { phase, proxy } = this.#attempt;
    return toSocksError(error, phase, proxy);
  }
}

function needsConnection({ name }: ClientAuth): TypeError {
  return new TypeError(
    `method ${name} does its own I/O, so that it works only with connect()`,
  );
}

/** The members of a dialect that say whether it has a command; CONNECT every one has. */
const NEEDS: Readonly<Record<number, keyof ClientDialect>> = {
  [COMMAND.bind]: "hasBind",
  [COMMAND.udpAssociate]: "hasDatagrams",
  [COMMAND.resolve]: "hasResolve",
  [COMMAND.resolvePtr]: "hasReverse",
};

function checkCommand(dialect: ClientDialect, command: number): void {
  if (command === COMMAND.connect) return;
  // Private commands are for proxies of any version of SOCKS, but not of HTTP.
  if (dialect[NEEDS[command] ?? "hasBind"]) return;
  const message = `${dialect.protocol}: does not have command ${command}`;
  throw new SocksError("unsupported", message, { phase: "request" });
}

function checkTarget(
  dialect: ClientDialect,
  target: Endpoint,
  command: number,
): Endpoint {
  const { hostname, port } = target;
  if (dialect.resolvesNames || command === COMMAND.resolve) return target;
  if (isIp(hostname)) {
    pickAddress(dialect, hostname, [hostname], "request");
    return { hostname, port };
  }
  throw new TypeError(
    `${dialect.protocol}: carries no names; the target has to be an IP address`,
  );
}
