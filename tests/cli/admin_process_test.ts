/** The program with `--admin`, and the commands that speak to it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/mod.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { runtime, test } from "../support/harness.ts";
import {
  type Program,
  type ProgramOptions,
  runProgram,
  withProgram,
} from "../support/spawn.ts";
import { assertEchoes, LOOPBACK, withEcho } from "./echo.ts";
import { ask } from "./admin/fixture.ts";

const FILES: ProgramOptions = { mayRead: true, mayWrite: true };
const SHARED: ProgramOptions = { ...FILES, mayShare: true };
const TOKEN = "0123456789abcdef0123456789abcdef";

async function withFolder(use: (folder: string) => Promise<void>) {
  const folder = await mkdtemp(join(tmpdir(), "socks5-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Listening {
  readonly proxy: string;
  readonly admin: string;
}

async function listening(program: Program): Promise<Listening> {
  const line = JSON.parse(await program.line(/"listening"/));
  return { proxy: line.url.replace("//", "//alice:pw@"), admin: line.admin };
}

/** Runs a command, and returns its output. */
async function command(
  args: string[],
  options: ProgramOptions = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await runProgram(args, {
    ...FILES,
    ...options,
  });
  return { code, stdout, stderr };
}

for (const workers of [1, 2]) {
  test(`socks5 sessions, users, end and drain speak to a server with ${workers} workers`, () =>
    withFolder((folder) =>
      withEcho(async (port) => {
        const path = join(folder, "admin.sock");
        const place = `unix:${path}`;
        const args = ["--port=0", "--user=alice:pw", `--workers=${workers}`];
        await withProgram([...args, `--admin=${place}`], async (program) => {
          const { proxy, admin } = await listening(program);
          assertEquals(admin, place);
          assertEquals((await stat(path)).mode & 0o777, 0o600);
          const target = { hostname: LOOPBACK, port };
          const conns = await Promise.all(
            Array.from({ length: 8 }, () => connect(proxy, target)),
          );
          for (const it of conns) await assertEchoes(it, "hello");
          const page = (await ask({ path }, "GET", "/sessions")).body;
          assertEquals([page.total, page.missing], [8, undefined]);
          const ids = page.sessions.map(({ id }: { id: string }) => id);
          const pattern = workers === 1 ? /^\d+$/ : /^[12]-\d+$/;
          for (const id of ids) assertMatch(id, pattern);
          assertEquals(new Set(ids).size, 8);

          const listed = await command([
            "sessions",
            ...["--admin", place, "--user", "alice", "--limit", "5"],
          ]);
          assertEquals([listed.code, listed.stderr], [0, ""]);
          const lines = listed.stdout.split("\n");
          assertMatch(lines[0], /^ *ID +USER +CLIENT +TARGET +STATE +UP +DOWN/);
          assertMatch(lines[1], new RegExp(` alice .*:${port} +relay +5 +5 `));
          assertEquals(lines[6], "the first 5 of 8 sessions, see --limit");
          const users = await command(["users", "--admin", place, "--json"]);
          const [alice] = JSON.parse(users.stdout).users;
          assertEquals(alice, {
            name: "alice",
            sessions: 8,
            sent: 40,
            received: 40,
          });
          const one = await command(["end", "--admin", place, ids[0]]);
          assertEquals(one.stdout, "1 session ended\n");
          const both = [ids[0], ids[1]];
          const two = await command(["end", "--admin", place, ...both]);
          assertEquals([two.code, two.stdout, two.stderr], [
            1,
            "1 session ended\n",
            `socks5 end: there is no session ${ids[0]}\n`,
          ]);
          const rest = await command(["end", "--admin", place, "--all"]);
          assertEquals(rest.stdout, "6 sessions ended\n");
          for (const it of conns) {
            assertEquals(await it.read().catch(() => null), null);
            it.close();
          }
          const acts = await program.lines(/"type":"admin"/, 3);
          const [first, , last] = acts.map((it) => JSON.parse(it));
          assertEquals(
            [first.act, first.client, first.filter, first.count],
            ["end", "unix", { id: ids[0] }, 1],
          );
          assertEquals([last.filter, last.count], [{}, 6]);
          const drained = await command(["drain", "--admin", place]);
          assertEquals(drained.stdout, "the server shuts down\n");
          const { code, stderr } = await program.ended;
          assertEquals([code, stderr], [0, ""]);
          const gone = await command(["sessions", "--admin", place]);
          assertEquals(gone.code, 1);
          assertMatch(gone.stderr, /no answer from unix:.*--admin there\?\n$/);
          assertEquals(existsSync(path), false);
        }, SHARED);
      })
    ));
}

test("--admin PORT makes a token, and prints it only once to the standard error", () =>
  withProgram(["--port=0", "--admin=0"], async (program) => {
    const { admin } = await listening(program);
    assertMatch(admin, /^http:\/\/127\.0\.0\.1:\d+\/$/);
    const { hostname: host, port } = new URL(admin);
    const place = { host, port: Number(port) };
    assertEquals((await ask(place, "GET", "/status")).status, 401);
    assertEquals((await ask(place, "GET", "/")).status, 200);
    program.kill("SIGTERM");
    const { code, stdout, stderr } = await program.ended;
    assertEquals(code, 0);
    const begin = `socks5: the console is on ${admin}#token=`;
    assertEquals(stderr.slice(0, begin.length), begin);
    const token = stderr.slice(begin.length).trimEnd();
    assertMatch(token, /^[\w-]{43}$/);
    assert(!stdout.includes(token));
  }));

test("socks5 unlock lists and unlocks clients, with a token of a file or of the URL", () =>
  withFolder(async (folder) => {
    const file = join(folder, "token");
    await writeFile(file, `${TOKEN}\n`, { mode: 0o600 });
    const args = ["--port=0", "--user=alice:pw", "--failed-logins=1"];
    const admin = ["--admin=0", "--admin-token-file", file];
    await withProgram([...args, ...admin], async (program) => {
      const { proxy, admin } = await listening(program);
      const wrong = proxy.replace("pw", "wrong");
      const target = { hostname: LOOPBACK, port: 9 };
      await connect(wrong, target).catch(() => {});
      const token = ["--token-file", file];
      const place = ["--admin", admin];
      const list = await command(["unlock", "--list", ...place, ...token]);
      assertMatch(
        list.stdout,
        /^CLIENT +FAILED +UNTIL\n127\.0\.0\.1 +1 +20.*Z\n1 client locked out\n$/,
      );
      const url = `${admin}#token=${TOKEN}`;
      const env = { env: { SOCKS5_ADMIN: url }, mayReadEnv: true };
      const unlocked = await command(["unlock", LOOPBACK], env);
      assertEquals([unlocked.code, unlocked.stdout], [
        0,
        "1 client unlocked\n",
      ]);
      const none = await command(["unlock", "--all", "--json"], env);
      assertEquals(JSON.parse(none.stdout), { unlocked: 0 });
      const without = await command(["sessions", ...place]);
      assertEquals([without.code, without.stdout], [1, ""]);
      assertMatch(
        without.stderr,
        /a token is needed.*: give --token-file FILE/,
      );
      // The file is read again with the others.
      const next = `next-${TOKEN}`;
      await writeFile(file, next);
      program.kill("SIGHUP");
      await program.line(/"type":"reloaded"/);
      const old = await command(["users"], env);
      assertEquals(old.code, 1);
      const now = await command(["users", ...place, ...token]);
      assertEquals([now.code, now.stdout], [0, "0 users\n"]);
      await writeFile(file, "short");
      const { host, port } = {
        host: LOOPBACK,
        port: Number(new URL(admin).port),
      };
      const headers = { authorization: `Bearer ${next}` };
      const reload = await ask({ host, port }, "POST", "/reload", headers);
      assertEquals(reload.status, 409);
      assertMatch(reload.body.problems[0], /token: must have one token of 16/);
      assert(!reload.text.includes("short"));
      const after = await ask({ host, port }, "GET", "/status", headers);
      assertEquals(after.status, 200);
      const { stdout } = await (program.kill("SIGTERM"), program.ended);
      assert(!stdout.includes(TOKEN));
    }, FILES);
  }));

test("POST /drain keeps the drain delay and the grace time, which a signal then ends", () =>
  withFolder((folder) =>
    withEcho(async (port) => {
      const path = join(folder, "admin.sock");
      const args = ["--port=0", "--drain-delay=50ms", "--grace=1h"];
      const admin = `--admin=unix:${path}`;
      await withProgram([...args, admin], async (program) => {
        const line = JSON.parse(await program.line(/"listening"/));
        const conn = await connect(line.url, { hostname: LOOPBACK, port });
        assertEquals((await ask({ path }, "POST", "/drain")).status, 200);
        const drain = JSON.parse(await program.line(/"type":"drain"/));
        assertEquals([drain.signal, drain.delay], ["admin", 50]);
        await program.line(/"type":"shutdown"/);
        const { body } = await ask({ path }, "GET", "/status");
        assertEquals([body.isDraining, body.sessions], [true, 1]);
        assertEquals((await ask({ path }, "POST", "/drain")).status, 200);
        await assertEchoes(conn, "still here");
        program.kill("SIGTERM");
        assertEquals((await program.ended).code, 143);
        conn.close();
      }, FILES);
    })
  ));

test("--admin unix:PATH replaces a socket that a killed server has left, and no other file", () =>
  withFolder(async (folder) => {
    const path = join(folder, "admin.sock");
    const args = ["--port=0", `--admin=unix:${path}`];
    await withProgram(args, async (program) => {
      await listening(program);
      const { code, stderr } = await runProgram(args, FILES);
      assertEquals([code, stderr], [
        3,
        `socks5: unix:${path} is in use: choose another path for --admin\n`,
      ]);
      assertEquals((await ask({ path }, "GET", "/status")).status, 200);
      program.kill("SIGKILL");
      await program.ended;
    }, FILES);
    assertEquals(existsSync(path), true);
    await withProgram(args, async (program) => {
      await listening(program);
      const { status } = await ask({ path }, "GET", "/status");
      assertEquals(status, 200);
      const host = "evil.example";
      const other = await ask({ path }, "GET", "/status", { host });
      assertEquals(other.status, 421);
    }, FILES);
    await rm(path, { force: true });
    await writeFile(path, "keep");
    const { code } = await runProgram(args, FILES);
    assertEquals([code, (await stat(path)).size], [3, 4]);
  }));

test("--admin ends the program with 3 when the port is in use", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as { port: number };
  const { code, stderr } = await runProgram(["--port=0", `--admin=${port}`]);
  assertEquals([code, stderr], [
    3,
    `socks5: ${LOOPBACK}:${port} is in use: choose another port for --admin\n`,
  ]);
  await new Promise((resolve) => server.close(resolve));
});

test("--admin unix:PATH leaves no socket behind when the server cannot start", () =>
  withFolder((folder) =>
    withEcho(async (port) => {
      const path = join(folder, "admin.sock");
      const args = [`--port=${port}`, `--admin=unix:${path}`];
      const { code } = await runProgram(args, FILES);
      assertEquals([code, existsSync(path)], [3, false]);
    })
  ));

test("--admin is refused where others could reach it without a chosen token", () =>
  withFolder(async (folder) => {
    const file = join(folder, "token");
    await writeFile(file, TOKEN, { mode: 0o600 });
    const open = join(folder, "open");
    await writeFile(open, TOKEN);
    await chmod(open, 0o644);
    const short = join(folder, "short");
    await writeFile(short, "0123456789abcde", { mode: 0o600 });
    for (
      const [args, message] of [
        [["--admin=0.0.0.0:9000"], /0\.0\.0\.0:9000 can be reached from other/],
        [["--admin=[::]:0"], /\[::\]:0 can be reached .* --admin-token-file/],
        [["--admin=192.0.2.1:0"], /can be reached from other machines/],
        [["--admin=0", `--admin-token-file=${open}`], /its mode 0644 lets/],
        [["--admin=0", `--admin-token-file=${short}`], /16 to 512 ASCII/],
        [[`--admin-token-file=${file}`], /no effect: there is no --admin/],
        [
          ["--admin=unix:/x", `--admin-token-file=${file}`],
          /a Unix socket needs no token/,
        ],
        [["--admin=1080"], /--admin cannot be on 127\.0\.0\.1:1080, where the/],
        [
          ["--metrics=9180", "--admin=127.0.0.1:9180"],
          /cannot be on 127\.0\.0\.1:9180, where the server or --metrics/,
        ],
        [["--admin=unix:"], /--admin must be PORT, ADDRESS:PORT or unix:PATH/],
        [["--admin=evil"], /--admin must be PORT, ADDRESS:PORT or unix:PATH/],
      ] as [string[], RegExp][]
    ) {
      const { code, stdout, stderr } = await runProgram(
        ["--check", ...args],
        FILES,
      );
      assertEquals([code, stdout], [2, ""], args.join(" "));
      assertMatch(stderr, message);
      assert(!stderr.includes(TOKEN));
    }
    const given = ["--admin=0.0.0.0:0", `--admin-token-file=${file}`];
    const { code } = await runProgram(["--check", ...given], FILES);
    assertEquals(code, 0);
  }));

test("the commands explain what is wrong with their arguments", async () => {
  for (
    const [args, code, message] of [
      [["sessions"], 2, /which server\? Give --admin unix:PATH/],
      [["sessions", "x", "--admin=1"], 2, /takes only flags/],
      [["sessions", "--admin=ftp://x"], 2, /--admin must be unix:PATH/],
      [["sessions", "--admin=http://h/#token=hunter2"], 2, /--admin must be/],
      [["end", "--admin=1"], 2, /needs ids, filters such as --user NAME, or/],
      [["end", "--all", "--user=a", "--admin=1"], 2, /only one of these/],
      [["end", "1", "--all", "--admin=1"], 2, /only one of these/],
      [["end", "alice", "--admin=1"], 2, /ids of sessions, such as 17/],
      [["end", "--user=", "--admin=1"], 2, /--user needs a value/],
      [["unlock", "--admin=1"], 2, /needs addresses, --list or --all/],
      [["unlock", "example.com", "--admin=1"], 2, /takes IP addresses/],
      [["drain", "now", "--admin=1"], 2, /takes only flags/],
      [["users", "--admin=127.0.0.1:1"], 1, /no answer from 127\.0\.0\.1:1 /],
    ] as [string[], number, RegExp][]
  ) {
    const { code: found, stdout, stderr } = await command(args);
    assertEquals([found, stdout], [code, ""], args.join(" "));
    assertMatch(stderr, message);
    assert(!stderr.includes("hunter2"));
  }
  for (const name of ["sessions", "end", "users", "unlock", "drain"]) {
    const { stdout } = await command(["help", name]);
    assertMatch(stdout, new RegExp(`^Usage: socks5 ${name} \\[FLAGS\\]`));
    assertEquals(stdout.split("\n").filter((it) => it.length > 80), []);
  }
});

test(
  "a worker that is killed is left out of answers until its successor is there",
  () =>
    withFolder(async (folder) => {
      const path = join(folder, "admin.sock");
      const args = ["--port=0", "--workers=2", `--admin=unix:${path}`];
      await withProgram(args, async (program) => {
        const { pids } = JSON.parse(await program.line(/"listening"/));
        const { default: process } = await import("node:process");
        process.kill(pids[0], "SIGSTOP");
        try {
          const { status, body } = await ask({ path }, "GET", "/sessions");
          assertEquals([status, body.missing], [200, 1]);
          await ask({ path }, "GET", "/users");
          // The next requests do not wait for it.
          for (const target of ["/sessions", "/users"]) {
            const waits = performance.now();
            const next = await ask({ path }, "GET", target);
            assertEquals(next.body.missing, 1);
            const waited = performance.now() - waits;
            assert(waited < 900, `${target} waited ${waited} ms`);
          }
        } finally {
          process.kill(pids[0], "SIGKILL");
        }
        await program.line(/"worker-started"/);
        const after = await ask({ path }, "GET", "/sessions");
        assertEquals(after.body.missing, undefined);
      }, SHARED);
    }),
  {
    skip: runtime === "deno" ? "workers are threads of one process" : undefined,
  },
);

test(
  "an id of a session of a killed worker means no other session, in the log and the commands",
  () =>
    withFolder((folder) =>
      withEcho(async (port) => {
        const path = join(folder, "admin.sock");
        const place = `--admin=unix:${path}`;
        const args = ["--port=0", "--user=alice:pw", "--workers=2", place];
        await withProgram(args, async (program) => {
          const line = JSON.parse(await program.line(/"listening"/));
          const proxy = line.url.replace("//", "//alice:pw@");
          const conns: Conn[] = [];
          const list = async () => {
            const { body } = await ask({ path }, "GET", "/sessions?sort=id");
            return body.sessions.map(({ id }: { id: string }) => id);
          };
          /** Opens sessions until each of two workers has one, and returns all ids. */
          const openBoth = async (): Promise<string[]> => {
            for (;;) {
              const ids: string[] = await list();
              if (new Set(ids.map((it) => it[0])).size === 2) return ids;
              conns.push(await connect(proxy, { hostname: LOOPBACK, port }));
            }
          };
          const before = await openBoth();
          const { default: process } = await import("node:process");
          process.kill(line.pids[0], "SIGKILL");
          await program.line(/"worker-started"/);
          const after = await openBoth();
          const gone = before.filter((it) => it.startsWith("1-"));
          assertEquals(after.filter((it) => gone.includes(it)), []);
          const end = await command(["end", place, ...gone]);
          assertEquals([end.code, end.stdout], [1, "0 sessions ended\n"]);
          assertEquals(await list(), after);
          const last = after.at(-1)!;
          assertMatch(last, /^3-\d+$/);
          const ended = await command(["end", place, last]);
          assertEquals([ended.code, ended.stdout], [0, "1 session ended\n"]);
          const { worker, id } = JSON.parse(
            await program.line(/"session-end".*"worker":3/),
          );
          assertEquals(`${worker}-${id}`, last);
          for (const it of conns) it.close();
        }, SHARED);
      })
    ),
  {
    skip: runtime === "deno"
      ? "workers are threads of one process: see workers_test.ts"
      : undefined,
  },
);
