/**
 * A SOCKS5 client in a few lines over `node:net`, for clients that misbehave.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as net from "node:net";

/** A connection to 127.0.0.1 that has said nothing yet; it may half-close, and its errors are nobody's. */
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

/** Greeting without a login and the request for a port of 127.0.0.1, in one piece. */
export function connectRequest(port: number): Uint8Array {
  const request = [5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255];
  return Uint8Array.of(5, 1, 0, ...request);
}

/** Octets of the answers to {@linkcode connectRequest}. */
const ANSWERS = 2 + 10;

/** Asks for a port of 127.0.0.1; resolves with a paused socket once the server has said yes. */
export async function tunnel(
  proxyPort: number,
  port: number,
): Promise<net.Socket> {
  const socket = await dial(proxyPort);
  socket.write(connectRequest(port));
  const answers = await readSome(socket, ANSWERS);
  if (answers.length < ANSWERS || answers[3] !== 0) {
    socket.destroy();
    throw new Error(`the server answered ${answers.toString("hex")}`);
  }
  return socket;
}

/** Reads so many octets, or up to the end when it comes before, and pauses. */
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

/** Reads to the FIN, or to whatever ends the connection. */
export function readToEnd(socket: net.Socket): Promise<Buffer> {
  return readSome(socket, Infinity);
}
