/**
 * Targets for the interop tests, over `node:net` and `node:http`, so that neither
 * end of a test is our own transport.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import * as dgram from "node:dgram";
import * as http from "node:http";
import * as net from "node:net";

/** A mebibyte. */
export const MIB: number = 1024 * 1024;

/** A target that listens on 127.0.0.1 and on ::1, on the same port. */
export interface Target {
  readonly port: number;
  /** How many connections it has accepted. */
  readonly connections: number;
  /** The open connections. */
  readonly sockets: ReadonlySet<net.Socket>;
  close(): Promise<void>;
}

/** Starts a target that calls `onConn` with each connection. */
export function startTarget(
  onConn: (socket: net.Socket) => void,
): Promise<Target> {
  return listenOnBoth(() => net.createServer({ allowHalfOpen: true }, onConn));
}

/** Listens twice, because a name such as `localhost` may mean either address. */
async function listenOnBoth(create: () => net.Server): Promise<Target> {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const servers = [create(), create()];
  for (const server of servers) {
    server.on("connection", (socket: net.Socket) => {
      connections++;
      sockets.add(socket);
      socket.on("error", () => {}); // clients may reset
      socket.on("close", () => sockets.delete(socket));
    });
  }
  const port = await listenOn(servers);
  return {
    port,
    sockets,
    get connections() {
      return connections;
    },
    async close() {
      const closing = servers.map((server) =>
        new Promise((resolve) => server.close(resolve))
      );
      for (const socket of sockets) socket.destroy();
      await Promise.all(closing);
    },
  };
}

async function listenOn([v4, v6]: net.Server[]): Promise<number> {
  for (;;) {
    await listen(v4, "127.0.0.1", 0);
    const { port } = v4.address() as net.AddressInfo;
    try {
      await listen(v6, "::1", port);
      return port;
    } catch (error) {
      await new Promise((resolve) => v4.close(resolve));
      if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    }
  }
}

function listen(
  server: net.Server,
  host: string,
  port: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Sends everything back, the FIN included. */
export function echo(socket: net.Socket): void {
  socket.pipe(socket);
}

/** Reads until the FIN, then answers with the checksum of the data and 1 MiB of content. */
export function answerAtEnd(socket: net.Socket): void {
  const hash = createHash("sha256");
  socket.on("data", (chunk: Uint8Array) => hash.update(chunk));
  socket.on("end", () => {
    socket.write(`${hash.digest("hex")}\n`);
    socket.end(block(0));
  });
}

/** The answer of {@linkcode answerAtEnd}. */
export function answerTo(octets: string | Uint8Array): Uint8Array {
  const sum = createHash("sha256").update(octets).digest("hex");
  return Buffer.concat([Buffer.from(`${sum}\n`), block(0)]);
}

/** Receives this many mebibytes, then sends them back. */
export function returnAfter(mebibytes: number): (socket: net.Socket) => void {
  return (socket) => {
    const chunks: Uint8Array[] = [];
    let left = mebibytes * MIB;
    socket.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      left -= chunk.length;
      if (left === 0) socket.end(Buffer.concat(chunks));
    });
  };
}

/** Sends a greeting at once, then echoes. */
export function speakFirst(greeting: string): (socket: net.Socket) => void {
  return (socket) => {
    socket.write(greeting);
    echo(socket);
  };
}

const BLOCK = content();

function content(): Uint8Array {
  const octets = new Uint8Array(MIB);
  let x = 1;
  for (let i = 0; i < octets.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    octets[i] = x >>> 24;
  }
  return octets;
}

/** The mebibyte at index `i` of a long content; no two are equal. */
export function block(i: number): Uint8Array {
  const octets = new Uint8Array(BLOCK);
  new DataView(octets.buffer).setUint32(0, i);
  return octets;
}

/** Yields this many mebibytes, created on demand. */
export async function* blocks(mebibytes: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < mebibytes; i++) yield await Promise.resolve(block(i));
}

/** The checksum of {@linkcode blocks}. */
export function checksum(mebibytes: number): string {
  const hash = createHash("sha256");
  for (let i = 0; i < mebibytes; i++) hash.update(block(i));
  return hash.digest("hex");
}

/**
 * Starts a web server. It answers GET `/5` with 5 MiB of {@linkcode blocks}, PUT with
 * the checksum of the body, and everything else with `hello`.
 */
export function startHttp(): Promise<Target> {
  return listenOnBoth(() => http.createServer(answer));
}

function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  response.setHeader("connection", "close");
  if (request.method === "PUT") return answerChecksum(request, response);
  const mebibytes = Number(/^\/(\d+)$/.exec(request.url ?? "")?.[1] ?? 0);
  if (mebibytes === 0) return void response.end("hello");
  response.setHeader("content-length", mebibytes * MIB);
  sendBlocks(response, 0, mebibytes);
}

function sendBlocks(
  response: http.ServerResponse,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    if (!response.write(block(i))) {
      response.once("drain", () => sendBlocks(response, i + 1, to));
      return;
    }
  }
  response.end();
}

function answerChecksum(
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const hash: Hash = createHash("sha256");
  request.on("data", (chunk: Uint8Array) => hash.update(chunk));
  request.on("end", () => response.end(hash.digest("hex")));
}

/**
 * A target for datagrams on 127.0.0.1 and ::1, each with a socket of its own: the
 * answers of a wildcard socket could come from another address.
 */
export interface DatagramTarget {
  readonly port: number;
  /** The source ports of all datagrams. */
  readonly clients: ReadonlySet<number>;
  close(): Promise<void>;
}

/** Starts a target that answers each datagram, by default with the same payload. */
export async function startDatagramTarget(
  answer: (payload: Uint8Array) => Uint8Array = (payload) => payload,
): Promise<DatagramTarget> {
  const clients = new Set<number>();
  const open = async (type: "udp4" | "udp6", host: string, at: number) => {
    const socket = await bindDatagrams(type, host, at);
    socket.on("message", (payload: Uint8Array, { port, address }) => {
      clients.add(port);
      socket.send(answer(payload), port, address);
    });
    return socket;
  };
  for (;;) {
    const v4 = await open("udp4", "127.0.0.1", 0);
    const { port } = v4.address();
    try {
      const v6 = await open("udp6", "::1", port);
      const close = async () => {
        await Promise.all([v4, v6].map(closeDatagrams));
      };
      return { port, clients, close };
    } catch (error) {
      await closeDatagrams(v4);
      if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    }
  }
}

/** Binds a UDP socket of `node:dgram`. */
export function bindDatagrams(
  type: "udp4" | "udp6",
  host: string,
  port = 0,
): Promise<dgram.Socket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket(type);
    socket.once("error", reject);
    socket.bind(port, host, () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** Closes a socket, and resolves when it is closed. */
export function closeDatagrams(socket: dgram.Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}

/** The address that {@linkcode answerQuery} returns for every name (RFC 5737). */
export const ANSWER = "192.0.2.42";

/** Answers a DNS query whose first question asks for an A record (RFC 1035 section 4). */
export function answerQuery(query: Uint8Array): Uint8Array {
  let end = 12;
  while (query[end] !== 0) end += 1 + query[end];
  end += 5;
  const counts = [0, 1, 0, 1, 0, 0, 0, 0];
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4];
  return Buffer.concat([
    query.subarray(0, 2),
    Uint8Array.of(0x84, 0, ...counts),
    query.subarray(12, end),
    Uint8Array.of(...record, ...ANSWER.split(".").map(Number)),
  ]);
}
