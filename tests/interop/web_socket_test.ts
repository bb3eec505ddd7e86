/** `WebSocket` through a proxy, and the package `ws` as its target. */

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import type * as net from "node:net";
import { createWebSocket } from "../../src/doors/fetch/mod.ts";
import { opened, startProxy, urlOf } from "../doors/web.ts";
import { certificates } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { type Library, load } from "./libraries.ts";
import { missingRuntime } from "./runtimes.ts";

const skip = typeof WebSocket !== "function"
  ? "Node.js 20 has no WebSocket"
  : runtime === "bun"
  ? "Bun replaces ws"
  : missingRuntime("deno"); // which installs the package
const options = { skip, foreign: true };

const { ca, server: certificate } = certificates();

/** Runs `use` with sockets to servers of both schemes, and with their other ends. */
async function withSockets(
  use: (socket: WebSocket, other: Library) => Promise<void>,
): Promise<void> {
  const { WebSocketServer } = await load("ws", "8.23.0");
  const proxy = await startProxy();
  const Proxied = await createWebSocket(urlOf(proxy), {
    targetTls: { ca: ca.cert },
  });
  const schemes = {
    ws: http.createServer(),
    wss: https.createServer(certificate),
  };
  for (const [scheme, server] of Object.entries(schemes)) {
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as net.AddressInfo;
    const sockets = new WebSocketServer({ server });
    const connected = once(sockets, "connection");
    const socket = new Proxied(`${scheme}://127.0.0.1:${port}/`);
    socket.binaryType = "arraybuffer";
    const open = new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = ({ message }: Event & { message?: string }) =>
        reject(new Error(message));
    });
    await open;
    const [other] = await connected;
    try {
      await use(socket, other);
    } finally {
      other.terminate();
      await new Promise((resolve) => server.close(resolve));
    }
  }
  assertEquals(opened(proxy), 2);
  await Proxied.close();
  await proxy.close();
}

function closing(socket: WebSocket): Promise<CloseEvent> {
  return new Promise((resolve) => socket.onclose = resolve);
}

/** Bytes that differ from block to block. */
function bytes(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => i ^ i >> 8 ^ i >> 16);
}

test(
  "createWebSocket() carries messages of all sizes, text and binary",
  () =>
    withSockets(async (socket, other) => {
      other.on("message", (data: unknown, binary: boolean) => {
        other.send(data, { binary });
      });
      for (const size of [0, 1, 125, 126, 65_535, 65_536, 5_000_000]) {
        for (const sent of ["é".repeat(size), bytes(size)]) {
          const received = new Promise<MessageEvent>((resolve) =>
            socket.onmessage = resolve
          );
          socket.send(sent as string);
          const { data } = await received;
          const isSame = typeof sent === "string"
            ? data === sent
            : Buffer.from(data).equals(sent);
          assert(isSame, `${typeof sent} of ${size}`);
        }
      }
    }),
  options,
);

test(
  "createWebSocket() keeps messages in order, with a slow reader at the end",
  () =>
    withSockets(async (socket, other) => {
      const count = 400;
      const got: number[] = [];
      const all = new Promise<void>((resolve) => {
        socket.onmessage = ({ data }) => {
          got.push(new DataView(data).getUint32(0));
          if (got.length === count) resolve();
        };
      });
      other.pause();
      const block = new Uint8Array(50_000);
      for (let i = 0; i < count; i++) {
        new DataView(block.buffer).setUint32(0, i);
        socket.send(block.slice());
      }
      other.on("message", (data: unknown) => other.send(data));
      setTimeout(() => other.resume(), 100);
      await all;
      assertEquals(got, Array.from({ length: count }, (_, i) => i));
    }),
  options,
);

test(
  "createWebSocket() passes on the codes and reasons of close()",
  async () => {
    await withSockets(async (socket, other) => {
      const closed = closing(socket);
      other.close(4001, "bye");
      const { code, reason, wasClean } = await closed;
      assertEquals([code, reason, wasClean], [4001, "bye", true]);
    });
    await withSockets(async (socket, other) => {
      const [closed, seen] = [closing(socket), once(other, "close")];
      socket.close(3999, "done");
      const [code, reason] = await seen;
      assertEquals([code, `${reason}`], [3999, "done"]);
      assertEquals((await closed).code, 3999);
    });
  },
  options,
);

test(
  "createWebSocket() closes a socket whose target is gone",
  () =>
    withSockets(async (socket, other) => {
      const closed = closing(socket);
      other.terminate();
      assertEquals((await closed).wasClean, false);
    }),
  options,
);
