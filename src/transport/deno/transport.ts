/**
 * {@linkcode Transport} over `Deno.listen` and `Deno.connect`, for Deno. It needs no
 * permission but `--allow-net`.
 *
 * @module
 */

import { type DenoAddr, DenoConn, type DenoSocket } from "./conn.ts";
import { relay } from "./relay.ts";
import { datagrams, type DenoUdp, sourceAddress } from "./datagrams.ts";
import { ownAddresses } from "./interfaces.ts";
import { checkPort } from "../common/checks.ts";
import { listenBy } from "../common/listen.ts";
import { createResolver } from "../common/lookup.ts";
import { systemClock } from "../clock.ts";
import { abortError, NetError, toConnectError, toNetError } from "../errors.ts";
import type { AbortSignalLike } from "../signal.ts";
import { localPlace } from "../local_place.ts";
import { plainAddress, plainHostname } from "../socket.ts";
import type {
  Conn,
  ConnectOptions,
  Listener,
  ListenOptions,
  Transport,
} from "../transport.ts";

/** The members of `Deno` that are used here. */
export interface DenoNet extends DenoUdp {
  /**
   * Binds and listens synchronously, or throws. With `reusePort`, and without
   * `--unstable-net`, it ends the process.
   */
  listen(
    options: { hostname: string; port: number; reusePort?: boolean },
  ): DenoListener;
  listen(options: { transport: "unix"; path: string }): DenoListener;
  /** Connects; a signal that fires releases the descriptor. */
  connect(
    options: { hostname: string; port: number; signal?: AbortSignal },
  ): Promise<DenoSocket>;
}

/** The members of `Deno.TcpListener` that are used here. */
export interface DenoListener {
  /** Where it listens. */
  readonly addr: DenoAddr;
  /** Waits for the next connection. */
  accept(): Promise<DenoSocket>;
  /** Makes a pending `accept` reject. */
  close(): void;
}

const deno = (globalThis as unknown as { Deno: DenoNet }).Deno;

/** Whether `--unstable-net` was given: without it this function does not exist. */
const canReusePort = deno?.listenDatagram !== undefined;

async function open(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Promise<Listener> {
  if (options.reusePort && !canReusePort) throw noReusePort();
  if (options.tls) {
    const { listenTls } = await import("../tls/listen.ts");
    const listening = listenTls(options, options.tls, onConn, onError);
    return await listening.catch(failByNode);
  }
  const place = localPlace(options.hostname);
  if (place && "fd" in place) {
    // `Deno.listen` would ignore it, and listen on a port of all interfaces.
    const { nodeTransport } = await import("../node/transport.ts");
    return await nodeTransport.listen(options, onConn, onError)
      .catch(failByNode);
  }
  const hostname = plainHostname(options.hostname);
  const { port, reusePort } = options;
  try {
    const native = place
      ? deno.listen({ transport: "unix", path: place.path })
      : deno.listen(
        reusePort ? { hostname, port, reusePort } : { hostname, port },
      );
    return listener(native, onConn, onError);
  } catch (error) {
    throw toNetError(error);
  }
}

function noReusePort(): NetError {
  return new NetError(
    "invalid",
    "Deno shares ports only with the flag --unstable-net",
  );
}

/** How long to wait after accepting has failed, in milliseconds. */
const ACCEPT_PAUSE = 50;

function listener(
  native: DenoListener,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Listener {
  let open = true;
  let wake = () => {};
  const accept = async () => {
    while (open) {
      let socket: DenoSocket;
      try {
        socket = await native.accept();
      } catch (error) {
        if (!open) return;
        const failure = toNetError(error);
        // This client reset its connection before it was accepted. After a pause, a
        // client that does so repeatedly would block all others.
        if (failure.kind === "reset") continue;
        onError?.(failure);
        await new Promise<void>((resolve) => {
          const pause = systemClock.startTimeout(ACCEPT_PAUSE, resolve);
          wake = () => {
            pause.cancel();
            resolve();
          };
        });
        continue;
      }
      onConn(new DenoConn(socket));
    }
  };
  const accepting = accept();
  void loadLater();
  return {
    addr: plainAddress(native.addr.hostname, native.addr.port),
    close() {
      if (open) native.close();
      open = false;
      wake();
      return accepting;
    },
  };
}

/** Loads modules early: Deno panics if it loads one when no descriptor is left. */
async function loadLater(): Promise<void> {
  await import("../node/transport.ts");
  if (!canReusePort) await import("../node/datagrams.ts");
}

async function connect(options: ConnectOptions): Promise<Conn> {
  if (options.localAddress || options.tls) return connectByNode(options);
  const { port, signal } = options;
  checkPort(port);
  if (signal?.aborted) throw abortError(signal);
  const hostname = plainHostname(options.hostname);
  const lent = signal && lendController(signal);
  try {
    const to = { hostname, port, signal: lent?.controller.signal };
    const socket = await deno.connect(to);
    if (!signal?.aborted) return new DenoConn(socket);
    socket.close();
    throw abortError(signal);
  } catch (error) {
    throw signal?.aborted ? abortError(signal) : toConnectError(error);
  } finally {
    lent?.giveBack();
  }
}

/** Connects through `node:net`, which can bind to a local address, and has `node:tls`. */
async function connectByNode(options: ConnectOptions): Promise<Conn> {
  const { nodeTransport } = await import("../node/transport.ts");
  return await nodeTransport.connect(options).catch(failByNode);
}

/** Throws the error of `node:net`, which reports EINVAL for an address of another machine. */
function failByNode(error: NetError): never {
  const { message, cause } = error;
  const { code } = (cause ?? {}) as { code?: unknown };
  if (code !== "EINVAL") throw error;
  throw new NetError("addr-not-available", message, cause);
}

/** Controllers whose signals have not fired. They are reused, because each takes a kilobyte. */
const controllers: AbortController[] = [];

/**
 * Creates a controller for `Deno.connect`. If its signal fires after the connection was
 * made, Deno calls `throwIfAborted()` and never closes the socket. Here that method does
 * not throw, so `connect()` gets the socket and closes it.
 */
function newController(): AbortController {
  const controller = new AbortController();
  const throwIfAborted = () => {};
  Object.defineProperty(controller.signal, "throwIfAborted", {
    value: throwIfAborted,
  });
  return controller;
}

/** Returns a controller that aborts when the signal fires, until it is given back. */
function lendController(signal: AbortSignalLike) {
  const controller = controllers.pop() ?? newController();
  const onAbort = () => controller.abort();
  signal.addEventListener("abort", onAbort);
  const giveBack = () => {
    signal.removeEventListener("abort", onAbort);
    if (!controller.signal.aborted) controllers.push(controller);
  };
  return { controller, giveBack };
}

/** The number of threads of tokio that resolve names. */
const RESOLVER_THREADS = 32;

/** The transport of Deno. */
export const denoTransport: Transport = {
  name: "deno",
  canReusePort,
  listen: listenBy(open),
  connect,
  relay,
  datagrams,
  sourceAddress,
  ...createResolver(() => RESOLVER_THREADS),
  ownAddresses,
};
