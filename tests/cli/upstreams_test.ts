/** Upstream proxies of the program. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { SocksError } from "../../src/client/mod.ts";
import { ConfigError, load } from "../../src/cli/config/load.ts";
import { parseFlags } from "../../src/cli/config/flags.ts";
import { UsageError } from "../../src/cli/usage_error.ts";
import { userPass } from "../../src/server/mod.ts";
import { withFolder } from "../support/folder.ts";
import { test } from "../support/harness.ts";
import { startProxy } from "../support/scripted.ts";
import { closedPort, startServer, type TestServer } from "../support/server.ts";
import { runProgram, withProgram } from "../support/spawn.ts";
import { LOOPBACK, visit, withEcho } from "./echo.ts";

/** Loads a configuration of flags, and of the file `etc/f` if there is one. */
async function loadWith(
  args: readonly string[],
  file?: unknown,
  files: Readonly<Record<string, string>> = {},
  before?: Awaited<ReturnType<typeof load>>,
) {
  const all = file === undefined ? args : ["--config", "etc/f", ...args];
  const command = parseFlags(all);
  assert(command.type === "serve");
  const texts: Readonly<Record<string, string>> = {
    "etc/f": JSON.stringify(file),
    ...files,
  };
  const read = (path: string) =>
    Object.hasOwn(texts, path)
      ? Promise.resolve(texts[path])
      : Promise.reject(new UsageError("no such file"));
  return await load(command.commandLine, read, { before });
}

const A = "socks5h://alice:hunter2@a.test";
const A_SHOWN = "socks5h://a.test:1080";

/** Flags, a file, and the upstreams that follow: the default one and those by name. */
const VALID: [
  args: string[],
  file: unknown,
  dial: string | undefined,
  named?: Record<string, string>,
][] = [
  [["--upstream", A], undefined, A_SHOWN],
  [
    ["--upstream", A, "--upstream=http://b.test:3128"],
    undefined,
    `${A_SHOWN} http://b.test:3128`,
  ],
  [
    ["--upstream-pool", `${A} socks4a://b.test`, "--upstream-pool", A],
    undefined,
    `${A_SHOWN} socks4a://b.test:1080 | ${A_SHOWN}`,
  ],
  [
    ["--upstream-strategy=sticky", "--upstream-pool", A],
    undefined,
    A_SHOWN,
  ],
  [[], { upstream: A }, A_SHOWN],
  [["--upstream", "http://b.test"], { upstream: A }, "http://b.test:80"],
  [
    [],
    { upstreamPool: [A, A], upstreamStrategy: "round-robin" },
    `${A_SHOWN} | ${A_SHOWN}`,
  ],
  [
    ["--allow", "*.onion through tor", "--deny", "*"],
    {
      upstreams: {
        tor: A,
        chain: [A, "https://b.test"],
        pool: { pool: [A, "http://b.test"], strategy: "sticky" },
      },
    },
    undefined,
    {
      tor: A_SHOWN,
      chain: `${A_SHOWN} https://b.test:443`,
      pool: `${A_SHOWN} | http://b.test:80`,
    },
  ],
  [["--allow", "* through direct"], undefined, undefined],
];

for (const [args, file, dial, named = {}] of VALID) {
  const name = [...args, JSON.stringify(file) ?? ""].join(" ");
  test(`load() creates the upstreams of ${name}`, async () => {
    const { options, upstreams } = await loadWith(args, file);
    assertEquals(options.dial && `${options.dial}`, dial);
    const found = Object.entries(options.upstreams ?? {});
    assertEquals(
      Object.fromEntries(found.map(([name, it]) => [name, `${it}`])),
      named,
    );
    const shown = inspect([options.dial, options.upstreams], {
      depth: 9,
      showHidden: true,
    });
    assert(!shown.includes("hunter2"), "shows a password");
    assertEquals(
      upstreams === undefined,
      dial === undefined && found.length === 0,
    );
  });
}

const PEM = "-----BEGIN CERTIFICATE-----";

/** Flags, a file, and the error. */
const INVALID: [args: string[], file: unknown, message: RegExp][] = [
  [
    ["--upstream", "alice:hunter2@a.test:1"],
    undefined,
    /^--upstream must be the/,
  ],
  [["--upstream", "hunter2"], undefined, /^--upstream must be the URL of a pr/],
  [["--upstream", ""], undefined, /^--upstream needs a value$/],
  [
    ["--upstream", `${A} ${A}`],
    undefined,
    /^--upstream must be the URL of a p/,
  ],
  [
    ["--upstream", "hunter2://a.test"],
    undefined,
    /^--upstream a proxy URL begin/,
  ],
  [
    ["--upstream", "socks5://al:hunter2@a:99999"],
    undefined,
    /^--upstream the pr/,
  ],
  [
    ["--upstream", "socks5://al:hunter2%@a"],
    undefined,
    /broken percent-encoding$/,
  ],
  [
    ["--upstream", "direct"],
    undefined,
    /^--upstream must be the URL of a proxy/,
  ],
  [[...Array(17).fill("--upstream=http://a")], undefined, /at most 16 proxies/],
  [
    ["--upstream-pool", "http://a direct"],
    undefined,
    /^--upstream-pool must be/,
  ],
  [
    ["--upstream-pool", "hunter2://a"],
    undefined,
    /^--upstream-pool a proxy URL/,
  ],
  [["--upstream", A, "--upstream-pool", A], undefined, /exclude each other$/],
  [["--upstream", A], { upstreamPool: [A] }, /exclude each other$/],
  [
    ["--upstream-strategy", "sticky"],
    undefined,
    /needs --upstream-pool as well/,
  ],
  [
    ["--upstream-ca", "ca"],
    undefined,
    /^--upstream-ca needs --upstream as well$/,
  ],
  [
    ["--upstream-ca=ca", "--upstream", A],
    undefined,
    /^--upstream-ca has no effec/,
  ],
  [
    ["--upstream-ca=gone", "--upstream=https://a"],
    undefined,
    /^gone: no such file$/,
  ],
  [[], { upstream: [] }, /^etc\/f: upstream: there is no proxy$/],
  [
    [],
    { upstreamPool: [] },
    /^etc\/f: upstreamPool: a pool is a list of at lea/,
  ],
  [
    [],
    { upstream: "hunter2://a" },
    /^etc\/f: upstream: a proxy URL begins with/,
  ],
  [
    [],
    { upstreams: { a: "hunter2://a" } },
    /^etc\/f: upstreams\.a: a proxy URL/,
  ],
  [
    ["--allow", "* through tor"],
    undefined,
    /^a rule goes through tor, but there is no such upstream: "upstreams" in /,
  ],
  [
    ["--allow", "* through tor"],
    { upstream: A },
    /^a rule goes through tor, but there is no such upstream/,
  ],
  [
    [],
    { upstreams: { office: A }, rules: ["allow * through ofice"] },
    /no such upstream, did you mean "office"\?$/,
  ],
  [["--deny", "* through direct"], undefined, /valid only in rules that allow/],
  [
    ["--allow", "* through"],
    undefined,
    /through must be followed by direct or/,
  ],
  [
    ["--allow", "* through a:b"],
    undefined,
    /not shown, because it may be a log/,
  ],
  [
    ["--allow", "* via 10.0.0.1 through a"],
    undefined,
    /via is for direct conne/,
  ],
];

for (const [args, file, message] of INVALID) {
  const name = [...args.slice(0, 3), JSON.stringify(file) ?? ""].join(" ");
  test(`load() refuses ${name}`, async () => {
    const files = { ca: PEM };
    const error = await assertRejects(
      () => loadWith(args, file, files),
      UsageError,
    );
    assertMatch(error.message, message);
    assert(!inspect(error, { depth: 9 }).includes("hunter2"), error.message);
  });
}

test("load() reads the authorities for upstreams with TLS, beside the file", async () => {
  const files = { "etc/ca.pem": PEM };
  for (
    const file of [
      { upstream: ["https://a", "http://b"], upstreamCa: "ca.pem" },
      { upstreamPool: ["http://b", "socks5s://a"], upstreamCa: "ca.pem" },
      { upstreams: { a: "socks4+tls://a" }, upstreamCa: "ca.pem" },
      {
        upstreams: { a: "socks4+tls://a", b: "socks://b" },
        upstreamCa: "ca.pem",
      },
      {
        upstream: "https://a",
        upstreams: { b: { pool: ["SOCKS://b"] } },
        upstreamCa: "ca.pem",
      },
    ]
  ) {
    const { hasFiles } = await loadWith([], file, files);
    assertEquals(hasFiles, true);
    await assertRejects(() => loadWith([], file), ConfigError, "no such file");
  }
});

test("load() keeps the upstreams of before unless something of them has changed", async () => {
  const file = { upstreamPool: ["https://a"], upstreamCa: "ca" };
  const files = { "etc/ca": PEM };
  const first = await loadWith([], file, files);
  const again = { ...file, rules: ["allow *"] };
  const same = await loadWith([], again, files, first);
  assert(same.options.dial === first.options.dial);
  for (
    const [changed, texts] of [
      [{ ...file, upstreamPool: ["https://b"] }, files],
      [{ ...file, upstreamStrategy: "sticky" }, files],
      [{ ...file, timeouts: { connect: "1s" } }, files],
      [file, { "etc/ca": `${PEM}\n` }],
    ] as const
  ) {
    const other = await loadWith([], changed, texts, same);
    assert(other.options.dial !== first.options.dial);
  }
  const none = await loadWith([], {}, {}, same);
  assertEquals(none.options.dial, undefined);
  assert("dial" in none.options && "upstreams" in none.options);
});

test("load() warns of rules that deny addresses, if an upstream resolves names", async () => {
  const deny = ["--deny", "10.0.0.0/8"];
  const rows: [string[], unknown, number][] = [
    [[...deny, "--upstream", "socks5h://a"], {}, 1],
    [[...deny, "--upstream", "http://a"], {}, 1],
    [["--deny", "@list", "--upstream", "http://a"], {}, 1],
    [deny, { upstreams: { a: "socks4a://a" } }, 1],
    [[...deny, "--upstream", "socks5://a"], {}, 0],
    [[...deny], {}, 0],
    [["--deny", "*.test", "--upstream", "socks5h://a"], {}, 0],
    [["--allow", "10.0.0.0/8", "--upstream", "socks5h://a"], {}, 0],
  ];
  for (const [args, file, count] of rows) {
    const { warnings } = await loadWith(args, file, { list: "10.0.0.0/8" });
    assertEquals(warnings.length, count, args.join(" "));
    if (count > 0) {
      assertMatch(
        warnings[0],
        /does not match names that an upstream resolves/,
      );
    }
  }
});

/** Calls `use` with a function that writes the file `config.json`, and its path. */
async function withConfig(
  use: (
    path: string,
    write: (config: unknown) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = join(folder, "config.json");
    await use(path, (config) => writeFile(path, JSON.stringify(config)));
  });
}

const mayRead = { mayRead: true };

test("socks5 --check and --explain show the ways, without credentials", async () => {
  await withConfig(async (path, write) => {
    await write({
      hostname: "0.0.0.0",
      openProxy: true,
      upstream: [A, "http://al:hunter2@b.test"],
      upstreams: { tor: "socks5h://al:hunter2@127.0.0.1:9050" },
      rules: [
        "allow *.onion through tor",
        "allow 192.0.2.1 through direct",
        "allow *",
      ],
    });
    const args = ["--config", path];
    const checked = await runProgram([...args, "--check"], mayRead);
    assertEquals([checked.code, checked.stderr], [0, ""]);
    const chain = `${A_SHOWN} http://b.test:80`;
    assertEquals(
      checked.stdout,
      "the configuration is valid: 0.0.0.0:1080, logins 0, rules 3, " +
        `through ${chain}, upstreams tor (socks5h://127.0.0.1:9050)\n`,
    );
    for (
      const [question, code, answer] of [
        [
          "a.onion:80",
          0,
          "allow: allow *.onion through tor, through tor (socks5h://127.0.0.1:9050)",
        ],
        [
          "192.0.2.1:80",
          0,
          "allow: allow 192.0.2.1 through direct, direct",
        ],
        ["a.test:80", 0, `allow: allow *, through ${chain}`],
        ["localhost:80", 1, "deny: special-purpose name localhost"],
      ] as const
    ) {
      const explained = await runProgram(
        [...args, "--explain", question],
        mayRead,
      );
      assertEquals(explained.stderr, "");
      assertEquals([explained.code, explained.stdout.trim()], [code, answer]);
    }
  });
});

/** The URL of a server with the login of {@linkcode LOGIN}. */
function urlOf({ server }: TestServer, start = "socks5h"): string {
  return `${start}://al:hunter2@${LOOPBACK}:${server.addr.port}`;
}

const LOGIN = { auth: [userPass({ al: "hunter2" })], http: true };

test("socks5 --upstream goes through a chain, and to nothing else when it is down", async () => {
  const first = await startServer(LOGIN);
  const second = await startServer(LOGIN);
  await withEcho(async (target) => {
    const chain = [
      "--upstream",
      urlOf(first),
      "--upstream",
      urlOf(second, "http"),
    ];
    await withProgram(["--port", "0", ...chain], async (program) => {
      const proxy = `socks5://${LOOPBACK}:${await program.port()}`;
      await visit(proxy, target);
      const { session } = await second.ended();
      assertEquals(session.target, { hostname: LOOPBACK, port: target });
      assertEquals((await first.ended()).session.target, second.server.addr);

      await second.close();
      await assertRejects(() => visit(proxy, target), SocksError);
      const line = JSON.parse(await program.line(/"refused"/));
      assertMatch(line.error, /^hop 1 of 2 .* could not reach hop 2/);
      program.kill("SIGTERM");
      const { stdout, stderr } = await program.ended;
      assert(!`${stdout}${stderr}`.includes("hunter2"));
    });
  });
  await first.close();
});

test("socks5 --upstream-pool tries another alternative also within a short --connect-timeout", async () => {
  const good = await startServer(LOGIN);
  const silent = await startProxy([["05 02 00 02", ""]]);
  await withEcho(async (target) => {
    const args = ["--port", "0", "--connect-timeout", "2s"];
    for (
      const url of [
        `socks5h://al:pw@${LOOPBACK}:${silent.addr.port}`,
        urlOf(good),
      ]
    ) {
      args.push("--upstream-pool", url);
    }
    await withProgram(args, async (program) => {
      const proxy = `socks5://${LOOPBACK}:${await program.port()}`;
      await visit(proxy, target);
      await good.ended();
    });
  });
  await silent.close();
  await good.close();
});

for (const workers of ["1", "2"]) {
  test(`socks5 goes through other upstreams after SIGHUP, with ${workers} workers`, async () => {
    const first = await startServer(LOGIN);
    const second = await startServer(LOGIN);
    await withConfig((path, write) =>
      withEcho(async (target) => {
        const upstreams = { first: urlOf(first), second: urlOf(second) };
        const config = { upstream: upstreams.first };
        await write(config);
        const args = ["--config", path, "--port", "0", "--workers", workers];
        await withProgram(args, async (program) => {
          const proxy = `socks5://${LOOPBACK}:${await program.port()}`;
          const visitMany = async () => {
            for (let i = 0; i < 5; i++) await visit(proxy, target);
          };
          await visitMany();
          for (let i = 0; i < 5; i++) await first.ended();

          const rules = [`allow ${LOOPBACK} through second`];
          await write({ ...config, upstreams, rules });
          program.kill("SIGHUP");
          await program.line(/"reloaded"/);
          await visitMany();
          for (let i = 0; i < 5; i++) await second.ended();

          const misspelt = [`allow ${LOOPBACK} through secnd`];
          await write({ ...config, upstreams, rules: misspelt });
          program.kill("SIGHUP");
          const failed = await program.line(/"reload-failed"/);
          assertMatch(failed, /through secnd, but .* did you mean ..second../);
          await visitMany();
          for (let i = 0; i < 5; i++) await second.ended();

          await write({
            upstream: `socks5h://${LOOPBACK}:${await closedPort()}`,
          });
          program.kill("SIGHUP");
          await program.lines(/"reloaded"/, 2);
          for (let i = 0; i < 5; i++) {
            await assertRejects(() => visit(proxy, target), SocksError);
          }
        }, { ...mayRead, mayShare: workers !== "1" });
      })
    );
    for (const it of [first, second]) {
      assertEquals(it.server.sessions.length, 0);
      await it.close();
    }
  });
}
