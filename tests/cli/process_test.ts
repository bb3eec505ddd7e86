import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect, SocksError } from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import config from "../../deno.json" with { type: "json" };
import { runtime, test } from "../support/harness.ts";
import { assertEchoes, LOOPBACK, visit, withEcho } from "./echo.ts";
import { FLOOD, flood, refuse } from "../support/flood.ts";
import { startTarget } from "../support/server.ts";
import {
  type Ended,
  type Program,
  runProgram,
  withProgram,
} from "../support/spawn.ts";

const onlyDeno = runtime === "deno" ? undefined : "only Deno has permissions";

/** On a pipe the log is JSON by default. */
const TEXT = ["--port", "0", "--log", "text"];

/** Asserts that the program has printed one line of error, and nothing else. */
function assertFails(ended: Ended, code: number, message: RegExp): void {
  assertMatch(ended.stderr, /^socks5: .+\n$/);
  assertMatch(ended.stderr, message);
  assertEquals([ended.code, ended.stdout], [code, ""]);
}

test("socks5 prints where it listens, and serves SOCKS5 CONNECT", async () => {
  await withEcho(async (target) => {
    await withProgram(TEXT, async (program) => {
      const line = await program.line(/./);
      const port = await program.port();
      const url = `socks5://127.0.0.1:${port}`;
      assertEquals(
        line,
        `socks5 listens on 127.0.0.1:${port} (${url}, no login)`,
      );
      await visit(url, target);
      await program.line(
        new RegExp(
          ` finished 127\\.0\\.0\\.1:\\d+ - 127\\.0\\.0\\.1:${target} `,
        ),
      );
    }, { users: "" });
  });
});

test("socks5 --http forwards HTTP requests, and logs each of them", async () => {
  const answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  const target = await startTarget((conn) =>
    conn.write(new TextEncoder().encode(answer))
  );
  try {
    const args = ["--port", "0", "--log", "json", "--http"];
    await withProgram(args, async (program) => {
      const transport = await detectTransport();
      const port = await program.port();
      const conn = await transport.connect({ hostname: "127.0.0.1", port });
      for (let i = 0; i < 2; i++) {
        const url = `http://127.0.0.1:${target.addr.port}/`;
        const login = `Proxy-Authorization: Basic ${btoa("al:pw")}\r\n`;
        const text = `GET ${url} HTTP/1.1\r\nHost: x\r\n${login}\r\n`;
        await conn.write(new TextEncoder().encode(text));
        const [status] = new TextDecoder().decode((await conn.read())!).split(
          "\r\n",
        );
        assertEquals(status, "HTTP/1.1 404 Not Found");
        const lines = await program.lines(/"session-end"/, i + 1);
        const { protocol, command, user, reply, reason } = JSON.parse(lines[i]);
        assertEquals(
          [protocol, command, user, reply, reason],
          ["http", "forward", "al", 404, "finished"],
        );
      }
      conn.close();
    }, { users: "al:pw" });
  } finally {
    await target.close();
  }
});

test("socks5 --http serves HTTP CONNECT as well, with its logins and its log", async () => {
  await withEcho(async (target) => {
    const args = ["--port", "0", "--log", "json", "--http"];
    await withProgram(args, async (program) => {
      const host = `al:pw@127.0.0.1:${await program.port()}`;
      await visit(`http://${host}`, target);
      const line = await program.line(/"session-end"/);
      const { protocol, version, user, reply, reason } = JSON.parse(line);
      assertEquals({ protocol, version, user, reply, reason }, {
        protocol: "http",
        version: undefined,
        user: "al",
        reply: 200,
        reason: "finished",
      });
      await visit(`socks5://${host}`, target);
    }, { users: "al:pw" });
  });
});

for (
  const [args, message] of [
    [["--prot", "1080"], /unknown flag --prot: did you mean --port/],
    [["--port", "http"], /--port must be .*"http"/],
    [["--idle-timeout", "30"], /write 30s for seconds/],
    [["1080"], /unexpected argument "1080": did you mean --port/],
    [["--hostname", "example.com"], /--hostname must be an IP address/],
    [
      ["--hostname", "0.0.0.0"],
      /open proxy.* --user, .* --users-file .* --config .* --open-proxy /,
    ],
    [
      ["--hostname", "::"],
      /open proxy.* --user, .* --gssapi-keytab, .* --open-proxy /,
    ],
    [["--hostname", "0.0.0.0", "--check"], /open proxy.* --open-proxy /],
    [
      ["--hostname=0.0.0.0", "--user=a:b", "--socks4-ident"],
      /open proxy: leave out .*--socks4-ident.*"socks4" in .* --open-proxy /,
    ],
    [["--allow", "prot 5"], /rule "allow prot 5": /],
    [["--explain", "prot"], /question "prot": /],
    [["--user", "alice"], /--user must be NAME:PASSWORD/],
    [["--help", "colours"], /--help has no topic "colours": .* all, listen, /],
  ] as [string[], RegExp][]
) {
  test(`socks5 ${args.join(" ")} ends with 2 and one line of error`, async () => {
    assertFails(await runProgram(args), 2, message);
  });
}

test("socks5 ends with 3 and one line of error when the port is in use", async () => {
  await withEcho(async (port) => {
    const ended = await runProgram(["--port", String(port)]);
    assertFails(ended, 3, new RegExp(`127.0.0.1:${port} is in use: .*--port`));
  });
});

test("socks5 ends with 1 and one line of error when the address is not of this machine", async () => {
  const args = ["--hostname", "192.0.2.1", "--port", "0", "--open-proxy"];
  assertFails(await runProgram(args), 1, /192\.0\.2\.1.*--hostname/);
});

test("socks5 prints --help and --version to the standard output", async () => {
  const help = await runProgram(["--help"]);
  assertMatch(help.stdout, /^Usage: socks5/m);
  const rules = await runProgram(["--help", "rules"]);
  assertMatch(rules.stdout, /^Access rules .*\n +--allow RULE /);
  const version = await runProgram(["-V"]);
  assertEquals(version.stdout, `socks5 ${config.version}\n`);
  for (const { code, stderr } of [help, rules, version]) {
    assertEquals([code, stderr], [0, ""]);
  }
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`socks5 waits for its sessions on ${signal} and ends with 0`, async () => {
    await withEcho(async (target) => {
      await withProgram(TEXT, async (program) => {
        const port = await program.port();
        const conn = await connect(
          `socks5://127.0.0.1:${port}`,
          `127.0.0.1:${target}`,
        );
        try {
          await assertEchoes(conn, "before");
          program.kill(signal);
          await program.line(new RegExp(`${signal}: .*10s for 1 session`));
          await assertEchoes(conn, "after");
        } finally {
          conn.close();
        }
        const { code, stdout, stderr } = await program.ended;
        assertEquals([code, stderr], [0, ""]);
        assertMatch(stdout, / finished .* 11\/11 /);
      });
    });
  });
}

for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
  test(`socks5 ignores ${signal}`, async () => {
    await withEcho(async (target) => {
      await withProgram(TEXT, async (program) => {
        const port = await program.port();
        program.kill(signal);
        await visit(`socks5://127.0.0.1:${port}`, target);
        program.kill("SIGTERM");
        const { code, stderr } = await program.ended;
        assertEquals(code, 0);
        // Deno opens a debugger although the program listens for the signal:
        // https://github.com/denoland/deno/pull/35738
        if (runtime !== "deno") assertEquals(stderr, "");
      });
    });
  });
}

test("socks5 does not accept connections while it waits for its sessions", async () => {
  const transport = await detectTransport();
  await withEcho(async (target) => {
    await withProgram(TEXT, async (program) => {
      const port = await program.port();
      const conn = await connect(
        `socks5://127.0.0.1:${port}`,
        `127.0.0.1:${target}`,
      );
      try {
        program.kill("SIGTERM");
        await program.line(/SIGTERM: /);
        await assertEchoes(conn, "still open");
        await assertRejects(
          () => transport.connect({ hostname: LOOPBACK, port }),
          NetError,
        );
      } finally {
        conn.close();
      }
      assertEquals((await program.ended).code, 0);
    });
  });
});

function tryToKill(program: Program, signal: "SIGINT" | "SIGTERM"): void {
  try {
    program.kill(signal);
  } catch {
    // The program has ended.
  }
}

for (
  const [first, second, code] of [
    ["SIGINT", "SIGINT", 130],
    ["SIGTERM", "SIGINT", 130],
    ["SIGINT", "SIGTERM", 143],
    ["SIGTERM", "SIGTERM", 143],
  ] as const
) {
  test(`socks5 ends immediately with ${code} on ${second} after ${first}`, async () => {
    await withEcho(async (target) => {
      const args = [...TEXT, "--grace", "1h"];
      await withProgram(args, async (program) => {
        const proxy = `socks5://127.0.0.1:${await program.port()}`;
        const conn = await connect(proxy, `127.0.0.1:${target}`);
        try {
          program.kill(first);
          await program.line(new RegExp(`${first}: `));
          // Repeated, because the same signal right after the first is taken for an echo.
          const again = setInterval(() => tryToKill(program, second), 20);
          const { code: actual, stdout, stderr } = await program.ended;
          clearInterval(again);
          assertEquals([actual, stderr], [code, ""]);
          assert(stdout.endsWith(
            ` ${second}: exiting at once, 1 session cut off\n`,
          ));
        } finally {
          conn.close();
        }
      });
    });
  });
}

for (const grace of ["50ms", "0"]) {
  test(`socks5 --grace ${grace} ends the remaining sessions`, async () => {
    await withEcho(async (target) => {
      const args = [...TEXT, "--grace", grace];
      await withProgram(args, async (program) => {
        const proxy = `socks5://127.0.0.1:${await program.port()}`;
        const conn = await connect(proxy, `127.0.0.1:${target}`);
        try {
          program.kill("SIGTERM");
          const { code, stdout } = await program.ended;
          assertEquals(code, 0);
          assertMatch(stdout, / closed 127\..*$/m);
        } finally {
          conn.close();
        }
      });
    });
  });
}

test("socks5 accepts logins from --user and SOCKS5_USERS", async () => {
  await withEcho(async (target) => {
    await withProgram(
      [...TEXT, "--user", "carol:three:parts"],
      async (program) => {
        const port = await program.port();
        await program.line(/\(socks5:\/\/127\.0\.0\.1:\d+, login required\)$/);
        for (const login of ["alice:one", "bob:two", "carol:three%3Aparts"]) {
          await visit(`socks5://${login}@127.0.0.1:${port}`, target);
          await program.line(
            new RegExp(` finished .* ${login.split(":")[0]} `),
          );
        }
        for (const login of ["", "alice:two@", "dave:one@"]) {
          await assertRejects(
            () => visit(`socks5://${login}127.0.0.1:${port}`, target),
            SocksError,
          );
        }
        await program.line(/ login-failed 127\.0\.0\.1:\d+ dave - /);
      },
      { users: "alice:one\r\n\nbob:two\n" },
    );
  });
});

test("socks5 rejects an invalid SOCKS5_USERS without printing its value", async () => {
  const ended = await runProgram(["--port", "0"], {
    users: "alice:one\nhunter2",
  });
  assertFails(ended, 2, /line 2 of SOCKS5_USERS must be NAME:PASSWORD/);
  assert(!ended.stderr.includes("hunter2"));
});

test(
  "socks5 does not read SOCKS5_USERS without the permission",
  async () => {
    const options = { unreadableUsers: "alice:one" };
    await withProgram(TEXT, async (program) => {
      await program.line(
        / listens on [\d.:]+ \(socks5:\S+, no login, SOCKS5_USERS not read: /,
      );
    }, options);
    const ended = await runProgram(["--hostname", "0.0.0.0"], options);
    assertFails(ended, 2, /--allow-env=SOCKS5_USERS is missing/);
  },
  { skip: onlyDeno },
);

test("socks5 --log json prints one object per line, without passwords", async () => {
  await withEcho(async (target) => {
    const args = ["--port", "0", "--log", "json", "--user", "alice:hunter2"];
    await withProgram(args, async (program) => {
      const { port, url } = JSON.parse(await program.line(/"listening"/));
      assertEquals(url, `socks5://127.0.0.1:${port}`);
      await visit(`socks5://alice:hunter2@127.0.0.1:${port}`, target);
      await program.line(/"session-end"/);
      await assertRejects(
        () => visit(`socks5://alice:hunter3@127.0.0.1:${port}`, target),
        SocksError,
      );
      await program.line(/"login-failed"/);
      program.kill("SIGTERM");
      const { code, stdout, stderr } = await program.ended;
      assertEquals([code, stderr], [0, ""]);
      assert(!stdout.includes("hunter"));
      const records = stdout.trimEnd().split("\n").map((it) => JSON.parse(it));
      assertEquals(
        records.map((it) => [it.type, it.user, it.reason, it.target?.port]),
        [
          ["listening", undefined, undefined, undefined],
          ["session-end", "alice", "finished", target],
          ["session-end", "alice", "login-failed", undefined],
          ["shutdown", undefined, undefined, undefined],
        ],
      );
    });
  });
});

for (
  const [format, start, end] of [
    ["text", / start 127\.0\.0\.1:\d+ - 127\.0\.0\.1:(\d+)$/, / finished /],
    ["json", /"type":"session-start".*"port":(\d+)\}\}$/, /"session-end"/],
  ] as const
) {
  test(`socks5 --log-start --log ${format} logs a session before it ends`, async () => {
    await withEcho(async (target) => {
      const args = ["--port", "0", "--log-start", "--log", format];
      await withProgram(args, async (program) => {
        const proxy = `socks5://127.0.0.1:${await program.port()}`;
        const conn = await connect(proxy, `127.0.0.1:${target}`);
        const line = await program.line(start);
        assertEquals(start.exec(line)![1], String(target));
        conn.close();
        await program.line(end);
      });
    });
  });
}

test("socks5 --log off prints only the address of the listener and the reason for the end", async () => {
  await withEcho(async (target) => {
    await withProgram(["--port", "0", "--log", "off"], async (program) => {
      const port = await program.port();
      await visit(`socks5://127.0.0.1:${port}`, target);
      program.kill("SIGTERM");
      const { stdout } = await program.ended;
      const lines = stdout.trimEnd().split("\n");
      assertEquals(lines.length, 2);
      assertMatch(lines[1], / SIGTERM: /);
    });
  });
});

test("socks5 continues when the reader closes its output", async () => {
  await withEcho(async (target) => {
    await withProgram(TEXT, async (program) => {
      const proxy = `socks5://127.0.0.1:${await program.port()}`;
      program.closeOutput();
      for (let i = 0; i < 5; i++) await visit(proxy, target);
      program.kill("SIGTERM");
      const { code, stderr } = await program.ended;
      assertEquals([code, stderr], [0, ""]);
    });
  });
});

test("socks5 continues when the reader closes its output before a burst of lines", async () => {
  await withProgram(["--port", "0"], async (program) => {
    const port = await program.port();
    program.closeOutput();
    await flood(port);
    program.kill("SIGTERM");
    const { code, stderr } = await program.ended;
    assertEquals([code, stderr], [0, ""]);
  });
});

test("socks5 continues when the reader of its log pauses, and logs the number of dropped lines", async () => {
  await withEcho(async (target) => {
    await withProgram(["--port", "0"], async (program) => {
      const port = await program.port();
      program.pauseOutput();
      await flood(port);
      await visit(`socks5://127.0.0.1:${port}`, target);
      program.resumeOutput();
      await program.line(/"lines-dropped"/);
      program.kill("SIGTERM");
      const { code, stdout, stderr } = await program.ended;
      assertEquals([code, stderr], [0, ""]);
      const records = stdout.trimEnd().split("\n").map((it) => JSON.parse(it));
      const sessions = records.filter((it) => it.type === "session-end").length;
      const dropped = records.filter((it) => it.type === "lines-dropped")
        .reduce((sum, it) => sum + it.lines, 0);
      assertEquals(sessions + dropped, FLOOD + 1);
    });
  });
});

test("socks5 ends on a signal although its log is not read", async () => {
  await withProgram(["--port", "0"], async (program) => {
    const port = await program.port();
    program.pauseOutput();
    await flood(port);
    program.kill("SIGTERM");
    assertEquals(await program.exited, 0);
  });
});

test("socks5 writes its whole log before it ends", async () => {
  await withProgram(["--port", "0"], async (program) => {
    const port = await program.port();
    await Promise.all(Array.from({ length: 20 }, () => refuse(port)));
    program.kill("SIGTERM");
    const { stdout } = await program.ended;
    const types = stdout.trimEnd().split("\n").map((it) => JSON.parse(it).type);
    assertEquals(types.filter((it) => it === "session-end").length, 20);
  });
});
