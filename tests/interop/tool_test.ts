/** The client's commands with foreign proxies and programs. */

import { MARK } from "./gssapi_program.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { join } from "node:path";
import process from "node:process";
import { userPass } from "../../src/server/mod.ts";
import { type CheckName, checkProxy } from "../../src/tool/public.ts";
import { test } from "../support/harness.ts";
import { udp } from "../support/raw.ts";
import { closedPort, startServer, type TestServer } from "../support/server.ts";
import { programArgs, type ProgramOptions } from "../support/spawn.ts";
import { withGssapiServer } from "./gssapi.ts";
import {
  missing,
  type Output,
  type Program,
  run,
  start,
  withFolder,
} from "./programs.ts";
import { proxyKinds } from "./proxies.ts";
import { missingRealm, withRealm, writeKrb5Conf } from "./realm.ts";
import { withSshd } from "./sshd.ts";
import { blocks, checksum, MIB, startHttp } from "./targets.ts";

// The module is a program as well, which has to come first in the bundle.
void MARK;

/** The command of the program on the runtime of the tests. */
function command(options: ProgramOptions = {}): [string, ...string[]] {
  return [process.execPath, ...programArgs(options)];
}

/** The same as a text for a shell. */
function shellCommand(options: ProgramOptions = {}): string {
  return command(options).map((it) => `'${it}'`).join(" ");
}

function runTool(
  args: readonly string[],
  env?: Record<string, string>,
  options: ProgramOptions = {},
): Promise<Output> {
  const [program, ...first] = command(options);
  return run(program, [...first, ...args], { env: { ...env, NO_COLOR: "1" } });
}

/** What a proxy does not do, by its name. The checks with a login are apart. */
const LACKS: Readonly<Record<string, readonly CheckName[]>> = {
  danted: ["udp-fragments", "resolve", "reverse", "socks4a", "http"],
  "danted with a login": [
    "udp-fragments",
    "resolve",
    "reverse",
    "socks4",
    "socks4a",
    "http",
  ],
  microsocks: [
    "half-close",
    "bind",
    "udp",
    "resolve",
    "reverse",
    "socks4",
    "socks4a",
    "http",
  ],
  "ssh -D": ["bind", "udp", "resolve", "reverse", "http"],
  tinyproxy: ["half-close", "socks5", "socks4", "socks4a"],
};

for (const kind of proxyKinds) {
  const { name, protocols: [protocol], login } = kind;
  test(`checkProxy() finds what ${name} does`, () =>
    kind.run(async (port) => {
      const proxy = { protocol, hostname: "127.0.0.1", port, ...login };
      const report = await checkProxy(proxy, { timeout: 3_000 });
      const of = (outcome: string) =>
        report.results.filter((it) => it.outcome === outcome)
          .map((it) => it.name);
      const lacks = LACKS[name] ?? LACKS[name.replace(" with a login", "")];
      const free = login ? [] : ["login-required" as const];
      const order = (names: readonly CheckName[]) => [...names].sort();
      assertEquals(order(of("no")), order([...lacks, ...free]));
      assertEquals(report.ok, true);
      const wanted: CheckName[] = ["reach", "connect-ipv4", "connect-ipv6"];
      if (login) wanted.push("login", "wrong-login", "login-required");
      for (const it of wanted) assert(of("yes").includes(it), it);
      assertEquals([report.isOpen, report.warnings], [false, []]);
    }), { skip: kind.skip });
}

const LOGIN = { auth: [userPass({ alice: "correct horse" })] };
const USER = "alice:correct%20horse@";

/** Runs `use` with our server with a login, and a file that names it. */
function withProxy(
  use: (file: string, server: TestServer) => Promise<void>,
): Promise<void> {
  return withFolder(async (folder) => {
    const server = await startServer(LOGIN);
    const file = join(folder, "proxy.txt");
    const { port } = server.server.addr;
    await writeFile(file, `socks5h://${USER}127.0.0.1:${port}\n`);
    await chmod(file, 0o600);
    try {
      await use(file, server);
    } finally {
      await server.close();
    }
  });
}

const ssh = missing("ssh", "sshd", "ssh-keygen");

test(
  "connect is a ProxyCommand of ssh, and carries 10 MiB both ways",
  () =>
    withSshd(({ ssh }) =>
      withProxy(async (file, server) => {
        const program = shellCommand({ mayRead: true });
        const proxy =
          `ProxyCommand=${program} connect --proxy-file ${file} %h %p`;
        const args = ["-o", proxy, ...ssh];
        const echoed = await run("ssh", [...args, "echo ok; exit 5"]);
        assertEquals(
          [echoed.stderr, echoed.stdout, echoed.code],
          ["", "ok\n", 5],
        );
        assertEquals((await server.ended()).session.user, "alice");

        const hash = createHash("sha256");
        const { code, stderr } = await run("ssh", [...args, "cat"], {
          stdin: blocks(10),
          onStdout: (chunk) => hash.update(chunk),
        });
        assertEquals([stderr, code], ["", 0]);
        assertEquals(hash.digest("hex"), checksum(10));
        const { session } = await server.ended();
        assert(session.sent > 10 * MIB && session.received > 10 * MIB);
      })
    ),
  { skip: ssh },
);

test(
  "connect lets git clone over ssh",
  () =>
    withSshd(({ ssh }) =>
      withProxy((file, server) =>
        withFolder(async (folder) => {
          const [source, copy, wrapper] = ["source", "copy", "ssh.sh"]
            .map((it) => join(folder, it));
          const git = async (...args: string[]) => {
            const env = {
              GIT_SSH: wrapper,
              GIT_SSH_VARIANT: "ssh",
              HOME: folder,
            };
            const user = ["-c", "user.name=t", "-c", "user.email=t@t.test"];
            const { code, stderr } = await run("git", [...user, ...args], {
              env,
            });
            assertEquals(code, 0, stderr);
          };
          await git("init", "--quiet", source);
          const content = "x".repeat(100_000);
          await writeFile(join(source, "file.txt"), content);
          await git("-C", source, "add", ".");
          await git("-C", source, "commit", "--quiet", "-m", "first");
          const program = shellCommand({ mayRead: true });
          const options = ssh.slice(0, -1).map((it) => `'${it}'`).join(" ");
          await writeFile(
            wrapper,
            `#!/bin/sh\nexec ssh ${options} -o "ProxyCommand=${program} ` +
              `connect --proxy-file '${file}' %h %p" "$@"\n`,
          );
          await chmod(wrapper, 0o755);
          await git("clone", "--quiet", `127.0.0.1:${source}`, copy);
          const copied = await readFile(join(copy, "file.txt"), "utf8");
          assertEquals(copied, content);
          const { session } = await server.ended();
          assertEquals(session.user, "alice");
        })
      )
    ),
  { skip: ssh ?? missing("git") },
);

/** Runs `use` with a command that has printed its line, and the port in it. */
async function withRunning(
  args: string[],
  use: (port: number) => Promise<void>,
): Promise<void> {
  const [program, ...first] = command({ mayRead: true });
  const isReady = ({ stdout }: Program) => stdout.endsWith("\n");
  const running = await start(program, [...first, ...args], isReady);
  try {
    await use(Number(/127\.0\.0\.1:(\d+)/.exec(running.stdout)![1]));
  } finally {
    await running.stop();
  }
}

const quiet = ["-q", "--silent", "--show-error", "--noproxy", ""];

test(
  "forward leads curl to a web server",
  () =>
    withProxy(async (file, server) => {
      const http = await startHttp();
      const target = `127.0.0.1:${http.port}`;
      try {
        const args = ["forward", "--proxy-file", file, "0", target];
        await withRunning(args, async (port) => {
          const url = `http://127.0.0.1:${port}/`;
          const { stdout, stderr } = await run("curl", [...quiet, url]);
          assertEquals([stderr, stdout], ["", "hello"]);
        });
        assertEquals((await server.ended()).session.user, "alice");
      } finally {
        await http.close();
      }
    }),
  { skip: missing("curl") },
);

/** Answers every question of DNS for an address with 192.0.2.7. */
function nameServer() {
  return udp("127.0.0.1", ({ payload, from }, self) => {
    const end = payload.indexOf(0, 12) + 5;
    const answer = [192, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7];
    self.send(
      Uint8Array.of(
        ...payload.subarray(0, 2),
        ...[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0],
        ...payload.subarray(12, end),
        ...answer,
      ),
      from,
    );
  });
}

for (
  const [program, ...args] of [
    ["kdig", "+short", "+timeout=5", "@127.0.0.1"],
    ["drill", "@127.0.0.1"],
  ]
) {
  test(
    `forward --udp leads ${program} to a name server`,
    () =>
      withProxy(async (file) => {
        const dns = await nameServer();
        const target = `127.0.0.1:${dns.addr.port}`;
        try {
          const forward = [
            "forward",
            "--udp",
            "--proxy-file",
            file,
            "0",
            target,
          ];
          await withRunning(forward, async (port) => {
            const all = [...args, "-p", `${port}`, "name.test", "A"];
            const { stdout } = await run(program, all);
            assertMatch(stdout, /(^|\s)192\.0\.2\.7$/m);
          });
        } finally {
          dns.close();
        }
      }),
    { skip: missing(program) },
  );
}

test(
  "run leads curl through a proxy with a login, and nowhere else",
  () =>
    withProxy(async (file, server) => {
      const http = await startHttp();
      const url = `http://127.0.0.1:${http.port}/`;
      const permissions = { mayRead: true, mayRun: true, mayReadEnv: true };
      const env = { NO_PROXY: "127.0.0.1" };
      const fetch = (proxy: string) =>
        runTool(
          [
            ...["run", "--proxy-file", file, "--", "sh", "-c"],
            `curl -q -sSf ${proxy} ${url}`,
          ],
          env,
          permissions,
        );
      try {
        for (const proxy of ['-x "$ALL_PROXY"', '-p -x "$HTTP_PROXY"']) {
          const { stdout, stderr } = await fetch(proxy);
          assertEquals([stderr, stdout], ["", "hello"]);
          assertEquals((await server.ended()).session.user, "alice");
        }
        await server.close();
        const before = http.connections;
        const { code, stdout } = await fetch("");
        assertEquals([code === 0, stdout], [false, ""]);
        assertEquals(http.connections, before);
      } finally {
        await http.close();
      }
    }),
  { skip: missing("curl") },
);

/** Kerberos with what a beginner does wrong: the arguments, the environment, the advice. */
const mistakes: [
  name: string,
  args: string[],
  env: (folder: string) => Promise<Record<string, string>>,
  advice: RegExp,
][] = [
  [
    "without a ticket",
    [],
    (folder) => Promise.resolve({ KRB5CCNAME: `FILE:${folder}/none` }),
    /Advice: run `kinit NAME@REALM`; `klist` then shows/,
  ],
  [
    "with a wrong service name",
    ["--gssapi-service", "socks"],
    () => Promise.resolve({}),
    /Advice: .*socks\/localhost.* `klist -k` .*--gssapi-service/,
  ],
  [
    "without a KDC",
    [],
    async (folder) => {
      const path = join(folder, "dead.conf");
      await writeKrb5Conf(path, await closedPort());
      return { KRB5_CONFIG: path };
    },
    /Advice: no KDC of the realm answers: .*\/etc\/krb5\.conf/,
  ],
];

test(
  "check --gssapi logs in by Kerberos, and explains what is wrong",
  () =>
    withRealm((realm) =>
      withGssapiServer(realm, {}, async ({ port }) => {
        const url = `socks5h://localhost:${port}`;
        const options = { mayLoad: true };
        // First, as long as no ticket for the proxy is stored.
        for (const [name, args, change, advice] of mistakes) {
          const env = { ...realm.env, ...await change(realm.folder) };
          const all = ["check", "--gssapi", ...args, url];
          const { code, stdout } = await runTool(all, env, options);
          assertEquals(code, 1, name);
          assertMatch(stdout, advice);
        }
        const good = await runTool(
          ["check", "--gssapi", url],
          realm.env,
          options,
        );
        assertEquals([good.stderr, good.code], ["", 0], good.stdout);
        assertMatch(good.stdout, /^ {2}speaks SOCKS5 +yes .*Kerberos$/m);
        assertMatch(good.stdout, /^ {2}accepts the login +yes /m);
        assertMatch(good.stdout, /^ {2}UDP ASSOCIATE +yes /m);
      })
    ),
  { skip: missingRealm(), timeout: 120_000 },
);
