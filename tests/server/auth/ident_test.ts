import { assertEquals } from "@std/assert";
import { REPLY4 } from "../../../src/protocol/reply.ts";
import { askIdent, type IdentOptions } from "../../../src/server/auth/ident.ts";
import { checkUserId } from "../../../src/server/auth/user_id.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { AbortSwitch } from "../../../src/transport/signal.ts";
import type { Conn } from "../../../src/transport/transport.ts";
import { test } from "../../support/harness.ts";
import type { Socks4Options } from "../../../src/server/options.ts";
import { octets } from "../../support/table.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
} from "../../support/server.ts";
import {
  assertSameOctets,
  readExactly,
  settled,
} from "../../transport/contract.ts";
import { hex, port } from "../../support/raw.ts";

const THEIRS = 6193;
const OURS = 1080;

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Asks an identd that does with each connection what it is told to. */
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

/** Takes the question, answers and hangs up. */
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

test("askIdent() asks for the two ports, the client's first, and hangs up", async () => {
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
  const question = bytes("6193 , 1080\r\n");
  assertSameOctets(await readExactly(conn, question.length), question);
  await conn.write(bytes("6193, 1080 : USERID : UNIX : alice\r\n"));
  assertEquals(await user, "alice");
  assertEquals(await conn.read(), null);
  await identd.close();
});

const ANSWERS: [string, string | undefined][] = [
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

for (const [answer, user] of ANSWERS) {
  const what = JSON.stringify(
    answer.length < 60 ? answer : answer.slice(0, 60),
  );
  test(`askIdent() takes ${what} (${answer.length}) for ${user?.slice(0, 20)}`, async () => {
    assertEquals(await identified(answering(answer)), user);
  });
}

test("askIdent() takes an answer in pieces", async () => {
  const parts = ["6193 , 10", "80 : USERID : UNIX : al", "ice\r", "\n"];
  assertEquals(await identified(answering(...parts)), "alice");
});

test("askIdent() takes no octets that are not UTF-8", async () => {
  const head = bytes("6193 , 1080 : USERID : UNIX : al");
  const answer = Uint8Array.of(...head, 0xff, 0x0d, 0x0a);
  assertEquals(await identified(answering(answer)), undefined);
});

test("askIdent() reads no more than 1,000 octets of one that goes on and on", async () => {
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

test("askIdent() asks over IPv6", async () => {
  const answer = "6193 , 1080 : USERID : UNIX : alice\r\n";
  assertEquals(await identified(answering(answer), {}, "::1"), "alice");
});

test("askIdent() is told nothing where nobody listens", async () => {
  const address = { hostname: "127.0.0.1", port: 1 };
  const user = await askIdent(
    await detectTransport(),
    { localAddr: address, remoteAddr: address },
    { port: await closedPort() },
  );
  assertEquals(user, undefined);
});

test("askIdent() is told nothing by one that hangs up, resets, or is slow", async () => {
  assertEquals(await identified((conn) => conn.close()), undefined);
  assertEquals(await identified((conn) => conn.reset()), undefined);
  assertEquals(await identified(() => {}, { timeout: 30 }), undefined);
});

test("askIdent() gives up when the signal fires: before it connects, meanwhile, and when it has asked", async () => {
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

test("checkUserId() looks into the list, then asks, and says what is wrong", async () => {
  const named = (user?: string) => () => Promise.resolve(user);
  const never = () => Promise.reject(new Error("asked"));
  const alice = bytes("alice");
  const userIds = ["bob", "alice", "\u{fffd}", ""];
  const { granted, rejected, noIdentd, identMismatch } = REPLY4;
  const rows: [Uint8Array, Parameters<typeof checkUserId>[1], number][] = [
    [alice, {}, granted],
    [Uint8Array.of(0xff), {}, granted],
    [alice, { userIds }, granted],
    [bytes("Alice"), { userIds }, rejected],
    [bytes("alice "), { userIds }, rejected],
    [bytes("\u{feff}alice"), { userIds }, rejected],
    [Uint8Array.of(0xff), { userIds }, rejected],
    [bytes(""), { userIds }, granted],
    [alice, { userIds: [] }, rejected],
    [alice, { ident: named("alice") }, granted],
    [alice, { ident: named("bob") }, identMismatch],
    [bytes(""), { ident: named("bob") }, identMismatch],
    [alice, { ident: named() }, noIdentd],
    [Uint8Array.of(0xff), { ident: named("\u{fffd}") }, rejected],
    [bytes("carol"), { userIds, ident: never }, rejected],
    [alice, { userIds, ident: named("alice") }, granted],
  ];
  for (const [userId, checks, reply] of rows) {
    const what = `${userId} ${JSON.stringify(checks)}`;
    assertEquals(await checkUserId(userId, checks), reply, what);
  }
});

test("serve() answers SOCKS4 by the list of user ids and by identd", async () => {
  const target = await startTarget(echo);
  const identd = await startTarget(async (conn) => {
    const [theirs, ours] = new TextDecoder().decode((await conn.read())!)
      .match(/\d+/g)!;
    await conn.write(bytes(`${theirs},${ours} : USERID : UNIX : al\r\n`));
    conn.close();
  });
  const nobody = await closedPort();
  const userIds = ["al", "bo", "\ufeffal"];
  const rows: [Socks4Options, string, string][] = [
    [{ userIds }, "al", "5a"],
    [{ userIds }, "cy", "5b"],
    [{ userIds }, "\ufeffal", "5a"],
    [{ userIds, ident: { port: nobody } }, "cy", "5b"],
    [{ userIds, ident: { port: nobody } }, "al", "5c"],
    [{ userIds, ident: { port: identd.addr.port } }, "al", "5a"],
    [{ userIds, ident: { port: identd.addr.port } }, "bo", "5d"],
  ];
  for (const [socks4, userId, code] of rows) {
    const server = await startServer({ socks4 });
    const conn = await server.client();
    const where = octets(`${port(target.addr.port)} 7f 00 00 01`);
    await conn.write(Uint8Array.of(4, 1, ...where, ...bytes(userId), 0));
    const reply = hex(await readExactly(conn, 8));
    assertEquals(reply.slice(0, 5), `00 ${code}`, `${userId} ${code}`);
    conn.close();
    const { reason, session } = await server.ended();
    assertEquals(reason, code === "5a" ? "finished" : "login-failed");
    assertEquals([session.userId, session.user], [userId, userId]);
    await server.close();
  }
  await identd.close();
  await target.close();
});
