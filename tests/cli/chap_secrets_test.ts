/** `--chap-secrets`: the file, its permissions, the order of methods, and the reload. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  chapLogin,
  connect,
  passwordLogin,
  SocksError,
} from "../../src/client/mod.ts";
import { parseFlags } from "../../src/cli/config/flags.ts";
import { ConfigError, load } from "../../src/cli/config/load.ts";
import { UsageError } from "../../src/cli/usage_error.ts";
import { hashPassword } from "../../src/server/auth/password_hash.ts";
import { withFolder } from "../support/folder.ts";
import { test } from "../support/harness.ts";
import { runProgram, withProgram } from "../support/spawn.ts";
import { assertEchoes, LOOPBACK, withEcho } from "./echo.ts";

const hash = await hashPassword("hunter2", { iterations: 1 });
const mayRead = { mayRead: true };

/** Loads a configuration of these arguments and files. */
async function loadFiles(args: string[], files: Record<string, string>) {
  const command = parseFlags(args);
  assert(command.type === "serve");
  const isPrivate: string[] = [];
  const loaded = await load(command.commandLine, (path, options) => {
    if (options?.isPrivate) isPrivate.push(path);
    return Object.hasOwn(files, path)
      ? Promise.resolve(files[path])
      : Promise.reject(new UsageError("no such file"));
  });
  return { ...loaded, isPrivate };
}

const PREFERS = "so that passwords are preferred to CHAP: " +
  "clients that offer both, such as PuTTY, send their password in clear";

/** Flags, secrets, names of the methods in the order of preference, warnings. */
const rows: [string, string[], string, string[], string[]][] = [
  ["no other logins", [], "a:x\nb:y", ["chap"], []],
  ["a password of each user", ["--user=a:1"], "a:x", ["chap", "password"], []],
  ["a hash of each user", ["--users-file=u"], "a:x\nb:y\nc:z", [
    "chap",
    "password",
  ], []],
  ["a user without a secret", ["--users-file=u"], "a:x", ["password", "chap"], [
    `user "b" has no CHAP secret, ${PREFERS}`,
  ]],
  ["HTTP, which has no CHAP", ["--http"], "a:x", ["chap"], [
    "--http serves no client: HTTP clients log in by password, and no user has one",
  ]],
  ["HTTP and a password of each user", ["--http", "--user=a:1"], "a:x", [
    "chap",
    "password",
  ], []],
  [
    "users with only one of both",
    ["--users-file=u", "--user=e:1"],
    "c:x\nd:y",
    ["password", "chap"],
    [
      `users "a", "b", "e" have no CHAP secret, ${PREFERS}`,
      'users "c", "d" have a CHAP secret but no password: ' +
      "clients that offer both methods cannot log in",
    ],
  ],
  [
    "many users without a secret",
    ["--users-file=u", "--user=c:1", "--user=d:1"],
    "a:x",
    ["password", "chap"],
    [
      `users "b", "c", "d" have no CHAP secret, ${PREFERS}`,
    ],
  ],
  [
    "a long list of users without a secret",
    ["--users-file=u", "--user=c:1", "--user=d:1"],
    "e:x",
    ["password", "chap"],
    [
      `users "a", "b", "c" and 1 more have no CHAP secret, ${PREFERS}`,
      'user "e" has a CHAP secret but no password: ' +
      "clients that offer both methods cannot log in",
    ],
  ],
];

for (const [name, flags, secrets, methods, warnings] of rows) {
  test(`load() orders the methods of CHAP secrets with ${name}`, async () => {
    const files = { c: secrets, u: `a:${hash}\nb:${hash}` };
    const args = ["--chap-secrets", "c", ...flags];
    const loaded = await loadFiles(args, files);
    assertEquals(loaded.options.auth?.map(({ name }) => name), methods);
    assertEquals(loaded.warnings, warnings);
    assertEquals(loaded.isPrivate, ["c"]);
    assert(loaded.hasFiles);
  });
}

test("load() counts users with a secret as users, also for rules", async () => {
  const args = [
    "--chap-secrets=c",
    "--user=a:1",
    "--allow",
    "user b",
    "--deny",
    "user z",
  ];
  const { users, warnings } = await loadFiles(args, { c: "a:x\nb:y" });
  assertEquals([...users].sort(), ["a", "b"]);
  assertEquals(warnings.length, 1);
  assertMatch(warnings[0], /no user "z"/);
});

test("load() finds the secrets file beside the configuration file", async () => {
  const files = { "etc/f": '{"chapSecrets": "c"}', "etc/c": "a:x" };
  const { options } = await loadFiles(["--config", "etc/f"], files);
  assertEquals(options.auth?.map(({ name }) => name), ["chap"]);
});

test("load() makes the same methods anew only when a secret changes", async () => {
  const command = parseFlags(["--chap-secrets=c"]);
  assert(command.type === "serve");
  const { commandLine } = command;
  const read = (text: string) => () => Promise.resolve(text);
  const first = await load(commandLine, read("a:x"));
  const same = await load(commandLine, read("# again\na:x"), { before: first });
  assert(same.options.auth === first.options.auth);
  const other = await load(commandLine, read("a:y"), { before: same });
  assert(other.options.auth !== same.options.auth);
});

/** The text of a secrets file, and its problems. */
const bad: [text: string, problems: RegExp[]][] = [
  ["", [/^c: there is no user$/]],
  ["# none\n", [/^c: there is no user$/]],
  ["hunter2", [/^c: line 1: not NAME:SECRET$/]],
  ["alice:", [/^c: line 1: a secret has 1 to 255 bytes$/]],
  [":hunter2", [/^c: line 1: a user name has 1 to 255 bytes$/]],
  [`alice:${"s".repeat(256)}`, [/^c: line 1: a secret has 1 to 255/]],
  ["alice: hunter2", [/^c: line 1: white space around the secret$/]],
  ["alice:hunter2 ", [/^c: line 1: white space around the secret$/]],
  ["alice :hunter2", [/^c: line 1: white space around the name$/]],
  ["alice:hun\tter2", [/^c: line 1: a control character$/]],
  ["alice:hunter2\rbob:x\n", [/^c: line 1: a carriage return/]],
  ["# users\ralice:hunter2", [/^c: line 1: a carriage return/]],
  ["alice:hunter\uFFFD", [/^c: line 1: the secret is not UTF-8$/]],
  ["alice:x\n\nbob:y\nalice:hunter2\nhunter2", [
    /^c: line 4: the name is on line 1 already$/,
    /^c: line 5: not NAME:SECRET$/,
  ]],
];

for (const [text, expected] of bad) {
  test(`load() refuses the secrets ${JSON.stringify(text).slice(0, 40)}`, async () => {
    const { problems } = await assertRejects(
      () => loadFiles(["--chap-secrets=c"], { c: text }),
      ConfigError,
    );
    assertEquals(problems.length, expected.length, problems.join("\n"));
    for (const [i, it] of expected.entries()) assertMatch(problems[i], it);
    assert(!/hunter2|alice/.test(problems.join()), problems.join("\n"));
  });
}

test("load() refuses a secrets file that does not exist", async () => {
  const { problems } = await assertRejects(
    () => loadFiles(["--chap-secrets=c"], {}),
    ConfigError,
  );
  assertEquals(problems, ["c: no such file"]);
});

/** Calls `use` with the path of a secrets file, and a function that writes it with a mode. */
async function withSecrets(
  use: (
    path: string,
    write: (text: string, mode?: number) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = join(folder, "chap.secrets");
    await use(path, async (text, mode = 0o600) => {
      await writeFile(path, text);
      await chmod(path, mode);
    });
  });
}

test("socks5 refuses secrets that other users of the machine can access", async () => {
  await withSecrets(async (path, write) => {
    for (
      const [mode, shown] of [[0o644, "0644"], [0o640, "0640"], [
        0o602,
        "0602",
      ]] as const
    ) {
      await write("alice:one\n", mode);
      for (const check of [["--check"], []]) {
        const args = ["--chap-secrets", path, "--port=0", ...check];
        const { code, stdout, stderr } = await runProgram(args, mayRead);
        assertEquals([code, stdout], [2, ""]);
        assertEquals(
          stderr,
          `socks5: ${path}: its mode ${shown} lets other users of this ` +
            `machine access the secrets: run "chmod 600 ${path}"\n`,
        );
      }
    }
    await write("\uFEFF# CHAP\r\nalice:one\r\n", 0o400);
    const args = ["--chap-secrets", path, "--check", "--user=bob:two"];
    const { code, stdout, stderr } = await runProgram(args, mayRead);
    assertEquals(code, 0);
    assertMatch(stdout, /is valid: .* logins 2, /);
    assertMatch(stderr, /warning: user "bob" has no CHAP secret, .* PuTTY/);
  });
});

/** Logs in by CHAP, and passes if the target echoes. */
async function visit(
  login: string,
  port: number,
  target: number,
): Promise<void> {
  const conn = await connect(
    `socks5://${login}@${LOOPBACK}:${port}`,
    `${LOOPBACK}:${target}`,
    { auth: [chapLogin()] },
  );
  try {
    await assertEchoes(conn, login);
  } finally {
    conn.close();
  }
}

for (const workers of [1, 2]) {
  test(`socks5 reloads CHAP secrets on SIGHUP, with ${workers} workers`, async () => {
    await withSecrets((path, write) =>
      withEcho(async (target) => {
        await write("alice:one\n");
        const args = [
          "--chap-secrets",
          path,
          "--port=0",
          `--workers=${workers}`,
        ];
        await withProgram(args, async (program) => {
          const port = await program.port();
          await visit("alice:one", port, target);
          const wrong = await assertRejects(
            () => visit("alice:two", port, target),
            SocksError,
          );
          assertEquals(wrong.code, "login-failed");
          const clear = await assertRejects(
            () =>
              connect(
                `socks5://alice:one@${LOOPBACK}:${port}`,
                `${LOOPBACK}:${target}`,
                { auth: [passwordLogin()] },
              ),
            SocksError,
          );
          assertEquals(clear.code, "no-method");
          await write("alice:two\nbob:three\n");
          program.kill("SIGHUP");
          assertEquals(JSON.parse(await program.line(/"reloaded"/)).logins, 2);
          await visit("alice:two", port, target);
          await visit("bob:three", port, target);
          await assertRejects(
            () => visit("alice:one", port, target),
            SocksError,
          );
          await chmod(path, 0o644);
          program.kill("SIGHUP");
          const failed = await program.line(/"reload-failed"/);
          assertMatch(failed, /chmod 600/);
          await visit("alice:two", port, target);
        }, { mayRead: true, mayShare: workers > 1 });
      })
    );
  });
}
