/** A quota that holds over two machines by `--shared`, whatever workers they have. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, SocksError } from "../../src/client/mod.ts";
import { hashPassword } from "../../src/server/mod.ts";
import { assertEchoes, withEcho } from "../cli/echo.ts";
import { test } from "../support/harness.ts";
import {
  type Program,
  type ProgramOptions,
  runProgram,
  withProgram,
} from "../support/spawn.ts";
import { missing, withFolder } from "./programs.ts";
import { NPM_REDIS, withRedis } from "./redis.ts";
import { installed, missingRuntime } from "./runtimes.ts";

const skip = missingRuntime("deno") ?? missing("redis-server", "redis-cli");

/** The environment and the permissions of a program that finds the package `redis`. */
async function options(): Promise<ProgramOptions> {
  const folder = await installed(`redis@${NPM_REDIS}`);
  return {
    mayShare: true,
    variables: "REDIS_DEBUG_MAINTENANCE,REDIS_EMIT_DIAGNOSTICS",
    env: { NODE_PATH: join(folder, "node_modules") },
  };
}

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
          const opts = await options();
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
