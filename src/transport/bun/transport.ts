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
  relay,
  wentAway,
} from "./conn.ts";
import {
  type BunUdp,
  datagrams,
  sourceAddress,
  sourceOf,
} from "./datagrams.ts";
import { descriptorLimit } from "../common/descriptors.ts";
import { ownAddresses } from "../common/own_addresses.ts";
import { lookup } from "../common/lookup.ts";
import {
  abortError,
  type NetError,
  toConnectError,
  toNetError,
} from "../errors.ts";
import { checkPort, plainAddress, plainHostname } from "../common/checks.ts";
import type {
  Conn,
  ConnectOptions,
  Listener,
  ListenOptions,
  Transport,
} from "../transport.ts";

/** The members of `Bun` that are used here. */
export interface BunNet extends BunUdp {
  /** Throws what the system says. */
  listen(options: BunSocketOptions): BunListener;
  /** Says `ECONNREFUSED` for almost every failure and can't be cancelled. */
  connect(options: BunSocketOptions): Promise<BunSocket>;
  /** A file, read when it is asked for: `node:fs` takes its time to load. */
  file(path: string): { text(): Promise<string> };
}

/** Options of {@linkcode BunNet.listen} and {@linkcode BunNet.connect}. */
export interface BunSocketOptions {
  hostname: string;
  port: number;
  /** Where to connect from; Bun's types do not show it. */
  localAddress?: string;
  allowHalfOpen: boolean;
  /** Whether other listeners may have the port, too. */
  reusePort?: boolean;
  socket: BunHandlers;
  /** What {@linkcode BunSocket.data} is from the start. */
  data?: unknown;
}

/** What {@linkcode BunNet.listen} returns. */
export interface BunListener {
  readonly hostname: string;
  readonly port: number;
  stop(): void;
}

const { Bun: bun } = globalThis as unknown as { Bun: BunNet };

/** Bun tells nothing of what fails while it accepts, so `onError` is never called. */
function listen(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
): Promise<Listener> {
  try {
    const server = bun.listen({
      hostname: plainHostname(options.hostname),
      port: options.port,
      reusePort: options.reusePort ?? false,
      allowHalfOpen: true,
      socket: {
        ...HANDLERS,
        open(socket) {
          const conn = new BunConn();
          conn.attach(socket);
          onConn(conn);
        },
      },
    });
    return Promise.resolve(listener(server));
  } catch (error) {
    return Promise.reject(toNetError(error));
  }
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

/** Attempts of Bun's that are under way. One that was given up still is, with its descriptor, until the kernel gives up too. */
let pending = 0;
/** With that many of them, new ones go another way. */
const MAX_PENDING = 64;

function connect(options: ConnectOptions): Promise<Conn> {
  return new Promise((resolve, reject) => {
    const { port, localAddress, signal } = options;
    checkPort(port);
    if (signal?.aborted) throw abortError(signal);
    const hostname = plainHostname(options.hostname);
    const where = { hostname, port, localAddress };
    const conn = new BunConn({ hostname, port });
    const started = performance.now();
    let revoke: (() => void) | undefined;
    const onAbort = () => {
      revoke?.();
      reject(abortError(signal!));
    };
    const onOpen = (error?: Error) => {
      signal?.removeEventListener("abort", onAbort);
      if (error) {
        const ms = performance.now() - started;
        return void connectError(error, where, ms).then(reject);
      }
      if (signal?.aborted) conn.reset(); // too late
      else resolve(conn);
    };
    conn.onOpen = onOpen;
    signal?.addEventListener("abort", onAbort); // before: an attempt may fail at once
    if (pending < MAX_PENDING) attempt(where, conn);
    else revoke = attemptByNode(where, conn);
  });
}

/** What to connect to and from, without brackets. */
type Where = Pick<ConnectOptions, "hostname" | "port" | "localAddress">;

/** What happens on a socket that is to connect. */
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

/** Starts an attempt of Bun's, which nothing can end. */
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

/** Starts an attempt through `node:net`, which costs more, and takes its socket over; returns the way to end it. */
function attemptByNode(
  { hostname, port, localAddress }: Where,
  conn: BunConn,
): () => void {
  let socket: NetSocket & { _handle?: BunSocket | null } | undefined;
  let givenUp = false;
  // Not before it is needed: to load it takes a third of the time until a server listens.
  import("node:net").then(({ createConnection }) => {
    if (givenUp) return;
    socket = createConnection({
      host: hostname,
      port,
      localAddress,
      allowHalfOpen: true,
    });
    socket.once("error", (error) => conn.opened(error));
    socket.once("connect", () => {
      const handle = socket?._handle;
      if (!socket || !handle) return conn.opened(wentAway());
      socket._handle = null;
      conn.attach(handle);
      handle.reload({ socket: HANDLERS });
      handle.resume();
      conn.opened();
    });
  }).catch((error) => conn.opened(error));
  return () => {
    givenUp = true;
    socket?.destroy();
  };
}

/** A refusal that takes more milliseconds is none: nobody answered to ARP, or a router gave up. */
const SLOW = 1_000;

/** Why an attempt failed. Bun tells the truth of those that fail at once, and calls all others refused. */
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

/** Bun. */
export const bunTransport: Transport = {
  name: "bun",
  listen,
  connect,
  relay,
  datagrams,
  sourceAddress,
  lookup,
  descriptorLimit: () => descriptorLimit((path) => bun.file(path).text()),
  ownAddresses,
};
