/**
 * Connections through a proxy: the command CONNECT.
 *
 * @module
 */

import {
  encodeAddress,
  type Endpoint,
  isIp,
  parseEndpoint,
} from "../protocol/address.ts";
import { ProtocolError } from "../protocol/decode.ts";
import { COMMAND } from "../protocol/socks5.ts";
import { detectTransport } from "../transport/detect.ts";
import { dial, withSignal } from "../transport/dial.ts";
import { MessageReader } from "../transport/message_reader.ts";
import {
  type DuplexStreams,
  fromStreams,
  toStreams,
} from "../transport/streams.ts";
import { startTimeout } from "../transport/timeouts.ts";
import {
  abortError,
  type Conn,
  NetError,
  type Transport,
} from "../transport/transport.ts";
import { SocksError, type SocksErrorCode, type SocksPhase } from "./error.ts";
import { Handshake } from "./handshake.ts";
import { plainName, type Proxy, resolveProxy } from "./proxy.ts";

/** Options of what the client does through a proxy. */
export interface ClientOptions {
  /** Ends the attempt in any phase; the rejection's code is `aborted`, or `timeout` for `AbortSignal.timeout()`. */
  readonly signal?: AbortSignal;
  /** Milliseconds from the call to the proxy's reply; 0 means for ever. @default {30_000} */
  readonly timeout?: number;
  /**
   * A connection to the proxy that exists already, such as one through another
   * proxy or inside TLS: then the proxy's hostname and port are not used. It is
   * closed when the attempt fails.
   */
  readonly conn?: Conn | DuplexStreams;
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
}

/** A connection to a target through a proxy. */
export interface SocksConn extends DuplexStreams, AsyncDisposable {
  /** The address that the proxy says it connected from; often zeros. */
  readonly boundAddr: Endpoint;
  /** The same connection without Web streams, faster. Use either it or the streams. */
  readonly conn: Conn;
  /** Ends both directions. Idempotent. */
  close(): void;
}

/**
 * Connects to a target through a SOCKS proxy.
 *
 * @param proxy `socks5h://user:password@hostname:port` (see
 * {@linkcode Proxy.protocol} for the four schemes), or the same as an object.
 * @param target Name or IP address and port, also as `"example.com:443"`.
 *
 * @throws {SocksError} when there is no connection; nothing is left open then.
 * @throws {TypeError} when the arguments make no sense.
 *
 * @example
 * ```ts
 * import { serve } from "../server/serve.ts";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * await using conn = await connect(
 *   `socks5h://127.0.0.1:${proxy.addr.port}`,
 *   { hostname: "localhost", port: target.addr.port },
 *   { timeout: 5_000 },
 * );
 * const writer = conn.writable.getWriter();
 * await writer.write(Uint8Array.of(5, 1, 0));
 * const { value } = await conn.readable.getReader().read();
 * console.log(value); // Uint8Array [5, 0]
 * ```
 */
export async function connect(
  proxy: string | URL | Proxy,
  target: string | Endpoint,
  options: ClientOptions = {},
): Promise<SocksConn> {
  const through = resolveProxy(proxy);
  const wanted = resolveTarget(target);
  const { timeout = 30_000, signal } = options;
  const attempt = new Attempt(through, wanted, options);
  const timer = startTimeout(
    timeout,
    () => attempt.end(new NetError("timeout", `no reply within ${timeout} ms`)),
  );
  const onAbort = () => attempt.end(abortError(signal!));
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  try {
    return await attempt.run();
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** A target that a message can carry. */
function resolveTarget(target: string | Endpoint): Endpoint {
  const { hostname, port } = typeof target === "string"
    ? parseEndpoint(target)
    : target;
  const wanted = { hostname: plainName(hostname), port };
  encodeAddress(wanted); // throws a TypeError when it can't
  return wanted;
}

/** One attempt to connect, which can be ended in any phase. */
class Attempt {
  readonly #proxy: Proxy & { readonly port: number };
  readonly #target: Endpoint;
  readonly #options: ClientOptions;
  readonly #ending = new AbortController();
  #phase: SocksPhase = "dial";
  #conn: Conn | undefined;

  constructor(
    proxy: Proxy & { readonly port: number },
    target: Endpoint,
    options: ClientOptions,
  ) {
    this.#proxy = proxy;
    this.#target = target;
    this.#options = options;
    const { conn } = options;
    if (conn) this.#conn = "readable" in conn ? fromStreams(conn) : conn;
  }

  /** Ends it now, with this error. */
  end(error: NetError): void {
    this.#ending.abort(error);
    this.#conn?.close();
  }

  async run(): Promise<SocksConn> {
    try {
      const target = await this.#resolveTarget();
      const conn = this.#conn ??= await this.#dial();
      this.#ending.signal.throwIfAborted();
      return await this.#shakeHands(conn, target);
    } catch (error) {
      this.#conn?.close();
      throw this.#explain(error);
    }
  }

  /** The target as the proxy is to get it: as it is, or resolved here. */
  async #resolveTarget(): Promise<Endpoint> {
    const { hostname, port } = this.#target;
    const { protocol } = this.#proxy;
    const proxyResolves = protocol === "socks4a" || protocol === "socks5h";
    if (proxyResolves || (isIp(hostname) === 4)) return this.#target;
    const onlyIPv4 = protocol === "socks4";
    if (isIp(hostname) && !onlyIPv4) return this.#target;
    const found = isIp(hostname) ? [hostname] : await this.#lookup(hostname);
    const fitting = found.find((it) => !onlyIPv4 || isIp(it) === 4);
    if (fitting) return { hostname: fitting, port };
    throw new SocksError(
      "address-type",
      `socks4: can't carry the IPv6 address of ${hostname}; use socks4a: or socks5:`,
      { phase: "request" },
    );
  }

  async #lookup(hostname: string): Promise<string[]> {
    const transport = await this.#transport();
    const { signal } = this.#ending;
    return await withSignal(transport.lookup(hostname), signal)
      .catch((cause) => {
        if (signal.aborted) throw cause;
        const message = `${hostname} can't be resolved: ${cause.message}`;
        throw new SocksError("dns", message, { phase: "request", cause });
      });
  }

  async #dial(): Promise<Conn> {
    const { hostname, port } = this.#proxy;
    const { signal } = this.#ending;
    return await dial(await this.#transport(), { hostname, port, signal });
  }

  #transport(): Promise<Transport> {
    const { transport } = this.#options;
    return transport ? Promise.resolve(transport) : detectTransport();
  }

  async #shakeHands(conn: Conn, target: Endpoint): Promise<SocksConn> {
    const reader = new MessageReader(conn);
    const handshake = new Handshake(this.#proxy, conn, reader);
    try {
      const boundAddr = await handshake.request(COMMAND.connect, target);
      return new Tunnel(reader.release(), boundAddr);
    } finally {
      this.#phase = handshake.phase;
    }
  }

  /** Whatever was caught, as the error that the caller gets. */
  #explain(error: unknown): unknown {
    const { signal } = this.#ending;
    const cause = signal.aborted ? abortError(signal) : error;
    if (cause instanceof SocksError || cause instanceof TypeError) return cause;
    const code = signal.aborted
      ? codeOfAbort(cause)
      : codeOf(cause, this.#phase);
    const { hostname, port } = this.#proxy;
    return new SocksError(
      code,
      `${SAYING[code] ?? code} (${hostname}:${port}): ${
        (cause as Error).message
      }`,
      { phase: this.#phase, cause },
    );
  }
}

const SAYING: Partial<Record<SocksErrorCode, string>> = {
  "proxy-unreachable": "the proxy can't be reached",
  "proxy-closed": "the proxy hung up",
  protocol: "the proxy does not speak SOCKS",
};

function codeOfAbort(cause: unknown): SocksErrorCode {
  return (cause as NetError).kind === "timeout" ? "timeout" : "aborted";
}

function codeOf(cause: unknown, phase: SocksPhase): SocksErrorCode {
  if (cause instanceof ProtocolError) return "protocol";
  return phase === "dial" ? "proxy-unreachable" : "proxy-closed";
}

class Tunnel implements SocksConn {
  readonly conn: Conn;
  readonly boundAddr: Endpoint;
  #streams: DuplexStreams | undefined;

  constructor(conn: Conn, boundAddr: Endpoint) {
    this.conn = conn;
    this.boundAddr = boundAddr;
  }

  get readable(): ReadableStream<Uint8Array> {
    return (this.#streams ??= toStreams(this.conn)).readable;
  }

  get writable(): WritableStream<Uint8Array> {
    return (this.#streams ??= toStreams(this.conn)).writable;
  }

  close(): void {
    this.conn.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
