/**
 * {@linkcode Transport} over `node:net`, for Node.js 20 and later.
 *
 * @module
 */

import * as net from "node:net";
import { NodeConn, onConnect, ONREAD, relay } from "./conn.ts";
import { descriptorLimit } from "../common/descriptors.ts";
import { ownAddresses } from "../common/own_addresses.ts";
import { datagrams, sourceAddress } from "./datagrams.ts";
import { lookup } from "../common/lookup.ts";
import { process } from "./process.ts";
import { abortError, NetError, toConnectError, toNetError } from "../errors.ts";
import { checkPort, plainAddress, plainHostname } from "../common/checks.ts";
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

// A socket copies its options and adds what is missing. V8 gives each copy that
// grows hidden classes of its own, which stay until the next full collection, so
// that nothing may be missing: emitClose, autoDestroy and decodeStrings neither.

/**
 * Makes the sockets of a listener itself, for one cannot tell it to let them
 * read into a buffer of ours. Where Node.js is not as expected they are its own.
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

/** What else becomes of an accepted socket. */
function adopt(socket: net.Socket): NodeConn {
  const conn = new NodeConn(socket);
  socket.on("data", (chunk) => {
    if (!conn.receive(chunk)) socket.pause();
  });
  return conn;
}

/** Not by an import where it can be helped, which loads all of `fs.promises`, too. */
async function readFile(path: string): Promise<string> {
  const { readFileSync } = process.getBuiltinModule?.("node:fs") ??
    await import("node:fs");
  return readFileSync(path, "utf8");
}

/** Whether there is SO_REUSEPORT here; Node.js that does not know it ignores the option. */
export const canReusePort: boolean = knowsReusePort(process.versions.node) &&
  !["darwin", "win32"].includes(process.platform);

function knowsReusePort(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  return major > 23 || minor >= (major === 22 ? 12 : 1) && major >= 22;
}

async function listen(
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
  const server = net.createServer(
    { allowHalfOpen: true, noDelay: true },
    (socket) => onConn(adopt(socket)),
  );
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(toNetError(error)));
    const where: net.ListenOptions & { reusePort?: boolean } = {
      host: plainHostname(options.hostname),
      port: options.port,
      reusePort: reusePort && canReusePort,
      exclusive: !reusePort, // else a worker of a cluster shares also what it means for itself
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

function listener(server: net.Server): Listener {
  const { address, port } = server.address() as net.AddressInfo;
  return {
    addr: plainAddress(address, port),
    close() {
      server.close();
      return Promise.resolve();
    },
  };
}

function connect(options: ConnectOptions): Promise<Conn> {
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

/** Node.js. */
export const nodeTransport: Transport = {
  name: "node",
  listen,
  connect,
  relay,
  datagrams,
  sourceAddress,
  lookup,
  descriptorLimit: () => descriptorLimit(readFile),
  ownAddresses,
};
