/** The verification of logins by a program: its protocol, its processes, its failures. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CommandVerifier,
  type CommandVerifierOptions,
} from "../../../src/server/mod.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";

const CLIENT = { hostname: "192.0.2.1", port: 40_000 };
const WANTED = { client: CLIENT, isWanted: () => true };

const bytes = (text: string) => new TextEncoder().encode(text);

function login(username: string, password: string) {
  return { username: bytes(username), password: bytes(password) };
}

/** A program that notes its start and each line, and answers as the script says. */
async function withScript(
  script: string,
  options: CommandVerifierOptions,
  use: (parts: {
    verifier: CommandVerifier;
    verify(username: string, password: string): Promise<boolean | undefined>;
    /** The lines that the processes have read, and "start" for each of them. */
    noted(): Promise<string[]>;
  }) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "socks5-command-"));
  const file = join(folder, "noted");
  const whole = `echo start >>"$1"; while read -r line; do
    echo "$line" >>"$1"; set -- "$1" $line; ${script}; done`;
  const command = ["/bin/sh", "-c", whole, "sh", file];
  const verifier = new CommandVerifier(command, { remember: 0, ...options });
  try {
    await use({
      verifier,
      verify: (...it) => verifier.verify(login(...it), WANTED),
      noted: async () => (await readFile(file, "utf8")).trim().split("\n"),
    });
  } finally {
    await verifier.close();
    await rm(folder, { recursive: true });
  }
}

/** Answers for the password `pw`. */
const RIGHT_PW = '[ "$3" = pw ] && echo OK || echo ERR';

test("CommandVerifier asks one process for all logins, one after the other", async () => {
  await withScript(RIGHT_PW, {}, async ({ verify, noted }) => {
    assertEquals(await verify("alice", "pw"), true);
    assertEquals(await verify("alice", "no"), false);
    assertEquals(await verify("bob", "pw"), true);
    const lines = ["start", "alice pw", "alice no", "bob pw"];
    assertEquals(await noted(), lines);
  });
});

test("CommandVerifier encodes all bytes but letters, digits and -_.~", async () => {
  await withScript("echo OK", {}, async ({ verify, noted }) => {
    await verify("a-Z_9.~", "x y%2B+\\$(id)'\"`;ü");
    assertEquals(
      (await noted())[1],
      "a-Z_9.~ x%20y%252B%2B%5C%24%28id%29%27%22%60%3B%C3%BC",
    );
  });
});

test("CommandVerifier refuses control characters without a question", async () => {
  await withScript("echo OK", {}, async ({ verifier, verify }) => {
    await verifier.start();
    for (const it of ["a\n", "a\0", "\r", "\x7f", "a\tb"]) {
      assertEquals(await verify(it, "pw"), false);
      assertEquals(await verify("alice", it), false);
    }
  });
});

test("CommandVerifier refuses an empty name or password without a question", async () => {
  // The program would take the password for the name.
  await withScript("echo OK", {}, async ({ verifier, verify, noted }) => {
    await verifier.start();
    assertEquals(await verify("", "alice"), false);
    assertEquals(await verify("alice", ""), false);
    assertEquals(await verify("", ""), false);
    assertEquals(await verify("alice", "pw"), true);
    assertEquals(await noted(), ["start", "alice pw"]);
  });
});

/** What the program answers, and what that means. */
const answers: [script: string, isRight: boolean | undefined][] = [
  ["echo OK", true],
  ["echo 'OK user=other tag=x'", true],
  ["printf 'OK \\r\\n'", true],
  ["printf O; printf 'K\\n'", true],
  ["echo ERR", false],
  ["echo 'ERR message=\"wrong\"'", false],
  ["echo 'BH message=\"no server\"'", false],
  ["echo ok", undefined],
  ["echo OKAY", undefined],
  ["echo", undefined],
];

for (const [script, isRight] of answers) {
  test(`CommandVerifier takes the answer of ${script} for ${isRight}`, async () => {
    await withScript(script, {}, async ({ verify }) => {
      assertEquals(await verify("alice", "pw"), isRight);
      assertEquals(await verify("alice", "pw"), isRight);
    });
  });
}

/** Programs that fail. */
const failures: [name: string, script: string][] = [
  ["ends", "exit 3"],
  ["answers twice", "printf 'ERR\\nOK\\n'"],
  ["answers without an end", "printf '%09000d' 1; exec sleep 61"],
  ["does not answer", "exec sleep 60"],
];

for (const [name, script] of failures) {
  test(`CommandVerifier rejects if the program ${name}, and starts it again`, async () => {
    const clock = new FakeClock();
    const failsOnce = `[ "$2" = bad ] && { ${script}; } || ${RIGHT_PW}`;
    await withScript(failsOnce, { clock }, async (it) => {
      const { verify, noted } = it;
      const failing = assertRejects(() => verify("bad", "pw"));
      if (script.endsWith("sleep 60")) {
        while ((await noted().catch(() => [])).length < 2) continue;
        clock.advance(10_000);
      }
      await failing;
      // A program that fails at once would otherwise be started endlessly.
      await assertRejects(() => verify("alice", "pw"), Error, "not started");
      clock.advance(250);
      assertEquals(await verify("alice", "pw"), true);
      assertEquals((await noted()).filter((it) => it === "start").length, 2);
    });
  });
}

test("CommandVerifier starts no more processes than `processes`", async () => {
  const slow = `sleep 0.05; ${RIGHT_PW}`;
  await withScript(slow, { processes: 2 }, async ({ verify, noted }) => {
    const names = ["a", "b", "c", "d", "e"];
    const all = await Promise.all(names.map((it) => verify(it, "pw")));
    assertEquals(all, names.map(() => true));
    assertEquals((await noted()).filter((it) => it === "start").length, 2);
  });
});

test("CommandVerifier asks no more for a client that has gone", async () => {
  await withScript("echo OK", {}, async ({ verifier, noted }) => {
    await verifier.start();
    const context = { client: CLIENT, isWanted: () => false };
    assertEquals(await verifier.verify(login("a", "b"), context), undefined);
    assertEquals(await verifier.verify(login("a", "c"), WANTED), true);
    assertEquals((await noted()).slice(1), ["a c"]);
  });
});

test("CommandVerifier remembers correct logins, and no others, for a while", async () => {
  const clock = new FakeClock();
  const options = { clock, remember: 1_000 };
  await withScript(RIGHT_PW, options, async ({ verify, noted }) => {
    for (const password of ["no", "no", "pw", "pw", "p"]) {
      await verify("alice", password);
    }
    assertEquals(await verify("alic", "epw"), false);
    clock.advance(999);
    assertEquals(await verify("alice", "pw"), true);
    clock.advance(1);
    assertEquals(await verify("alice", "pw"), true);
    const asked = (await noted()).slice(1);
    assertEquals(asked, [
      "alice no",
      "alice no",
      "alice pw",
      "alice p",
      "alic epw",
      "alice pw",
    ]);
  });
});

test("CommandVerifier ends processes that are idle for a minute", async () => {
  const clock = new FakeClock();
  await withScript(RIGHT_PW, { clock }, async ({ verify, noted }) => {
    await verify("alice", "pw");
    clock.advance(59_999);
    await verify("alice", "pw");
    clock.advance(60_000);
    await verify("alice", "pw");
    assertEquals((await noted()).filter((it) => it === "start").length, 2);
  });
});

test("CommandVerifier.start() rejects if there is no such program", async () => {
  const verifier = new CommandVerifier(["/nowhere/helper"]);
  const error = await assertRejects(() => verifier.start()) as { code: string };
  assertEquals(error.code, "ENOENT");
  await verifier.close();
});

test("CommandVerifier.close() ends logins that are being verified, and later ones", async () => {
  await withScript("exec sleep 60", {}, async ({ verifier, verify, noted }) => {
    const rejected = assertRejects(() => verify("alice", "pw"));
    while ((await noted().catch(() => [])).length < 2) continue;
    await Promise.all([verifier.close(), verifier.close()]);
    await rejected;
    await assertRejects(() => verify("alice", "pw"), Error, "closed");
  });
});

const invalid: [command: unknown, options: unknown, message: string][] = [
  ["/bin/true", {}, "list of the program"],
  [[], {}, "list of the program"],
  [[""], {}, "list of the program"],
  [["/bin/true", 1], {}, "list of the program"],
  [["/bin/true"], { processes: 0 }, "processes"],
  [["/bin/true"], { timeout: 0 }, "timeout"],
  [["/bin/true"], { remember: -1 }, "remember"],
  [["/bin/true"], { timeouts: 1 }, "timeout"],
];

for (const [command, options, message] of invalid) {
  test(`new CommandVerifier() throws for ${JSON.stringify([command, options])}`, () => {
    const create = () =>
      new CommandVerifier(
        command as string[],
        options as CommandVerifierOptions,
      );
    const error = assertThrows(create, TypeError);
    assert(error.message.includes(message), error.message);
  });
}
