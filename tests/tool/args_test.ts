/** The arguments of the client's commands. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { UsageError } from "../../src/cli/usage_error.ts";
import { COMMAND_NAMES } from "../../src/cli/config/command_names.ts";
import { PROXY_FLAGS } from "../../src/tool/args/flags.ts";
import { parseArguments } from "../../src/tool/args/parse.ts";
import { readProxies } from "../../src/tool/args/proxies.ts";
import { readTarget } from "../../src/tool/args/target.ts";
import { openDialer } from "../../src/tool/commands/dialer.ts";
import {
  findPreload,
  preloadVariables,
  uncovered,
} from "../../src/tool/commands/preload.ts";
import { helpOf } from "../../src/tool/tool.ts";
import { withFolder } from "../support/folder.ts";
import { test } from "../support/harness.ts";

const parse = (...args: string[]) => parseArguments(args, PROXY_FLAGS);

test("parseArguments() separates URLs, words, flags and the rest", () => {
  const args = parse(
    "socks5h://a:1",
    "--timeout=5s",
    "80",
    "--gssapi",
    "https://b",
    "x:1",
    "--",
    "--help",
    "socks5://c",
  );
  assertEquals(args.urls, ["socks5h://a:1", "https://b"]);
  assertEquals(args.words, ["80", "x:1"]);
  assertEquals(args.rest, ["--help", "socks5://c"]);
  assertEquals([args.has("gssapi"), args.has("help")], [true, false]);
  assertEquals(args.duration("timeout", 1), 5_000);
  assertEquals(parse().duration("timeout", 1), 1);
  assertEquals(args.value("tls-ca"), undefined);
});

const refused: [args: string[], message: RegExp][] = [
  [["--tmeout", "5s"], /^unknown flag --tmeout, did you mean "--timeout"\?$/],
  [["--secret=pw"], /^unknown flag --secret$/],
  [["-psecret"], /^unknown flag, or a value/],
  [["-x"], /^unknown flag -x/],
  [["--no-gssapi"], /^unknown flag --no-gssapi/],
  [["--gssapi=no"], /^--gssapi takes no value$/],
  [["--tls-ca"], /^--tls-ca needs a value$/],
  [["--tls-ca", "a", "--tls-ca", "b"], /^--tls-ca is given twice$/],
];

for (const [args, message] of refused) {
  test(`parseArguments() refuses ${args.join(" ")}`, () => {
    const error = assertThrows(() => parse(...args), UsageError);
    assertMatch(error.message, message);
    assertEquals(/secret(?!$)|pw/.test(error.message), false);
  });
}

const misplaced: [args: string[], message: RegExp][] = [
  [[], /a proxy is missing/],
  [["sock5://al:pw@h:1"], /^a proxy URL begins with one of/],
  [["socks5://h:1", "socks5://al:pw@h:x"], /^proxy 2: the proxy is not a URL/],
  [["socks5://h:1", "--proxy-file", "f"], /either/],
  [["--proxy-file", "/nonexistent/pw"], /^--proxy-file .*: no such file$/],
  [
    ["socks5://h", "--tls-ca", "/nonexistent/pw"],
    /^--tls-ca .*: no such file$/,
  ],
  [["socks5://h", "--tls-name", "n"], /^the flags of TLS are for/],
  [["socks5s://h", "--tls-key", "/dev/null"], /must be given together$/],
  [
    ["socks5s://h", "--tls-ca", "/dev/null"],
    /^--tls-ca \/dev\/null is not a certificate in PEM.* -in \/dev\/null /,
  ],
  [["socks5://h", "--gssapi-service", "n"], /needs --gssapi/],
  [["socks5://h", "--gssapi", "--gssapi-service", "a/b"], /must be a part/],
  [["socks5://h", "--timeout", "30"], /write 30s for seconds/],
];

for (const [args, message] of misplaced) {
  test(`readProxies() refuses ${args.join(" ") || "nothing"}`, async () => {
    const error = await assertRejects(
      () => readProxies(parse(...args)),
      UsageError,
    );
    assertMatch(error.message, message);
    assertEquals(error.message.includes("al:pw"), false);
  });
}

test("openDialer() refuses what the proxies cannot do, without a login", async () => {
  const many = Array.from({ length: 17 }, () => "socks5://al:pw@h:1");
  for (
    const args of [many, ["http://h:1", "--gssapi"], [
      "socks5s://h",
      "--tls-pin",
      "0",
    ]]
  ) {
    const proxies = await readProxies(parse(...args));
    const error = assertThrows(() => openDialer(proxies), UsageError);
    assertEquals(error.message.includes("pw"), false);
  }
});

test("preloadVariables() adds to the flags that are there", () => {
  const url = "file:///a%20b/mod.js";
  const env = { NODE_OPTIONS: "--no-warnings", BUN_OPTIONS: "" };
  assertEquals(preloadVariables(url, env), {
    NODE_OPTIONS: `--no-warnings --import=${url}`,
    BUN_OPTIONS: "--preload=/a b/mod.js",
  });
});

test("findPreload() looks beside the sources and in the package", async () => {
  await withFolder(async (folder) => {
    const base = (path: string) => pathToFileURL(join(folder, path)).href;
    assertEquals(findPreload(base("src/tool/commands/run.ts")), undefined);
    for (
      const [module, from] of [
        ["src/doors/register/mod.ts", "src/tool/commands/run.ts"],
        ["esm/src/doors/register/mod.js", "esm/src/cli/run-X.js"],
      ]
    ) {
      await mkdir(join(folder, module, ".."), { recursive: true });
      await writeFile(join(folder, module), "");
      assertEquals(findPreload(base(from)), base(module));
    }
    assertEquals(findPreload("https://modules.example/a/b/c/d.ts"), undefined);
  });
});

test("uncovered() refuses runtimes that would connect directly", () => {
  const found = "file:///m.js";
  for (const name of ["node", "/usr/bin/nodejs", "npx", "bun"]) {
    const command = [name, "app.js"] as const;
    assertMatch(uncovered([...command], undefined)!, / connect directly/);
    assertEquals(uncovered([...command], found), undefined);
  }
  for (
    const [preload, expected] of [
      [undefined, /--preload=npm:\S+ after "deno run"$/],
      [found, /--preload=file:\/\/\/m\.js after "deno run"$/],
    ] as const
  ) {
    assertMatch(uncovered(["deno", "run", "app.ts"], preload)!, expected);
    const loaded = ["deno", "run", "--preload=npm:x", "app.ts"] as const;
    assertEquals(uncovered([...loaded], preload), undefined);
    assertEquals(uncovered(["curl", "node"], preload), undefined);
  }
});

async function withFile(
  text: string,
  mode: number,
  use: (path: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = join(folder, "proxy.txt");
    await writeFile(path, text);
    await chmod(path, mode);
    await use(path);
  });
}

test("readProxies() reads a chain from a file of the user's own", async () => {
  const text = "# ours\r\nsocks5h://al:p%40@a:1\n\n  https://b  \n";
  await withFile(text, 0o600, async (path) => {
    const { hops, timeout, auth, tls } = await readProxies(
      parse("--proxy-file", path),
    );
    assertEquals(hops, [
      {
        protocol: "socks5h",
        hostname: "a",
        port: 1,
        username: "al",
        password: "p@",
      },
      { protocol: "https", hostname: "b", port: 443 },
    ]);
    assertEquals([timeout, auth, tls], [30_000, undefined, undefined]);
  });
});

test("readProxies() refuses a file that others can read, or without a URL", async () => {
  for (
    const [text, mode, message] of [
      ["socks5h://al:hunter2@a", 0o644, /chmod 600/],
      ["# nothing\n", 0o600, /has no URL$/],
      ["al:hunter2@a:1\n", 0o600, /is not a URL|begins with/],
    ] as [string, number, RegExp][]
  ) {
    await withFile(text, mode, async (path) => {
      const error = await assertRejects(
        () => readProxies(parse("--proxy-file", path)),
        UsageError,
      );
      assertMatch(error.message, message);
      assertEquals(error.message.includes("hunter2"), false);
    });
  }
});

test("readTarget() reads one argument or two", () => {
  for (
    const [words, hostname, port] of [
      [["a.test:22"], "a.test", 22],
      [["a.test", "22"], "a.test", 22],
      [["::1", "22"], "::1", 22],
      [["[::1]", "22"], "::1", 22],
      [["[::1]:22"], "::1", 22],
      [["192.0.2.1", "22"], "192.0.2.1", 22],
    ] as [string[], string, number][]
  ) {
    assertEquals(readTarget(words), { hostname, port });
  }
});

test("readTarget() refuses other arguments, and shows no login", () => {
  for (
    const words of [
      [],
      ["a.test"],
      ["a.test:0"],
      ["a.test:99999"],
      ["al:secret"],
      ["al:secret@a.test"],
      ["al:secret", "22"],
      ["a.test", "b.test"],
      ["a.test", "22", "33"],
      ["::1:22"],
      ["a:b:c"],
    ]
  ) {
    const { message } = assertThrows(() => readTarget(words), UsageError);
    assertEquals(message.includes("secret"), false, message);
  }
});

test("helpOf() describes each command in 80 columns", async () => {
  for (const name of ["tool", ...COMMAND_NAMES]) {
    const text = await helpOf(name);
    if (["serve", "help", "hash-password"].includes(name)) {
      assertEquals(text, undefined);
      continue;
    }
    const lines = text!.split("\n");
    assertMatch(lines[0], /^Usage: socks5 /);
    assertEquals(lines.filter((it) => it.length > 80), []);
    assertEquals(lines.filter((it) => it.endsWith(" ")), []);
    if (name !== "tool") assert(text!.includes(`socks5 ${name} `));
  }
  assertEquals(await helpOf("constructor"), undefined);
  assertEquals(await helpOf(), undefined);
});
