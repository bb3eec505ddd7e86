/**
 * A proxy with a login and a target that counts its connections, for the tests of doors.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import * as net from "node:net";
import { type ServeOptions, userPass } from "../../src/server/mod.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { settled, until } from "../transport/contract.ts";

/** A target behind a proxy. */
export interface Way {
  readonly server: TestServer;
  /** The URL of the proxy, with its login. */
  url(scheme?: string): string;
  /** The port of the target on 127.0.0.1. */
  readonly port: number;
  /**
   * Passes if the target has had this many connections, by default any number, and all of
   * them came through the proxy.
   */
  assertThrough(count?: number): Promise<void>;
  /** How many connections the target has had. */
  connections(): number;
  /** How many requests the proxy has granted, to any target. */
  granted(): number;
  close(): Promise<void>;
}

/** Starts both; `onSocket` is the target. */
export async function startWay(
  onSocket: (socket: net.Socket) => void = echo,
  options: ServeOptions = {},
): Promise<Way> {
  let granted = 0;
  const server = await startServer({
    auth: [userPass({ al: "p@ss" })],
    ...options,
    onEvent({ type, ...event }) {
      if (type !== "reply") return;
      const { session } = event as { session: { reply?: number } };
      if (session.reply === 0) granted++;
    },
  });
  let count = 0;
  const sockets = new Set<net.Socket>();
  const target = net.createServer((socket) => {
    count++;
    sockets.add(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) =>
    target.listen(0, "127.0.0.1", () => resolve())
  );
  const { port } = target.address() as net.AddressInfo;
  return {
    server,
    port,
    url: (scheme = "socks5h") =>
      `${scheme}://al:p%40ss@localhost:${server.server.addr.port}`,
    connections: () => count,
    granted: () => granted,
    async assertThrough(expected) {
      const least = expected ?? 1;
      await until(() => count >= least && granted >= least);
      await settled();
      assertEquals([count, granted], Array(2).fill(expected ?? granted));
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => target.close(() => resolve()));
      await server.close();
    },
  };
}

/** Sends everything back until FIN. */
export function echo(socket: net.Socket): void {
  socket.pipe(socket);
}

/** Reads from a socket until it has this text; fails if the socket ends before. */
export function receive(socket: net.Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let got = "";
    const onData = (chunk: Uint8Array) => {
      got += new TextDecoder().decode(chunk);
      if (got.length < text.length) return;
      stop();
      if (got === text) resolve();
      else reject(new Error(`received ${got}, expected ${text}`));
    };
    const onEnd = () => {
      stop();
      reject(new Error(`ended after ${got}, expected ${text}`));
    };
    const stop = () => {
      socket.off("data", onData).off("end", onEnd).off("error", reject);
    };
    socket.on("data", onData).on("end", onEnd).on("error", reject);
  });
}

/** Resolves when the socket has emitted `close`. */
export function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}

/** Resolves with the error of a socket. */
export function failure(
  socket: net.Socket,
): Promise<Error & { code?: string; cause?: unknown }> {
  return new Promise((resolve, reject) => {
    socket.once("error", resolve);
    socket.once("close", () => reject(new Error("closed without an error")));
  });
}
