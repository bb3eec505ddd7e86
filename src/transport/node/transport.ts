/**
 * {@linkcode Transport} over `node:net`, for Node.js 20.16, 22.3 and later.
 *
 * @module
 */

import * as net from "node:net";
import { NodeConn, onConnect, ONREAD } from "./conn.ts";
import { datagrams, sourceAddress } from "./datagrams.ts";
import { process } from "./process.ts";
import { relay } from "./tls_relay.ts";
import { checkPort } from "../common/checks.ts";
import { descriptorLimit } from "../common/descriptors.ts";
import { listenBy } from "../common/listen.ts";
import { createResolver, libuvThreads } from "../common/lookup.ts";
import { ownAddresses } from "../common/own_addresses.ts";
import { abortError, NetError, toConnectError, toNetError } from "../errors.ts";
import { addressOf } from "../common/listener_address.ts";
import { localPlace } from "../local_place.ts";
import { plainHostname } from "../socket.ts";
import type { TlsClientOptions } from "../tls_options.ts";
import type {
  Conn,
  ConnectOptions,
  Listener,
  ListenOptions,
  Transport,
} from "../transport.ts";

interface ServerInternals {
  _handle?: {
    onconnection?(error: number, handle?: object): void;
  } | null;
}

/** Whether SO_REUSEPORT is supported; older versions of Node.js ignore the option. */
const canReusePort = knowsReusePort(process.versions.node) &&
  !["darwin", "win32"].includes(process.platform);

function knowsReusePort(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  return major > 23 || minor >= (major === 22 ? 12 : 1) && major >= 22;
}

async function open(
  options: ListenOptions,
  onConn: (conn: Conn) => void,
  onError?: (error: NetError) => void,
): Promise<Listener> {
  const reusePort = options.reusePort ?? false;
  if (reusePort && !canReusePort && !await isClusterWorker()) {
    throw new NetError(
      "invalid",
      "Node.js shares ports from 22.12 on, and not on macOS and Windows",
    );
  }
  if (options.tls) {
    const { listenTls } = await import("../tls/listen.ts");
    return listenTls(options, options.tls, onConn, onError);
  }
  const server = net.createServer(
    { allowHalfOpen: true, noDelay: true },
    (socket) => onConn(adopt(socket)),
  );
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(toNetError(error)));
    const where: net.ListenOptions & { reusePort?: boolean; fd?: number } = {
      ...localPlace(options.hostname) ?? {
        host: plainHostname(options.hostname),
        port: options.port,
      },
      reusePort: reusePort && canReusePort,
      exclusive: !reusePort, // otherwise a cluster worker also shares its other ports
    };
    server.listen(
      where,
      () => {
        server.removeAllListeners("error");
        server.on("error", (error) => onError?.(toNetError(error)));
        acceptHandles(server, onConn);
        resolve(listener(server));
      },
    );
  });
}

async function isClusterWorker(): Promise<boolean> {
  const { default: cluster } = await import("node:cluster");
  return cluster.isWorker;
}

// A socket copies its options and adds missing ones. V8 gives each copy that grows
// hidden classes of its own, which stay until the next full collection. Therefore no
// option may be missing, not even emitClose, autoDestroy and decodeStrings.

/**
 * Creates the sockets of a listener, because a listener has no option that makes them read
 * into a given buffer. If the internals of Node.js are not as expected, the listener
 * continues to create them itself; see {@linkcode adopt}.
 */
function acceptHandles(
  server: net.Server,
  onConn: (conn: Conn) => void,
): void {
  const listening = (server as unknown as ServerInternals)._handle;
  const accept = listening?.onconnection;
  if (!accept) return;
  const onHandle = (error: number, handle?: object) => {
    if (error || !handle) return accept.call(listening, error, handle);
    const options = {
      handle,
      allowHalfOpen: true,
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
      onread: ONREAD,
    };
    const conn = new NodeConn(new net.Socket(options));
    conn.socket.setNoDelay(true);
    onConn(conn);
  };
  listening.onconnection = onHandle;
}

/** Returns a connection over a socket that the listener has created. */
function adopt(socket: net.Socket): NodeConn {
  const conn = new NodeConn(socket);
  socket.on("data", (chunk) => {
    if (!conn.receive(chunk)) socket.pause();
  });
  return conn;
}

function listener(server: net.Server): Listener {
  return {
    addr: addressOf(server),
    close() {
      server.close();
      return Promise.resolve();
    },
  };
}

async function connectSecurely(
  options: ConnectOptions,
  tls: TlsClientOptions,
): Promise<Conn> {
  const { connectTls } = await import("../tls/connect.ts");
  return connectTls(options, tls);
}

function connect(options: ConnectOptions): Promise<Conn> {
  if (options.tls) return connectSecurely(options, options.tls);
  return new Promise((resolve, reject) => {
    checkPort(options.port);
    const { port, localAddress, signal } = options;
    if (signal?.aborted) throw abortError(signal);
    const hostname = plainHostname(options.hostname);
    const where = {
      host: hostname,
      port,
      localAddress,
      noDelay: true,
      autoSelectFamily: false,
      allowHalfOpen: true,
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
      onread: ONREAD,
    };
    const conn = new NodeConn(net.connect(where), { hostname, port });
    const onAbort = () => {
      conn.socket.destroy();
      reject(abortError(signal!));
    };
    signal?.addEventListener("abort", onAbort);
    const onOpen = (error?: Error) => {
      signal?.removeEventListener("abort", onAbort);
      if (error) reject(toConnectError(error));
      else resolve(conn);
    };
    conn.onOpen = onOpen;
    conn.socket.on("connect", onConnect);
  });
}

/** Avoids an import, which would load `fs.promises` as well. */
function readFile(path: string): string {
  return process.getBuiltinModule("node:fs").readFileSync(path, "utf8");
}

/** The transport of Node.js. */
export const nodeTransport: Transport = {
  name: "node",
  canReusePort,
  listen: listenBy(open),
  connect,
  relay,
  datagrams,
  sourceAddress,
  ...createResolver(libuvThreads),
  descriptorLimit: () => descriptorLimit(readFile),
  ownAddresses,
};
