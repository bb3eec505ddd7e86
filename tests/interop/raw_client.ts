/**
 * A minimal SOCKS5 client over `node:net`, for tests of clients that misbehave.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as net from "node:net";

/** Connects to a port of 127.0.0.1. The socket may be half-closed; its errors are ignored. */
export function dial(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, allowHalfOpen: true };
    const socket = net.connect(options);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/** A greeting without a login and a CONNECT request to a port of 127.0.0.1, in one message. */
export function connectRequest(port: number): Uint8Array {
  const request = [5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255];
  return Uint8Array.of(5, 1, 0, ...request);
}

/** The size of the answers to {@linkcode connectRequest}, in bytes. */
const ANSWER_SIZE = 2 + 10;

/** Connects to a port of 127.0.0.1 through the server; resolves with a paused socket. */
export async function tunnel(
  proxyPort: number,
  port: number,
): Promise<net.Socket> {
  const socket = await dial(proxyPort);
  socket.write(connectRequest(port));
  const answers = await readSome(socket, ANSWER_SIZE);
  if (answers.length < ANSWER_SIZE || answers[3] !== 0) {
    socket.destroy();
    throw new Error(`the server answered ${answers.toString("hex")}`);
  }
  return socket;
}

/** Reads `size` bytes, or fewer if the connection ends before, and pauses the socket. */
export function readSome(socket: net.Socket, size: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let have = 0;
    const finish = () => {
      socket.pause();
      socket.off("data", onData);
      socket.off("end", finish);
      socket.off("close", finish);
      const all = Buffer.concat(chunks);
      if (have > size) socket.unshift(all.subarray(size));
      resolve(all.subarray(0, size));
    };
    const onData = (chunk: Uint8Array) => {
      chunks.push(chunk);
      have += chunk.length;
      if (have >= size) finish();
    };
    socket.on("data", onData);
    socket.on("end", finish);
    socket.on("close", finish);
    socket.resume();
  });
}

/** Reads until the FIN, or until the connection is closed. */
export function readToEnd(socket: net.Socket): Promise<Buffer> {
  return readSome(socket, Infinity);
}
