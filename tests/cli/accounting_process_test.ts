/** Accounting of the program: quotas, records, and totals that survive whatever ends it. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readState } from "../../src/cli/accounting/state_file.ts";
import { connect, SocksError } from "../../src/client/mod.ts";
import { hashPassword } from "../../src/server/mod.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import {
  type Program,
  type ProgramOptions,
  runProgram,
  withProgram,
} from "../support/spawn.ts";
import { assertEchoes, LOOPBACK, withEcho } from "./echo.ts";

const mayKeep = { mayRead: true, mayWrite: true };

interface Files {
  readonly users: string;
  readonly state: string;
  /** Writes the users file: the attributes of alice; bob has none. */
  grant(attributes: string): Promise<void>;
}

async function withFiles(use: (files: Files) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "acct-"));
  const hash = await hashPassword("pw", { iterations: 1 });
  const users = join(folder, "users");
  const grant = (attributes: string) =>
    writeFile(users, `alice:${hash}${attributes}\nbob:${hash}\n`);
  await grant("");
  try {
    await use({ users, state: join(folder, "usage.json"), grant });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The arguments of a server that counts. */
const argsOf = ({ users, state }: Files, interval = "200ms") => [
  ...["--port", "0", "--users-file", users],
  ...["--accounting", interval, "--accounting-file", state],
];

async function open(
  program: Program,
  target: number,
  user = "alice",
): Promise<Conn> {
  const url = `socks5://${user}:pw@${LOOPBACK}:${await program.port()}`;
  return await connect(url, `${LOOPBACK}:${target}`);
}

async function totalOf(path: string, user = "alice") {
  return (await readState(path)).find((it) => it.user === user)?.total;
}

/** Sends the signal and waits for the end. */
async function stop(program: Program): Promise<void> {
  program.kill("SIGTERM");
  assertEquals((await program.ended).code, 0);
}

test("--accounting logs usage records, and --accounting-file keeps totals over restarts", () =>
  withFiles((files) =>
    withEcho(async (target) => {
      for (let run = 1; run <= 3; run++) {
        await withProgram(argsOf(files), async (program) => {
          const conn = await open(program, target);
          await assertEchoes(conn, "x".repeat(1_000));
          await program.line(/"type":"usage"/);
          await assertEchoes(conn, "y".repeat(10));
          conn.close();
          await stop(program);
          const { stdout } = await program.ended;
          const records = stdout.split("\n")
            .filter((it) => it.includes('"type":"usage"'))
            .map((it) => JSON.parse(it));
          const sum = (key: string) =>
            records.reduce((all, it) => all + it[key], 0);
          assertEquals(["sent", "received", "sessions"].map(sum), [
            1_010,
            1_010,
            1,
          ]);
          const { time: _, type: __, ...record } = records[0];
          assertEquals(
            Object.keys(record).join(),
            "user,sent,received,sessions",
          );
          assertEquals(record.user, "alice");
        }, mayKeep);
        const bytes = 1_010 * run;
        const total = { sent: bytes, received: bytes, sessions: run };
        assertEquals(await totalOf(files.state), total);
      }
    })
  ));

test("--accounting without a file logs the rest at the end, as text too", () =>
  withFiles((files) =>
    withEcho((target) =>
      withProgram(
        ["--port", "0", "--users-file", files.users, "--accounting", "1h"]
          .concat("--log", "text"),
        async (program) => {
          const conn = await open(program, target);
          await assertEchoes(conn, "x".repeat(1_000));
          conn.close();
          program.kill("SIGTERM");
          const { stdout, code } = await program.ended;
          assertEquals(code, 0);
          assertMatch(stdout, / usage alice 1k\/1k 1 session$/m);
        },
        { mayRead: true },
      )
    )
  ));

const workers: [name: string, args: string[], options: ProgramOptions][] = [
  ["", [], mayKeep],
  [" with two workers", ["--workers", "2"], { ...mayKeep, mayShare: true }],
];

for (const [name, more, options] of workers) {
  test(`socks5 users lists totals, quotas and expiry${name}`, () =>
    withFiles((files) =>
      withEcho(async (target) => {
        await files.grant(" quota=20k/month until=2100-01-01");
        const place = ["--admin", `unix:${files.state}.sock`];
        const args = [...argsOf(files), ...more, ...place];
        await withProgram(args, async (program) => {
          const conn = await open(program, target);
          await assertEchoes(conn, "x".repeat(1_000));
          await program.line(/"type":"usage"/);
          const table = await runProgram(["users", ...place], mayKeep);
          assertMatch(
            table.stdout,
            /^USER +SESSIONS +UP +DOWN +TODAY +MONTH +QUOTA +UNTIL\nalice +1 +1k +1k +2k +2k +2k of 20k\/month +2100-01-01\n/,
          );
          conn.close();
          await stop(program);
        }, options);
      })
    ));
}

for (const [name, more, options] of workers) {
  test(`a quota ends all sessions of its user, over restarts too${name}`, () =>
    withFiles((files) =>
      withEcho(async (target) => {
        await files.grant(" quota=20k/month");
        const args = [...argsOf(files), ...more];
        await withProgram(args, async (program) => {
          await program.port();
          // So many that all workers have some.
          const conns = await Promise.all(
            Array.from({ length: 12 }, () => open(program, target)),
          );
          const other = await open(program, target, "bob");
          const text = "x".repeat(850); // 20,400 bytes in all
          await Promise.all(conns.map((it) => assertEchoes(it, text)));
          const ends = await program.lines(/"reason":"quota"/, 12);
          assert(ends.every((it) => JSON.parse(it).user === "alice"));
          const error = await assertRejects(
            () => open(program, target),
            SocksError,
          );
          assertEquals(error.reply, 2);
          const line = await program.line(/"reason":"refused"/);
          assertMatch(JSON.parse(line).error, /quota/);
          assertEquals(JSON.parse(line).verdict, undefined);
          await assertEchoes(other, text);
          other.close();
          for (const it of conns) it.close();
          await stop(program);
        }, options);
        assertEquals(await totalOf(files.state), {
          sent: 10_200,
          received: 10_200,
          sessions: 12,
        });
        await withProgram(args, async (program) => {
          await assertRejects(() => open(program, target), SocksError);
          await files.grant(" quota=1M/month");
          program.kill("SIGHUP");
          await program.line(/"reloaded"/);
          const conn = await open(program, target);
          await files.grant(" until=2026-01-01");
          program.kill("SIGHUP");
          await program.lines(/"reloaded"/, 2);
          await program.line(/"reason":"expired"/);
          conn.close();
          await stop(program);
        }, options);
      })
    ));

  test(
    `kill -9 loses at most one interval of accounting${name}`,
    () =>
      withFiles((files) =>
        withEcho(async (target) => {
          const args = [...argsOf(files, "200ms"), ...more];
          let before = 0;
          for (let run = 0; run < 10; run++) {
            await withProgram(args, async (program) => {
              const conn = await open(program, target);
              // The bytes that were echoed, and when.
              const echoed: [time: number, bytes: number][] = [];
              const end = performance.now() + 100 + Math.random() * 1_400;
              for (let bytes = 0; performance.now() < end;) {
                await assertEchoes(conn, "x".repeat(1_000));
                echoed.push([performance.now(), bytes += 1_000]);
              }
              const killed = performance.now();
              program.kill("SIGKILL");
              await program.ended;
              conn.close();
              const { sent = 0 } = await totalOf(files.state) ?? {};
              // A busy machine needs time to notice the interval, to save and to kill.
              const counted = echoed.findLast(([time]) =>
                time < killed - 200 - 400
              );
              const least = before + (counted?.[1] ?? 0);
              const most = before + (echoed.at(-1)?.[1] ?? 0) + 1_000;
              assert(sent >= least && sent <= most, `${least} ${sent} ${most}`);
              before = sent;
            }, options);
          }
          assert(before > 0);
        })
      ),
    { timeout: 120_000 },
  );
}

test("--accounting-file refuses a damaged file, and leaves it as it is", () =>
  withFiles(async (files) => {
    await writeFile(files.state, '{"version":1,"users":[\n{"user":"ali');
    const { code, stderr } = await runProgram(argsOf(files), mayKeep);
    assertEquals(code, 1);
    assertMatch(stderr, /^socks5: the accounting file \S+ is damaged \(.*\n$/);
    assertMatch(stderr, /restore a copy of it, or move it away/);
    assertMatch(await readFile(files.state, "utf8"), /ali$/);
    const checked = await runProgram([...argsOf(files), "--check"], mayKeep);
    assertEquals(checked.code, 1);
    assertMatch(checked.stderr, /is damaged/);
  }));

test("--accounting-file refuses a file that another program uses, but not after a crash of that", () =>
  withFiles((files) =>
    withProgram(argsOf(files), async (program) => {
      await program.port();
      const { code, stderr } = await runProgram(argsOf(files), mayKeep);
      assertEquals(code, 1);
      assertMatch(stderr, /cannot be locked: another program uses it/);
      program.kill("SIGKILL");
      await program.ended;
      await withProgram(argsOf(files), async (next) => {
        await next.port();
        await stop(next);
      }, mayKeep);
    }, mayKeep)
  ));

test("a second signal saves the usage of sessions that it cuts off", () =>
  withFiles((files) =>
    withEcho((target) =>
      withProgram(
        [...argsOf(files, "1h"), "--grace", "1h"],
        async (program) => {
          const conn = await open(program, target);
          await assertEchoes(conn, "x".repeat(500));
          program.kill("SIGTERM");
          await program.line(/"shutdown"/);
          program.kill("SIGINT");
          assertEquals((await program.ended).code, 130);
          conn.close();
          const usage = { sent: 500, received: 500, sessions: 1 };
          assertEquals(await totalOf(files.state), usage);
        },
        mayKeep,
      )
    )
  ));

for (const [name, more, options] of workers) {
  test(`a shutdown saves the usage of sessions that it ends${name}`, () =>
    withFiles((files) =>
      withEcho(async (target) => {
        const args = [...argsOf(files, "1h"), "--grace", "0s", ...more];
        await withProgram(args, async (program) => {
          await program.port();
          const conns = await Promise.all(
            Array.from({ length: 8 }, () => open(program, target)),
          );
          await Promise.all(conns.map((it) => assertEchoes(it, "12345")));
          await stop(program);
          for (const it of conns) it.close();
        }, options);
        const usage = { sent: 40, received: 40, sessions: 8 };
        assertEquals(await totalOf(files.state), usage);
      })
    ));
}

test("--check shows the accounting", () =>
  withFiles(async (files) => {
    const { code, stdout } = await runProgram(
      [...argsOf(files, "60s"), "--check"],
      mayKeep,
    );
    assertEquals(code, 0);
    assertMatch(stdout, /, accounting every \S+ in \S+usage\.json/);
  }));

const refusals: [args: string[], reason: RegExp][] = [
  [["--accounting-file", "x"], /needs an interval: --accounting 60s/],
  [
    ["--accounting-file", "x", "--accounting", "0"],
    /needs an interval: --accounting 60s/,
  ],
  [["--accounting", "60"], /has no unit/],
];

for (const [args, reason] of refusals) {
  test(`the program refuses ${args.join(" ")}`, async () => {
    const { code, stderr } = await runProgram(["--port", "0", ...args]);
    assertEquals(code, 2);
    assertMatch(stderr, reason);
  });
}

test("the program reports malformed attributes by file and line", () =>
  withFiles(async (files) => {
    await files.grant(" quota=50G rate=1M");
    const { code, stderr } = await runProgram(argsOf(files), mayKeep);
    assertEquals(code, 2);
    assertMatch(stderr, /users: line 1: quota must be bytes a day or a month/);
  }));
