/**
 * What all commands have in common: reach the proxy, shake hands, ask, within a
 * time and until a signal, and leave nothing behind when it fails.
 *
 * @module
 */

import { type Endpoint, unmapIp } from "../protocol/address.ts";
import { detectTransport } from "../transport/detect.ts";
import { dial, withSignal } from "../transport/dial.ts";
import { MessageReader } from "../transport/message_reader.ts";
import { type DuplexStreams, fromStreams } from "../transport/streams.ts";
import { startTimeout } from "../transport/timeouts.ts";
import { abortError, NetError } from "../transport/errors.ts";
import type { Conn, Transport } from "../transport/transport.ts";
import { type SocksPhase, unresolved } from "./error.ts";
import { abortToSocksError, toSocksError } from "./explain.ts";
import { Handshake } from "./handshake.ts";
import { type ProxyConfig, type ResolvedProxy, resolveProxy } from "./proxy.ts";

/** Options of what the client does through a proxy. */
export interface ClientOptions {
  /** Ends the attempt in any phase; the rejection's code is `aborted`, or `timeout` for `AbortSignal.timeout()`. */
  readonly signal?: AbortSignal;
  /** Milliseconds from the call to the proxy's reply, not negative; 0 means for ever. @default {30_000} */
  readonly timeout?: number;
  /**
   * A connection to the proxy that exists already, such as one through another
   * proxy or inside TLS: then the proxy's port is not used, and its hostname
   * only where the proxy says that it listens on all its addresses. It is
   * closed when the attempt fails, also when the arguments make no sense.
   */
  readonly conn?: Conn | DuplexStreams;
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
}

interface Closable {
  close(): void;
}

/** An attempt at a command, or at a step of one, which can be ended in any phase. */
export class Attempt {
  /** How far it is. */
  phase: SocksPhase;
  /** Through which proxy. */
  readonly proxy: ResolvedProxy;
  readonly #options: ClientOptions;
  readonly #ending = new AbortController();
  readonly #opened: Closable[] = [];
  #conn: Conn | undefined;
  #failed = false;

  /** Throws a TypeError when it is no proxy, and closes what it was given. */
  constructor(
    proxy: string | URL | ProxyConfig,
    options: ClientOptions,
    phase: SocksPhase = "dial",
  ) {
    this.phase = phase;
    this.#options = options;
    const { conn } = options;
    if (conn) this.#conn = "readable" in conn ? fromStreams(conn) : conn;
    try {
      this.proxy = resolveProxy(proxy);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /**
   * Takes the steps within the time and until the signal fires. When they fail,
   * all that they opened is closed, and the rejection is what the caller is to see.
   */
  async run<T>(steps: () => Promise<T>): Promise<T> {
    try {
      return await this.#inTime(steps);
    } catch (error) {
      this.#failed = true;
      this.#close();
      throw this.#explain(error);
    }
  }

  async #inTime<T>(steps: () => Promise<T>): Promise<T> {
    const { timeout = 30_000, signal } = this.#options;
    checkTimeout(timeout);
    const late = () => new NetError("timeout", `no reply within ${timeout} ms`);
    const timer = startTimeout(timeout, () => this.end(late()));
    const onAbort = () => this.end(abortError(signal!));
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    try {
      this.#ending.signal.throwIfAborted();
      const result = await steps();
      this.#ending.signal.throwIfAborted();
      return result;
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Ends it now, with this error. */
  end(error: NetError): void {
    this.#ending.abort(error);
    this.#close();
  }

  #close(): void {
    this.#conn?.close();
    for (const it of this.#opened) it.close();
  }

  /** The network it uses. */
  transport(): Promise<Transport> {
    const { transport } = this.#options;
    return transport ? Promise.resolve(transport) : detectTransport();
  }

  /** The promise's outcome, unless the attempt ends first. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return withSignal(promise, this.#ending.signal);
  }

  /** As {@linkcode wait}, for what is to be closed when the attempt fails. */
  open<T extends Closable>(opening: Promise<T>): Promise<T> {
    const keep = (it: T) => {
      if (this.#failed) it.close();
      else this.#opened.push(it);
    };
    opening.then(keep, () => {});
    return this.wait(opening);
  }

  /** All addresses of a name; rejects with code `dns`. */
  readonly lookup = async (hostname: string): Promise<string[]> => {
    const transport = await this.transport();
    const { signal } = this.#ending;
    const asked = transport.lookup(hostname, signal);
    return await this.wait(asked).catch((cause) => {
      if (signal.aborted) throw cause;
      const phase = this.phase === "udp" ? "udp" : "request";
      throw unresolved(hostname, phase, cause);
    });
  };

  /** A connection to the proxy. */
  async dial(): Promise<Conn> {
    const { hostname, port } = this.proxy;
    const { signal } = this.#ending;
    this.#conn ??= await dial(await this.transport(), {
      hostname,
      port,
      signal,
    });
    signal.throwIfAborted();
    return this.#conn;
  }

  /** Shakes hands and asks for a command; the bound address of the reply. */
  request(command: number, target: Endpoint): Promise<Endpoint> {
    return this.#shakeHands((it) => it.request(command, target));
  }

  /** Waits for the second reply to BIND; the peer's address. */
  peer(): Promise<Endpoint> {
    return this.#shakeHands((it) => it.reply("bind"));
  }

  async #shakeHands(
    ask: (handshake: Handshake) => Promise<Endpoint>,
  ): Promise<Endpoint> {
    const conn = await this.dial();
    const reader = new MessageReader(conn);
    const handshake = new Handshake(this.proxy, conn, reader);
    try {
      const bound = await ask(handshake);
      reader.release();
      return bound;
    } finally {
      this.phase = handshake.phase;
    }
  }

  /** A bound address as we reach it: zeros stand for the proxy's own. */
  reachable({ hostname, port }: Endpoint): Endpoint {
    const plain = unmapIp(hostname);
    if (plain !== "0.0.0.0" && plain !== "::") return { hostname: plain, port };
    const { conn } = this.#options; // of whose other end nothing is known
    const own = conn ? this.proxy.hostname : this.#conn!.remoteAddr.hostname;
    return { hostname: own, port };
  }

  /** Whatever was caught, as the error that the caller gets. */
  #explain(error: unknown): unknown {
    const { signal } = this.#ending;
    return signal.aborted
      ? abortToSocksError(abortError(signal), this.phase, this.proxy)
      : toSocksError(error, this.phase, this.proxy);
  }
}

/** Not a whole number: what is left until a deadline seldom is one. */
function checkTimeout(timeout: number): void {
  if (typeof timeout === "number" && timeout >= 0) return;
  throw new TypeError(
    `timeout must be a number of milliseconds, 0 or more, not ${timeout}`,
  );
}
