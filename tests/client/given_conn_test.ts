/** The option `conn`. */

import { once } from "node:events";
import net from "node:net";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  bind,
  type ClientOptions,
  connect,
  udpAssociate,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { toStreams } from "../../src/transport/streams.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { assertSocksError } from "../support/scripted.ts";
import { scriptedConn } from "../support/scripted_conn.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { TARGET } from "../support/socks5_wire.ts";
import { assertSameOctets, pattern, readAll } from "../transport/contract.ts";

const PROXY = { protocol: "socks5", hostname: "127.0.0.1" } as const;

const commands: [string, (options: ClientOptions) => Promise<unknown>][] = [
  ["connect", (options) => connect(PROXY, TARGET, options)],
  ["bind", (options) => bind(PROXY, undefined, options)],
  ["udpAssociate", (options) => udpAssociate(PROXY, options)],
];

const invalid: [string, unknown][] = [
  ["an empty object", {}],
  ["null", null],
  ["a text", "127.0.0.1:1080"],
  ["a number", 1080],
  ["an address", { hostname: "127.0.0.1", port: 1080 }],
  ["a readable stream alone", { readable: new ReadableStream() }],
  ["a connection that cannot write", { read() {}, unread() {}, close() {} }],
];

for (const [command, run] of commands) {
  for (const [name, conn] of invalid) {
    test(`${command}() throws a TypeError when conn is ${name}`, async () => {
      const error = await assertRejects(
        () => run({ conn: conn as ClientOptions["conn"] }),
        TypeError,
      );
      assert(error.message.startsWith("conn: expected"), error.message);
    });
  }
}

test("connect() closes an invalid conn if it has a method for that", async () => {
  for (const member of ["close", "destroy"]) {
    let closed = 0;
    const conn = { [member]: () => void closed++ } as never;
    await assertRejects(() => connect(PROXY, TARGET, { conn }), TypeError);
    assertEquals(closed, 1);
  }
  const failing = {
    close() {
      throw new Error("cannot be closed");
    },
  } as never;
  const attempt = connect(PROXY, TARGET, { conn: failing });
  await assertRejects(() => attempt, TypeError, "conn: expected");
});

test("connect() throws a TypeError when the streams of conn are locked", async () => {
  const target = await startTarget();
  const near = await (await detectTransport()).connect(target.addr);
  const conn = toStreams(near);
  conn.readable.getReader();
  await assertRejects(() => connect(PROXY, TARGET, { conn }), TypeError);
  near.close();
  await target.close();
});

test("connect() goes through a Node.js socket to the proxy", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const { hostname, port } = server.server.addr;
  const socket = net.connect({ host: hostname, port });
  await once(socket, "connect");
  const conn = await connect(PROXY, target.addr, { conn: socket });
  await conn.write(pattern(100_000));
  await conn.closeWrite();
  assertSameOctets(await readAll(conn), pattern(100_000));
  conn.close();
  await server.close();
  await target.close();
});

test(
  "connect() fails with its own error when conn cannot be closed or is never over",
  async () => {
    const never = () => new Promise<never>(() => {});
    const failures: (() => void)[] = [
      () => {
        throw new Error("cannot be closed");
      },
      () => Promise.reject(new Error("cannot be closed")),
    ];
    for (const close of failures) {
      const ended = { ...scriptedConn(), close };
      await assertSocksError(
        connect(PROXY, TARGET, { conn: ended }),
        "proxy-closed",
        "method",
      );
      const silent = { ...scriptedConn(), read: never, close };
      await assertSocksError(
        connect(PROXY, TARGET, { conn: silent, timeout: 20 }),
        "timeout",
        "method",
      );
      const conn = { ...scriptedConn(), read: never, close };
      const signal = AbortSignal.timeout(20);
      await assertSocksError(
        connect(PROXY, TARGET, { conn, signal }),
        "timeout",
        "method",
      );
      const invalid = connect({ ...PROXY, hostname: "" }, TARGET, { conn });
      await assertRejects(() => invalid, TypeError, "a proxy needs a hostname");
      const none = { close } as never;
      const attempt = connect(PROXY, TARGET, { conn: none });
      await assertRejects(() => attempt, TypeError, "conn: expected");
    }
  },
  { timeout: 5_000 },
);

test("connect() rejects with a SocksError when conn or the transport rejects with a TypeError", async () => {
  const broken = () => Promise.reject(new TypeError("network error"));
  const conn = { ...scriptedConn(), read: broken };
  const reading = connect(PROXY, TARGET, { conn });
  const { cause } = await assertSocksError(reading, "proxy-closed", "method");
  assert(cause instanceof TypeError);
  const transport = { ...await detectTransport(), connect: broken };
  const dialing = connect(PROXY, TARGET, { transport });
  await assertSocksError(dialing, "proxy-unreachable", "dial");
});

test("connect() rejects in time when the transport never settles", async () => {
  const native = await detectTransport();
  const never = () => new Promise<never>(() => {});
  const transport = { ...native, connect: never, lookup: never };
  const dialing = connect(PROXY, TARGET, { transport, timeout: 20 });
  await assertSocksError(dialing, "timeout", "dial");
}, { timeout: 5_000 });

test(
  "udpAssociate() ends the association even if its conn throws when it is closed",
  async () => {
    const server = await startServer();
    const raw = await (await detectTransport()).connect(server.server.addr);
    const { localAddr, remoteAddr } = raw;
    const close = () => {
      raw.close();
      throw new Error("cannot be closed");
    };
    const conn: Conn = {
      localAddr,
      remoteAddr,
      read: () => raw.read(),
      unread: (chunk) => raw.unread(chunk),
      peek: () => raw.peek(),
      write: (chunk) => raw.write(chunk),
      closeWrite: () => raw.closeWrite(),
      reset: () => raw.reset(),
      close,
    };
    const association = await udpAssociate(PROXY, { conn });
    association.close();
    assertEquals(await association.closed, undefined);
    await server.close();
  },
  { timeout: 5_000 },
);
