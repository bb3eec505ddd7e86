/** The commands `check`, `forward`, `bridge`, `run`, `serve` and `help` as programs. */

import { assertEquals, assertMatch } from "@std/assert";
import { connect } from "../../src/client/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { VERSION } from "../../src/cli/version.ts";
import { test } from "../support/harness.ts";
import { hex, udp, udpEcho } from "../support/raw.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type Target,
} from "../support/server.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";
import { noTerminal, openTerminal } from "../support/terminal.ts";
import { readExactly } from "../transport/contract.ts";
import type { Conn } from "../../src/transport/transport.ts";

const decoder = new TextDecoder();

/** A proxy with a login, and a target that echoes. */
async function withProxy(
  use: (url: string, target: Target, sessions: () => number) => Promise<void>,
): Promise<void> {
  const auth = [userPass({ al: "secret" })];
  const server = await startServer({ auth });
  const target = await startTarget(echo);
  const url = `socks5h://al:secret@127.0.0.1:${server.server.addr.port}`;
  const sessions = () =>
    server.events.filter((it) => it.type === "session-end").length;
  try {
    await use(url, target, sessions);
  } finally {
    await target.close();
    await server.close();
  }
}

async function assertAnswers(conn: Conn): Promise<void> {
  await conn.write(new TextEncoder().encode("hello"));
  assertEquals(decoder.decode(await readExactly(conn, 5)), "hello");
  conn.close();
}

/** The port that a line names. */
async function portOf(program: Program, pattern: RegExp): Promise<number> {
  const line = await program.line(pattern);
  return Number(pattern.exec(line)![1]);
}

test("check prints a table without the login, and ends with 0", async () => {
  await withProxy(async (url) => {
    const { code, stdout, stderr } = await runProgram(["check", url]);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /^socks5h:\/\/127\.0\.0\.1:\d+\n\n {2}can be reached +yes/,
    );
    assertMatch(
      stdout,
      /^ {2}CONNECT to IPv4 +yes +\d+\.\d ms {2}from 127\.0\.0\.1$/m,
    );
    assertMatch(stdout, /^ {2}speaks HTTP CONNECT +no /m);
    assertEquals(["secret", "\x1b"].some((it) => stdout.includes(it)), false);
  });
});

test("check --json prints the report, and --require decides about the exit code", async () => {
  await withProxy(async (url) => {
    const args = ["check", "--json", "--require", "udp,login-required", url];
    const { code, stdout } = await runProgram(args);
    const { ok, results } = JSON.parse(stdout);
    assertEquals([code, ok, results.length], [0, true, 18]);
    const more = await runProgram([...args, "--require=socks4"]);
    assertEquals(more.code, 1);
    const text = await runProgram(["check", "--require=socks4", url]);
    assertEquals(text.code, 1);
    assertMatch(text.stdout, /^Required, but not there: socks4$/m);
    const unknown = await runProgram(["check", "--require=resolv", url]);
    assertEquals([unknown.code, unknown.stdout], [2, ""]);
    assertMatch(
      unknown.stderr,
      /no check "resolv", did you mean "resolve"\?\n$/,
    );
  });
});

test("check shows what it does in a terminal, in colours", async () => {
  await withProxy(async (url) => {
    const terminal = openTerminal((program) => `exec ${program} check ${url}`, {
      env: { NO_COLOR: undefined, TERM: "xterm" },
    });
    assertEquals(await terminal.ended, 0, terminal.shown);
    const shown = terminal.shown.replaceAll("\x1b", "ESC");
    assertMatch(
      shown,
      /\rESC\[K {2}BIND \.\.\.\rESC\[K {2}BIND +ESC\[32myes/,
    );
    assertMatch(shown, /ESC\[31mno/);
  });
}, { skip: noTerminal });

test("check ends with 1 and advice if the proxy is down", async () => {
  const port = await closedPort();
  const ended = await runProgram(["check", `socks5h://127.0.0.1:${port}`]);
  assertEquals([ended.code, ended.stderr], [1, ""]);
  assertMatch(ended.stdout, /^ {2}can be reached +no /m);
  assertMatch(ended.stdout, /^Advice: nothing listens there: .*\?$/m);
});

for (
  const args of [
    ["check", "al:secret@proxy:1080"],
    ["check", "socks5h://al:secret@h:1", "x"],
    ["check", "--gssapi", "http://al:secret@h:1"],
    ["check", "--tls-pin", "secret", "socks5s://al:secret@h:1"],
    ["connect", "al:secret@proxy:1080", "x:1"],
    ["connect", "socks5h://al:secret@h:1"],
    ["forward", "socks5h://al:secret@h:1", "0.0.0.0:80", "x:1"],
    ["forward", "socks5h://al:secret@h:1", "al:secret", "x:1"],
    ["forward", "--udp", "http://al:secret@h:1", "80", "x:1"],
    ["forward", "--udp", "socks5s://al:secret@h:1", "80", "x:1"],
    ["forward", "--udp", "socks5://al:secret@h:1", "socks5://h:1", "80", "x:1"],
    ["bridge", "socks5h://al:secret@h:1", "x"],
    ["bridge", "--http", "--socks", "socks5h://al:secret@h:1"],
    ["bridge", "--port", "x", "socks5h://al:secret@h:1"],
    ["run", "socks5h://al:secret@h:1", "sh"],
    ["run", "socks5h://al:secret@h:1", "--"],
    ["run", "--", "sh"],
  ]
) {
  test(`socks5 ${args.join(" ")} ends with 2 and one line without the login`, async () => {
    const { code, stdout, stderr } = await runProgram(args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, new RegExp(`^socks5 ${args[0]}: .+\n$`));
    assertEquals(stderr.includes("secret"), false);
  });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`forward connects its port with the target until ${signal}`, async () => {
    await withProxy(async (url, target) => {
      const to = `localhost:${target.addr.port}`;
      await withProgram(["forward", url, "0", to], async (program) => {
        const pattern =
          /^socks5 forwards 127\.0\.0\.1:(\d+) to localhost:\d+ by \S+$/;
        const port = await portOf(program, pattern);
        const { detectTransport } = await import(
          "../../src/transport/detect.ts"
        );
        const transport = await detectTransport();
        const addr = { hostname: "127.0.0.1", port };
        for (let i = 0; i < 3; i++) {
          await assertAnswers(await transport.connect(addr));
        }
        program.kill(signal);
        const { code, stdout, stderr } = await program.ended;
        assertEquals([code, stderr], [0, ""]);
        assertEquals(stdout.includes("secret"), false);
      });
    });
  });
}

test("forward --udp passes datagrams on", async () => {
  const target = await udpEcho();
  const client = await udp();
  try {
    await withProxy(async (url) => {
      const to = `127.0.0.1:${target.addr.port}`;
      const args = ["forward", "--udp", url, "127.0.0.1:0", to];
      await withProgram(args, async (program) => {
        const pattern = /^socks5 forwards 127\.0\.0\.1:(\d+) \(UDP\) to /;
        const port = await portOf(program, pattern);
        client.send("01 02", { hostname: "127.0.0.1", port });
        assertEquals(hex((await client.next()).payload), "01 02");
        program.kill("SIGTERM");
        assertEquals((await program.ended).code, 0);
      });
    });
  } finally {
    for (const it of [client, target]) it.close();
  }
});

test("forward reports that the target is down, and goes on", async () => {
  const down = await closedPort();
  await withProxy(async (url) => {
    const args = ["forward", url, "0", `127.0.0.1:${down}`];
    await withProgram(args, async (program) => {
      const port = await portOf(
        program,
        /^socks5 forwards 127\.0\.0\.1:(\d+) /,
      );
      const { detectTransport } = await import("../../src/transport/detect.ts");
      const transport = await detectTransport();
      for (let i = 0; i < 2; i++) {
        const conn = await transport.connect({ hostname: "127.0.0.1", port });
        await conn.read().catch(() => {});
        conn.close();
      }
      program.kill("SIGTERM");
      const { code, stderr } = await program.ended;
      assertEquals(code, 0);
      assertMatch(stderr, /^(socks5 forward: .*connection refused\n){2}$/);
    });
  });
});

test("forward and bridge end with 3 if their port is in use", async () => {
  const taken = await startTarget();
  const port = `${taken.addr.port}`;
  const url = "socks5h://127.0.0.1:1";
  try {
    for (
      const args of [
        ["forward", url, port, "x:1"],
        ["bridge", "--port", port, url],
      ]
    ) {
      const { code, stdout, stderr } = await runProgram(args);
      assertEquals([code, stdout], [3, ""]);
      assertEquals(stderr, `socks5 ${args[0]}: 127.0.0.1:${port} is in use\n`);
    }
  } finally {
    await taken.close();
  }
});

test("bridge serves SOCKS and HTTP without a login, for a proxy with one", async () => {
  await withProxy(async (url, target, sessions) => {
    await withProgram(["bridge", url], async (program) => {
      const port = await portOf(program, / listens on 127\.0\.0\.1:(\d+) /);
      const to = { hostname: "localhost", port: target.addr.port };
      for (const scheme of ["http", "socks5h", "socks5", "socks4a"]) {
        await assertAnswers(await connect(`${scheme}://127.0.0.1:${port}`, to));
      }
      program.kill("SIGTERM");
      const { code, stdout, stderr } = await program.ended;
      assertEquals([code, stderr], [0, ""]);
      assertEquals(stdout.includes("secret"), false);
      assertEquals(sessions(), 4);
    });
  });
});

/** What `run` needs on Deno. */
const RUN = { mayRun: true, mayReadEnv: true };

test("run sets the environment of the program, and returns its exit code", async () => {
  await withProxy(async (url) => {
    const script = 'env | grep -i proxy | sort; echo "$HIDDEN" >&2; exit 7';
    const args = ["run", url, "--", "sh", "-c", script];
    const { code, stdout, stderr } = await runProgram(args, {
      ...RUN,
      env: {
        NO_PROXY: "*",
        no_proxy: "*",
        http_proxy: "http://x",
        HIDDEN: "h",
      },
    });
    assertEquals([code, stderr], [7, "h\n"]);
    assertEquals(stdout.includes("secret"), false);
    const set = new Map(
      stdout.trim().split("\n").map((it) => it.split("=") as [string, string]),
    );
    const http = set.get("http_proxy")!;
    assertMatch(http, /^http:\/\/run:[\da-f-]{36}@127\.0\.0\.1:\d+$/);
    assertEquals(set.get("ALL_PROXY"), http.replace("http:", "socks5h:"));
    for (const name of ["HTTP_PROXY", "https_proxy", "HTTPS_PROXY"]) {
      assertEquals(set.get(name), http);
    }
    assertEquals([set.has("NO_PROXY"), set.has("no_proxy")], [false, false]);
  });
});

test("run --direct names hosts without a proxy", async () => {
  await withProxy(async (url) => {
    const args = ["run", "--direct", "localhost,.test", url, "--"];
    const { stdout } = await runProgram(
      [...args, "sh", "-c", 'echo "$NO_PROXY $no_proxy"'],
      RUN,
    );
    assertEquals(stdout, "localhost,.test localhost,.test\n");
  });
});

test("run ends as a shell does for programs that fail to start or are killed", async () => {
  await withProxy(async (url) => {
    const cases: [string[], number][] = [
      [["no-such-program"], 127],
      [["sh", "-c", "kill -9 $$"], 137],
    ];
    for (const [command, expected] of cases) {
      const { code } = await runProgram(["run", url, "--", ...command], RUN);
      assertEquals(code, expected);
    }
  });
});

test("run passes signals on, and waits for the program", async () => {
  await withProxy(async (url) => {
    const script = "trap 'echo got it; exit 3' TERM; echo ready; " +
      "while :; do sleep 0.05; done";
    const args = ["run", url, "--", "sh", "-c", script];
    await withProgram(args, async (program) => {
      await program.line(/ready/);
      program.kill("SIGTERM");
      const { code, stdout } = await program.ended;
      assertEquals([code, stdout], [3, "ready\ngot it\n"]);
    }, RUN);
  });
});

test("serve is the server, and help describes commands and topics", async () => {
  await withProgram(["serve", "--port", "0"], async (program) => {
    const target = await startTarget(echo);
    try {
      const url = `socks5h://127.0.0.1:${await program.port()}`;
      await assertAnswers(await connect(url, target.addr));
    } finally {
      await target.close();
    }
    program.kill("SIGTERM");
    assertEquals((await program.ended).code, 0);
  });
  const texts = await Promise.all([
    ["help"],
    ["help", "check"],
    ["check", "--help"],
    ["help", "rules"],
    ["help", "tool"],
    ["--help", "check"],
    ["serve", "--version"],
    ["chek"],
  ].map((args) => runProgram(args)));
  const [help, check, same, rules, tool, again, version, misspelt] = texts;
  assertMatch(help.stdout, /^socks5: a proxy for SOCKS4/);
  assertMatch(check.stdout, /^Usage: socks5 check /);
  assertEquals([same.stdout, again.stdout], [check.stdout, check.stdout]);
  assertMatch(rules.stdout, /^Access rules /);
  assertMatch(tool.stdout, /^ {2}connect {2}\S/m);
  assertEquals(version.stdout, `socks5 ${VERSION}\n`);
  assertEquals(texts.map((it) => it.code), [0, 0, 0, 0, 0, 0, 0, 2]);
  assertMatch(
    misspelt.stderr,
    /unexpected argument "chek": did you mean check\?/,
  );
});
