/** Quotas that hold over two machines by `--shared`, also while Redis is away. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import * as net from "node:net";
import { join } from "node:path";
import { connect, SocksError } from "../../src/client/mod.ts";
import { hashPassword } from "../../src/server/mod.ts";
import { assertEchoes, withEcho } from "../cli/echo.ts";
import { test } from "../support/harness.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";
import { missing, withFolder } from "./programs.ts";
import { redisOptions, withRedis } from "./redis.ts";
import { missingRuntime } from "./runtimes.ts";

const skip = missingRuntime("deno") ?? missing("redis-server", "redis-cli");

/** Opens a tunnel through the program, which listens on a port or the Unix socket `path`. */
async function open(
  program: Program,
  target: number,
  user: string,
  path?: string,
) {
  const port = path === undefined ? await program.port() : 1080;
  return await connect(
    `socks5://${user}:pw@127.0.0.1:${port}`,
    `127.0.0.1:${target}`,
    path === undefined
      ? {}
      : { conn: net.connect({ path, allowHalfOpen: true }) },
  );
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
  path?: string,
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
          if (path !== undefined) await program.line(/"type":"listening"/);
          const first = await open(program, target, "alice", path);
          await assertEchoes(first, "x".repeat(1_000));
          await program.line(/"type":"usage"/);
          redis.signal("SIGSTOP");
          await program.line(/"type":"shared-lost"/);
          await use(program, target, first);
        }, { ...await redisOptions(), mayWrite: path !== undefined });
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

// On a Unix socket, no lockout asks Redis before the quota does.
for (const listener of ["a port", "a Unix socket"] as const) {
  test(
    `--shared-strict refuses users with a quota on ${listener} while Redis is away`,
    () =>
      withSocketPath((file) => {
        const path = listener === "a port" ? undefined : file;
        const more = path === undefined
          ? []
          : ["--hostname", `unix:${path}`, "--allow", "127.0.0.1"];
        const use = async (
          program: Program,
          target: number,
          first: Awaited<ReturnType<typeof open>>,
        ) => {
          await assertRejects(
            () => open(program, target, "alice", path),
            SocksError,
          );
          const line = await program.line(/"reason":"(login-error|refused)"/);
          const { reason, error, verdict } = JSON.parse(line);
          if (path === undefined) assertEquals(reason, "login-error");
          else assertMatch(error, /usage store/);
          assertMatch(error, /Redis does not answer/);
          assertEquals(verdict, undefined);
          await assertEchoes(first, "x".repeat(600)); // as of what is known
          await program.line(/"reason":"quota"/);
          first.close();
        };
        return withUsage(["--shared-strict", ...more], use, path);
      }),
    { skip, foreign: true },
  );
}
