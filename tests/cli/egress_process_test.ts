/** Session words and several addresses to connect from, as the program has them. */

import { assert, assertEquals } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/mod.ts";
import { hashPassword } from "../../src/server/auth/password_hash.ts";
import { test } from "../support/harness.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";
import { LOOPBACK, visit, withEcho } from "./echo.ts";

/** Enough sessions that they practically never all reach the same worker. */
const MANY = 40;
const mayShare = { mayShare: true };
const mayRead = { mayRead: true };
const PREFIX = "127.8.0.0/16";
const RULE = `* via ${PREFIX},2001:db8::1`;
const ARGS = ["--port=0", "--user=alice:pw", "--allow", RULE];

function proxyOf(port: number, word: string): string {
  return `socks5://alice-session-${word}:pw@${LOOPBACK}:${port}`;
}

/** The address from which a target is reached. */
async function sourceOf(proxy: string, target: number): Promise<string> {
  const conn = await connect(proxy, { hostname: LOOPBACK, port: target });
  conn.close();
  return conn.boundAddr.hostname;
}

/** The lines of ended sessions. */
async function endsOf(program: Program, count: number) {
  const lines = await program.lines(/"session-end"/, count);
  return lines.map((it) => JSON.parse(it));
}

test("socks5 --session-words logs the user, the word and the address", async () => {
  await withEcho((target) =>
    withProgram([...ARGS, "--session-words"], async (program) => {
      const proxy = proxyOf(await program.port(), "7");
      const source = await sourceOf(proxy, target);
      assert(source.startsWith("127.8."), source);
      const [{ user, sessionWord, via }] = await endsOf(program, 1);
      assertEquals([user, sessionWord, via], ["alice", "7", source]);
    })
  );
});

test("socks5 accepts no session words without the flag", async () => {
  await withEcho((target) =>
    withProgram(ARGS, async (program) => {
      const proxy = proxyOf(await program.port(), "7");
      await visit(proxy, target).catch(() => {});
      const [{ reason, user }] = await endsOf(program, 1);
      assertEquals([reason, user], ["login-failed", "alice-session-7"]);
    })
  );
});

for (const workers of ["1", "2"]) {
  test(`--workers ${workers} gives a session word one address, and --egress-sticky 0 many`, async () => {
    const args = [...ARGS, "--session-words", "--workers", workers];
    await withEcho(async (target) => {
      for (const sticky of [undefined, "0"]) {
        const more = sticky === undefined ? [] : ["--egress-sticky", sticky];
        await withProgram([...args, ...more], async (program) => {
          const proxy = proxyOf(await program.port(), "7");
          const sources = await Promise.all(
            Array.from({ length: MANY }, () => sourceOf(proxy, target)),
          );
          const ends = await endsOf(program, MANY);
          const used = new Set(ends.map(({ worker }) => worker)).size;
          assertEquals(used, Number(workers));
          const all = new Set(sources).size;
          assertEquals(all === 1, sticky === undefined, `${all}`);
        }, mayShare);
      }
    });
  });
}

test("socks5 connects from the addresses of a user, and --check warns of them", async () => {
  const hash = await hashPassword("pw", { iterations: 1 });
  const folder = await mkdtemp(join(tmpdir(), "socks5-"));
  const file = join(folder, "users");
  const write = (via: string) => writeFile(file, `alice:${hash} via=${via}\n`);
  const args = ["--port=0", "--users-file", file];
  try {
    await write("127.0.0.7,2001:db8:77::/64");
    const { stderr } = await runProgram([...args, "--check"], mayRead);
    assert(stderr.includes("warning: via 2001:db8:77::/64: "), stderr);
    assert(!stderr.includes("127.0.0.7"), stderr);
    await withEcho((target) =>
      withProgram(args, async (program) => {
        const proxy = `socks5://alice:pw@${LOOPBACK}:${await program.port()}`;
        assertEquals(await sourceOf(proxy, target), "127.0.0.7");
      }, mayRead)
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("socks5 --explain prints the list of addresses", async () => {
  const args = ["--allow", `${RULE} prefer ipv4`, "--explain", "127.0.0.1:1"];
  const { code, stdout, stderr } = await runProgram(args);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(
    stdout,
    `allow: allow ${RULE} prefer ipv4, via ${PREFIX} or 2001:db8::1, IPv4 first\n`,
  );
});

test("socks5 --check warns of addresses and prefixes that this machine does not have", async () => {
  const rule = `--allow=* via ${PREFIX},127.0.0.1,192.0.2.77,2001:db8:77::/64`;
  const { code, stdout, stderr } = await runProgram([rule, "--check"]);
  assertEquals(code, 0);
  assert(stdout.startsWith("the configuration is valid: "), stdout);
  assertEquals(stderr.split("\n"), [
    "socks5: warning: via 192.0.2.77: this machine does not have the address",
    "socks5: warning: via 2001:db8:77::/64: this machine cannot use the addresses of the " +
    "prefix; on Linux run: ip -6 route add local 2001:db8:77::/64 dev lo && " +
    "sysctl -w net.ipv6.ip_nonlocal_bind=1",
    "",
  ]);
});
