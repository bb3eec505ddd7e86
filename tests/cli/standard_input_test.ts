/** `--config -`. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import process from "node:process";
import { SocksError } from "../../src/client/mod.ts";
import {
  ConfigFileReader,
  STANDARD_INPUT,
} from "../../src/cli/config/files.ts";
import { UsageError } from "../../src/cli/usage_error.ts";
import { hashPassword } from "../../src/server/auth/password_hash.ts";
import { withFolder } from "../support/folder.ts";
import { test } from "../support/harness.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";
import { utf8 } from "../support/text.ts";
import { LOOPBACK, visit, withEcho } from "./echo.ts";

/** An input of these chunks. */
function inputOf(chunks: Iterable<Uint8Array>) {
  const rest = chunks[Symbol.iterator]();
  return { read: () => Promise.resolve(rest.next().value ?? null) };
}

test("ConfigFileReader reads the standard input to its end, without a byte order mark", async () => {
  const bytes = utf8("\ufeff{} // é\n");
  const chunks = Array.from(bytes, (byte) => Uint8Array.of(byte));
  const reader = new ConfigFileReader(inputOf(chunks));
  assertEquals(await reader.read(STANDARD_INPUT), "{} // é\n");
  assertEquals(reader.texts, [["-", "{} // é\n"]]);
});

test("ConfigFileReader refuses an endless standard input, and one that is not UTF-8", async () => {
  const chunk = new Uint8Array(2 ** 16);
  function* endless() {
    for (;;) yield chunk;
  }
  for (
    const [chunks, message] of [
      [endless(), "is longer than 16 MiB"],
      [[Uint8Array.of(0xff)], "is not valid UTF-8"],
    ] as const
  ) {
    const reader = new ConfigFileReader(inputOf(chunks));
    const read = () => reader.read(STANDARD_INPUT);
    const error = await assertRejects(read, UsageError);
    assertEquals(error.message, message);
  }
});

for (
  const [input, message] of [
    ["", /^socks5: standard input: .+\n$/],
    ["{", /^socks5: standard input: .+\n$/],
    ['{"prot": 1}', /: standard input: prot: unknown key, did you mean "port"/],
    ['{"users": ["x"]}', /: standard input: users\[0\]: not NAME:HASH/],
    [
      '{"usersFile": "-"}',
      /: standard input: usersFile\[0\]: must be the path/,
    ],
  ] as const
) {
  test(`socks5 --config - names the standard input as the source of ${input}`, async () => {
    const { code, stdout, stderr } = await runProgram(
      ["--config", "-", "--check"],
      { input },
    );
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, message);
  });
}

test("socks5 --users-file - is refused, because the standard input is none", async () => {
  const ended = await runProgram(["--users-file=-", "--port=0"]);
  assertEquals(ended.code, 2);
  assertMatch(ended.stderr, /^socks5: --users-file must be the path /);
});

/** Runs the program with a configuration from its standard input that lets only alice in. */
async function withConfig(
  args: string[],
  use: (
    program: Program,
    visitAs: (login: string) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const users = join(folder, "users.txt");
    const hash = await hashPassword("one", { iterations: 1 });
    await writeFile(users, `alice:${hash}\n`);
    const usersFile = relative(process.cwd(), users);
    const input = JSON.stringify({ usersFile, port: 0, log: "json" });
    const options = { input, mayRead: true, mayShare: args.length > 1 };
    await withEcho((target) =>
      withProgram(["--config", "-", ...args], async (program) => {
        const at = `${LOOPBACK}:${await program.port()}`;
        await use(program, (login) => visit(`socks5://${login}@${at}`, target));
      }, options)
    );
  });
}

for (const args of [[], ["--workers", "2"]]) {
  test(`socks5 --config - ${args.join(" ")} keeps its configuration on SIGHUP, and logs why`, () =>
    withConfig(args, async (program, visitAs) => {
      await visitAs("alice:one");
      await assertRejects(() => visitAs("alice:two"), SocksError);
      program.kill("SIGHUP");
      const { problems } = JSON.parse(await program.line(/"reload-failed"/));
      assertEquals(problems, ["the standard input cannot be read again"]);
      await visitAs("alice:one");
      await assertRejects(() => visitAs("bob:one"), SocksError);
      program.kill("SIGTERM");
      assertEquals((await program.ended).code, 0);
    }));
}
