/** The files of Unix sockets: their permissions, and starts at the same time. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { once } from "node:events";
import { lstat, mkdir, readdir, rm } from "node:fs/promises";
import * as net from "node:net";
import { dirname, join } from "node:path";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { listenOnFile } from "../../src/transport/common/socket_file.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Listener } from "../../src/transport/transport.ts";
import { withFolder } from "../support/folder.ts";
import { test } from "../support/harness.ts";
import { leaveBehind, withSocketPath } from "../support/socket_path.ts";

async function listen(path: string, mode?: number): Promise<Listener> {
  const transport = await detectTransport();
  const place = { hostname: `unix:${path}`, port: 0, mode };
  return await transport.listen(place, (conn) => conn.close());
}

async function isListening(path: string): Promise<boolean> {
  const socket = net.connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Runs a function with a umask that forbids nothing. */
async function withOpenUmask(use: () => Promise<void>): Promise<void> {
  const before = process.umask(0);
  try {
    await use();
  } finally {
    process.umask(before);
  }
}

/** Looks at a file in a loop until it is told to stop, and reports the permissions it has seen. */
const WATCHER = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { lstatSync } = require("node:fs");
  const { stop, path } = workerData;
  const modes = new Set();
  parentPort.postMessage("ready");
  while (Atomics.load(stop, 0) === 0) {
    try {
      modes.add(lstatSync(path).mode & 0o777);
    } catch {}
  }
  parentPort.postMessage([...modes]);
`;

test("the file of a Unix socket never has permissions other than its mode", () =>
  withSocketPath((path) =>
    withOpenUmask(async () => {
      const stop = new Int32Array(new SharedArrayBuffer(4));
      const watcher = new Worker(WATCHER, {
        eval: true,
        workerData: { stop, path },
      });
      await once(watcher, "message");
      const seen = once(watcher, "message");
      for (let round = 0; round < 50; round++) {
        const listener = await listen(path, 0o620);
        // Gives the watcher, which may have no processor of its own, the time to look.
        for (let i = 0; i < 20; i++) await lstat(path);
        await listener.close();
      }
      Atomics.store(stop, 0, 1);
      assertEquals(await seen, [[0o620]]);
      await watcher.terminate();
    })
  ));

/** Listens at exactly this path. */
async function openAt(path: string): Promise<Listener> {
  const server = net.createServer((socket) => socket.destroy());
  server.listen(path);
  await once(server, "listening");
  const close = () =>
    new Promise<void>((resolve) => server.close(() => resolve()));
  return { addr: { hostname: "", port: 0 }, close };
}

test("listen() makes a Unix socket where only its user can enter", () =>
  withSocketPath((path) =>
    withOpenUmask(async () => {
      let place = "";
      const listener = await listenOnFile(path, 0o666, async (first) => {
        const opened = await openAt(place = first);
        assert((await lstat(place)).isSocket());
        assertEquals((await lstat(dirname(place))).mode & 0o777, 0o700);
        assertEquals((await readdir(dirname(path))).length, 1);
        return opened;
      });
      assert(dirname(dirname(place)) === dirname(path), place);
      assertEquals((await lstat(path)).mode & 0o777, 0o666);
      await listener.close();
    })
  ));

for (const first of ["a stale file", "no file"]) {
  test(`exactly one of several starts at once gets a path with ${first}`, () =>
    withSocketPath(async (path) => {
      for (let round = 0; round < 50; round++) {
        if (first === "a stale file") await leaveBehind(path);
        const starts = await Promise.allSettled(
          [1, 2, 3].map(() => listen(path)),
        );
        const winners = starts.filter((it) => it.status === "fulfilled");
        const losers = starts.filter((it) => it.status === "rejected");
        assertEquals(winners.length, 1);
        for (const { reason } of losers) {
          assert(reason instanceof NetError, `${reason}`);
          assertEquals(reason.kind, "addr-in-use");
        }
        assert(await isListening(path));
        assertEquals(await readdir(dirname(path)), ["proxy.sock"]);
        await winners[0].value.close();
        assertEquals(await readdir(dirname(path)), []);
      }
    }));
}

test("listen() removes what a start has left that was killed", () =>
  withSocketPath(async (path) => {
    const shared = join(dirname(path), ".starting");
    for (const names of [[], ["killed"], ["one", "two"]]) {
      await mkdir(shared);
      for (const name of names) await leaveBehind(join(shared, name));
      const listener = await listen(path);
      assert(await isListening(path));
      assertEquals(await readdir(dirname(path)), ["proxy.sock"]);
      await listener.close();
    }
  }));

test("listen() waits for another start, at last in vain", () =>
  withSocketPath(async (path) => {
    const shared = join(dirname(path), ".starting");
    await mkdir(shared);
    const other = net.createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) =>
      other.listen(join(shared, "other"), resolve)
    );
    const error = await assertRejects(() => listen(path), NetError);
    assertEquals(error.kind, "addr-in-use");
    assertMatch(
      error.message,
      /has been starting in .*\.starting for too long/,
    );
    assertEquals(await readdir(dirname(path)), [".starting"]);
    const waiting = listen(path);
    await once(other, "connection");
    await new Promise((resolve) => other.close(resolve));
    const listener = await waiting;
    assertEquals(await readdir(dirname(path)), ["proxy.sock"]);
    await listener.close();
  }));

test("listen() rejects paths that are too long for a Unix socket", () =>
  withFolder(async (folder) => {
    const long = join(folder, "x".repeat(108 - folder.length - 1));
    const error = await assertRejects(() => listen(long), NetError);
    assertEquals(error.kind, "invalid");
    assertMatch(error.message, /has 108 bytes, of 10\d at most/);
    const deep = join(folder, "x".repeat(95 - folder.length - 1));
    await mkdir(deep);
    const other = await assertRejects(() => listen(join(deep, "s")), NetError);
    assertEquals(other.kind, "invalid");
    assertMatch(
      other.message,
      /the folder of .* has 95 bytes, of \d\d at most/,
    );
    assertEquals(await readdir(deep), []);
    await rm(deep, { recursive: true });
    assertEquals(await readdir(folder), []);
  }));

test("listen() gets the longest possible path of a Unix socket", () =>
  withFolder(async (folder) => {
    const path = join(folder, "x".repeat(103 - folder.length - 1));
    const listener = await listen(path);
    assert(await isListening(path));
    await listener.close();
    const deep = join(folder, "x".repeat(86 - folder.length - 1));
    await mkdir(deep);
    const other = await listen(join(deep, "s"));
    assert(await isListening(join(deep, "s")));
    await other.close();
    assertEquals(await readdir(deep), []);
  }));
