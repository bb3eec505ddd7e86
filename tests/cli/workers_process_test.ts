import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { bind, connect, SocksError } from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { runtime, test } from "../support/harness.ts";
import { until } from "../transport/contract.ts";
import { assertEchoes, LOOPBACK, visit, withEcho } from "./echo.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";

const isDeno = runtime === "deno";
const onlyDeno = isDeno ? undefined : "only Deno has flags and permissions";
const noThreads = isDeno
  ? "Deno's workers are threads, which nothing can kill alone"
  : undefined;

const mayShare = { mayShare: true };
const TWO = ["--workers", "2", "--port", "0"];

/** Calls `use` with a server that has two workers, its URL and a target. */
async function withTwo(
  args: string[],
  use: (program: Program, proxy: string, target: number) => Promise<void>,
): Promise<void> {
  await withEcho((target) =>
    withProgram([...TWO, ...args], async (program) => {
      const proxy = `socks5://${LOOPBACK}:${await program.port()}`;
      await use(program, proxy, target);
    }, mayShare)
  );
}

async function open(proxy: string, target: number): Promise<Conn> {
  return (await connect(proxy, `${LOOPBACK}:${target}`)).conn;
}

/** As many sessions: that all come to one worker by chance is next to impossible. */
const MANY = 40;

function openMany(
  proxy: string,
  target: number,
  count = MANY,
): Promise<Conn[]> {
  return Promise.all(Array.from({ length: count }, () => open(proxy, target)));
}

function closeAll(conns: readonly Conn[]): void {
  for (const conn of conns) conn.close();
}

async function pidsOf(program: Program): Promise<number[]> {
  return JSON.parse(await program.line(/"listening"/)).pids;
}

/** Whether there is such a process. */
function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** How many of the connections still echo. */
async function countLiving(conns: readonly Conn[]): Promise<number> {
  const echoes = conns.map((conn) =>
    assertEchoes(conn, "?").then(() => 1, () => 0)
  );
  return (await Promise.all(echoes)).reduce((sum, it) => sum + it, 0);
}

/** Opens sessions until one is refused, and gives those that were not. */
async function fill(proxy: string, target: number): Promise<Conn[]> {
  const conns: Conn[] = [];
  for (;;) {
    const conn = await open(proxy, target).catch((error) => {
      assert(error instanceof SocksError);
    });
    if (!conn) return conns;
    conns.push(conn);
  }
}

test("--workers 2 spreads the sessions, and its lines tell over whom", async () => {
  await withTwo([], async (program, proxy, target) => {
    const { workers } = JSON.parse(await program.line(/"listening"/));
    assertEquals(workers, 2);
    await Promise.all(
      Array.from({ length: MANY }, () => visit(proxy, target)),
    );
    const lines = await program.lines(/"session-end"/, MANY);
    const served = new Set(lines.map((it) => JSON.parse(it).worker));
    assertEquals([...served].sort(), [1, 2]);
    program.kill("SIGTERM");
    const { code, stderr } = await program.ended;
    assertEquals([code, stderr], [0, ""]);
  });
});

test("--workers 2 says once where it listens, also as text", async () => {
  await withTwo(["--log", "text"], async (program, proxy) => {
    assertMatch(await program.line(/./), / listens on \S+ \(.*, 2 workers\)$/);
    program.kill("SIGTERM");
    const { stdout } = await program.ended;
    assertEquals(stdout.match(/listens on/g)?.length, 1);
    assertMatch(stdout, new RegExp(`\\(${proxy}, `));
  });
});

test("--workers auto has a worker for each core, and none for one core", async () => {
  await withProgram(["--workers", "auto", "--port", "0"], async (program) => {
    const { port, workers } = JSON.parse(await program.line(/"listening"/));
    assert(port > 0 && (workers === undefined || workers > 1));
    const said = await runProgram(["--workers=auto", "--check"], mayShare);
    const count = /, workers (\d+)\n/.exec(said.stdout)?.[1];
    assertEquals(String(workers), String(count));
  }, mayShare);
});

test("--workers 2 ends with 3 and one line when the port is in use", async () => {
  await withEcho(async (port) => {
    const args = ["--workers", "2", "--port", String(port)];
    const { code, stdout, stderr } = await runProgram(args, mayShare);
    assertEquals([code, stdout], [3, ""]);
    assertMatch(stderr, /^socks5-server: 127\.0\.0\.1:\d+ is in use: .+\n$/);
  });
});

test("--workers 2 does not share the port with another server", async () => {
  await withTwo([], async (_, proxy) => {
    const args = ["--workers", "2", "--port", new URL(proxy).port];
    const { code, stderr } = await runProgram(args, mayShare);
    assertEquals(code, 3, stderr);
  });
});

test("--workers 2 ends with 1 and one line when the address is not its own", async () => {
  const args = [...TWO, "--hostname", "192.0.2.1", "--open-proxy"];
  const { code, stdout, stderr } = await runProgram(args, mayShare);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^socks5-server: .*192\.0\.2\.1.*--hostname\n$/);
});

test(
  "--workers 2 says which flag and which permission Deno needs",
  async () => {
    const { code, stdout, stderr } = await runProgram(TWO, { mayRead: true });
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^socks5-server: .*--unstable-net.*\n$/);
  },
  { skip: onlyDeno },
);

for (
  const [flag, reason] of [
    ["--max-sessions", "too many sessions"],
    ["--max-sessions-per-client", "too many sessions from this address"],
  ]
) {
  test(`${flag} holds for all workers together`, async () => {
    await withTwo([flag, "10"], async (program, proxy, target) => {
      const conns = await fill(proxy, target);
      assertEquals(conns.length, 10);
      const line = await program.line(/"session-rejected"/);
      assertEquals(JSON.parse(line).reason, reason);
      // Each place that is left is free again, whoever had it.
      for (let i = 0; i < 5; i++) {
        conns.shift()!.close();
        await program.lines(/"session-end"/, i + 1);
        conns.push(await openSoon(proxy, target));
      }
      assertEquals((await fill(proxy, target)).length, 0);
      closeAll(conns);
    });
  });
}

/** A place that a worker gives back is free for the others a moment later. */
async function openSoon(proxy: string, target: number): Promise<Conn> {
  for (;;) {
    const conn = await open(proxy, target).catch(() => undefined);
    if (conn) return conn;
  }
}

test("--max-sessions-per-user holds for all workers together", async () => {
  const args = ["--max-sessions-per-user", "10", "--user", "alice:one"];
  await withTwo(args, async (_, proxy, target) => {
    const conns = await fill(proxy.replace("//", "//alice:one@"), target);
    assertEquals(conns.length, 10);
    closeAll(conns);
  });
});

test("--failed-logins counts the failures of all workers together", async () => {
  const args = ["--failed-logins", "4", "--user", "alice:one"];
  await withTwo(args, async (_, proxy, target) => {
    const right = proxy.replace("//", "//alice:one@");
    const wrong = proxy.replace("//", "//alice:two@");
    await visit(right, target);
    for (let i = 0; i < 4; i++) {
      await assertRejects(() => visit(wrong, target), SocksError);
    }
    for (let i = 0; i < 10; i++) {
      await assertRejects(() => visit(right, target), SocksError);
    }
  });
});

test("BIND has a port of its own for each session of any worker", async () => {
  await withTwo([], async (_, proxy) => {
    const listeners = await Promise.all(
      Array.from({ length: 10 }, () => bind(proxy)),
    );
    const ports = new Set(listeners.map(({ addr }) => addr.port));
    for (const it of listeners) it.close();
    assertEquals(ports.size, listeners.length);
  });
});

/** Calls `use` with a function that writes the configuration file. */
async function withConfig(
  use: (
    file: string,
    write: (config: unknown) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "socks5-"));
  const file = join(folder, "config.json");
  try {
    await use(file, (config) => writeFile(file, JSON.stringify(config)));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("SIGHUP reaches all workers, and no session ends", async () => {
  await withConfig(async (file, write) => {
    await write({});
    await withTwo(["--config", file], async (program, proxy, target) => {
      const conns = await openMany(proxy, target);
      await write({ rules: ["deny *"], limits: { sessions: MANY + 20 } });
      program.kill("SIGHUP");
      await program.line(/"reloaded"/);
      for (let i = 0; i < 20; i++) {
        await assertRejects(() => visit(proxy, target), SocksError);
      }
      await write({ rules: ["allow *", "x"] });
      program.kill("SIGHUP");
      await program.line(/"reload-failed"/);
      for (let i = 0; i < 20; i++) {
        await assertRejects(() => visit(proxy, target), SocksError);
      }
      assertEquals(await countLiving(conns), MANY);
      await write({ limits: { sessions: 30 } });
      program.kill("SIGHUP");
      await program.lines(/"reloaded"/, 2);
      assertEquals((await fill(proxy, target)).length, 0);
      closeAll(conns);
      await program.lines(/"session-end"/, MANY + 40);
      const again = [await openSoon(proxy, target)];
      again.push(...await fill(proxy, target));
      assertEquals(again.length, 30);
      closeAll(again);
    });
  });
});

test("SIGTERM drains all workers, and tells of their sessions together", async () => {
  await withTwo([], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    program.kill("SIGTERM");
    const { sessions } = JSON.parse(await program.line(/"shutdown"/));
    assertEquals(sessions, MANY);
    await assertRejects(() => visit(proxy, target), SocksError);
    assertEquals(await countLiving(conns), MANY);
    closeAll(conns);
    const { code, stdout, stderr } = await program.ended;
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.match(/"session-end"/g)?.length, MANY);
  });
});

test("--grace ends the sessions of all workers that stay", async () => {
  await withTwo(["--grace", "50ms"], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    program.kill("SIGTERM");
    const { code, stdout } = await program.ended;
    assertEquals(code, 0);
    assertEquals(stdout.match(/"reason":"closed"/g)?.length, MANY);
    closeAll(conns);
  });
});

test("a second signal ends all workers at once", async () => {
  await withTwo(["--grace", "1h"], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    program.kill("SIGINT");
    await program.line(/"shutdown"/);
    program.kill("SIGTERM"); // the same one at once would be taken for an echo
    assertEquals((await program.ended).code, 143);
    assertEquals(await countLiving(conns), 0);
    closeAll(conns);
  });
});

test(
  "workers leave the signals of a terminal to the first process",
  async () => {
    await withTwo([], async (program, proxy, target) => {
      const conns = await openMany(proxy, target);
      for (const pid of await pidsOf(program)) {
        for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
          process.kill(pid, signal);
        }
      }
      assertEquals(await countLiving(conns), MANY);
      closeAll(conns);
    });
  },
  { skip: noThreads },
);

test(
  "one worker's death costs only its sessions, and it starts again",
  async () => {
    const args = ["--max-sessions", String(MANY)];
    await withTwo(args, async (program, proxy, target) => {
      const conns = await openMany(proxy, target);
      const [pid] = await pidsOf(program);
      process.kill(pid, "SIGKILL");
      const ended = JSON.parse(await program.line(/"worker-ended"/));
      assertEquals([ended.worker, ended.signal], [1, "SIGKILL"]);
      const living = await countLiving(conns);
      assert(living > 0 && living < MANY, `${living} of ${MANY} sessions live`);
      const started = JSON.parse(await program.line(/"worker-started"/));
      assertEquals(started.worker, 1);
      assert(started.pid > 0 && started.pid !== pid);
      // What it had is free again, and no more.
      const more = await fill(proxy, target);
      assertEquals(more.length, MANY - living);
      program.kill("SIGTERM");
      const { sessions } = JSON.parse(await program.line(/"shutdown"/));
      assertEquals(sessions, MANY);
      closeAll([...conns, ...more]);
      assertEquals((await program.ended).code, 0);
    });
  },
  { skip: noThreads },
);

test("no worker outlives the first process", async () => {
  await withTwo([], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    const pids = await pidsOf(program) ?? [];
    program.kill("SIGKILL");
    // Each worker has the standard output open for as long as it lives.
    await program.ended;
    await until(() => !pids.some(lives));
    assertEquals(await countLiving(conns), 0);
    closeAll(conns);
  });
});

test("lines of several workers are whole", async () => {
  await withTwo([], async (program, proxy) => {
    const port = Number(new URL(proxy).port);
    const transport = await detectTransport();
    const COUNT = 400;
    // Its line is long, and many of them are written at a time.
    const refuse = async () => {
      const conn = await transport.connect({ hostname: LOOPBACK, port });
      const userId = new Array(255).fill(1);
      await conn.write(Uint8Array.of(4, 1, 0, 1, 127, 0, 0, 1, ...userId, 0));
      while (await conn.read());
      conn.close();
    };
    for (let i = 0; i < COUNT; i += 50) {
      await Promise.all(Array.from({ length: 50 }, refuse));
    }
    program.kill("SIGTERM");
    const { stdout } = await program.ended;
    const records = stdout.trimEnd().split("\n").map((it) => JSON.parse(it));
    const ends = records.filter(({ type }) => type === "session-end");
    assertEquals(ends.length, COUNT);
  });
});
