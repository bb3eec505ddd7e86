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
import { test } from "../support/harness.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { assertSameOctets, pattern, readAll } from "../transport/contract.ts";

const TARGET = { hostname: "192.0.2.1", port: 80 };
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

test("connect() closes a conn that is none, if it can be closed", async () => {
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
