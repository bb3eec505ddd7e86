/**
 * A `net.Socket` that connects through proxies.
 *
 * @module
 */

import * as net from "node:net";
import { addAbortSignal } from "node:stream";
import { SocksError } from "../../client/error.ts";
import type { Hops } from "../../client/hops.ts";
import { checkSignal } from "../../client/options.ts";
import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { continueOverTls } from "./continue_over_tls.ts";
import { Dial } from "./dial.ts";
import { Relay } from "./relay.ts";
import { DOOR_KEYS, Route, routeOf } from "./route.ts";
import type { SocksSocketOptions } from "./socks_socket.ts";

const KEYS = [...DOOR_KEYS, "allowHalfOpen", "signal"];

/** Called when a socket that nobody else has is open up to where TLS begins, or has failed. */
export type OnOpen = (error: Error | undefined) => void;

/** The events of the connection to the first proxy, which are not those of the target. */
const HIDDEN = new Set<string | symbol>([
  "ready",
  "lookup",
  "connectionAttempt",
  "connectionAttemptFailed",
  "connectionAttemptTimeout",
]);

/**
 * How long one address of the first proxy may take, in milliseconds, before the runtime
 * gives it up for the next one. The 250 of Node.js are too few for proxies on other
 * continents.
 */
const ATTEMPT_TIMEOUT = 2_000;

/**
 * Opens a socket that nobody else has yet. The dial goes on: over TLS to its next proxy, if
 * it has one, and otherwise it waits for its end.
 */
export let openRaw: (socket: ProxySocket, dial: Dial, onOpen: OnOpen) => void;

/** Creates a socket for a route that has been checked. */
export let createSocket: (
  route: Route,
  options?: Pick<SocksSocketOptions, "allowHalfOpen" | "signal">,
) => ProxySocket;

/** The implementation of `SocksSocket`. */
export class ProxySocket extends net.Socket {
  readonly #route: Route;
  /** Until the handshakes are done, unless they go on over TLS. */
  #dial: Dial | undefined;
  #onOpen: OnOpen | undefined;
  /** Instead of an own connection, if a proxy speaks TLS. */
  #relay: Relay | undefined;

  static {
    createSocket = (route, options) =>
      new ProxySocket(route as unknown as Hops, options);
    openRaw = (socket, dial, onOpen) => {
      socket.#onOpen = onOpen;
      socket.#begin(dial);
    };
  }

  constructor(hops: Hops, options: SocksSocketOptions = {}) {
    checkKeys(options, KEYS, "the options of SocksSocket");
    const { allowHalfOpen = false, signal } = options;
    if (signal) checkSignal(signal);
    const checked: unknown = hops;
    const route = checked instanceof Route ? checked : routeOf(hops, options);
    // Node.js 20 needs 5 µs to copy options that other sockets do not have.
    super(allowHalfOpen ? { allowHalfOpen } : undefined);
    this.#route = route;
    if (signal) addAbortSignal(signal, this);
  }

  override connect(
    options: net.SocketConnectOpts,
    listener?: () => void,
  ): this;
  override connect(port: number, host: string, listener?: () => void): this;
  override connect(port: number, listener?: () => void): this;
  override connect(path: string, listener?: () => void): this;
  override connect(...args: unknown[]): this {
    const [options, listener] = parseArguments(args);
    const { host = "localhost", port, noDelay, keepAlive } = options;
    const target = parseTarget({ hostname: host, port: Number(port) });
    if (this.connecting) throw new Error("the socket is connecting already");
    if (noDelay !== undefined) this.setNoDelay(noDelay);
    if (keepAlive !== undefined) {
      this.setKeepAlive(keepAlive, options.keepAliveInitialDelay);
    }
    if (listener) this.once("connect", listener);
    if (this.#route.hasTls) this.#connectOverTls(target);
    else this.#begin(new Dial(this.#route, target, this));
    return this;
  }

  /** Connects to the first proxy, possibly after the look-up of names. */
  #begin(dial: Dial): void {
    this.#dial = dial;
    setConnecting(this, true);
    const connect = () => {
      const { hostname: host, port } = dial.proxy;
      const autoSelectFamilyAttemptTimeout = ATTEMPT_TIMEOUT;
      super.connect({ host, port, autoSelectFamilyAttemptTimeout });
    };
    try {
      const names = dial.prepare();
      if (!names) return connect();
      const fail = (error: unknown) => this.#fail(dial, error);
      names.then(() => dial.isOver || connect()).catch(fail);
    } catch (error) {
      this.#fail(dial, error);
    }
  }

  #fail(dial: Dial, error: unknown): void {
    if (this.#dial === dial) this.destroy(dial.explain(error));
  }

  /** The socket of the first proxy is open. */
  #greet(dial: Dial): void {
    if (dial.next?.tls) return void this.#open(dial);
    this.#send(dial.start());
    if (this.#onOpen) return;
    // The caller's writes and reads wait until the event `connect`.
    setConnecting(this, false);
    super._read(0);
    setConnecting(this, true);
  }

  /** Sends octets before those that the caller has written. */
  #send(octets: Uint8Array): void {
    const { connecting } = this;
    setConnecting(this, false);
    // A failure is reported by the end of what is read.
    super._write(octets as Buffer, "buffer" as BufferEncoding, ignore);
    setConnecting(this, connecting);
  }

  #receive(dial: Dial, chunk: Uint8Array | null): boolean {
    if (chunk === null) {
      this.destroy(dial.ended());
      return false;
    }
    try {
      const message = dial.feed(chunk);
      if (message) this.#send(message);
    } catch (error) {
      this.#fail(dial, error);
      return false;
    }
    return dial.isGranted ? this.#open(dial) : true;
  }

  /** All handshakes are done, or those that come before TLS. */
  #open(dial: Dial): boolean {
    const onOpen = this.#onOpen;
    this.#dial = this.#onOpen = undefined;
    setConnecting(this, false);
    if (onOpen) {
      const isRead = this.#deliver(dial.takeRest());
      onOpen(undefined);
      return isRead;
    }
    dial.end();
    super.emit("connect");
    super.emit("ready");
    return this.#deliver(dial.takeRest());
  }

  /** Delivers the first octets of the target; returns whether it may send more. */
  #deliver(rest: Uint8Array | undefined): boolean {
    if (!rest || this.destroyed) return true;
    return super.push(Buffer.from(rest.buffer, rest.byteOffset, rest.length));
  }

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const dial = this.#dial;
    if (dial) {
      if (event === "connect") {
        this.#greet(dial);
        return true;
      }
      if (HIDDEN.has(event)) return true;
    }
    return super.emit(event as string, ...args);
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    const dial = this.#dial;
    return dial
      ? this.#receive(dial, chunk as Uint8Array | null)
      : super.push(chunk, encoding);
  }

  override destroy(error?: Error): this {
    const dial = this.#dial;
    if (!dial) return super.destroy(error);
    const onOpen = this.#onOpen;
    this.#dial = this.#onOpen = undefined;
    dial.end();
    const shown = error && explained(dial, error);
    if (!onOpen) return super.destroy(shown);
    super.destroy();
    onOpen(shown ?? dial.ended());
    return this;
  }

  #connectOverTls(target: Endpoint): void {
    const raw = createSocket(this.#route);
    const dial = new Dial(this.#route, target, raw);
    const relay = this.#relay = new Relay(raw, dial, this);
    if (this.destroyed) undestroy(this);
    setConnecting(this, true);
    const fail = (error: Error) => void this.destroy(error);
    const open = (inner: net.Socket) => {
      if (this.destroyed) return void inner.destroy();
      relay.adopt(inner);
      setConnecting(this, false);
      super.emit("connect");
      super.emit("ready");
    };
    openRaw(raw, dial, (error) => {
      if (error) fail(error);
      else continueOverTls(dial, raw).then(open, fail);
    });
  }

  override _read(size: number): void {
    if (this.#relay) this.#relay.read();
    else super._read(size);
  }

  override _write(
    chunk: Uint8Array,
    encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    if (this.#relay) this.#relay.write(chunk, encoding, callback);
    else super._write(chunk, encoding, callback);
  }

  override _writev(
    chunks: { chunk: Uint8Array; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    const relay = this.#relay;
    if (!relay) return super._writev!(chunks, callback);
    const whole = Buffer.concat(
      chunks.map(({ chunk, encoding }) =>
        typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk
      ),
    );
    relay.write(whole, "utf8", callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#relay) this.#relay.end(callback);
    else super._final(callback);
  }

  override _destroy(
    error: Error | null,
    callback: (error?: Error | null) => void,
  ): void {
    this.#relay?.destroy();
    super._destroy(error, callback);
  }

  override setNoDelay(noDelay?: boolean): this {
    this.#relay?.raw.setNoDelay(noDelay);
    return super.setNoDelay(noDelay);
  }

  override setKeepAlive(enable?: boolean, initialDelay?: number): this {
    this.#relay?.raw.setKeepAlive(enable, initialDelay);
    return super.setKeepAlive(enable, initialDelay);
  }

  override ref(): this {
    this.#relay?.raw.ref();
    return super.ref();
  }

  override unref(): this {
    this.#relay?.raw.unref();
    return super.unref();
  }

  override resetAndDestroy(): this {
    if (!this.#relay) return super.resetAndDestroy();
    this.#relay.raw.resetAndDestroy();
    return this.destroy();
  }

  // The addresses of `net.Socket` are getters that call these, on all runtimes.

  /** @internal */
  _getpeername(): object {
    return addressOf(this.#relay?.raw ?? this, "_getpeername");
  }

  /** @internal */
  _getsockname(): object {
    return addressOf(this.#relay?.raw ?? this, "_getsockname");
  }
}

function addressOf(
  socket: net.Socket,
  method: "_getpeername" | "_getsockname",
): object {
  const { [method]: get } = net.Socket.prototype as unknown as Record<
    typeof method,
    (this: net.Socket) => object
  >;
  return get.call(socket);
}

function setConnecting(socket: net.Socket, connecting: boolean): void {
  (socket as { connecting: boolean }).connecting = connecting;
}

/** What `connect()` of `net.Socket` does with a socket that was closed. */
function undestroy(socket: net.Socket): void {
  (socket as { _undestroy?(): void })._undestroy?.();
}

function ignore(): void {}

/** The error for the caller: its own one, or that of the connection to the first proxy. */
function explained(dial: Dial, error: Error): Error {
  const isOfSystem = "syscall" in error || error instanceof AggregateError;
  return isOfSystem && !(error.cause instanceof SocksError)
    ? dial.explain(error)
    : error;
}

interface Target {
  readonly host?: string;
  readonly port: number | string;
  readonly noDelay?: boolean;
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
}

/** The arguments of `net.Socket.connect()`, in all forms. */
function parseArguments(args: unknown[]): [Target, (() => void) | undefined] {
  const list = Array.isArray(args[0]) ? args[0] : args;
  const listener = list.find((it) => typeof it === "function");
  const [first, second] = list;
  const isTarget = typeof first === "object" && first !== null;
  const options = isTarget
    ? first
    : { port: first, host: typeof second === "string" ? second : undefined };
  const { path, port } = options as { path?: unknown; port?: unknown };
  const isPort = typeof port === "number" ||
    typeof port === "string" && /^\d+$/.test(port);
  if (path == null && isPort) return [options as Target, listener];
  throw new TypeError("a connection through a proxy needs a host and a port");
}
