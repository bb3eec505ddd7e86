/** The README's nodes behind HAProxy, which share their limits in Redis. */

import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "../../src/client/mod.ts";
import { hashPassword } from "../../src/server/mod.ts";
import { assertEchoes, withEcho } from "../cli/echo.ts";
import { test } from "../support/harness.ts";
import { withProgram } from "../support/spawn.ts";
import { freePort, missing, withFolder, withListening } from "./programs.ts";
import { redisOptions, withRedis } from "./redis.ts";
import { missingRuntime } from "./runtimes.ts";

const readme = readFileSync("README.md", "utf8");

/** The blocks of a language. */
function blocks(language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm");
  return [...readme.matchAll(pattern)].map(([, text]) => text);
}

/** Replaces ports of 127.0.0.1 and of flags by those of this test. */
function withPorts(text: string, ports: ReadonlyMap<string, number>): string {
  return text.replace(
    /(127\.0\.0\.1:|--port |--metrics |check port )(\d+)/g,
    (_, before, port) => `${before}${ports.get(port)}`,
  );
}

const skip = missingRuntime("deno") ??
  missing("haproxy", "redis-server", "redis-cli");

test(
  "the README's nodes behind HAProxy serve clients, and count users in Redis",
  async () => {
    const [config] = blocks("haproxy");
    const commands = blocks("sh ignore")[0].trim().split("\n");
    assertEquals(commands.length, 2);
    const opts = await redisOptions();
    const hash = await hashPassword("secret", { iterations: 1_000 });
    await withFolder((folder) =>
      withEcho((target) =>
        withRedis("redis-server", async (redis) => {
          const ports = new Map([["6379", redis.port]]);
          for (const port of ["1081", "1082", "9181", "9182"]) {
            ports.set(port, await freePort());
          }
          await writeFile(join(folder, "socks5.jsonc"), blocks("jsonc")[0]);
          const lines = ["alice", "bob"].map((it) =>
            `${it}:${hash} sessions=5\n`
          );
          await writeFile(join(folder, "users.txt"), lines.join(""));
          const argsOf = (command: string) => [
            ...withPorts(command, ports)
              .replace("socks5.jsonc", join(folder, "socks5.jsonc"))
              .split(" ").slice(1),
            // The target of this test is on loopback.
            ...["--allow", "user bob 127.0.0.1"],
          ];
          await withProgram(argsOf(commands[0]), (one) =>
            withProgram(argsOf(commands[1]), async (two) => {
              await Promise.all([one, two].map((it) =>
                it.line(/"listening"/)
              ));
              await withListening("haproxy", async (port) => {
                ports.set("1080", port);
                const file = join(folder, "haproxy.cfg");
                await writeFile(file, withPorts(config, ports));
                return ["-db", "-f", file];
              }, async (port) => {
                const proxy = `socks5://bob:secret@127.0.0.1:${port}`;
                const conn = await connect(proxy, `127.0.0.1:${target}`);
                await assertEchoes(conn, "through HAProxy");
                const held = await redis.command(
                  "HGET",
                  "{socks5}:totals",
                  "sessionsPerUser|'bob",
                );
                assertEquals(held, "1");
                conn.close();
                const ended = /"session-end".*"user":"bob"/;
                await Promise.race([one.line(ended), two.line(ended)]);
              });
            }, opts), opts);
        })
      )
    );
  },
  { skip, timeout: 60_000 },
);
