/**
 * {@linkcode Transport} over `Bun.listen` and `Bun.connect`, for Bun.
 *
 * @module
 */

import type { Socket as NetSocket } from "node:net";
import {
  BunConn,
  type BunHandlers,
  type BunSocket,
  connOf,
  HANDLERS,
} from "./conn.ts";
import {
  type BunUdp,
  datagrams,
  sourceAddress,
  sourceOf,
} from "./datagrams.ts";
import { relay } from "./relay.ts";
import { checkPort } from "../common/checks.ts";
import { descriptorLimit } from "../common/descriptors.ts";
import { listenBy } from "../common/listen.ts";
import { createResolver, libuvThreads } from "../common/lookup.ts";
import { ownAddresses } from "../common/own_addresses.ts";
import { systemClock } from "../clock.ts";
import {
  abortError,
  type NetError,
  peerGone,
  toConnectError,
  toNetError,
} from "../errors.ts";
import { localPlace } from "../local_place.ts";
import { plainAddress, plainHostname } from "../socket.ts";
import type { TlsClientOptions } from "../tls_options.ts";
import type {
  Conn,
  ConnectOptions,
  Listener,
  ListenOptions,
  Transport,
} from "../transport.ts";

/** The members of `Bun` that are used here. */
export interface BunNet extends BunUdp {
  /** Binds and listens synchronously, or throws the system's error. */
  listen(options: BunSocketOptions): BunListener;
  listen(options: BunUnixOptions): BunListener;
  /** Connects. Reports `ECONNREFUSED` for almost every failure, and cannot be cancelled. */
  connect(options: BunSocketOptions): Promise<BunSocket>;
  /** Returns a file, which is read on demand. Unlike `node:fs`, it needs no loading. */
  file(path: string): { text(): Promise<string> };
}

/** Options of {@linkcode BunNet.listen} and {@linkcode BunNet.connect}. */
export interface BunSocketOptions {
  hostname: string;
  port: number;
  /** Where to connect from; not in Bun's types. */
  localAddress?: string;
  allowHalfOpen: boolean;
  /** Whether other listeners may share the port. */
  reusePort?: boolean;
  socket: BunHandlers;
  /** The initial value of {@linkcode BunSocket.data}. */
  data?: unknown;
}

/** Options of {@linkcode BunNet.listen} for a Unix socket. */
export interface BunUnixOptions {
  /** The path. */
  unix: string;
  allowHalfOpen: boolean;
  socket: BunHandlers;
}

/** The result of {@linkcode BunNet.listen}. */
export interface BunListener {
  /** `undefined`, as the port is, if it listens on neither. */
  readonly hostname?: string;
  readonly port?: number;
  stop(): void;
}

const { Bun: bun } = globalThis as unknown as { Bun: BunNet };

/** Bun does not report errors of accepting, so there is no `onError`. */
async function open(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
): Promise<Listener> {
  if (options.tls) {
    const { listenTls } = await import("../tls/listen.ts");
    return listenTls(options, options.tls, onConn);
  }
  try {
    const socket: BunHandlers = {
      ...HANDLERS,
      open(socket) {
        const conn = new BunConn();
        conn.attach(socket);
        onConn(conn);
      },
    };
    const how = { ...placeOf(options), allowHalfOpen: true, socket };
    // Bun's types do not have a descriptor.
    return listener(bun.listen(how as BunUnixOptions));
  } catch (error) {
    throw toNetError(error);
  }
}

function placeOf(
  { hostname, port, reusePort = false }: ListenOptions,
): object {
  const place = localPlace(hostname);
  if (!place) return { hostname: plainHostname(hostname), port, reusePort };
  return "fd" in place ? place : { unix: place.path };
}

function listener(server: BunListener): Listener {
  const { hostname, port } = server;
  return {
    addr: plainAddress(hostname, port),
    close() {
      server.stop();
      return Promise.resolve();
    },
  };
}

/**
 * How many attempts of Bun are pending. An aborted attempt stays pending, and keeps its
 * descriptor, until the kernel gives up.
 */
let pending = 0;
/** At this number of pending attempts, new ones use `node:net`. */
const MAX_PENDING = 64;

async function connectSecurely(
  options: ConnectOptions,
  tls: TlsClientOptions,
): Promise<Conn> {
  const { connectTls } = await import("../tls/connect.ts");
  const started = systemClock.now();
  try {
    return await connectTls(options, tls);
  } catch (error) {
    const { kind, cause } = error as NetError;
    if (kind !== "refused") throw error;
    const ms = systemClock.now() - started;
    throw await connectError(cause, options, ms);
  }
}

function connect(options: ConnectOptions): Promise<Conn> {
  if (options.tls) return connectSecurely(options, options.tls);
  return new Promise((resolve, reject) => {
    const { port, localAddress, signal } = options;
    checkPort(port);
    if (signal?.aborted) throw abortError(signal);
    const hostname = plainHostname(options.hostname);
    const where = { hostname, port, localAddress };
    const conn = new BunConn({ hostname, port });
    const started = systemClock.now();
    let cancel: (() => void) | undefined;
    const onAbort = () => {
      cancel?.();
      reject(abortError(signal!));
    };
    const onOpen = (error?: Error) => {
      signal?.removeEventListener("abort", onAbort);
      if (error) {
        const ms = systemClock.now() - started;
        return void connectError(error, where, ms).then(reject);
      }
      if (signal?.aborted) conn.reset(); // too late
      else resolve(conn);
    };
    conn.onOpen = onOpen;
    signal?.addEventListener("abort", onAbort); // first: the attempt may fail synchronously
    if (pending < MAX_PENDING) attempt(where, conn);
    else cancel = attemptByNode(where, conn);
  });
}

/** Where to connect to and from, without brackets. */
type Where = Pick<ConnectOptions, "hostname" | "port" | "localAddress">;

/** The callbacks of a socket that is connecting. */
const CONNECTING: BunHandlers = {
  ...HANDLERS,
  open(socket) {
    pending--;
    const conn = connOf(socket);
    conn.attach(socket);
    conn.opened();
  },
  connectError(socket, error) {
    pending--;
    connOf(socket).opened(error);
  },
};

/** Starts an attempt through `Bun.connect`, which cannot be cancelled. */
function attempt({ hostname, port, localAddress }: Where, conn: BunConn): void {
  pending++;
  try {
    bun.connect({
      hostname,
      port,
      localAddress,
      allowHalfOpen: true,
      socket: CONNECTING,
      data: conn,
    });
  } catch (error) {
    pending--;
    conn.opened(error as Error);
  }
}

/**
 * Starts an attempt through `node:net`, which costs more, and takes over its socket.
 * Returns a function that cancels it.
 */
function attemptByNode(
  { hostname, port, localAddress }: Where,
  conn: BunConn,
): () => void {
  let socket: NetSocket & { _handle?: BunSocket | null } | undefined;
  let cancelled = false;
  // Loaded lazily: it takes a third of the start-up time of a server.
  import("node:net").then(({ createConnection }) => {
    if (cancelled) return;
    socket = createConnection({
      host: hostname,
      port,
      localAddress,
      allowHalfOpen: true,
    });
    socket.once("error", (error) => conn.opened(error));
    socket.once("connect", () => {
      const handle = socket?._handle;
      if (!socket || !handle) return conn.opened(peerGone());
      socket._handle = null;
      conn.attach(handle);
      handle.reload({ socket: HANDLERS });
      handle.resume();
      conn.opened();
    });
  }).catch((error) => conn.opened(error));
  return () => {
    cancelled = true;
    socket?.destroy();
  };
}

/**
 * After this time, in milliseconds, a failure is not a refusal: ARP got no answer, or a
 * router gave up.
 */
const SLOW = 1_000;

/**
 * Returns why an attempt failed. Bun reports immediate failures correctly, and all others
 * as `ECONNREFUSED`.
 */
async function connectError(
  error: unknown,
  { hostname, port }: Where,
  ms: number,
): Promise<NetError> {
  const { code } = error as { code?: string };
  if (code !== "ECONNREFUSED") return toConnectError(error);
  try {
    await sourceOf(hostname, port);
  } catch (reason) {
    return toConnectError(reason);
  }
  return toNetError(error, ms > SLOW ? "host-unreachable" : "refused");
}

/** The transport of Bun. */
export const bunTransport: Transport = {
  name: "bun",
  canReusePort: true,
  listen: listenBy(open),
  connect,
  relay,
  datagrams,
  sourceAddress,
  ...createResolver(libuvThreads),
  descriptorLimit: () => descriptorLimit((path) => bun.file(path).text()),
  ownAddresses,
};
