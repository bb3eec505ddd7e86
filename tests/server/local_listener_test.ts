/** Servers on Unix sockets. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { lstat, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import * as net from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import {
  bind,
  type ClientOptions,
  connect,
  SocksError,
  udpAssociate,
} from "../../src/client/mod.ts";
import { NetError, rules, userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { leaveBehind, withSocketPath } from "../support/socket_path.ts";
import { test } from "../support/harness.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { pattern, readAll } from "../transport/contract.ts";

const ALICE = "socks5://alice:secret@127.0.0.1:1080"; // the address is not used

/** The options of a client whose connection is over the socket. */
async function over(path: string): Promise<ClientOptions> {
  const conn = net.connect({ path, allowHalfOpen: true });
  await new Promise((resolve, reject) => {
    conn.once("connect", resolve);
    conn.once("error", reject);
  });
  return { conn, timeout: 20_000 };
}

const auth = [userPass({ alice: "secret" })];

test("serve() relays to clients of a Unix socket, whose name is their address", async () => {
  await withSocketPath(async (path) => {
    const target = await startTarget(echo);
    const { hostname, port } = target.addr;
    const server = await startServer({
      hostname: `unix:${path}`,
      auth,
      policy: rules([`allow user alice ${hostname}`]),
    });
    assertEquals(server.server.addr, { hostname: `unix:${path}`, port: 0 });
    const conn = await connect(ALICE, target.addr, await over(path));
    const sent = pattern(300_000);
    const received = readAll(conn);
    await conn.write(sent);
    await conn.closeWrite();
    assertEquals(await received, sent);
    conn.close();
    const { session, reason } = await server.ended();
    assertEquals(reason, "finished");
    assertEquals(session.client, { hostname: `unix:${path}`, port: 0 });
    assertEquals(session.target, { hostname, port });
    await server.close();
    await target.close();
  });
});

test("serve() speaks TLS over a Unix socket", async () => {
  await withSocketPath(async (path) => {
    const { server: tls, ca } = certificates();
    const target = await startTarget(echo);
    const server = await startServer({
      hostname: `unix:${path}`,
      auth,
      tls,
      policy: rules([`allow ${target.addr.hostname}`]),
    });
    const raw = net.connect(path);
    const conn = tlsConnect({
      socket: raw,
      ca: ca.cert,
      servername: "localhost",
    });
    await once(conn, "secureConnect");
    const through = await connect(ALICE, target.addr, { conn });
    const sent = pattern(50_000);
    const received = readAll(through);
    await through.write(sent);
    await through.closeWrite();
    assertEquals(await received, sent);
    through.close();
    const { session } = await server.ended();
    assertEquals([session.tls?.version, session.sent], ["TLSv1.3", 50_000]);
    await server.close();
    await target.close();
  });
});

test("serve() treats clients of a Unix socket as exposed", async () => {
  await withSocketPath(async (path) => {
    const hostname = `unix:${path}`;
    const error = await assertRejects(() => startServer({ hostname }));
    assertMatch((error as Error).message, /without a login would be an open/);
    assertEquals(await readdir(join(path, "..")), []);
    const target = await startTarget(echo);
    const server = await startServer({ hostname, auth });
    const refused = await assertRejects(
      async () => await connect(ALICE, target.addr, await over(path)),
      SocksError,
    );
    assertEquals(refused.reply, 2); // this machine is closed
    await server.close();
    await target.close();
  });
});

test("a client of a Unix socket cannot lock out the others", async () => {
  await withSocketPath(async (path) => {
    const target = await startTarget(echo);
    const server = await startServer({
      hostname: `unix:${path}`,
      auth: [userPass({ alice: "secret" }, { failedLogins: 1 })],
      policy: rules([`allow ${target.addr.hostname}`]),
    });
    const wrong = "socks5://alice:wrong@127.0.0.1:1080";
    for (let i = 0; i < 2; i++) {
      const error = await assertRejects(
        async () => await connect(wrong, target.addr, await over(path)),
        SocksError,
      );
      assertEquals(error.code, "login-failed");
    }
    const conn = await connect(ALICE, target.addr, await over(path));
    conn.close();
    await server.close();
    await target.close();
  });
});

test("serve() refuses UDP ASSOCIATE and a BIND for anyone over a Unix socket", async () => {
  await withSocketPath(async (path) => {
    const server = await startServer({ hostname: `unix:${path}`, auth });
    for (
      const run of [
        async () => await bind(ALICE, "0.0.0.0", await over(path)),
        async () => await udpAssociate(ALICE, await over(path)),
      ]
    ) {
      const { reply } = await assertRejects(run, SocksError);
      assertEquals(reply, 1);
    }
    assertEquals(await readdir(join(path, "..")), ["proxy.sock"]);
    await server.close();
  });
});

test("serve() sets the permissions of a Unix socket, and removes it in the end", async () => {
  await withSocketPath(async (path) => {
    const hostname = `unix:${path}`;
    for (const socketMode of [undefined, 0o660, 0o200]) {
      const server = await startServer({ hostname, auth, socketMode });
      const { mode } = await stat(path);
      assertEquals(mode & 0o777, socketMode ?? 0o600);
      await server.close();
      assertEquals(await readdir(join(path, "..")), []);
    }
  });
});

test("serve() replaces a Unix socket that nobody serves, and nothing else", async () => {
  await withSocketPath(async (path) => {
    const hostname = `unix:${path}`;
    const first = await startServer({ hostname, auth });
    const taken = await assertRejects(
      () => startServer({ hostname, auth }),
      NetError,
    );
    assertEquals(taken.kind, "addr-in-use");
    await first.close();
    await writeFile(path, "not a socket");
    const other = await assertRejects(
      () => startServer({ hostname, auth }),
      NetError,
      "is not a socket",
    );
    assertEquals(other.kind, "addr-in-use");
    assert((await lstat(path)).isFile());
    await rm(path);
    await leaveBehind(path);
    assert((await lstat(path)).isSocket());
    const server = await startServer({ hostname, auth });
    await assertRejects(
      async () => await connect(ALICE, "127.0.0.1:9", await over(path)),
      SocksError,
    );
    await server.close();
  });
});

test("a server leaves the socket file of another that has replaced its own", async () => {
  await withSocketPath(async (path) => {
    const options = { hostname: `unix:${path}`, auth };
    const [first, moved] = [await startServer(options), `${path}.moved`];
    await rename(path, moved);
    const second = await startServer(options);
    const { ino } = await lstat(path);
    await first.close();
    assertEquals((await lstat(path)).ino, ino);
    const { conn } = await over(path);
    (conn as net.Socket).destroy();
    assertEquals((await readdir(join(path, ".."))).sort(), [
      "proxy.sock",
      "proxy.sock.moved",
    ]);
    await second.close();
    assertEquals(await readdir(join(path, "..")), ["proxy.sock.moved"]);
  });
});

test("serve() rejects what is not possible with a Unix socket", async () => {
  await withSocketPath(async (path) => {
    const hostname = `unix:${path}`;
    const { server: tls } = certificates();
    for (const options of [{ reusePort: true }, { plainPort: 0, tls }]) {
      await assertRejects(
        () => startServer({ hostname, auth, ...options }),
        TypeError,
        "is not possible with unix:",
      );
    }
    for (const hostname of ["unix:", "unix:a\0b", "fd:", "fd:x", "fd:12345"]) {
      await assertRejects(
        () => startServer({ hostname, auth }),
        TypeError,
        "hostname must be an IP address to listen on, unix:PATH or fd:NUMBER",
      );
    }
    await assertRejects(
      () => startServer({ hostname, auth, socketMode: 0o1000 }),
      TypeError,
      "socketMode",
    );
    const missing = await assertRejects(
      () => startServer({ hostname: `unix:${path}/none/x`, auth }),
      NetError,
    );
    assert(missing.message.length > 0);
  });
});

for (const startsInClear of [undefined, false, true]) {
  const what = startsInClear === undefined
    ? "without TLS"
    : `with TLS${startsInClear ? " that has not started" : ""}`;
  test(`reset() closes the connection of a Unix socket ${what}`, () =>
    withSocketPath(async (path) => {
      const transport = await detectTransport();
      let onConn = (_: Conn) => {};
      const accepted = new Promise<Conn>((resolve) => onConn = resolve);
      const tls = startsInClear === undefined
        ? {}
        : { tls: certificates().server, startsInClear };
      const listener = await transport.listen(
        { hostname: `unix:${path}`, port: 0, ...tls },
        onConn,
      );
      const client = net.connect(path);
      client.on("error", () => {}); // a reset, if the runtime shows one
      const closed = new Promise((resolve) => client.once("close", resolve));
      (await accepted).reset();
      client.resume();
      await closed;
      await listener.close();
    }));
}
