/** Sockets through proxies. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import * as net from "node:net";
import * as tls from "node:tls";
import process from "node:process";
import { inspect } from "node:util";
import { type ClientAuth, SocksError } from "../../src/client/mod.ts";
import { dialSocket, SocksSocket } from "../../src/doors/socket/mod.ts";
import { certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import { startProxy } from "../support/scripted.ts";
import { closedPort, startServer } from "../support/server.ts";
import { until } from "../transport/contract.ts";
import { closed, echo, failure, receive, startWay, type Way } from "./way.ts";

const { ca, server: certificate } = certificates();
const tlsOptions = { ca: ca.cert };

/** The ways to a target: the proxies and the options for them. */
const ways: [
  name: string,
  open: (way: Way) => [hops: string, options?: object],
][] = [
  ["a SOCKS5 proxy", (way) => [way.url()]],
  ["a SOCKS5 proxy that gets addresses", (way) => [way.url("socks5")]],
  ["an HTTP proxy", (way) => [way.url("http")]],
  ["three proxies", (way) => [
    [way.url(), way.url("http"), way.url("socks5")].join(" "),
  ]],
];
/** The same with TLS. */
const tlsWays: typeof ways = [
  ["a SOCKS5 proxy with TLS", (way) => [
    way.url("socks5h+tls"),
    { tls: tlsOptions },
  ]],
  ["an HTTPS proxy", (way) => [way.url("https"), { tls: tlsOptions }]],
  ["three proxies with TLS", (way) => [
    [way.url("https"), way.url("socks5h+tls"), way.url("socks5+tls")].join(" "),
    { tls: tlsOptions },
  ]],
];
const all = [
  ...ways.map((it) => [...it, {}] as const),
  ...tlsWays.map((it) => [...it, { tls: certificate }] as const),
];

for (const [name, open, options] of all) {
  test(`dialSocket() goes through ${name}`, async () => {
    const way = await startWay(echo, { http: true, ...options });
    const [hops, how] = open(way);
    const target = { hostname: "localhost", port: way.port };
    const socket = await dialSocket(hops, target, how);
    assert(socket instanceof net.Socket);
    socket.write("hello");
    await receive(socket, "hello");
    socket.end();
    await closed(socket);
    socket.destroy();
    await way.close();
  });

  test(`SocksSocket goes through ${name}`, async () => {
    const way = await startWay(echo, { http: true, ...options });
    const [hops, how] = open(way);
    const socket = new SocksSocket(hops, how);
    let connected = 0;
    socket.on("ready", () => connected++);
    assertEquals(
      socket.connect(way.port, "localhost", () => connected++),
      socket,
    );
    assertEquals([socket.connecting, socket.readyState], [true, "opening"]);
    socket.write("before");
    await receive(socket, "before");
    assertEquals([socket.connecting, connected], [false, 2]);
    socket.write("after");
    await receive(socket, "after");
    assertEquals(socket.remotePort, way.server.server.addr.port);
    assertEquals(typeof socket.localPort, "number");
    socket.end();
    await closed(socket);
    await way.close();
  });

  test(`early data through ${name} waits for the reader`, async () => {
    const size = 300_000;
    const way = await startWay((socket) => {
      socket.write("x".repeat(size));
    }, { http: true, ...options });
    const [hops, how] = open(way);
    const target = `127.0.0.1:${way.port}`;
    const dialed = await dialSocket(hops, target, how);
    const emitted = new SocksSocket(hops, how).connect(way.port, "127.0.0.1");
    await new Promise<void>((resolve) => emitted.once("connect", resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const socket of [dialed, emitted]) {
      let length = 0;
      socket.on("data", (chunk) => length += chunk.length);
      await until(() => length === size);
      socket.destroy();
    }
    await way.close();
  });

  test(`an abort ends a dial through ${name} at once`, async () => {
    const way = await startWay(echo, {
      http: true,
      ...options,
      dial: () => new Promise(() => {}),
    });
    const [hops, how] = open(way);
    const controller = new AbortController();
    const { signal } = controller;
    const requested = new Promise<void>((resolve) => {
      void until(() => way.server.events.some((it) => it.type === "request"))
        .then(resolve);
    });
    const dial = dialSocket(hops, "192.0.2.1:80", { ...how, signal });
    const socket = new SocksSocket(hops, { ...how, signal }).connect(
      80,
      "192.0.2.1",
    );
    const failed = failure(socket);
    await requested;
    controller.abort(new Error("enough"));
    const error = await assertRejects(
      () => dial,
      Error,
    ) as NodeJS.ErrnoException;
    assertEquals([error.name, error.code], ["AbortError", "ABORT_ERR"]);
    assertEquals((error.cause as SocksError).code, "aborted");
    assertEquals((await failed).code, "ABORT_ERR");
    await closed(socket);
    await way.close();
  });

  test(`the time limit ends a dial through ${name}`, async () => {
    const way = await startWay(echo, {
      http: true,
      ...options,
      dial: () => new Promise(() => {}),
    });
    const [hops, how] = open(way);
    const bounds = { ...how, timeout: 300 };
    const dial = dialSocket(hops, "192.0.2.1:80", bounds);
    const failed = failure(
      new SocksSocket(hops, bounds).connect(80, "192.0.2.1"),
    );
    const errors = [
      await assertRejects(() => dial, Error) as NodeJS.ErrnoException,
      await failed,
    ];
    for (const { code, cause } of errors) {
      assertEquals(code, "ETIMEDOUT");
      assertEquals((cause as SocksError).code, "timeout");
    }
    await way.close();
  });
}
