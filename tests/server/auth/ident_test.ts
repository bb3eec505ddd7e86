/** The client of the Identification Protocol (RFC 1413). */

import { assertEquals } from "@std/assert";
import { askIdent, type IdentOptions } from "../../../src/server/auth/ident.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { AbortSwitch } from "../../../src/transport/signal.ts";
import type { Conn } from "../../../src/transport/transport.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";
import { closedPort, startTarget } from "../../support/server.ts";
import {
  assertSameOctets,
  readExactly,
  settled,
} from "../../transport/contract.ts";

const THEIRS = 6193;
const OURS = 1080;

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Asks an identd that calls `onConn` for each connection. */
async function identified(
  onConn: (conn: Conn) => unknown,
  options: IdentOptions = {},
  hostname = "127.0.0.1",
): Promise<string | undefined> {
  const identd = await startTarget(onConn, hostname);
  try {
    return await askIdent(
      await detectTransport(),
      {
        localAddr: { hostname, port: OURS },
        remoteAddr: { hostname, port: THEIRS },
      },
      { timeout: 0, port: identd.addr.port, ...options },
    );
  } finally {
    await identd.close();
  }
}

/** Reads the query, sends these parts as the response, and closes the connection. */
function answering(...parts: (string | Uint8Array)[]) {
  return async (conn: Conn) => {
    await conn.read();
    for (const part of parts) {
      await conn.write(typeof part === "string" ? bytes(part) : part)
        .catch(() => {});
      await settled();
    }
    await conn.closeWrite().catch(() => {});
  };
}

test("askIdent() sends both ports, the client's first, and closes the connection", async () => {
  const identd = await startTarget();
  const address = { hostname: "127.0.0.1" };
  const user = askIdent(
    await detectTransport(),
    {
      localAddr: { ...address, port: OURS },
      remoteAddr: { ...address, port: THEIRS },
    },
    { port: identd.addr.port },
  );
  const conn = await identd.accepted();
  const query = bytes("6193 , 1080\r\n");
  assertSameOctets(await readExactly(conn, query.length), query);
  await conn.write(bytes("6193, 1080 : USERID : UNIX : alice\r\n"));
  assertEquals(await user, "alice");
  assertEquals(await conn.read(), null);
  await identd.close();
});

/** Responses, and the user that each of them names. */
const RESPONSES: [string, string | undefined][] = [
  ["6193 , 1080 : USERID : UNIX : alice\r\n", "alice"],
  ["6193,1080:USERID:UNIX:alice\r\n", "alice"],
  ["\t6193\t,\t1080\t:\tUSERID\t:\tUNIX\t:\talice\n", "alice"],
  ["6193 , 1080 : USERID : UNIX,UTF-8 : zoë\r\n", "zoë"],
  ["6193 , 1080 : USERID : OTHER : a:b c \r\n", "a:b c "],
  [`6193 , 1080 : USERID : UNIX :${"u".repeat(512)}\r\n`, "u".repeat(512)],
  [`6193 , 1080 : USERID : UNIX :${"u".repeat(513)}\r\n`, undefined],
  ["6193 , 1080 : USERID : UNIX : alice\r\n6193 , 1080 : USERID", "alice"],
  ["6193 , 1080 : ERROR : NO-USER\r\n", undefined],
  ["6193 , 1080 : ERROR : HIDDEN-USER\r\n", undefined],
  ["1080 , 6193 : USERID : UNIX : alice\r\n", undefined],
  ["6193 , 1081 : USERID : UNIX : alice\r\n", undefined],
  ["06193 , 01080 : USERID : UNIX : alice\r\n", "alice"],
  ["006193 , 1080 : USERID : UNIX : alice\r\n", undefined],
  ["6193 1080 : USERID : UNIX : alice\r\n", undefined],
  ["6193 , 1080 : userid : UNIX : alice\r\n", undefined],
  ["6193 , 1080 : USERID : alice\r\n", undefined],
  ["6193 , 1080 : USERID : : alice\r\n", "alice"],
  ["6193 , 1080 : USERID :: alice\r\n", undefined],
  ["6193 , 1080 : USERID : UNIX :\r\n", undefined],
  ["6193 , 1080 : USERID : UNIX :   \r\n", undefined],
  ["6193 , 1080 : USERID : UNIX : al\0ice\r\n", undefined],
  ["6193 , 1080 : USERID : UNIX : al\rice\r\n", undefined],
  ["6193 , 1080 : USERID : UNIX : \x1b[31malice\r\n", undefined],
  ["6193 , 1080 : USERID : UNIX : alice", undefined],
  ["\r\n6193 , 1080 : USERID : UNIX : alice\r\n", undefined],
  [" ".repeat(980) + "6193 , 1080 : USERID : UNIX : alice\r\n", undefined],
  [" ".repeat(950) + "6193 , 1080 : USERID : UNIX : alice\r\n", "alice"],
  ["6193 , 1080 : USERID : " + "U ".repeat(450) + "\r\n", undefined],
  ["\n", undefined],
  ["", undefined],
];

for (const [answer, user] of RESPONSES) {
  const what = JSON.stringify(
    answer.length < 60 ? answer : answer.slice(0, 60),
  );
  test(`askIdent() finds ${user?.slice(0, 20)} in ${what} (${answer.length})`, async () => {
    assertEquals(await identified(answering(answer)), user);
  });
}

test("askIdent() reads a response that arrives in pieces", async () => {
  const parts = ["6193 , 10", "80 : USERID : UNIX : al", "ice\r", "\n"];
  assertEquals(await identified(answering(...parts)), "alice");
});

test("askIdent() finds no user when the response is not UTF-8", async () => {
  const head = bytes("6193 , 1080 : USERID : UNIX : al");
  const answer = Uint8Array.of(...head, 0xff, 0x0d, 0x0a);
  assertEquals(await identified(answering(answer)), undefined);
});

test("askIdent() gives up after 1,000 bytes without the end of a line", async () => {
  const user = await identified(async (conn) => {
    try {
      for (;;) {
        await conn.write(new Uint8Array(100).fill(0x20));
        await settled();
      }
    } catch {
      conn.close();
    }
  });
  assertEquals(user, undefined);
});

test("askIdent() connects over IPv6", async () => {
  const answer = "6193 , 1080 : USERID : UNIX : alice\r\n";
  assertEquals(await identified(answering(answer), {}, "::1"), "alice");
});

for (
  const [local, seen] of [
    ["127.0.0.2", "127.0.0.2"],
    ["127.0.0.3", "127.0.0.3"],
    ["192.0.2.1", "127.0.0.1"], // not an address of this machine
    ["0.0.0.0", "127.0.0.1"],
    ["", "127.0.0.1"],
  ]
) {
  test(`askIdent() connects from ${seen} when the client has connected to "${local}"`, async () => {
    const identd = await startTarget();
    const user = askIdent(
      await detectTransport(),
      {
        localAddr: { hostname: local, port: OURS },
        remoteAddr: { hostname: "127.0.0.1", port: THEIRS },
      },
      { port: identd.addr.port },
    );
    const conn = await identd.accepted();
    assertEquals(conn.remoteAddr.hostname, seen);
    await conn.read();
    await conn.write(bytes("6193, 1080 : USERID : UNIX : alice\r\n"));
    assertEquals(await user, "alice");
    await identd.close();
  });
}

test("askIdent() finds no user when nothing listens on the port", async () => {
  const address = { hostname: "127.0.0.1", port: 1 };
  const user = await askIdent(
    await detectTransport(),
    { localAddr: address, remoteAddr: address },
    { port: await closedPort() },
  );
  assertEquals(user, undefined);
});

test("askIdent() finds no user when identd closes or resets the connection, or is slow", async () => {
  assertEquals(await identified((conn) => conn.close()), undefined);
  assertEquals(await identified((conn) => conn.reset()), undefined);
  assertEquals(await identified(() => {}, { timeout: 30 }), undefined);
});

test("askIdent() gives up after five seconds of the transport's clock", async () => {
  const identd = await startTarget();
  const clock = new FakeClock();
  const address = { hostname: "127.0.0.1", port: THEIRS };
  const user = askIdent(
    { ...await detectTransport(), clock },
    { localAddr: address, remoteAddr: address },
    { port: identd.addr.port },
  );
  await (await identd.accepted()).read();
  clock.advance(4_999);
  assertEquals(clock.timers, 1);
  clock.advance(1);
  assertEquals([await user, clock.timers], [undefined, 0]);
  await identd.close();
});

test("askIdent() gives up when the signal fires before or while it connects, or after the query", async () => {
  const before = new AbortSwitch();
  before.abort("over");
  let conns = 0;
  const never = () => conns++;
  assertEquals(await identified(never, { signal: before }), undefined);
  assertEquals(conns, 0);

  const asked = new AbortSwitch();
  const user = identified(async (conn) => {
    await conn.read();
    asked.abort("over");
  }, { signal: asked });
  assertEquals(await user, undefined);

  const controller = new AbortController();
  const address = { hostname: "192.0.2.1", port: 1 };
  const connecting = askIdent(
    {
      connect: ({ signal }) =>
        new Promise((_, reject) => {
          signal!.addEventListener("abort", () => reject(signal!.reason));
          controller.abort();
        }),
    },
    { localAddr: address, remoteAddr: address },
    { signal: controller.signal },
  );
  assertEquals(await connecting, undefined);
});
