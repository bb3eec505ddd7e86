/** Logins by RFC 1929 against a real server: outcomes, delays, lockouts, and the events. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  chap,
  hashPassword,
  type LockoutOptions,
  userPass,
  Users,
  type VerifyLogin,
} from "../../../src/server/mod.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";
import { join, octets } from "../../support/table.ts";
import {
  type SessionEnd,
  startServer,
  type TestServer,
} from "../../support/server.ts";
import { readAll } from "../../transport/contract.ts";
import { shutGate } from "../../support/gate.ts";
import { hex } from "../../support/raw.ts";

const FAST = { iterations: 10 };
const NO_LOCKOUT = { lockout: 0 };

function encode(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? new TextEncoder().encode(text) : text;
}

/**
 * Logs in, sends a request that is refused (SOCKS command 9), and returns
 * everything that the server sends.
 */
async function login(
  server: TestServer,
  name: string | Uint8Array,
  password: string | Uint8Array,
): Promise<string> {
  const client = await server.client();
  const [user, secret] = [encode(name), encode(password)];
  await client.write(join(
    octets("05 01 02 01"),
    Uint8Array.of(user.length, ...user, secret.length, ...secret),
    octets("05 09 00 01 7F 00 00 01 00 50"),
  ));
  const answer = hex(await readAll(client));
  client.close();
  return answer;
}

const IN = "05 02 01 00 05 07 00 01 00 00 00 00 00 00";
const OUT = "05 02 01 01";

async function aliceAndOthers(): Promise<Users> {
  return new Users([
    ["alice", await hashPassword("secret", FAST)],
    ["ü", await hashPassword(octets("C3 28 00 FF"), FAST)],
    ["u".repeat(255), await hashPassword("p".repeat(255), FAST)],
  ]);
}

async function withServer(
  logins: Users | VerifyLogin,
  options: LockoutOptions,
  run: (server: TestServer) => Promise<void>,
): Promise<TestServer> {
  const server = await startServer({ auth: [userPass(logins, options)] });
  await run(server);
  await server.close();
  return server;
}

const rows: [name: string, password: string | Uint8Array, answer: string][] = [
  ["alice", "secret", IN],
  ["ü", octets("C3 28 00 FF"), IN],
  ["u".repeat(255), "p".repeat(255), IN],
  ["alice", "wrong", OUT],
  ["alice", "secre", OUT],
  ["alice", "secretx", OUT],
  ["alice", "secret\0", OUT],
  ["alice", "secret\0x", OUT],
  ["alice\0", "secret", OUT],
  ["Alice", "secret", OUT],
  ["bob", "secret", OUT],
  ["ü", octets("C3 28"), OUT],
  ["ü", octets("C3 28 00 FE"), OUT],
  ["u".repeat(255), `${"p".repeat(254)}q`, OUT],
  ["", "secret", OUT],
  ["alice", "", OUT],
];

test("userPass() accepts a login of Users when name and password match byte for byte", async () => {
  await withServer(await aliceAndOthers(), NO_LOCKOUT, async (server) => {
    for (const round of ["hashed", "remembered"]) {
      for (const [name, password, answer] of rows) {
        const what = `${round} ${name} ${password}`;
        assertEquals(await login(server, name, password), answer, what);
        const { reason, session } = await server.ended();
        assertEquals(reason, answer === IN ? "refused" : "login-failed");
        assertEquals(session.user, name);
      }
    }
  });
});

test("userPass() distinguishes user names with and without a byte order mark", async () => {
  const asked: string[] = [];
  const verify = (name: string) => asked.push(name) > 0;
  await withServer(verify, {}, async (server) => {
    for (const name of ["\uFEFFalice", "al\uFEFFice"]) {
      assertEquals(await login(server, name, "secret"), IN);
      assertEquals((await server.ended()).session.user, name);
    }
  });
  assertEquals(asked, ["\uFEFFalice", "al\uFEFFice"]);
});

/** Everything in a value, getters and errors included. */
function textOf(value: unknown, depth = 5): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (depth === 0) return "";
  const names = new Set<string>();
  for (let it = value; it && it !== Object.prototype;) {
    Object.getOwnPropertyNames(it).forEach((name) => names.add(name));
    it = Object.getPrototypeOf(it);
  }
  return [...names].map((name) => {
    const member = (value as Record<string, unknown>)[name];
    return `${name}=${textOf(member, depth - 1)}`;
  }).join(" ");
}

test("userPass() puts no password into events or errors", async () => {
  const users = await aliceAndOthers();
  const failing = (_: string, password: string) =>
    Promise.reject(new Error(`no answer about ${password}`));
  for (const logins of [users, failing]) {
    const { events } = await withServer(logins, {}, async (server) => {
      for (const password of ["secret", "hunter2"]) {
        await login(server, "alice", password);
        await server.ended();
      }
    });
    const told = textOf(events, 8) + JSON.stringify(events);
    assert(/login-(failed|error)/.test(told) && told.includes("alice"));
    assert(!/secret|hunter2|736563726574/.test(told));
  }
});

test("userPass() locks an address out after failedLogins, and accepts its logins again after lockout", async () => {
  const clock = new FakeClock();
  let asked = 0;
  const verify = (_: string, password: string) => {
    asked++;
    return password === "secret";
  };
  const options = { failedLogins: 2, lockout: 60_000, clock };
  await withServer(verify, options, async (server) => {
    assertEquals(await login(server, "alice", "wrong"), OUT);
    assertEquals(await login(server, "alice", "secret"), IN);
    assertEquals(await login(server, "alice", "wrong"), OUT);
    assertEquals(await login(server, "bob", "wrong"), OUT);
    asked = 0;
    assertEquals(await login(server, "alice", "secret"), OUT);
    assertEquals(asked, 0);
    clock.advance(60_000);
    assertEquals(await login(server, "alice", "secret"), IN);
  });
});

test("userPass() shares its lockout among servers with the same method, and with no other method", async () => {
  const make = () => userPass({ al: "pw" }, { failedLogins: 1 });
  const shared = make();
  const servers = await Promise.all(
    [shared, shared, make()].map((it) => startServer({ auth: [it] })),
  );
  assertEquals(await login(servers[0], "al", "wrong"), OUT);
  const answers = await Promise.all(servers.map((it) => login(it, "al", "pw")));
  assertEquals(answers, [OUT, OUT, IN]);
  for (const server of servers) await server.close();
});

test("userPass() allows no more guesses when they arrive at the same time", async () => {
  const asked = shutGate();
  const gate = shutGate();
  const verify = async (_: string, password: string) => {
    if (password !== "secret") return false;
    asked.open();
    await gate.opened;
    return true;
  };
  await withServer(verify, { failedLogins: 2 }, async (server) => {
    const right = login(server, "alice", "secret");
    await asked.opened;
    for (const wrong of ["a", "b"]) {
      assertEquals(await login(server, "alice", wrong), OUT);
    }
    gate.open();
    assertEquals(await right, OUT);
  });
});

test("userPass() does not count a login that could not be verified or is malformed", async () => {
  let works = false;
  const verify = () => {
    if (!works) throw new Error("out of order");
    return true;
  };
  await withServer(verify, { failedLogins: 1 }, async (server) => {
    assertEquals(await login(server, "alice", "secret"), OUT);
    const other = await server.client();
    await other.write(octets("05 01 02 05 01 00 01 7F 00 00 01 00 50"));
    assertEquals(hex(await readAll(other)), OUT);
    other.close();
    works = true;
    assertEquals(await login(server, "alice", "secret"), IN);
  });
});

test("userPass() delays the answer to the third consecutive failure, and none before", async () => {
  await withServer(() => false, {}, async (server) => {
    for (let i = 0; i < 3; i++) {
      const started = performance.now();
      assertEquals(await login(server, "alice", "wrong"), OUT);
      // A timer may fire a little early by this clock, never by much.
      if (i === 2) assert(performance.now() - started > 200);
    }
  });
});

/** Sends wrong logins whose answers are delayed by up to 4 s. */
async function delayed(server: TestServer): Promise<void> {
  for (let i = 0; i < 8; i++) {
    const client = await server.client();
    await client.write(octets('05 01 02 01 01 "a" 01 "b"'));
  }
}

test("userPass() ends its delays when the session ends", async () => {
  const asked = shutGate();
  let count = 0;
  const verify = () => {
    if (++count === 8) asked.open();
    return false;
  };
  await withServer(verify, {}, async (server) => {
    await delayed(server);
    await asked.opened; // the last answer is due in 4 s
    const started = performance.now();
    await server.server.shutdown({ grace: 0 });
    const ends: SessionEnd[] = [];
    for (let i = 0; i < 8; i++) ends.push(await server.ended());
    assert(performance.now() - started < 3_500);
    assert(ends.some(({ reason }) => reason === "closed"));
  });
});

test("serve() ends a session by its handshake timeout when the login is not answered", async () => {
  const server = await startServer({
    auth: [userPass(() => new Promise<boolean>(() => {}))],
    timeouts: { handshake: 50 },
  });
  const client = await server.client();
  await client.write(octets('05 01 02 01 01 "a" 01 "b"'));
  assertEquals((await server.ended()).reason, "handshake-timeout");
  client.close();
  await server.close();
});

test("userPass() throws when an option is not a count", () => {
  for (const options of [{ failedLogins: -1 }, { lockout: 0.5 }]) {
    assertThrows(() => userPass({ a: "b" }, options), TypeError);
  }
});

/** A row: what untyped code passes, and a part of the error. */
const wrong: readonly (readonly [unknown, string])[] = [
  ["alice:battery staple", "are a function or a table"],
  [["alice:battery staple"], "are a function or a table"],
  [undefined, "are a function or a table"],
  [null, "are a function or a table"],
  [{ users: { alice: "battery staple" } }, '(user "users")'],
  [{ alice: 12345678901234 }, '(user "alice")'],
  [{}, "at least one"],
];

for (const [given, message] of wrong) {
  const shown = JSON.stringify(given);
  test(`userPass() and chap() throw a TypeError without the value for ${shown}`, () => {
    for (const method of [userPass, chap]) {
      const make = () => void method(given as Record<string, string>);
      const error = assertThrows(make, TypeError, message);
      assert(!/staple|1234/.test(error.message), error.message);
    }
  });
}
