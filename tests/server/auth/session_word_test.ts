/** Session words in user names. */

import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { splitSessionWord } from "../../../src/server/auth/session_word.ts";
import {
  chap,
  hashPassword,
  Lockout,
  type Logins,
  rules,
  type ServeOptions,
  userPass,
  Users,
} from "../../../src/server/mod.ts";
import { connect } from "../../../src/client/mod.ts";
import { test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";
import {
  ACCEPTED,
  challengeOf,
  offer,
  REFUSED,
  response,
} from "../../support/chap.ts";
import { block, hex } from "../../support/raw.ts";
import { echo, startServer, startTarget } from "../../support/server.ts";
import { utf8 } from "../../support/text.ts";
import { readAll, readExactly } from "../../transport/contract.ts";

const NAMES: readonly [name: string, user?: string, word?: string][] = [
  ["alice-session-7", "alice", "7"],
  ["alice-session-A_9z", "alice", "A_9z"],
  ["ä b-session-x", "ä b", "x"],
  ["a-session-b-session-c", "a-session-b", "c"],
  ["a-session-session-c", "a-session", "c"],
  [`a-session-${"w".repeat(64)}`, "a", "w".repeat(64)],
  [`a-session-${"w".repeat(65)}`],
  ["-session-7"],
  ["alice-session-"],
  ["alice-session-7 "],
  ["alice-session-7-8"],
  ["alice-session-ä"],
  ["alice-session-7\n"],
  ["alice-Session-7"],
  ["alice"],
  [""],
];

test("splitSessionWord() splits names that end with a word", () => {
  for (const [name, user, word] of NAMES) {
    const found = splitSessionWord(utf8(name));
    const text = found && new TextDecoder().decode(found.username);
    assertEquals([text, found?.word], [user, word], name);
  }
});

interface Login {
  readonly reason?: string;
  readonly user?: string;
  readonly sessionWord?: string;
}

type LogIn = (name: string, password: string) => Promise<Login>;

/** Runs `use` with functions that log in by SOCKS5 and by HTTP. */
async function withLogins(
  options: ServeOptions,
  use: (ways: { socks5: LogIn; http: LogIn; socks4: LogIn }) => Promise<void>,
): Promise<void> {
  const target = await startTarget(echo);
  const server = await startServer({
    http: true,
    sessionWords: true,
    ...options,
  });
  const send = async (bytes: Uint8Array): Promise<Login> => {
    const client = await server.client();
    await client.write(bytes);
    await client.closeWrite();
    await readAll(client);
    const { reason, session: { user, sessionWord } } = await server.ended();
    return {
      ...reason !== "finished" && { reason },
      ...{ user },
      ...sessionWord !== undefined && { sessionWord },
    };
  };
  const { port } = target.addr;
  await use({
    socks5(name, password) {
      const fields = [name, password].map((it) => {
        const bytes = utf8(it);
        return hex(Uint8Array.of(bytes.length, ...bytes));
      });
      const request = `05 01 00 ${block(target.addr)}`;
      return send(octets(`05 01 02 01 ${fields.join(" ")} ${request}`));
    },
    http(name, password) {
      const login = Buffer.from(`${name}:${password}`).toString("base64");
      return send(utf8(
        `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n` +
          `Proxy-Authorization: Basic ${login}\r\n\r\n`,
      ));
    },
    socks4(name) {
      const to = hex(Uint8Array.of(port >> 8, port & 255, 127, 0, 0, 1));
      return send(octets(`04 01 ${to} ${hex(utf8(name))} 00`));
    },
  });
  await server.close();
  await target.close();
}

const ALICE = { user: "alice" };
const WORDED = { user: "alice", sessionWord: "7" };
const FAILED = { reason: "login-failed" };

/** A user whose name looks like one with a session word. */
const LITERAL = "alice-session-8";

const TABLE: Record<string, string> = { alice: "pw", [LITERAL]: "own" };

/** The same logins in all forms. */
const FORMS: Readonly<Record<string, () => Promise<Logins>>> = {
  "a table": () => Promise.resolve(TABLE),
  Users: async () =>
    new Users(
      await Promise.all(
        Object.entries(TABLE).map(async ([name, password]) =>
          [name, await hashPassword(password, { iterations: 1_000 })] as const
        ),
      ),
    ),
  "a function": () =>
    Promise.resolve((name: string, password: string) =>
      TABLE[name] === password
    ),
};

for (const [form, logins] of Object.entries(FORMS)) {
  test(`userPass() with ${form} accepts names with session words, SOCKS5 and HTTP`, async () => {
    const guard = new Lockout({ failedLogins: 0 });
    const auth = [userPass(await logins(), { guard })];
    await withLogins({ auth }, async ({ socks5, http }) => {
      for (const logIn of [socks5, http]) {
        assertEquals(await logIn("alice", "pw"), ALICE);
        assertEquals(await logIn("alice-session-7", "pw"), WORDED);
        const wrong = { user: "alice-session-7", ...FAILED };
        assertEquals(await logIn("alice-session-7", "own"), wrong);
        const nobody = { user: "bob-session-7", ...FAILED };
        assertEquals(await logIn("bob-session-7", "pw"), nobody);
        assertEquals(await logIn(LITERAL, "own"), { user: LITERAL });
        const twice = `${LITERAL}-session-9`;
        const both = { user: LITERAL, sessionWord: "9" };
        assertEquals(await logIn(twice, "own"), both);
      }
    });
  });
}

test("userPass() does not read the name of a user as one with a session word", async () => {
  for (const form of ["a table", "Users"]) {
    const auth = [userPass(await FORMS[form]())];
    await withLogins({ auth }, async ({ socks5 }) => {
      // The password of alice, who is another user.
      const wrong = { user: LITERAL, ...FAILED };
      assertEquals(await socks5(LITERAL, "pw"), wrong);
    });
  }
});

test("userPass() counts a failed login with a session word once", async () => {
  for (const logins of Object.values(FORMS)) {
    const counted: string[] = [];
    class Counting extends Lockout {
      override failed(client: string): number {
        counted.push(client);
        return super.failed(client);
      }
    }
    const guard = new Counting({ failedLogins: 0 });
    const auth = [userPass(await logins(), { guard })];
    await withLogins({ auth }, async ({ socks5 }) => {
      await socks5("alice-session-7", "wrong");
      await socks5("alice-session-7", "pw");
    });
    assertEquals(counted, ["127.0.0.1"]);
  }
});

test("userPass() accepts no session words unless the server has the option", async () => {
  const auth = [userPass(TABLE)];
  const options = { auth, sessionWords: false };
  await withLogins(options, async ({ socks5, http }) => {
    for (const logIn of [socks5, http]) {
      const failed = { user: "alice-session-7", ...FAILED };
      assertEquals(await logIn("alice-session-7", "pw"), failed);
    }
  });
});

test("serve() applies rules and limits to the user without the session word", async () => {
  const options: ServeOptions = {
    auth: [userPass(TABLE)],
    policy: rules(["deny user alice-session-7", "allow user alice"]),
    limits: { sessionsPerUser: 1 },
  };
  const target = await startTarget();
  const server = await startServer({ ...options, sessionWords: true });
  const login = async (name: string) => {
    const proxy = `socks5://${name}:pw@127.0.0.1:${server.server.addr.port}`;
    return await connect(proxy, target.addr).catch(({ reply }) => reply);
  };
  const first = await login("alice-session-7");
  assertEquals(typeof first, "object");
  assertEquals(await login("alice-session-9"), 2);
  first.close();
  await server.close();
  await target.close();
});

const SOCKS4_OPTIONS: Readonly<Record<string, ServeOptions["socks4"]>> = {
  "a list": { userIds: Object.keys(TABLE) },
  "a verifier": { verifier: (name) => Object.hasOwn(TABLE, name) },
  both: {
    userIds: Object.keys(TABLE),
    verifier: (name) => Object.hasOwn(TABLE, name),
  },
};

for (const [name, socks4] of Object.entries(SOCKS4_OPTIONS)) {
  test(`serve() accepts SOCKS4 user ids with session words by ${name}`, async () => {
    await withLogins({ socks4 }, async ({ socks4: logIn }) => {
      assertEquals(await logIn("alice", ""), ALICE);
      assertEquals(await logIn("alice-session-7", ""), WORDED);
      assertEquals(await logIn(LITERAL, ""), { user: LITERAL });
      const failed = { user: "bob-session-7", ...FAILED };
      assertEquals(await logIn("bob-session-7", ""), failed);
    });
    const options = { socks4, sessionWords: false };
    await withLogins(options, async ({ socks4: logIn }) => {
      const failed = { user: "alice-session-7", ...FAILED };
      assertEquals(await logIn("alice-session-7", ""), failed);
    });
  });
}

test("chap() accepts no session words", async () => {
  const server = await startServer({
    auth: [chap({ alice: "secret" })],
    sessionWords: true,
  });
  for (
    const [user, status] of [["alice", ACCEPTED], ["alice-session-7", REFUSED]]
  ) {
    const client = await server.client();
    const challenge = await challengeOf(client, offer(user));
    await client.write(octets(response("secret", challenge)));
    assertEquals(hex(await readExactly(client, 5)), status, user);
    client.close();
  }
  await server.close();
});
