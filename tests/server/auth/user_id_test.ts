/** The checks of SOCKS4 user ids. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { REPLY4 } from "../../../src/protocol/reply.ts";
import { checkUserId } from "../../../src/server/auth/user_id.ts";
import { splitSessionWord } from "../../../src/server/auth/session_word.ts";
import {
  type Credentials,
  Lockout,
  OptionError,
  type Policy,
  serve,
  type Socks4Options,
  userPass,
  type VerifyContext,
} from "../../../src/server/mod.ts";
import { test } from "../../support/harness.ts";
import { hex, port } from "../../support/raw.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../../support/server.ts";
import { octets } from "../../support/table.ts";
import { utf8 } from "../../support/text.ts";
import { readExactly } from "../../transport/contract.ts";

test("checkUserId() checks the list, then the verifier, then identd", async () => {
  const named = (user?: string) => () => Promise.resolve(user);
  const never = () => Promise.reject(new Error("asked"));
  const verify = (ok?: boolean) => () => Promise.resolve({ ok });
  const alice = utf8("alice");
  const userIds = ["bob", "alice", "\u{fffd}", ""];
  const { granted, rejected, noIdentd, identMismatch } = REPLY4;
  const rows: [Uint8Array, Parameters<typeof checkUserId>[1], number][] = [
    [alice, {}, granted],
    [Uint8Array.of(0xff), {}, granted],
    [alice, { userIds }, granted],
    [utf8("Alice"), { userIds }, rejected],
    [utf8("alice "), { userIds }, rejected],
    [utf8("\u{feff}alice"), { userIds }, rejected],
    [Uint8Array.of(0xff), { userIds }, rejected],
    [utf8(""), { userIds }, granted],
    [alice, { userIds: [] }, rejected],
    [alice, { ident: named("alice") }, granted],
    [alice, { ident: named("bob") }, identMismatch],
    [utf8(""), { ident: named("bob") }, identMismatch],
    [alice, { ident: named() }, noIdentd],
    [Uint8Array.of(0xff), { ident: named("\u{fffd}") }, rejected],
    [utf8("carol"), { userIds, ident: never }, rejected],
    [alice, { userIds, ident: named("alice") }, granted],
    [alice, { verify: verify(true) }, granted],
    [alice, { verify: verify(false) }, rejected],
    [alice, { verify: verify() }, rejected],
    [Uint8Array.of(0xff), { verify: verify(true) }, granted],
    [Uint8Array.of(0xff), { verify: never, ident: never }, rejected],
    [utf8("carol"), { userIds, verify: never }, rejected],
    [alice, { userIds, verify: verify(false), ident: never }, rejected],
    [alice, { verify: verify(true), ident: named("bob") }, identMismatch],
    [alice, { verify: verify(true), ident: named("alice") }, granted],
  ];
  for (const [userId, checks, reply] of rows) {
    const what = `${userId} ${JSON.stringify(checks)}`;
    assertEquals((await checkUserId(userId, checks)).reply, reply, what);
  }
});

test("checkUserId() reads a session word unless the whole user id passes", async () => {
  const userId = utf8("alice-session-7");
  const worded = splitSessionWord(userId)!;
  const named = (user?: string) => () => Promise.resolve(user);
  const whole = ["alice-session-7"];
  const { granted, rejected, noIdentd, identMismatch } = REPLY4;
  type Checks = Parameters<typeof checkUserId>[1];
  const rows: [Checks, reply: number, word?: string][] = [
    [{ userIds: ["alice"] }, granted, "7"],
    [{ userIds: whole }, granted],
    [{ userIds: ["alice", ...whole] }, granted],
    [{ userIds: ["bob"] }, rejected],
    [{ ident: named("alice") }, granted, "7"],
    [{ ident: named("alice-session-7") }, granted],
    [{ ident: named("bob") }, identMismatch],
    [{ ident: named() }, noIdentd],
    [{ userIds: whole, ident: named("alice") }, identMismatch],
    [{ userIds: ["alice"], ident: named("alice") }, granted, "7"],
  ];
  for (const [checks, reply, word] of rows) {
    const outcome = await checkUserId(userId, { ...checks, worded });
    const what = JSON.stringify(checks);
    assertEquals([outcome.reply, outcome.worded?.word], [reply, word], what);
  }
  // The verifier gets the name that is on the list.
  const asked: [string, boolean][] = [];
  const verify = (name: Uint8Array, mayHaveWord: boolean) => {
    asked.push([new TextDecoder().decode(name), mayHaveWord]);
    return Promise.resolve({ ok: true, ...mayHaveWord && { worded } });
  };
  for (const userIds of [["alice"], whole, undefined]) {
    await checkUserId(userId, { userIds, verify, worded });
  }
  assertEquals(asked, [
    ["alice", false],
    ["alice-session-7", false],
    ["alice-session-7", true],
  ]);
});

test("serve() answers SOCKS4 by the list of user ids, the verifier and identd", async () => {
  const target = await startTarget(echo);
  const identd = await startTarget(async (conn) => {
    const [theirs, ours] = new TextDecoder().decode((await conn.read())!)
      .match(/\d+/g)!;
    await conn.write(utf8(`${theirs},${ours} : USERID : UNIX : al\r\n`));
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
    [{ verifier: (userId) => userId === "al" }, "al", "5a"],
    [{ verifier: (userId) => userId === "al" }, "bo", "5b"],
    [{ verifier: () => true, userIds }, "cy", "5b"],
    [{ verifier: () => true, ident: { port: nobody } }, "al", "5c"],
  ];
  for (const [socks4, userId, code] of rows) {
    const server = await startServer({ socks4 });
    const conn = await server.client();
    const where = octets(`${port(target.addr.port)} 7f 00 00 01`);
    await conn.write(Uint8Array.of(4, 1, ...where, ...utf8(userId), 0));
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

/**
 * Sends a SOCKS4 request for a port of 127.0.0.1 on which nothing listens;
 * resolves with the code of the reply.
 */
async function ask4(server: TestServer, userId: string): Promise<string> {
  const conn = await server.client();
  await conn.write(octets(`04 01 00 01 7f 00 00 01 ${userId} 00`));
  const reply = hex(await readExactly(conn, 8));
  conn.close();
  await server.ended();
  return reply.slice(3, 5);
}

/**
 * Denies every target, so that 5B is the reply to each request; it runs only for
 * those whose user id is right.
 */
function denial() {
  const users: (string | undefined)[] = [];
  const policy: Policy = ({ session }) => {
    users.push(session.user);
    return false;
  };
  return { users, policy };
}

test("serve() gives the verifier of SOCKS4 the bytes of the user id and no password", async () => {
  const seen: [Credentials, VerifyContext][] = [];
  const { users, policy } = denial();
  const server = await startServer({
    policy,
    socks4: {
      verifier: { verify: (...args) => seen.push(args) > 0 },
    },
  });
  assertEquals(await ask4(server, "FF 61"), "5b");
  const [[credentials, { client, signal, isWanted }]] = seen;
  const username = octets("FF 61");
  assertEquals(credentials, { username, password: octets("") });
  assertEquals(client.hostname, "127.0.0.1");
  assert(signal instanceof AbortSignal && isWanted());
  assertEquals(users, ["\ufffda"]);
  await server.close();
});

test("serve() locks a client out when the verifier of SOCKS4 refuses its user ids", async () => {
  const { users, policy } = denial();
  const guard = new Lockout({ failedLogins: 2 });
  const socks4 = { verifier: (userId: string) => userId === "a", guard };
  const server = await startServer({ policy, socks4 });
  for (const userId of ['"a"', '"b"', '"a"', '"b"', '"b"', '"a"']) {
    assertEquals(await ask4(server, userId), "5b");
  }
  assertEquals(users, ["a", "a"]);
  await server.close();
});

test("serve() keeps counting the user ids of SOCKS4 that are refused when other options are updated", async () => {
  const server = await startServer({ socks4: { verifier: () => false } });
  for (let i = 0; i < 2; i++) await ask4(server, '"a"');
  await server.server.update({ timeouts: { idle: 1_000 } });
  const started = performance.now();
  assertEquals(await ask4(server, '"a"'), "5b");
  // The third failure is delayed by 250 ms. A timer may fire a little early, never by much.
  assert(performance.now() - started > 200);
  await server.close();
});

test("serve() ends a session by its handshake timeout when the verifier of SOCKS4 never answers", async () => {
  let signal: AbortSignal | undefined;
  const server = await startServer({
    timeouts: { handshake: 50 },
    socks4: {
      verifier(_userId, _password, context) {
        signal = context.signal;
        return new Promise(() => {});
      },
    },
  });
  const conn = await server.client();
  await conn.write(octets('04 01 00 01 7f 00 00 01 "a" 00'));
  assertEquals((await server.ended()).reason, "handshake-timeout");
  assertEquals(signal?.aborted, true);
  conn.close();
  await server.close();
});

test("serve() serves SOCKS4 besides a login when a verifier checks its user ids, and then counts as an open proxy", async () => {
  const auth = [userPass({ al: "secret" })];
  const socks4 = { verifier: () => true };
  const server = await startServer({ auth, socks4, policy: () => false });
  assertEquals(await ask4(server, '"a"'), "5b");
  assertEquals(server.events.some(({ type }) => type === "denied"), true);
  await server.close();
  const exposed = { hostname: "0.0.0.0", port: 0, auth, socks4 };
  await assertRejects(() => serve(exposed), OptionError, "open proxy");
});

test("serve() throws when the verifier of SOCKS4 is neither a function nor a verifier", async () => {
  for (const verifier of [{ alice: "secret" }, "alice", {}, null]) {
    const socks4 = { verifier } as unknown as Socks4Options;
    const error = await assertRejects(
      () => serve({ port: 0, socks4 }),
      OptionError,
    );
    assertEquals(error.option, "socks4.verifier");
  }
});
