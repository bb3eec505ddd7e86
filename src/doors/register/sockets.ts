/**
 * The sockets of `node:net` and `node:tls`.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as net from "node:net";
import { TLSSocket } from "node:tls";
import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { closedError } from "../../transport/errors.ts";
import { openSocket } from "../socket/open_socket.ts";
import type { Route } from "../socket/route.ts";

/** Where connections go. */
export interface Directions {
  /** The way through the proxy; a promise while a listener of this process is opened. */
  readonly route: Route | Promise<Route>;
  isDirect(target: Endpoint): boolean;
}

type Listener = () => void;
type Call = (...args: unknown[]) => boolean;

/** The arguments of `connect()` that matter here. */
interface ConnectOptions {
  readonly host?: string;
  readonly port?: unknown;
  readonly path?: unknown;
  readonly fd?: unknown;
  readonly socket?: unknown;
}

/** The native side of a socket. */
interface Handle {
  reading?: boolean;
  readStop?(): void;
  /** Bun's: where its events go. */
  data?: { self?: unknown };
}

/** What the runtimes do not document. */
interface Internals {
  connecting: boolean;
  _handle: Handle | null;
  _undestroy?(): void;
  _getpeername(): object;
  /** Replaces the native side. */
  [kReinitializeHandle: symbol]: unknown;
}

const isBun = "Bun" in globalThis;

/**
 * Sends all connections through the proxy that `net.Socket.prototype.connect()` opens, which
 * are those of all modules, except to targets that are direct and to Unix sockets.
 */
export function patchSockets(directions: Directions): void {
  const { prototype } = net.Socket;
  const direct = prototype.connect as (...args: unknown[]) => net.Socket;
  const patched = function (this: net.Socket, ...args: unknown[]): net.Socket {
    const [options, listener] = parseArguments(args);
    // Only in Bun may the connection be open.
    const isOpen = isBun && (options.socket || options.fd != null);
    if (options.path || options.port === undefined || isOpen) {
      return direct.apply(this, args);
    }
    let target: Endpoint;
    try {
      target = targetOf(options);
    } catch (error) {
      return this.destroy(error as Error);
    }
    if (directions.isDirect(target)) return direct.apply(this, args);
    if (!isBun || !(this instanceof TLSSocket)) {
      return connectThrough(this, directions.route, target, listener);
    }
    // Bun's TLS starts over a socket that is still connecting. It has a listener from
    // `tls.connect()` for a connection of its own, which would hold back the FIN.
    const own = this.listeners("connect").find((it) =>
      it.name === "onConnectStart"
    );
    if (own) this.off("connect", own as Listener);
    const socket = new net.Socket();
    connectThrough(socket, directions.route, target);
    socket.once("connect", () => showPeer(this, target));
    socket.on("error", (error) => this.destroy(error));
    return direct.call(this, { ...options, socket }, listener);
  };
  prototype.connect = patched as typeof prototype.connect;
}

/** The forms of `net.Socket.connect()`; an array has been through `net.connect()`. */
function parseArguments(
  args: unknown[],
): [ConnectOptions, Listener | undefined] {
  const list: unknown[] = Array.isArray(args[0]) ? args[0] : args;
  const [first, second] = list;
  const listener = list.find((it) => typeof it === "function");
  return [optionsOf(first, second), listener as Listener | undefined];
}

function optionsOf(first: unknown, second: unknown): ConnectOptions {
  if (typeof first === "object" && first !== null) return first;
  if (typeof first === "string" && !(Number(first) >= 0)) {
    return { path: first };
  }
  return { port: first, host: typeof second === "string" ? second : undefined };
}

function targetOf({ host, port }: ConnectOptions): Endpoint {
  return parseTarget({ hostname: host || "localhost", port: Number(port) });
}

/** Connects a socket, whose native side comes from another one at the end. */
function connectThrough(
  socket: net.Socket,
  route: Route | Promise<Route>,
  target: Endpoint,
  listener?: Listener,
): net.Socket {
  const internals = socket as unknown as Internals;
  if (listener) socket.once("connect", listener);
  if (socket.destroyed) {
    // It connects for the second time.
    internals._handle = null;
    internals._undestroy?.();
  }
  internals.connecting = true;
  if (route instanceof Promise) {
    route.then(
      (it) => socket.destroyed || dial(socket, it, target),
      (error) => fail(socket, error),
    );
  } else dial(socket, route, target);
  return socket;
}

function dial(socket: net.Socket, route: Route, target: Endpoint): void {
  let isOver = false;
  const abort = () => attempt.abort(closedError());
  const attempt = openSocket(route, target, {}, (error, opened) => {
    isOver = true;
    socket.off("close", abort);
    if (error) fail(socket, error);
    else if (socket.destroyed) opened!.destroy();
    else adopt(socket, opened!, target);
  });
  if (!isOver) socket.once("close", abort);
}

/** Destroys a socket; without a native side, its event `close` would report no error. */
function fail(socket: net.Socket, error: Error): void {
  if (socket.destroyed) return;
  const { emit } = socket as unknown as { emit: Call };
  socket.emit = (event: string, ...args: unknown[]) => {
    if (event !== "close") return emit.call(socket, event, ...args);
    delete (socket as { emit?: unknown }).emit;
    return emit.call(socket, event, true);
  };
  socket.destroy(error);
}

/** Gives the connection of `opened` to `socket`. */
function adopt(
  socket: net.Socket,
  opened: net.Socket,
  target: Endpoint,
): void {
  const rest: Uint8Array | null = opened.read();
  const isTls = socket instanceof TLSSocket;
  copySettings(socket, opened);
  if (rest && isTls || !moveHandle(socket, opened)) {
    opened.destroy();
    const reason = rest && isTls ? SPEAKS_FIRST : UNKNOWN_RUNTIME;
    return fail(socket, new Error(`socks5 register: ${reason}`));
  }
  showPeer(socket, target);
  (socket as unknown as Internals).connecting = false;
  socket.emit("connect");
  socket.emit("ready");
  if (rest && !socket.destroyed) deliver(socket, rest);
  if (!socket.isPaused()) socket.read(0);
}

const SPEAKS_FIRST = "the target sent data before the handshake of TLS";
const UNKNOWN_RUNTIME =
  "this version of the runtime has no known way to move a connection to this socket";

/**
 * Makes `remoteAddress` and `remotePort` those of the target: HTTP/2 compares them with the
 * URL. The address of a name is not known.
 */
function showPeer(socket: net.Socket, { hostname, port }: Endpoint): void {
  const version = net.isIP(hostname);
  const family = version ? `IPv${version}` : undefined;
  const peer = { address: version ? hostname : undefined, family, port };
  (socket as unknown as Internals)._getpeername = () => peer;
}

/** The value of a property whose symbol has this description. */
function hidden<T>(socket: net.Socket, description: string): T | undefined {
  const key = symbolOf(socket, description);
  return key && (socket as unknown as Internals)[key] as T;
}

function symbolOf(it: object | null, description: string): symbol | undefined {
  if (it === null) return undefined;
  const symbols = Object.getOwnPropertySymbols(it);
  return symbols.find((it) => it.description === description) ??
    symbolOf(Object.getPrototypeOf(it), description);
}

/** Settings from before the connection. */
function copySettings(from: net.Socket, to: net.Socket): void {
  if (hidden(from, "kSetNoDelay")) to.setNoDelay(true);
  if (!hidden(from, "kSetKeepAlive")) return;
  const delay = hidden<number>(from, "kSetKeepAliveInitialDelay") ?? 0;
  to.setKeepAlive(true, delay * 1_000);
}

function moveHandle(socket: net.Socket, opened: net.Socket): boolean {
  const to = socket as unknown as Internals;
  const from = opened as unknown as Internals;
  const handle = from._handle;
  const key = symbolOf(socket, "kReinitializeHandle");
  if (isBun) {
    if (handle?.data?.self !== opened) return false;
    handle.data.self = socket;
    const owner = symbolOf(handle, "owner_symbol");
    if (owner) (handle as Record<symbol, unknown>)[owner] = socket;
    to._handle = handle;
    deliverByCallback(socket);
  } else {
    if (!handle?.readStop || !key) return false;
    handle.readStop();
    handle.reading = false;
    // It would forget that the program has ended the socket already.
    to._undestroy = () => {};
    (to[key] as (handle: Handle) => void)(handle);
    delete to._undestroy;
  }
  from._handle = null;
  opened.removeAllListeners();
  return true;
}

/** Delivers the first octets of the target, if need be to the option `onread`. */
function deliver(socket: net.Socket, octets: Uint8Array): void {
  const callback = hidden<(size: number, buffer: Uint8Array) => unknown>(
    socket,
    "kBufferCb",
  );
  if (!callback) return void socket.push(Buffer.from(octets));
  if (hidden(socket, "kBufferGen")) {
    // The next buffer of the program is for the next octets.
    return void callback.call(socket, octets.length, Buffer.from(octets));
  }
  const buffer = hidden<Uint8Array>(socket, "kBuffer")!;
  for (let left = octets; left.length > 0 && !socket.destroyed;) {
    const size = Math.min(left.length, buffer.length);
    buffer.set(left.subarray(0, size));
    left = left.subarray(size);
    if (callback.call(socket, size, buffer) === false) socket.pause();
  }
}

/** Bun's events of a connection that was opened without `onread` know only `push()`. */
function deliverByCallback(socket: net.Socket): void {
  const deliver = hidden<(octets: Uint8Array) => void>(
    socket,
    "kOnreadDeliver",
  );
  const tail = symbolOf(socket, "kOnreadTail");
  if (!deliver || !tail) return;
  const members = socket as unknown as Record<symbol, Uint8Array | undefined>;
  const { push } = net.Socket.prototype;
  socket.push = (chunk: Uint8Array | null) => {
    if (chunk === null) return push.call(socket, null);
    const paused = members[tail];
    if (paused) members[tail] = Buffer.concat([paused, chunk]);
    else deliver(chunk);
    return true;
  };
}
