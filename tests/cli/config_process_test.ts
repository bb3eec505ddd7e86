import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { execFile } from "node:child_process";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { connect, SocksError } from "../../src/client/mod.ts";
import { configSchema } from "../../src/cli/config/config.ts";
import { hashPassword } from "../../src/server/auth/password_hash.ts";
import { withFolder } from "../support/folder.ts";
import { runtime, test } from "../support/harness.ts";
import { assertEchoes, LOOPBACK, visit, withEcho } from "./echo.ts";
import { runProgram, withProgram } from "../support/spawn.ts";

const onlyDeno = runtime === "deno" ? undefined : "only Deno has permissions";
const mayRead = { mayRead: true };

/** Calls `use` with a function that writes a file into a new folder and returns its path. */
async function withFiles(
  use: (
    write: (name: string, text: string) => Promise<string>,
  ) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await use(async (name, text) => {
      const path = join(folder, name);
      await writeFile(path, text);
      return path;
    });
  });
}

/** A login with a hash that is fast to compute. */
function loginOf(name: string, password: string): Promise<string> {
  return hashPassword(password, { iterations: 1 }).then((it) =>
    `${name}:${it}`
  );
}

test("socks5 --schema prints the JSON Schema", async () => {
  const { code, stdout, stderr } = await runProgram(["--schema"]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), JSON.parse(JSON.stringify(configSchema())));
});

test("socks5 --check reports a valid configuration, and does not listen", async () => {
  await withFiles(async (write) => {
    await write("users.txt", `${await loginOf("alice", "one")}\n`);
    const file = await write(
      "config.jsonc",
      `{ "hostname": "0.0.0.0", // everyone
         "usersFile": "users.txt", "rules": ["allow *:443",] }`,
    );
    const args = ["--config", file, "--check", "--deny", "*:80"];
    const { code, stdout, stderr } = await runProgram(args, mayRead);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(
      stdout,
      "the configuration is valid: 0.0.0.0:1080, logins 1, rules 2\n",
    );
  });
});

test("socks5 --check prints each problem on a line, and exits with 2", async () => {
  await withFiles(async (write) => {
    const users = await write("users.txt", "hunter2\n");
    const file = await write(
      "config.jsonc",
      `\ufeff{"prot": 1, "timeouts": {"idle": "9"}, "usersFile": "users.txt"}`,
    );
    for (const check of [["--check"], []]) {
      const args = ["--config", file, ...check];
      const { code, stdout, stderr } = await runProgram(args, mayRead);
      assertEquals([code, stdout], [2, ""]);
      const lines = stderr.trimEnd().split("\n");
      const starts = [
        `${file}: prot: unknown key, did you mean "port"?`,
        `${file}: timeouts.idle: 9 has no unit`,
        `${users}: line 1: `,
      ];
      assertEquals(lines.length, starts.length, stderr);
      for (const [index, start] of starts.entries()) {
        assertEquals(
          lines[index].indexOf(`socks5: ${start}`),
          0,
          stderr,
        );
      }
      assert(!stderr.includes("hunter2"));
    }
  });
});

test("socks5 --check reports an open proxy", async () => {
  await withFiles(async (write) => {
    const file = await write("config.jsonc", '{"hostname": "::"}');
    const args = ["--config", file, "--check"];
    const { code, stderr } = await runProgram(args, mayRead);
    assertEquals(code, 2);
    assertMatch(stderr, /open proxy.* "users" in the --config file/);
  });
});

test(
  "socks5 names the permission that it needs to read its configuration",
  async () => {
    await withFiles(async (write) => {
      const file = await write("config.jsonc", "{}");
      const { code, stderr } = await runProgram(["--config", file]);
      assertEquals([code, stderr], [
        2,
        `socks5: ${file}: cannot be read: --allow-read is missing\n`,
      ]);
    });
  },
  { skip: onlyDeno },
);

for (
  const [question, code, answer] of [
    ["user alice www.example.test:443", 0, /^allow: allow .* \*\.example/],
    ["user alice www.example.test:80", 1, /^deny: no rule allows it$/],
    ["user bob 192.0.2.1:80 from 203.0.113.9", 1, /^deny: special-purpose/],
    ["user bob 1.1.1.1:80", 0, /^allow: allow user bob \*$/],
    ["user bob 1.1.1.1:25", 1, /^deny: deny \*:25$/],
    ["user bob localhost:80", 1, /^deny 127\.0\.0\.1: special-purpose/m],
    ["user bob nowhere.invalid:80", 1, /^depends: /],
    ["user bob", 2, /^$/],
  ] as [string, number, RegExp][]
) {
  test(`socks5 --explain "${question}" exits with ${code}`, async () => {
    await withFiles(async (write) => {
      const users = [
        await loginOf("alice", "one"),
        await loginOf("bob", "two"),
      ];
      const rules = ["allow user alice *.example.test:443", "allow user bob"];
      const config = { hostname: "0.0.0.0", users, rules };
      const file = await write("config.json", JSON.stringify(config));
      const args = ["--config", file, "--deny=*:25", "--explain", question];
      const ended = await runProgram(args, mayRead);
      assertMatch(ended.stdout.trimEnd(), answer);
      assertEquals(ended.code, code, ended.stderr);
    });
  });
}

test("socks5 --explain notes that a login is missing or unknown", async () => {
  const explain = (question: string) =>
    runProgram(["--user", "alice:one", "--explain", question]);
  const [none, unknown, known] = [
    await explain("127.0.0.1:1"),
    await explain("user alicia 127.0.0.1:1"),
    await explain("user alice 127.0.0.1:1"),
  ];
  assertMatch(none.stderr, /need a login/);
  assertMatch(unknown.stderr, /no user "alicia"/);
  assertEquals([known.stderr, known.code], ["", 0]);
});

test("socks5 --explain notes that look-ups are off", async () => {
  const args = ["--allow=resolve a.test", "--explain=resolve a.test"];
  const off = await runProgram(args);
  assertEquals([off.code, off.stdout], [0, "allow: allow resolve a.test\n"]);
  assertMatch(off.stderr, /look-ups are refused: --resolve is missing/);
  const on = await runProgram(["--resolve", ...args]);
  assertEquals([on.code, on.stderr], [0, ""]);
});

for (
  const [args, line] of [
    [
      ["--explain", "a\\b"],
      'question "a\\\\b": "a\\\\b" is neither a name nor an IP address',
    ],
    [
      ["--allow", 'a"b\\c d'],
      '--allow rule "allow a\\"b\\\\c d": "a\\"b\\\\c" and "d" would both be targets',
    ],
    [["--hostname", "a\\b"], 'fd:NUMBER, not "a\\\\b"'],
    [["--config", "no\\such"], "no\\\\such: "],
    [["a\\b"], 'unexpected argument "a\\\\b" '],
    [["--user=a\\b:x", "--user=a\\b:y"], 'user "a\\\\b" is defined twice'],
    [[`--user=a\\b:${"x".repeat(256)}`], '(user "a\\\\b")'],
  ] as const
) {
  test(`socks5 escapes once what it repeats of ${args.join(" ").slice(0, 40)}`, async () => {
    const { code, stderr } = await runProgram([...args], mayRead);
    assertEquals(code, 2);
    assert(stderr.includes(line), stderr);
    assert(!stderr.includes("\\\\\\"), stderr);
  });
}

for (
  const args of [
    ["--explain", "alice:hunter2"],
    ["--explain", "user bob alice:hunter2"],
    ["--config=a:hunter2"],
    ["--users-file", "alice:hunter2"],
    ["--chap-secrets", "alice:hunter2"],
    ["--gssapi-keytab", "alice:hunter2"],
    ["--allow=user alice:hunter2", "--user=a:b", "--check"],
    ["--allow=alice:hunter2", "--check"],
    ["--user=a:b", "--allow=*", "--allow=user alice:hunter2", "--check"],
    ["--user=a:b", "--explain=user alice:hunter2 [::1]:1"],
    ["--help", "alice:hunter2"],
  ]
) {
  test(`socks5 does not repeat a login in ${args.join(" ")}`, async () => {
    const options = { ...mayRead, mayLoad: true };
    const { stdout, stderr } = await runProgram(args, options);
    assert(stderr.length > 0);
    assert(!`${stdout}${stderr}`.includes("hunter2"), `${stdout}${stderr}`);
  });
}

test("socks5 reports rules that never decide with --check, --explain and at the start", async () => {
  const args = ["--port=0", "--hostname=0.0.0.0", "--user=bob:one"];
  args.push("--allow=user bob", "--allow=user bob 10.0.0.0/8");
  const warning = /^socks5: warning: rule 2 .* never decides: rule 1 .*\n$/;
  const checked = await runProgram([...args, "--check"]);
  assertMatch(checked.stderr, warning);
  assertEquals(checked.code, 0);
  const question = "user bob 10.0.0.1:80";
  const explained = await runProgram([...args, "--explain", question]);
  assertMatch(explained.stderr, warning);
  assertEquals(
    explained.stdout,
    "deny: special-purpose address 10.0.0.1 " +
      '("allow user bob *" matches first, and does not name the address: ' +
      "an earlier rule that names it would decide)\n",
  );
  await withProgram(args, async (program) => {
    await program.port();
    program.kill("SIGTERM");
    assertMatch((await program.ended).stderr, warning);
  });
});

test("socks5 --explain prints the local address of the route", async () => {
  const { code, stdout, stderr } = await runProgram([
    "--allow=127.0.0.1 via 127.0.0.2",
    "--explain",
    "127.0.0.1:1",
  ]);
  const rule = "allow: allow 127.0.0.1 via 127.0.0.2, via 127.0.0.2\n";
  assertEquals([code, stdout, stderr], [0, rule, ""]);
});

test("socks5 accepts users of files and of --user", async () => {
  await withFiles(async (write) => {
    const users = await write("users.txt", await loginOf("alice", "one"));
    const args = ["--port=0", "--users-file", users, "--user", "bob:two"];
    await withProgram(args, async (program) => {
      const port = await program.port();
      await withEcho(async (target) => {
        for (const login of ["alice:one", "bob:two"]) {
          await visit(`socks5://${login}@${LOOPBACK}:${port}`, target);
        }
        for (const login of ["alice:two", "bob:one", "carol:one"]) {
          const url = `socks5://${login}@${LOOPBACK}:${port}`;
          await assertRejects(() => visit(url, target), SocksError);
        }
      });
    }, mayRead);
  });
});

test("socks5 reloads users and rules on SIGHUP without ending a session", async () => {
  await withFiles((write) =>
    withEcho(async (target) => {
      await write("users.txt", await loginOf("alice", "one"));
      const config = (rule: string) =>
        write(
          "config.json",
          JSON.stringify({ usersFile: "users.txt", rules: [rule] }),
        );
      const file = await config(`allow 127.0.0.1:${target}`);
      const args = ["--config", file, "--port", "0"];
      await withProgram(args, async (program) => {
        const at = `${LOOPBACK}:${await program.port()}`;
        const alice = `socks5://alice:one@${at}`;
        const conn = await connect(alice, `${LOOPBACK}:${target}`);
        try {
          await assertEchoes(conn, "before");
          const users = [
            await loginOf("alice", "one"),
            await loginOf("bob", "two"),
          ];
          await write("users.txt", users.join("\n"));
          await config(`allow user bob 127.0.0.1:${target}`);
          program.kill("SIGHUP");
          const { logins } = JSON.parse(await program.line(/"reloaded"/));
          assertEquals(logins, 2);
          await visit(`socks5://bob:two@${at}`, target);
          await assertRejects(() => visit(alice, target), SocksError);
          await assertEchoes(conn, "after");
        } finally {
          conn.close();
        }
        program.kill("SIGTERM");
        assertEquals((await program.ended).code, 0);
      }, mayRead);
    })
  );
});

for (const workers of ["1", "2"]) {
  test(`socks5 reads lists of hosts again on SIGHUP, with ${workers} workers`, async () => {
    await withFiles((write) =>
      withEcho(async (target) => {
        await write("open.txt", "10.0.0.0/8\n");
        const file = await write(
          "config.json",
          JSON.stringify({ rules: ["allow @open.txt"] }),
        );
        const args = ["--config", file, "--port", "0", "--workers", workers];
        await withProgram(args, async (program) => {
          const proxy = `socks5://${LOOPBACK}:${await program.port()}`;
          await assertRejects(() => visit(proxy, target), SocksError);
          await write("open.txt", `# this machine\n${LOOPBACK}\n`);
          program.kill("SIGHUP");
          await program.line(/"reloaded"/);
          await visit(proxy, target);
          await write("open.txt", "a b\n");
          program.kill("SIGHUP");
          const line = await program.line(/"reload-failed"/);
          assertMatch(line, /open\.txt: line 1: /);
          await visit(proxy, target);
        }, { ...mayRead, mayShare: true });
      })
    );
  });
}

test("socks5 keeps its configuration when the new one is invalid, and logs why", async () => {
  await withFiles((write) =>
    withEcho(async (target) => {
      const file = await write("config.json", "{}");
      const args = ["--config", file, "--port", "0", "--log", "text"];
      await withProgram(args, async (program) => {
        const proxy = `socks5://${LOOPBACK}:${await program.port()}`;
        await write("config.json", '{"rules": ["deny *", "x"], "log": 1}');
        program.kill("SIGHUP");
        const said = await program.line(/the old configuration stays in use/);
        assertMatch(said, /: rules\[1\]: .*: log: /);
        await visit(proxy, target);
        await write("config.json", '{"rules": ["deny *"], "hostname": "::1"}');
        program.kill("SIGHUP");
        const { length } = await program.line(
          / reloaded: .* restart is needed to change hostname/,
        );
        assert(length > 0);
        await assertRejects(() => visit(proxy, target), SocksError);
      }, mayRead);
    })
  );
});

test("socks5 reloads after its start on a SIGHUP that comes before it listens", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "users.txt");
    await promisify(execFile)("mkfifo", [path]); // the start waits for its writer
    await withProgram(
      ["--users-file", path, "--port", "0"],
      async (program) => {
        const before = await open(path, "w");
        program.kill("SIGHUP");
        await before.writeFile(await loginOf("alice", "one"));
        await before.close();
        await program.line(/"listening"/);
        const logins = ["alice", "bob"].map((it) => loginOf(it, "one"));
        await writeFile(path, (await Promise.all(logins)).join("\n"));
        const reloaded = JSON.parse(await program.line(/"reloaded"/));
        assertEquals(reloaded.logins, 2);
        program.kill("SIGTERM");
        assertEquals((await program.ended).code, 0);
      },
      mayRead,
    );
  });
});

test("socks5 without files ends on SIGHUP", async () => {
  await withProgram(["--port", "0"], async (program) => {
    await program.port();
    program.kill("SIGHUP");
    const { code, signal } = await program.ended;
    assert(signal === "SIGHUP" || code === 129);
  });
});

test(
  "socks5 without files goes on after SIGHUP if nohup has started it",
  async () => {
    await withProgram(["--port", "0"], async (program) => {
      await program.port();
      program.kill("SIGHUP");
      program.kill("SIGTERM");
      assertEquals((await program.ended).code, 0);
    }, { ignoresHangup: true });
  },
  { skip: runtime === "bun" ? undefined : "the runtime sets SIGHUP back" },
);
