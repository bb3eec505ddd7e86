/** Forwards: ports and Unix sockets that lead to one target. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { socks, SocksError } from "../../src/client/mod.ts";
import {
  type Forward,
  forward,
  type ForwardOptions,
} from "../../src/doors/bridge/mod.ts";
import { type Endpoint, userPass } from "../../src/server/mod.ts";
import { NetError } from "../../src/transport/errors.ts";
import { toConn } from "../../src/transport/streams.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { connect } from "../support/raw.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { octets } from "../support/table.ts";
import { deferred } from "../support/world.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  until,
} from "../transport/contract.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { startLateTarget } from "./late_target.ts";

interface World {
  readonly upstream: TestServer;
  readonly target: Target;
  /** Connects to the forward. */
  client(): Promise<Conn>;
}

/** A place to listen: a port, or a path in a folder. */
type Place = (folder: string) => ForwardOptions;

const PLACES: readonly [name: string, place: Place][] = [
  ["a port", () => ({ port: 0 })],
  ["a path", (folder) => ({ path: join(folder, "forward.sock") })],
];

/** Runs `use` with a forward through a proxy with a login. */
async function withForward(
  place: Place,
  onConn: (conn: Conn) => unknown,
  use: (world: World) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "socks5-forward-"));
  const target = await startTarget(onConn);
  const upstream = await startServer({ auth: [userPass({ al: "pw" })] });
  const url = `socks5h://al:pw@127.0.0.1:${upstream.server.addr.port}`;
  const opened = await forward(url, target.addr, place(folder));
  try {
    await use({ upstream, target, client: () => clientOf(opened) });
  } finally {
    await opened.close();
    await upstream.close();
    await target.close();
    assertEquals(opened.path && existsSync(opened.path), opened.path && false);
    rmSync(folder, { recursive: true });
  }
}

function clientOf({ path, addr }: Forward): Promise<Conn> {
  if (path === undefined) return connect(addr);
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path, allowHalfOpen: true });
    socket.once("error", reject);
    socket.once("connect", () => resolve(toConn(socket)));
  });
}

for (const [name, place] of PLACES) {
  test(`forward() leads connections to ${name} to its target`, () =>
    withForward(place, echo, async ({ client, upstream, target }) => {
      const bytes = pattern(300_000);
      const conns = await Promise.all([client(), client(), client()]);
      for (const conn of conns) {
        const got = readExactly(conn, bytes.length);
        await conn.write(bytes);
        assertSameOctets(await got, bytes);
        await conn.closeWrite();
        assertEquals(await conn.read(), null);
        conn.close();
        const { session, reason } = await upstream.ended();
        assertEquals([session.user, session.target], ["al", target.addr]);
        assertEquals(reason, "finished");
      }
    }));

  test(`forward() passes on the bytes of a target that speaks first, to ${name}`, async () => {
    const got = deferred<Uint8Array>();
    const onConn = async (conn: Conn) => {
      await conn.write(octets('"220 hello"'));
      await conn.closeWrite();
      got.resolve(await readAll(conn));
      conn.close();
    };
    await withForward(place, onConn, async ({ client }) => {
      const conn = await client();
      assertEquals(await readAll(conn), octets('"220 hello"'));
      await conn.write(octets('"QUIT"'));
      await conn.closeWrite();
      assertEquals(await got.promise, octets('"QUIT"'));
      conn.close();
    });
  });
}

/** Resolves when the connection has ended, by FIN or reset. */
async function ended(conn: Conn): Promise<"end" | "reset"> {
  try {
    assertEquals(await conn.read(), null);
    return "end";
  } catch (error) {
    assertEquals((error as NetError).kind, "reset");
    return "reset";
  } finally {
    conn.close();
  }
}

test("forward() closes the connection and reports the error if the target cannot be reached", async () => {
  const upstream = await startServer();
  const url = `socks5h://127.0.0.1:${upstream.server.addr.port}`;
  const errors: unknown[] = [];
  const target = { hostname: "127.0.0.1", port: await closedPort() };
  const opened = await forward(url, target, {
    onError(error) {
      errors.push(error);
      throw new Error("ignored");
    },
  });
  await ended(await clientOf(opened));
  await ended(await clientOf(opened));
  await until(() => errors.length === 2);
  for (const error of errors) {
    assert(error instanceof SocksError);
    assertEquals([error.code, error.reply], ["rejected", 5]);
  }
  await opened.close();
  await upstream.close();
});

test("forward() gives up a proxy that hangs after the timeout", async () => {
  const proxy = await startTarget();
  const codes: string[] = [];
  const opened = await forward(
    `socks5h://127.0.0.1:${proxy.addr.port}`,
    "target.test:80",
    {
      timeout: 1_000,
      onError: (error) => codes.push((error as SocksError).code),
    },
  );
  await ended(await clientOf(opened));
  await until(() => codes.length > 0);
  assertEquals(codes, ["timeout"]);
  await opened.close();
  await proxy.close();
});

for (const how of ["client resets", "forward is closed"]) {
  test(`forward() gives up dialling when the ${how}`, async () => {
    const dialled = deferred<AbortSignal>();
    const errors: unknown[] = [];
    const opened = await forward(
      {
        connect(_target, { signal }) {
          dialled.resolve(signal);
          return new Promise((_, reject) =>
            signal.addEventListener("abort", () => reject(signal.reason))
          );
        },
      },
      "target.test:80",
      { onError: (error) => errors.push(error) },
    );
    const conn = net.connect(opened.addr.port, opened.addr.hostname);
    conn.on("error", () => {});
    await once(conn, "connect");
    const signal = await dialled.promise;
    assertEquals(signal.aborted, false);
    if (how === "client resets") conn.resetAndDestroy();
    else await opened.close();
    await until(() => signal.aborted);
    await opened.close();
    conn.destroy();
    assertEquals(errors, []);
  });
}

test("forward() waits for the target of a client that has sent FIN", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer();
  const dialer = socks(`socks5h://127.0.0.1:${upstream.server.addr.port}`);
  const dialled = deferred<void>();
  const proceed = deferred<void>();
  const opened = await forward(
    {
      async connect(target, options) {
        dialled.resolve();
        await proceed.promise;
        return await dialer.connect(target, options);
      },
    },
    target.addr,
  );
  const conn = await clientOf(opened);
  await conn.write(octets("01 02"));
  await conn.closeWrite();
  await dialled.promise;
  proceed.resolve();
  assertEquals(await readAll(conn), octets("01 02"));
  conn.close();
  await opened.close();
  await upstream.close();
  await target.close();
});

test("forward() does not end connections that are idle", () =>
  withClock(async (clock) => {
    const target = await startTarget(echo);
    const upstream = await startServer();
    const url = `socks5h://127.0.0.1:${upstream.server.addr.port}`;
    const transport = { ...await detectTransport(), clock };
    const opened = await forward(url, target.addr, { transport });
    const conn = await clientOf(opened);
    for (const sent of [octets("01"), octets("02")]) {
      await conn.write(sent);
      assertEquals(await readExactly(conn, 1), sent);
      clock.skip(24 * 3_600_000);
    }
    conn.close();
    await opened.close();
    await upstream.close();
    await target.close();
  }));

test("forward() closes its connections and its port", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer();
  const url = `socks5h://127.0.0.1:${upstream.server.addr.port}`;
  const opened = await forward(url, target.addr);
  const conn = await clientOf(opened);
  await conn.write(octets("01"));
  await readExactly(conn, 1);
  await opened[Symbol.asyncDispose]();
  await ended(conn);
  const error = await assertRejects(() => clientOf(opened), NetError);
  assertEquals(error.kind, "refused");
  await until(() => upstream.server.sessions.length === 0);
  await upstream.close();
  await target.close();
});

test("forward() closes a connection that is made at the same moment", async () => {
  for (let turns = 0; turns < 6; turns++) {
    const late = await startLateTarget();
    const opened = await forward(late.dialer, late.target.addr);
    const client = await connect(opened.addr);
    await late.connected;
    late.resolve();
    for (let i = 0; i < turns; i++) await undefined;
    await opened.close();
    await late.assertClosed();
    client.close();
  }
});

test("forward() rejects if its port or path is in use", async () => {
  const url = "socks5h://127.0.0.1:1";
  const folder = mkdtempSync(join(tmpdir(), "socks5-forward-"));
  for (const [, place] of PLACES) {
    const first = await forward(url, "target.test:80", place(folder));
    const { port } = first.addr;
    const again = first.path ? { path: first.path } : { port };
    const error = await assertRejects(
      () => forward(url, "target.test:80", again),
      NetError,
    );
    assertEquals(error.kind, "addr-in-use");
    await first.close();
  }
  rmSync(folder, { recursive: true });
});

const PROXY = "socks5h://al:secret@127.0.0.1:1";
const TARGET = "target.test:80";

const INVALID: readonly [
  name: string,
  hops: unknown,
  target: unknown,
  options: unknown,
][] = [
  ["no hops", [], TARGET, {}],
  ["no target", PROXY, undefined, {}],
  ["a target without a port", PROXY, "target.test", {}],
  ["a target with another key", PROXY, { host: "target.test", port: 1 }, {}],
  ["an unknown option", PROXY, TARGET, { host: "127.0.0.1" }],
  ["a port and a path", PROXY, TARGET, { port: 0, path: "/tmp/x" }],
  ["an empty path", PROXY, TARGET, { path: "" }],
  ["an invalid port", PROXY, TARGET, { port: -1 }],
  ["all interfaces", PROXY, TARGET, { hostname: "0.0.0.0" }],
  ["a name to listen on", PROXY, TARGET, { hostname: "localhost" }],
  ["an invalid timeout", PROXY, TARGET, { timeout: NaN }],
];

for (const [name, hops, target, options] of INVALID) {
  test(`forward() rejects ${name}`, async () => {
    const { message } = await assertRejects(
      () =>
        forward(
          hops as string,
          target as Endpoint,
          options as ForwardOptions,
        ),
      TypeError,
    );
    assert(!message.includes("secret"), message);
  });
}
