/** A proxy as an object. */

import { inspect } from "node:util";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  anonymous,
  type ClientOptions,
  connect,
  passwordLogin,
  type ProxyConfig,
  type ProxyOptions,
  socks,
} from "../../src/client/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { test } from "../support/harness.ts";
import {
  assertSocksError,
  countListeners,
  invalidTimeouts,
  type Script,
  startProxy,
  withNames,
} from "../support/scripted.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { ASKED, CHOSEN, OK, TARGET } from "../support/socks5_wire.ts";
import { octets } from "../support/table.ts";
import {
  pattern,
  readAll,
  readExactly,
  settled,
} from "../transport/contract.ts";
import { assertEchoed, startEcho } from "./associated.ts";

test("socks() has the protocol and the address of the proxy, and shows no credentials", () => {
  const rows: [string | ProxyConfig, string, string, number][] = [
    [
      "socks5h://al:hunter2@proxy.example:9050",
      "socks5h://proxy.example:9050",
      "proxy.example",
      9050,
    ],
    ["socks4://al@[::1]", "socks4://[::1]:1080", "::1", 1080],
    [
      {
        protocol: "socks5",
        hostname: "127.0.0.1",
        username: "al",
        password: "hunter2",
      },
      "socks5://127.0.0.1:1080",
      "127.0.0.1",
      1080,
    ],
  ];
  for (const [given, url, hostname, port] of rows) {
    const proxy = socks(given);
    assertEquals(`${proxy}`, url);
    assertEquals(proxy.protocol, url.split(":")[0]);
    assertEquals([proxy.hostname, proxy.port], [hostname, port]);
    const shown = inspect(proxy, { depth: 9, showHidden: true }) +
      JSON.stringify(proxy);
    assert(!shown.includes("hunter2") && !shown.includes("al@"), shown);
  }
});

test("socks() throws a TypeError for invalid arguments at once", () => {
  const url = "socks5://127.0.0.1";
  const conn = { close() {} };
  assertThrows(() => socks("socks6://127.0.0.1"), TypeError);
  const long = "x".repeat(256);
  assertThrows(() => socks(`socks5://${long}@127.0.0.1`), TypeError);
  assertThrows(() => socks(url, { auth: [] }), TypeError);
  assertThrows(() => socks(url, { auth: [passwordLogin()] }), TypeError);
  assertThrows(() => socks(url, { conn } as ProxyOptions), TypeError, "conn");
  for (const timeout of invalidTimeouts) {
    assertThrows(() => socks(url, { timeout }), TypeError, "timeout");
  }
});

test("socks() goes through serve() with every command, more than once", async () => {
  const server = await startServer({ auth: [userPass({ al: "pw" })] });
  const target = await startTarget(echo);
  const udpTarget = await startEcho("127.0.0.1");
  const proxy = socks(`socks5h://al:pw@127.0.0.1:${server.server.addr.port}`);
  for (let round = 0; round < 2; round++) {
    const conn = await proxy.connect(target.addr);
    await conn.write(pattern(1000));
    assertEquals(await readExactly(conn, 1000), pattern(1000));
    conn.close();

    const listener = await proxy.bind("127.0.0.1");
    const peer = await (await detectTransport()).connect(listener.addr);
    const inbound = await listener.accept();
    assertEquals(inbound.peerAddr, peer.localAddr);
    inbound.close();
    peer.close();

    const udp = await proxy.udpAssociate();
    await assertEchoed(udp, udpTarget.addr, udpTarget.addr);
    udp.close();
  }
  udpTarget.close();
  await target.close();
  await server.close();
});

test("connect() of socks() uses the default timeout, and that of the call instead", async () => {
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    const script: Script = [CHOSEN, [ASKED, ""]];
    for (const timeout of [undefined, 10_000]) {
      const server = await startProxy(script);
      const { hostname, port } = server.addr;
      const proxy = socks(`socks5://${hostname}:${port}`, {
        timeout: 5_000,
        transport,
      });
      const connecting = proxy.connect(TARGET, { timeout });
      connecting.catch(() => {});
      await server.played;
      clock.skip(6_000);
      if (timeout) {
        await server.conns[0].write(octets(OK));
        (await connecting).close();
      } else await assertSocksError(connecting, "timeout", "request");
      await server.close();
    }
  });
});

test("connect() of socks() ends by the default signal and by that of the call, and leaves no listener", async () => {
  for (const which of ["default", "call", "default first", "call first"]) {
    const defaults = new AbortController();
    const call = new AbortController();
    const listeners = [defaults, call].map(({ signal }) =>
      countListeners(signal)
    );
    const server = await startProxy([CHOSEN, [ASKED, ""]]);
    const options: ClientOptions = { signal: call.signal };
    const aborted = which.startsWith("default") ? defaults : call;
    if (which.endsWith("first")) aborted.abort();
    const proxy = socks({ protocol: "socks5", ...server.addr }, {
      signal: defaults.signal,
    });
    const connecting = proxy.connect(TARGET, options);
    if (!which.endsWith("first")) {
      await server.played;
      aborted.abort();
    }
    const phase = which.endsWith("first") ? "dial" : "request";
    await assertSocksError(connecting, "aborted", phase);
    assertEquals(listeners.map((count) => count()), [0, 0]);
    await server.close();
  }
});

test("the default signal of socks() ends no connection", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const server = await startProxy([CHOSEN, [ASKED, OK]]);
  const proxy = socks({ protocol: "socks5", ...server.addr }, { signal });
  const conn = await proxy.connect(TARGET);
  controller.abort();
  await settled();
  await conn.write(octets('"hello"'));
  await conn.closeWrite();
  assertEquals(await server.rest, octets('"hello"'));
  conn.close();
  await server.close();
});

test("connect() of socks() uses the default methods and network, and those of the call instead", async () => {
  const server = await startProxy([
    ["05 01 00", "05 00"],
    ["05 01 00 04 15*00 01 00 50", OK],
  ]);
  const { hostname, port } = server.addr;
  const proxy = socks(`socks5://al:pw@${hostname}:${port}`, {
    auth: [anonymous()],
    ...await withNames(),
  });
  (await proxy.connect("v6first:80")).close();
  await server.rest;
  const { hostname: other, port: otherPort } = server.addr;
  const strict = socks(`socks5://al:pw@${other}:${otherPort}`, {
    auth: [passwordLogin()],
  });
  (await strict.connect("v6first:80", {
    auth: [anonymous()],
    ...await withNames(),
  })).close();
  await server.close();
});

test("serve() goes through its dialer for CONNECT", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer({ auth: [userPass({ al: "pw" })] });
  const dial = socks(`socks5h://al:pw@127.0.0.1:${upstream.server.addr.port}`);
  const server = await startServer({ dial });
  const proxy = { protocol: "socks5h", ...server.server.addr } as const;
  const sent = pattern(300_000);
  const conn = await connect(proxy, `localhost:${target.addr.port}`);
  const writing = conn.write(sent).then(() => conn.closeWrite());
  assertEquals((await readAll(conn)).length, sent.length);
  await writing;
  conn.close();
  const session = (await upstream.ended()).session;
  assertEquals(session.user, "al");
  assertEquals(session.target, {
    hostname: "localhost",
    port: target.addr.port,
  });
  assertEquals((await server.ended()).reason, "finished");
  await server.close();
  await upstream.close();
  await target.close();
});

test("serve() goes through its dialer for BIND and UDP ASSOCIATE", async () => {
  const upstream = await startServer({ auth: [userPass({ al: "pw" })] });
  const dial = socks(`socks5h://al:pw@127.0.0.1:${upstream.server.addr.port}`);
  const server = await startServer({ dial });
  const proxy = socks(`socks5h://127.0.0.1:${server.server.addr.port}`);

  const listener = await proxy.bind("127.0.0.1");
  const peer = await (await detectTransport()).connect(listener.addr);
  await peer.write(octets('"hello"'));
  const conn = await listener.accept();
  assertEquals(conn.peerAddr, peer.localAddr);
  assertEquals(await readExactly(conn, 5), octets('"hello"'));
  await conn.write(octets('"bye"'));
  await conn.closeWrite();
  assertEquals(await readAll(peer), octets('"bye"'));
  conn.close();
  peer.close();
  assertEquals((await upstream.ended()).session.command, "bind");

  const target = await startEcho("127.0.0.1");
  const udp = await proxy.udpAssociate();
  await assertEchoed(udp, target.addr, target.addr);
  udp.close();
  assertEquals((await upstream.ended()).session.command, "udp-associate");
  target.close();
  await server.close();
  await upstream.close();
});

test("serve() passes on the reply of the upstream proxy", async () => {
  const upstream = await startServer();
  const dial = socks(`socks5://127.0.0.1:${upstream.server.addr.port}`);
  const server = await startServer({ dial });
  const proxy = socks(`socks5://127.0.0.1:${server.server.addr.port}`);
  const target = { hostname: "127.0.0.1", port: await closedPort() };
  const error = await assertSocksError(
    proxy.connect(target),
    "rejected",
    "request",
  );
  assertEquals(error.reply, 5);
  await server.close();
  await upstream.close();
});

test("serve() closes the connection to the upstream proxy when CONNECT times out", async () => {
  const upstream = await startProxy([CHOSEN, [ASKED, ""]]);
  const dial = socks({ protocol: "socks5", ...upstream.addr });
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    const timeouts = { connect: 5_000, handshake: 0 };
    const server = await startServer({ dial, transport, timeouts });
    const proxy = { protocol: "socks5", ...server.server.addr } as const;
    const connecting = connect(proxy, TARGET);
    connecting.catch(() => {});
    await upstream.played;
    clock.skip(5_000);
    await assertSocksError(connecting, "rejected", "request");
    assertEquals((await upstream.rest).length, 0);
    await server.close();
  });
  await upstream.close();
});

test("connect() takes a proxy whose members are getters, such as the one of socks()", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const { hostname, port } = server.server.addr;
  const proxy = socks(`socks5h://${hostname}:${port}`);
  const conn = await connect(proxy, target.addr);
  await conn.write(octets("01 02 03"));
  assertEquals(await readExactly(conn, 3), octets("01 02 03"));
  conn.close();
  await server.close();
  await target.close();
});
