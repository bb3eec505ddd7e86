/** The program on a Unix socket. */

import { assertEquals, assertMatch } from "@std/assert";
import { stat, writeFile } from "node:fs/promises";
import * as net from "node:net";
import { connect } from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import { withSocketPath } from "../support/socket_path.ts";
import { runProgram, withProgram } from "../support/spawn.ts";
import { assertEchoes, LOOPBACK, withEcho } from "./echo.ts";

for (const log of ["text", "json"]) {
  test(`socks5 serves a Unix socket, and logs as ${log}`, async () => {
    await withSocketPath((path) =>
      withEcho(async (target) => {
        const listen = ["--hostname", `unix:${path}`, "--socket-mode", "660"];
        const rest = ["--user", "al:pw", "--allow", LOOPBACK, "--log", log];
        await withProgram([...listen, ...rest], async (program) => {
          const line = await program.line(/listens on |"listening"/);
          if (log === "text") {
            const begin = `socks5 listens on unix:${path} (login required`;
            assertEquals(line.slice(0, begin.length), begin);
          } else {
            const { hostname, port, url } = JSON.parse(line);
            assertEquals([hostname, port, url], [
              `unix:${path}`,
              0,
              undefined,
            ]);
          }
          assertEquals((await stat(path)).mode & 0o777, 0o660);
          const raw = net.connect({ path, allowHalfOpen: true });
          const conn = await connect(
            `socks5://al:pw@${LOOPBACK}`,
            `${LOOPBACK}:${target}`,
            { conn: raw, timeout: 20_000 },
          );
          await assertEchoes(conn, "hello");
          conn.close();
          const end = await program.line(/ al |"session-end"/);
          assertMatch(
            end,
            log === "text"
              ? new RegExp(` unix:${path} al ${LOOPBACK}:${target} `)
              : new RegExp(`"client":{"hostname":"unix:${path}","port":0}`),
          );
          program.kill("SIGTERM");
          assertEquals((await program.ended).code, 0);
        }, { mayRead: true, mayWrite: true });
      })
    );
  });
}

test("socks5 explains what is wrong with a Unix socket", async () => {
  await withSocketPath(async (path) => {
    const hostname = `unix:${path}`;
    for (
      const [args, code, text] of [
        [
          [],
          2,
          `a server on ${hostname} without a login would be an open proxy`,
        ],
        [["--user", "a:b", "--socket-mode", "999"], 2, "three octal digits"],
        [["--user", "a:b", "--workers", "2"], 2, "use --workers 1"],
        [["--user", "a:b", "--port", "0", "--plain-port", "0"], 2, "tls"],
      ] as const
    ) {
      const all = ["--hostname", hostname, ...args];
      const options = { mayRead: true, mayWrite: true, mayShare: true };
      const { code: found, stderr } = await runProgram(all, options);
      assertEquals(found, code, stderr);
      assertMatch(stderr, new RegExp(text.replace(/[.]/g, "\\.")));
    }
    const { stdout } = await runProgram(
      ["--hostname", hostname, "--user", "a:b", "--check"],
      { mayRead: true },
    );
    assertEquals(
      stdout,
      `the configuration is valid: ${hostname}, logins 1, rules 0\n`,
    );
  });
});

test("socks5 ends with 3 when the path of its Unix socket is in use", async () => {
  await withSocketPath(async (path) => {
    const args = ["--hostname", `unix:${path}`, "--user", "a:b"];
    const options = { mayRead: true, mayWrite: true };
    await withProgram(args, async (program) => {
      await program.line(/"listening"/);
      const { code, stderr } = await runProgram(args, options);
      assertEquals([code, stderr], [
        3,
        `socks5: cannot listen on unix:${path}: a server listens on ${path}\n`,
      ]);
      program.kill("SIGTERM");
      await program.ended;
    }, options);
    await writeFile(path, "");
    const { code, stderr } = await runProgram(args, options);
    assertEquals(code, 3);
    assertMatch(stderr, /proxy.sock exists and is not a socket\n$/);
  });
});
