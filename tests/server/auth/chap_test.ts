/** Logins by CHAP against a real server: outcomes, lockouts, the events, and hostile messages. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import {
  chap,
  Lockout,
  type Secrets,
  userPass,
} from "../../../src/server/mod.ts";
import {
  ACCEPTED,
  challengeOf,
  offer,
  readChallenge,
  REFUSED,
  response,
} from "../../support/chap.ts";
import type { Conn } from "../../../src/transport/transport.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";
import { hex } from "../../support/raw.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { octets } from "../../support/table.ts";
import { readAll, readExactly, until } from "../../transport/contract.ts";

const SECRET = "4dYx-2mQp-9sLw-7hTk";
const LONG = "s".repeat(255);
const TABLE = { alice: SECRET, "ü": "päss:wörd", long: LONG };
const NO_LOCKOUT = { lockout: 0 };

/** A request that is refused (SOCKS command 9), and the reply to it. */
const REQUEST = "05 09 00 01 7F 00 00 01 00 50";
const REPLY = "05 07 00 01 00 00 00 00 00 00";
const IN = `${ACCEPTED} ${REPLY}`;

async function withServer(
  secrets: Secrets,
  run: (server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await startServer({ auth: [chap(secrets, NO_LOCKOUT)] });
  await run(server);
  await server.close();
}

/** Logs in, sends a request, and returns all that the server sends after its challenge. */
async function login(
  server: TestServer,
  user: string,
  secret: string,
): Promise<string> {
  const client = await server.client();
  const challenge = await challengeOf(client, offer(user));
  await client.write(octets(`${response(secret, challenge)} ${REQUEST}`));
  return await answerOf(client);
}

/** Reads everything up to the FIN of the server. */
async function answerOf(client: Conn): Promise<string> {
  const answer = hex(await readAll(client));
  client.close();
  return answer;
}

const logins: [user: string, secret: string, answer: string][] = [
  ["alice", SECRET, IN],
  ["ü", "päss:wörd", IN],
  ["long", LONG, IN],
  ["alice", "wrong", REFUSED],
  ["alice", "", REFUSED],
  ["alice", SECRET.slice(1), REFUSED],
  ["Alice", SECRET, REFUSED],
  ["bob", SECRET, REFUSED],
  ["bob", "", REFUSED],
  ["", SECRET, REFUSED],
  ["", "", REFUSED],
  ["constructor", SECRET, REFUSED],
  ["__proto__", "", REFUSED],
];

const sources: [string, Secrets][] = [
  ["a table", TABLE],
  [
    "a function",
    (user) => Object.entries(TABLE).find(([name]) => name === user)?.[1],
  ],
  [
    "an asynchronous function",
    async (user) => {
      await Promise.resolve();
      return user === "bob" ? "" : new Map(Object.entries(TABLE)).get(user);
    },
  ],
];

for (const [name, secrets] of sources) {
  test(`chap() accepts a login only by the secret of ${name}`, async () => {
    await withServer(secrets, async (server) => {
      for (const [user, secret, answer] of logins) {
        const what = `${user} ${secret}`;
        assertEquals(await login(server, user, secret), answer, what);
        const { reason, session } = await server.ended();
        assertEquals(reason, answer === IN ? "refused" : "login-failed", what);
        assertEquals([session.method, session.user], ["chap", user]);
      }
    });
  });
}

test("chap() does not look up a name that is not UTF-8", async () => {
  const names: string[] = [];
  const lookUp = (user: string) => (names.push(user), SECRET);
  await withServer(lookUp, async (server) => {
    const client = await server.client();
    const challenge = await challengeOf(client, "01 02 11 01 85 02 02 C3 28");
    await client.write(octets(response(SECRET, challenge)));
    assertEquals(await answerOf(client), REFUSED);
    assertEquals((await server.ended()).reason, "login-failed");
  });
  assertEquals(names, []);
});

for (
  const [name, lookUp] of [
    ["throws", () => {
      throw new Error("the vault is sealed");
    }],
    ["rejects", () => Promise.reject(new Error("the vault is sealed"))],
    ["returns something else than a string", () => 5 as unknown as string],
  ] satisfies [string, Secrets][]
) {
  test(`chap() refuses a login without counting it when the function ${name}`, async () => {
    const auth = [chap(lookUp, { failedLogins: 1 })];
    const server = await startServer({ auth });
    for (let i = 0; i < 3; i++) {
      assertEquals(await login(server, "alice", SECRET), REFUSED);
      const { reason, error } = await server.ended();
      assertEquals(reason, "login-error");
      assert(error?.cause instanceof Error);
    }
    await server.close();
  });
}

test("chap() takes the user name of the second message", async () => {
  await withServer(TABLE, async (server) => {
    const client = await server.client();
    const challenge = await challengeOf(client, "01 01 11 02 05 85");
    const mac = response(SECRET, challenge).slice("01 01 ".length);
    await client.write(octets(`01 02 02 05 "alice" ${mac} ${REQUEST}`));
    assertEquals(await answerOf(client), IN);
    assertEquals((await server.ended()).session.user, "alice");
  });
});

test("chap() ignores attributes of other types, and their order", async () => {
  await withServer(TABLE, async (server) => {
    const client = await server.client();
    const first =
      '01 05 EE 01 00 02 05 "alice" 05 05 "utf-8" 11 03 86 85 05 EE 00';
    const challenge = await challengeOf(client, first);
    const mac = response(SECRET, challenge).slice("01 01 ".length);
    await client.write(octets(`01 03 01 02 "hi" ${mac} 10 01 07 ${REQUEST}`));
    assertEquals(await answerOf(client), IN);
    await server.ended();
  });
});

test("chap() accepts a login that arrives octet by octet", async () => {
  await withServer(TABLE, async (server) => {
    const client = await server.client();
    const send = async (text: string) => {
      for (const it of octets(text)) await client.write(Uint8Array.of(it));
    };
    await send(`05 01 03 ${offer("alice")}`);
    const challenge = await readChallenge(client);
    await send(`${response(SECRET, challenge)} ${REQUEST}`);
    assertEquals(await answerOf(client), IN);
    await server.ended();
  });
});

/** First messages that the server refuses without a challenge. */
const firstMessages: [string, string][] = [
  ["no algorithms", '01 01 02 05 "alice"'],
  ["empty algorithms", '01 02 11 00 02 05 "alice"'],
  ["another algorithm", '01 02 11 01 86 02 05 "alice"'],
  ["algorithms twice", '01 03 11 01 85 11 01 85 02 05 "alice"'],
  ["two users", '01 03 11 01 85 02 05 "alice" 02 03 "bob"'],
  ["no attribute", "01 00"],
  ["another version", `05 ${offer("alice").slice(3)}`],
  ["too many octets", `01 09 ${"01 FF 255*61 ".repeat(8)}`],
];

for (const [name, message] of firstMessages) {
  test(`chap() refuses a first message with ${name}`, async () => {
    await withServer(TABLE, async (server) => {
      const client = await server.client();
      await client.write(octets(`05 01 03 ${message}`));
      assertEquals(await answerOf(client), `05 03 ${REFUSED}`);
      assertEquals((await server.ended()).reason, "login-failed");
    });
  });
}

/** Second messages, made of the right one. */
const secondMessages: [string, (right: string) => string][] = [
  ["the first message again", () => offer("alice")],
  ["a response of 15 octets", (it) => `01 01 04 0F ${it.slice(12, -3)}`],
  ["a response of 17 octets", (it) => `01 01 04 11 ${it.slice(12)} 00`],
  ["an empty response", () => "01 01 04 00"],
  ["a response with a wrong octet", (it) => `${it.slice(0, -1)}${flip(it)}`],
  ["the response twice", (it) => `01 02 ${it.slice(6)} ${it.slice(6)}`],
  ["the user again", (it) => `01 02 ${it.slice(6)} 02 05 "alice"`],
  ["another user", (it) => `01 02 ${it.slice(6)} 02 02 "ü"`],
  ["a status in place of the response", () => ACCEPTED],
  ["no attribute", () => "01 00"],
  ["another version", (it) => `02 ${it.slice(3)}`],
];

function flip(text: string): string {
  return (parseInt(text.at(-1)!, 16) ^ 1).toString(16);
}

for (const [name, message] of secondMessages) {
  test(`chap() refuses a second message with ${name}`, async () => {
    await withServer(TABLE, async (server) => {
      const client = await server.client();
      const challenge = await challengeOf(client, offer("alice"));
      await client.write(octets(message(response(SECRET, challenge))));
      assertEquals(await answerOf(client), REFUSED);
      assertEquals((await server.ended()).reason, "login-failed");
    });
  });
}

test("chap() refuses a response without a user", async () => {
  await withServer(TABLE, async (server) => {
    const client = await server.client();
    const challenge = await challengeOf(client, "01 01 11 01 85");
    await client.write(octets(response(SECRET, challenge)));
    assertEquals(await answerOf(client), REFUSED);
    const { reason, session } = await server.ended();
    assertEquals([reason, session.user], ["login-failed", undefined]);
  });
});

test("chap() sends another challenge for each login, and refuses a recorded response", async () => {
  await withServer(TABLE, async (server) => {
    const first = await server.client();
    const challenge = await challengeOf(first, offer("alice"));
    const recorded = octets(response(SECRET, challenge));
    await first.write(recorded);
    assertEquals(hex(await readExactly(first, 5)), ACCEPTED);
    const second = await server.client();
    assertNotEquals(await challengeOf(second, offer("alice")), challenge);
    await second.write(recorded);
    assertEquals(await answerOf(second), REFUSED);
    assertEquals((await server.ended()).reason, "login-failed");
  });
});

test("chap() sends a challenge to an unknown user as to a known one", async () => {
  await withServer(TABLE, async (server) => {
    for (const user of ["alice", "bob"]) {
      const client = await server.client();
      await challengeOf(client, offer(user));
      client.close();
      await server.ended();
    }
  });
});

test("serve() ends a login by CHAP that stays silent after the handshake timeout", async () => {
  const auth = [chap(TABLE)];
  for (const sent of ["", "01", offer("alice"), `${offer("alice")} 01 01 04`]) {
    const server = await startServer({ auth, timeouts: { handshake: 50 } });
    const client = await server.client();
    await client.write(octets(`05 01 03 ${sent}`));
    await readAll(client).catch(() => null);
    assertEquals((await server.ended()).reason, "handshake-timeout");
    await server.close();
  }
});

test("serve() ends a session when its client leaves during a login by CHAP", async () => {
  await withServer(TABLE, async (server) => {
    const client = await server.client();
    await challengeOf(client, offer("alice"));
    client.close();
    assertEquals((await server.ended()).reason, "client-gone");
  });
});

test("chap() delays and locks out failed logins, and counts them with those of userPass()", async () => {
  const clock = new FakeClock();
  const guard = new Lockout({ failedLogins: 4, lockout: 60_000, clock });
  const auth = [
    chap({ alice: SECRET }, { guard, clock }),
    userPass({ alice: SECRET }, { guard, clock }),
  ];
  const server = await startServer({ auth });
  assertEquals(await login(server, "alice", "wrong"), REFUSED);
  assertEquals(await login(server, "bob", SECRET), REFUSED);
  const byPassword = await server.client();
  await byPassword.write(octets('05 01 02 01 05 "alice" 01 78'));
  await until(() => clock.timers === 1);
  assertEquals(hex(await readExactly(byPassword, 2)), "05 02");
  clock.advance(250);
  assertEquals(await answerOf(byPassword), "01 01");
  assertEquals(await login(server, "alice", "wrong"), REFUSED);
  for (let i = 0; i < 4; i++) {
    assertEquals((await server.ended()).reason, "login-failed");
  }
  assertEquals(await login(server, "alice", SECRET), REFUSED);
  const { error, session } = await server.ended();
  assertMatch(String(error?.message), /locked out/);
  assertEquals(session.user, "alice");
  clock.advance(60_000);
  assertEquals(await login(server, "alice", SECRET), IN);
  await server.close();
});

test("chap() keeps a lockout of its own for all its logins when there is no guard", async () => {
  const auth = [chap({ alice: SECRET }, { failedLogins: 2 })];
  const server = await startServer({ auth });
  for (let i = 0; i < 2; i++) {
    assertEquals(await login(server, "alice", "wrong"), REFUSED);
    assertEquals((await server.ended()).reason, "login-failed");
  }
  assertEquals(await login(server, "alice", SECRET), REFUSED);
  assertMatch(String((await server.ended()).error?.message), /locked out/);
  await server.close();
});

test("chap() throws for tables and options that make no sense", () => {
  const tables: Record<string, string>[] = [
    {},
    { "": SECRET },
    { alice: "" },
    { alice: "s".repeat(256) },
    { ["ü".repeat(128)]: SECRET },
    { alice: "secret\0" },
    { alice: "\0" },
  ];
  for (const table of tables) {
    const error = assertThrows(() => chap(table), TypeError);
    assert(!/secret\0|sss/.test(error.message), error.message);
  }
  const options = { failedLogin: 5 } as Record<string, number>;
  assertThrows(() => chap(TABLE, options), TypeError, "failedLogins");
  assertThrows(() => chap(TABLE, { lockout: -1 }), TypeError, "lockout");
});
