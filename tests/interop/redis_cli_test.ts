/** The program with `--shared`. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { connect, SocksError } from "../../src/client/mod.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { assertEchoes, withEcho } from "../cli/echo.ts";
import { runtime, test } from "../support/harness.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";
import { missing, until, withFolder } from "./programs.ts";
import { type Redis, redisOptions, untilHeld, withRedis } from "./redis.ts";
import { missingRuntime } from "./runtimes.ts";

const skip = missingRuntime("deno") ?? missing("redis-server", "redis-cli");
const noThreads = runtime === "deno"
  ? "Deno's workers are threads, which cannot be killed from outside"
  : undefined;

interface Running {
  readonly redis: Redis;
  readonly program: Program;
  /** Logs in; returns `undefined` if that is refused. */
  login(): Promise<Conn | undefined>;
}

async function withShared(
  args: string[],
  use: (it: Running) => Promise<void>,
): Promise<void> {
  const opts = { ...await redisOptions(), users: "al:pw\n" };
  await withEcho((target) =>
    withRedis("redis-server", (redis) =>
      withProgram(
        [
          ...["--port", "0", "--max-sessions-per-user", "10"],
          ...["--shared", redis.url, ...args],
        ],
        async (program) => {
          const proxy = `socks5://al:pw@127.0.0.1:${await program.port()}`;
          const login = async () => {
            try {
              return await connect(proxy, `127.0.0.1:${target}`);
            } catch (error) {
              if (!(error instanceof SocksError)) throw error;
            }
          };
          await use({ redis, program, login });
        },
        opts,
      ))
  );
}

async function logIn(login: Running["login"], count: number): Promise<Conn[]> {
  const conns = await Promise.all(Array.from({ length: count }, login));
  return conns.filter((it) => it !== undefined);
}

for (const workers of ["1", "2"]) {
  test(
    `--shared with --workers ${workers} counts in Redis, and releases everything at its end`,
    () =>
      withShared(
        ["--workers", workers],
        async ({ redis, program, login }) => {
          const conns = await logIn(login, 30);
          assertEquals([conns.length, await redis.held()], [10, 10]);
          for (const it of conns.splice(0, 4)) it.close();
          await untilHeld(redis, 6);
          conns.push(...await logIn(login, 9));
          assertEquals(conns.length, 10);
          for (const it of conns) await assertEchoes(it, "?");
          for (const it of conns) it.close();
          await untilHeld(redis, 0);
          const conn = await login();
          program.kill("SIGTERM");
          conn?.close();
          const { code, stderr } = await program.ended;
          assertEquals([code, stderr], [0, ""]);
          assertEquals(await redis.command("ZCARD", "{socks5}:nodes"), "0");
        },
      ),
    { skip, foreign: true },
  );
}

test(
  "--shared releases what a worker has held that is killed",
  () =>
    withShared(["--workers", "2"], async ({ redis, program, login }) => {
      const { pids } = JSON.parse(await program.line(/"listening"/));
      const conns = await logIn(login, 10);
      assertEquals(await redis.held(), 10);
      for (const pid of pids) process.kill(pid, "SIGKILL");
      await untilHeld(redis, 0);
      await program.lines(/"worker-started"/, 2);
      for (const it of conns) it.close();
      const more = await logIn(login, 12);
      assertEquals(more.length, 10);
      for (const it of more) it.close();
    }),
  { skip: skip ?? noThreads, foreign: true },
);

test(
  "--shared logs when Redis is lost and found, and has metrics of it",
  () =>
    withShared(
      ["--metrics", "127.0.0.1:0", "--workers", "2"],
      async ({ redis, program, login }) => {
        const { metrics } = JSON.parse(await program.line(/"listening"/));
        const up = async () => {
          const text = await (await fetch(metrics)).text();
          return /^socks5_shared_up (\d)$/m.exec(text)?.[1];
        };
        assertEquals(await up(), "1");
        redis.signal("SIGKILL");
        await redis.stop();
        const conns = await logIn(login, 12);
        // Each worker asks its supervisor, which counts for the machine.
        assertEquals(conns.length, 10);
        const lost = JSON.parse(await program.line(/"shared-lost"/));
        assertEquals(lost.strict, false);
        assertEquals(await up(), "0");
        await redis.start();
        await program.line(/"shared-found"/);
        assertEquals([await up(), await redis.held()], ["1", 10]);
        for (const it of conns) it.close();
        await untilHeld(redis, 0);
      },
    ),
  { skip, foreign: true },
);

test(
  "--shared starts without Redis, and with --shared-strict it does not",
  async () => {
    const opts = { ...await redisOptions(), users: "al:pw\n" };
    const url = "redis://al:s3cret@127.0.0.1:1";
    await withProgram(["--port", "0", "--shared", url], async (program) => {
      await program.port();
      const { error } = JSON.parse(await program.line(/"shared-lost"/));
      program.kill("SIGTERM");
      const { code, stdout } = await program.ended;
      assertEquals([code, stdout.includes("s3cret")], [0, false]);
      assert(error.length > 0);
    }, opts);
    const { code, stdout, stderr } = await runProgram(
      ["--port", "0", "--shared", url, "--shared-strict"],
      opts,
    );
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^socks5: the limits cannot be shared: .*\n$/);
    assertEquals(stderr.includes("s3cret"), false);
  },
  { skip, foreign: true },
);

test(
  "--shared rejects a wrong password without showing it",
  () =>
    withRedis(
      "redis-server",
      async (redis) => {
        const url = `redis://:wr0ng@127.0.0.1:${redis.port}`;
        const { code, stderr } = await runProgram(
          ["--port", "0", "--shared", url, "--shared-strict"],
          { ...await redisOptions(), users: "al:pw\n" },
        );
        assertEquals([code, stderr.includes("wr0ng")], [1, false]);
      },
      "--requirepass",
      "s3cret",
    ),
  { skip, foreign: true },
);

test(
  "--shared reads the URL from a file, and --check does not show its password",
  () =>
    withFolder(async (folder) => {
      const file = join(folder, "config.json");
      const shared = "rediss://al:s3cret@redis.example/2";
      await writeFile(file, JSON.stringify({ shared }));
      const { code, stdout, stderr } = await runProgram(
        ["--check", "--config", file],
        { mayRead: true },
      );
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /limits shared in rediss:\/\/redis\.example:6379$/m);
      await writeFile(file, JSON.stringify({ shared: "redis://:s3cret@" }));
      const bad = await runProgram(["--check", "--config", file], {
        mayRead: true,
      });
      assertEquals([bad.code, bad.stderr.includes("s3cret")], [2, false]);
    }),
);

test(
  "--shared says how to install the package that it needs",
  () =>
    withRedis("redis-server", async ({ url }) => {
      const { code, stderr } = await runProgram(
        ["--port", "0", "--shared", url],
        { env: { NODE_PATH: "" } },
      );
      assertEquals(code, 2);
      const hint = runtime === "deno"
        ? /--allow-env=REDIS_DEBUG_MAINTENANCE,REDIS_EMIT_DIAGNOSTICS/
        : /`npm install redis`/;
      assertMatch(stderr, hint);
    }),
  {
    skip: runtime === "bun" ? "Bun has a client of its own" : skip,
    foreign: true,
  },
);

test(
  "--shared connects to a Unix socket",
  async () => {
    const opts = { ...await redisOptions(), users: "al:pw\n" };
    await withRedis("redis-server", async (redis) => {
      const url = `unix:${join(redis.folder, "socket")}`;
      const args = ["--port", "0", "--shared", url, "--shared-strict"];
      await withProgram(args, async (program) => {
        await program.port();
        await until(
          "it is a node",
          async () => await redis.command("ZCARD", "{socks5}:nodes") === "1",
        );
      }, { ...opts, mayWrite: true });
    });
  },
  { skip, foreign: true },
);
