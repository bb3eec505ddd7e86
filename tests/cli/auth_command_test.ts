/** `--auth-command`: logins that a program verifies. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect, SocksError } from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import { runProgram, withProgram } from "../support/spawn.ts";
import { withFolder } from "../interop/programs.ts";
import { assertEchoes, LOOPBACK, withEcho } from "./echo.ts";
import { writeFile } from "node:fs/promises";

const mayRun = { mayRun: true, mayRead: true };

/** A program that accepts the password `pw`; its first argument is a reason to fail. */
const SCRIPT = `while read -r name password; do
  case "$password" in
    pw) echo OK ;;
    broken) echo what ;;
    *) echo ERR ;;
  esac
done
`;

/** Writes the program, and returns the flags for it. */
async function writeScript(folder: string): Promise<string[]> {
  await writeFile(`${folder}/verify.sh`, SCRIPT);
  return ["--auth-command", `/bin/sh ${folder}/verify.sh`];
}

async function codeOf(url: string): Promise<string> {
  const error = await assertRejects(() => connect(url, "127.0.0.1:1"));
  assert(error instanceof SocksError);
  return error.code;
}

for (const workers of ["1", "2"]) {
  test(`socks5 --auth-command verifies logins, with ${workers} workers`, async () => {
    await withFolder((folder) =>
      withEcho(async (port) => {
        const echo = `${LOOPBACK}:${port}`;
        const args = ["--port=0", `--workers=${workers}`, "--log=json"];
        args.push(...await writeScript(folder), "--http");
        const options = { ...mayRun, mayShare: workers !== "1" };
        await withProgram(args, async (program) => {
          const at = `${LOOPBACK}:${await program.port()}`;
          const conn = await connect(`socks5://alice:pw@${at}`, echo);
          await assertEchoes(conn, "socks");
          conn.close();
          const byHttp = await connect(`http://bob:pw@${at}`, echo);
          await assertEchoes(byHttp, "http");
          byHttp.close();
          assertEquals(await codeOf(`socks5://alice:no@${at}`), "login-failed");
          assertEquals(await codeOf(`socks5://a:broken@${at}`), "login-failed");
          assertEquals(await codeOf(`socks5://${at}`), "no-method");
          const listening = JSON.parse(await program.line(/"listening"/));
          assertEquals([listening.logins, listening.authCommand], [0, true]);
          await program.line(/"login-error"/);
          assertMatch(await program.line(/"bob"/), /"target"/);
        }, options);
      })
    );
  });
}

test("socks5 --auth-command locks out an address after failed logins", async () => {
  await withFolder(async (folder) => {
    const args = [
      "--port=0",
      "--failed-logins=2",
      ...await writeScript(folder),
    ];
    await withProgram(args, async (program) => {
      const at = `${LOOPBACK}:${await program.port()}`;
      for (const it of ["no", "no", "pw"]) {
        assertEquals(
          await codeOf(`socks5://alice:${it}@${at}`),
          "login-failed",
        );
      }
    }, mayRun);
  });
});

test("socks5 --auth-command allows a server beyond loopback, and rules for any user", async () => {
  await withFolder(async (folder) => {
    const args = ["--check", "--hostname=0.0.0.0", "--allow=user carol *:443"];
    args.push(...await writeScript(folder));
    const { code, stdout, stderr } = await runProgram(args, mayRun);
    assertMatch(stdout, /valid: 0\.0\.0\.0:1080, .* logins by a program$/m);
    assertEquals([code, stderr], [0, ""]);
  });
});

/** Flags, and the error at the start. */
const refused: [args: string[], error: RegExp][] = [
  [["--auth-command=/nowhere/x hunter2"], /: the program does not exist$/m],
  [["--auth-command=/etc/passwd"], /must not be executed by this user$/m],
  [["--auth-command= "], /must be a program and its arguments/],
  [["--auth-command=/bin/cat", "--user=a:hunter2"], /verifies all passwords/],
  [["--auth-command=/bin/cat", "--auth-processes=0"], /cannot be 0/],
  [["--auth-timeout=1s"], /need a program: add --auth-command/],
];

for (const [args, error] of refused) {
  test(`socks5 ${args.join(" ")} is an error at the start`, async () => {
    const { code, stdout, stderr } = await runProgram(
      ["--port=0", ...args],
      mayRun,
    );
    assertMatch(stderr, error);
    assert(!stderr.includes("hunter2"), stderr);
    assertEquals([code, stdout], [2, ""]);
  });
}
