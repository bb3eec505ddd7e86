/** Quotas that hold over two machines by `--shared`, also while Redis is away. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, SocksError } from "../../src/client/mod.ts";
import { hashPassword } from "../../src/server/mod.ts";
import { assertEchoes, withEcho } from "../cli/echo.ts";
import { test } from "../support/harness.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";
import { missing, withFolder } from "./programs.ts";
import { redisOptions, withRedis } from "./redis.ts";
import { missingRuntime } from "./runtimes.ts";

const skip = missingRuntime("deno") ?? missing("redis-server", "redis-cli");

async function open(program: Program, target: number, user: string) {
  const url = `socks5://${user}:pw@127.0.0.1:${await program.port()}`;
  return await connect(url, `127.0.0.1:${target}`);
}

test(
  "--shared counts the usage of all machines against a quota",
  () =>
    withFolder((folder) =>
      withEcho((target) =>
        withRedis("redis-server", async (redis) => {
          const users = join(folder, "users");
          const hash = await hashPassword("pw", { iterations: 1 });
          const quota = `quota=3000/month`;
          await writeFile(users, `alice:${hash} ${quota}\nbob:${hash}\n`);
          const args = ["--port", "0", "--users-file", users]
            .concat("--shared", redis.url, "--accounting", "200ms");
          const opts = await redisOptions();
          const file = await runProgram(
            [...args, "--accounting-file", join(folder, "usage.json")],
            { ...opts, mayWrite: true },
          );
          assertEquals(file.code, 2);
          assertMatch(file.stderr, /leave out the accounting file/);
          const more = [...args, "--workers", "2"];
          await withProgram(args, (one) =>
            withProgram(more, async (two) => {
              const first = await open(one, target, "alice");
              const second = await open(two, target, "alice");
              const other = await open(two, target, "bob");
              await assertEchoes(first, "x".repeat(600));
              await one.line(/"type":"usage"/);
              await assertEchoes(second, "x".repeat(950)); // 3,100 bytes
              await one.line(/"reason":"quota"/);
              await two.line(/"reason":"quota"/);
              for (const it of [one, two]) {
                await assertRejects(
                  () => open(it, target, "alice"),
                  SocksError,
                );
                const line = await it.line(/"reason":"refused"/);
                assertMatch(line, /the quota of this user is used up/);
              }
              await assertEchoes(other, "y".repeat(2_000));
              for (const it of [first, second, other]) it.close();
            }, opts), opts);
        })
      )
    ),
  { skip, foreign: true },
);

/** Runs a program with a quota of 3,000 bytes for alice, who has used 2,000 of them. */
function withUsage(
  more: readonly string[],
  use: (
    program: Program,
    target: number,
    first: Awaited<ReturnType<typeof open>>,
  ) => Promise<void>,
): Promise<void> {
  return withFolder((folder) =>
    withEcho((target) =>
      withRedis("redis-server", async (redis) => {
        const users = join(folder, "users");
        const hash = await hashPassword("pw", { iterations: 1 });
        await writeFile(users, `alice:${hash} quota=3000/month\n`);
        const args = ["--port", "0", "--users-file", users]
          .concat("--shared", redis.url, "--accounting", "200ms", more);
        await withProgram(args, async (program) => {
          const first = await open(program, target, "alice");
          await assertEchoes(first, "x".repeat(1_000));
          await program.line(/"type":"usage"/);
          redis.signal("SIGSTOP");
          await program.line(/"type":"shared-lost"/);
          await use(program, target, first);
        }, await redisOptions());
      })
    )
  );
}

for (const workers of ["1", "2"]) {
  test(
    `--shared counts against a quota while Redis is away, with --workers ${workers}`,
    () =>
      withUsage(["--workers", workers], async (program, target, first) => {
        const second = await open(program, target, "alice");
        await assertEchoes(second, "y".repeat(400));
        await assertEchoes(first, "x".repeat(200)); // 3,200 bytes
        await program.line(/"reason":"quota"/);
        await program.line(/"reason":"quota"/);
        await assertRejects(() => open(program, target, "alice"), SocksError);
        const line = await program.line(/"reason":"refused"/);
        assertMatch(line, /the quota of this user is used up/);
      }),
    { skip, foreign: true },
  );
}

test(
  "--shared-strict refuses users with a quota while Redis is away",
  () =>
    withUsage(["--shared-strict"], async (program, target, first) => {
      await assertRejects(() => open(program, target, "alice"), SocksError);
      // By the lockout, or if the client is still trusted, by the quota.
      const line = await program.line(/"reason":"(login-error|refused)"/);
      const { error, verdict } = JSON.parse(line);
      assertMatch(error, /usage store|Redis does not answer/);
      assertEquals(verdict, undefined);
      await assertEchoes(first, "x".repeat(600)); // as of what is known
      await program.line(/"reason":"quota"/);
    }),
  { skip, foreign: true },
);
