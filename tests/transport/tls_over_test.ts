/** TLS over connections of any kind. */

import { assertEquals } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import { tlsOver } from "../../src/transport/tls/connect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { overridden } from "../support/scripted.ts";
import { scriptedConn } from "../support/scripted_conn.ts";
import {
  assertKind,
  connectedPair,
  peeks,
  readAndWrite,
  relays,
  relaysBelowLayers,
  settled,
} from "./contract.ts";

const { ca, server } = certificates();
const tls = { serverName: "localhost", ca: ca.cert };

const ENDS_BOTH = "Bun ends both directions when the peer ends one";
const NO_RESET = "Deno cannot reset the connection below";

/** The transport of the runtime, with TLS on all its connections, started over them. */
async function over(): Promise<Transport> {
  const native = await detectTransport();
  return {
    ...native,
    listen: (options, ...listeners) =>
      native.listen({ ...options, tls: server }, ...listeners),
    connect: async (options) =>
      await tlsOver(await native.connect(options), tls),
  };
}

/** What a runtime cannot do, by a part of the test's name. */
const gaps: [runtime: string, test: string, why: string][] = [
  ["bun", "relay() moves bytes both ways at once", ENDS_BOTH],
  ["bun", "relay() forwards a FIN and 10 MiB", ENDS_BOTH],
  ["bun", "relay() delivers buffered bytes to a slow receiver", ENDS_BOTH],
  ["deno", "reset", NO_RESET],
];

const check = (what: string, fn: (transport: Transport) => Promise<void>) => {
  const gap = gaps.find(([it, name]) => it === runtime && what.includes(name));
  test(`TLS over a connection: ${what}`, async () => {
    await fn(await over());
    await settled();
  }, { skip: gap?.[2] });
};

readAndWrite(check, {});
peeks(check);
relays(check, {}, "relay()", (transport) => transport.relay);
relaysBelowLayers(check, "relay()", (transport) => transport.relay);

test("tlsOver() reports the connection's addresses", async () => {
  const { near, far, close } = await connectedPair(await over());
  assertEquals(near.remoteAddr, far.localAddr);
  assertEquals(near.localAddr, far.remoteAddr);
  assertEquals(near.tls?.version, "TLSv1.3");
  await close();
});

/** A connection whose reads and writes never settle, unless it is closed. */
function stuck(): Conn & { readonly closed: boolean } {
  return {
    ...scriptedConn(),
    closed: false,
    read: () => new Promise(() => {}),
    write: () => new Promise(() => {}),
    close() {
      (this as { closed: boolean }).closed = true;
    },
  };
}

test("tlsOver() rejects when the signal fires, and closes the connection", async () => {
  for (const isBefore of [true, false]) {
    const conn = stuck();
    const controller = new AbortController();
    if (isBefore) controller.abort();
    const securing = tlsOver(conn, tls, controller.signal);
    controller.abort();
    await assertKind(securing, "aborted");
    assertEquals(conn.closed, true);
  }
});

test("tlsOver() rejects when the connection ends, fails or sends something else", async () => {
  const failing = {
    ...stuck(),
    read: () => Promise.reject(new Error("broken")),
  };
  const throwing = {
    ...stuck(),
    read: () => {
      throw new Error("broken");
    },
  };
  const deaf = {
    ...stuck(),
    write: () => Promise.reject(new Error("broken")),
  };
  const garbage = scriptedConn(new Uint8Array(100).fill(0x41));
  for (const conn of [scriptedConn(), garbage, failing, throwing, deaf]) {
    await assertKind(tlsOver(conn, tls), "tls");
    assertEquals(conn.closed, true);
  }
});

test("tlsOver() rejects with tls when the options cannot be used, and closes the connection", async () => {
  const conn = stuck();
  await assertKind(tlsOver(conn, { ...tls, ca: "none" }), "tls");
  assertEquals(conn.closed, true);
});

test("a connection by tlsOver() reports that the one below fails", async () => {
  const native = await detectTransport();
  const accepted: Conn[] = [];
  const listener = await native.listen(
    { hostname: "127.0.0.1", port: 0, tls: server },
    (conn) => accepted.push(conn),
  );
  for (const waits of [true, false]) {
    const raw = await native.connect(listener.addr);
    let fail = () => {};
    const failing = new Promise<never>((_, reject) =>
      fail = () => reject(new NetError("reset", "broken"))
    );
    failing.catch(() => {});
    const read = () => Promise.race([raw.read(), failing]);
    const conn = await tlsOver(overridden(raw, { read }), tls);
    const reading = waits ? conn.read() : undefined;
    reading?.catch(() => {}); // it is awaited below
    fail();
    await settled();
    await assertKind(reading ?? conn.read(), "reset");
    await assertKind(conn.write(new Uint8Array(1)), "reset");
    await assertKind(raw.read(), "closed");
    conn.close();
  }
  for (const conn of accepted) conn.close();
  await listener.close();
});
