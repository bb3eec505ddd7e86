import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { bind, connect, SocksError } from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { withFolder } from "../support/folder.ts";
import { runtime, test } from "../support/harness.ts";
import { until } from "../transport/contract.ts";
import { assertEchoes, LOOPBACK, visit, withEcho } from "./echo.ts";
import { type Program, runProgram, withProgram } from "../support/spawn.ts";

const isDeno = runtime === "deno";
const onlyDeno = isDeno ? undefined : "only Deno has flags and permissions";
const noThreads = isDeno
  ? "Deno's workers are threads, which cannot be killed from outside"
  : undefined;

const mayShare = { mayShare: true };
const TWO = ["--workers", "2", "--port", "0"];

/** Calls `use` with a server of two workers, its URL and the port of a target. */
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
  return await connect(proxy, `${LOOPBACK}:${target}`);
}

/** Enough sessions that they practically never all reach the same worker. */
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

/** Whether the process exists. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Returns the number of connections that still echo. */
async function countOpen(conns: readonly Conn[]): Promise<number> {
  const echoes = conns.map((conn) =>
    assertEchoes(conn, "?").then(() => 1, () => 0)
  );
  return (await Promise.all(echoes)).reduce((sum, it) => sum + it, 0);
}

/** Opens sessions until one is refused, and returns their connections. */
async function openAll(proxy: string, target: number): Promise<Conn[]> {
  const conns: Conn[] = [];
  for (;;) {
    const conn = await open(proxy, target).catch((error) => {
      assert(error instanceof SocksError);
    });
    if (!conn) return conns;
    conns.push(conn);
  }
}

test("--workers 2 spreads the sessions, and each line names the worker", async () => {
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

test("--workers 2 prints the address of the listener once", async () => {
  await withTwo(["--log", "text"], async (program, proxy) => {
    assertMatch(await program.line(/./), / listens on \S+ \(.*, 2 workers\)$/);
    program.kill("SIGTERM");
    const { stdout } = await program.ended;
    assertEquals(stdout.match(/listens on/g)?.length, 1);
    assertMatch(stdout, new RegExp(`\\(${proxy}, `));
  });
});

test("--workers auto starts a worker for each core, and none on a single core", async () => {
  await withProgram(["--workers", "auto", "--port", "0"], async (program) => {
    const { port, workers } = JSON.parse(await program.line(/"listening"/));
    assert(port > 0 && (workers === undefined || workers > 1));
    const { stdout } = await runProgram(
      ["--workers=auto", "--check"],
      mayShare,
    );
    const count = /, workers (\d+)\n/.exec(stdout)?.[1];
    assertEquals(String(workers), String(count));
  }, mayShare);
});

test("--workers 2 ends with 3 and one line of error when the port is in use", async () => {
  await withEcho(async (port) => {
    const args = ["--workers", "2", "--port", String(port)];
    const { code, stdout, stderr } = await runProgram(args, mayShare);
    assertEquals([code, stdout], [3, ""]);
    assertMatch(stderr, /^socks5: 127\.0\.0\.1:\d+ is in use: .+\n$/);
  });
});

test("--workers 2 does not share the port with another server", async () => {
  await withTwo([], async (_, proxy) => {
    const args = ["--workers", "2", "--port", new URL(proxy).port];
    const { code, stderr } = await runProgram(args, mayShare);
    assertEquals(code, 3, stderr);
  });
});

test("--workers 2 ends with 1 and one line of error when the address is not of this machine", async () => {
  const args = [...TWO, "--hostname", "192.0.2.1", "--open-proxy"];
  const { code, stdout, stderr } = await runProgram(args, mayShare);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^socks5: .*192\.0\.2\.1.*--hostname\n$/);
});

test(
  "--workers 2 names the flag that Deno needs",
  async () => {
    const { code, stdout, stderr } = await runProgram(TWO, { mayRead: true });
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^socks5: .*--unstable-net.*\n$/);
  },
  { skip: onlyDeno },
);

for (
  const [flag, reason] of [
    ["--max-sessions", "too many sessions"],
    ["--max-sessions-per-client", "too many sessions from this address"],
  ]
) {
  test(`${flag} limits all workers together`, async () => {
    await withTwo([flag, "10"], async (program, proxy, target) => {
      const conns = await openAll(proxy, target);
      assertEquals(conns.length, 10);
      const line = await program.line(/"session-rejected"/);
      assertEquals(JSON.parse(line).reason, reason);
      // A slot becomes free when its session ends, in whichever worker.
      for (let i = 0; i < 5; i++) {
        conns.shift()!.close();
        await program.lines(/"session-end"/, i + 1);
        conns.push(await openSoon(proxy, target));
      }
      assertEquals((await openAll(proxy, target)).length, 0);
      closeAll(conns);
    });
  });
}

/** Opens a session as soon as a slot is free: the other workers learn of it with a delay. */
async function openSoon(proxy: string, target: number): Promise<Conn> {
  for (;;) {
    const conn = await open(proxy, target).catch(() => undefined);
    if (conn) return conn;
  }
}

test("--max-sessions-per-user limits all workers together", async () => {
  const args = ["--max-sessions-per-user", "10", "--user", "alice:one"];
  await withTwo(args, async (_, proxy, target) => {
    const conns = await openAll(proxy.replace("//", "//alice:one@"), target);
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

test("BIND gets a different port for each session, in all workers", async () => {
  await withTwo([], async (_, proxy) => {
    const listeners = await Promise.all(
      Array.from({ length: 10 }, () => bind(proxy)),
    );
    const ports = new Set(listeners.map(({ addr }) => addr.port));
    for (const it of listeners) it.close();
    assertEquals(ports.size, listeners.length);
  });
});

/** Calls `use` with the path of a configuration file, and a function that writes it. */
async function withConfig(
  use: (
    file: string,
    write: (config: unknown) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const file = join(folder, "config.json");
    await use(file, (config) => writeFile(file, JSON.stringify(config)));
  });
}

test("SIGHUP updates all workers, and no session ends", async () => {
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
      assertEquals(await countOpen(conns), MANY);
      await write({ limits: { sessions: 30 } });
      program.kill("SIGHUP");
      await program.lines(/"reloaded"/, 2);
      assertEquals((await openAll(proxy, target)).length, 0);
      closeAll(conns);
      await program.lines(/"session-end"/, MANY + 40);
      const again = [await openSoon(proxy, target)];
      again.push(...await openAll(proxy, target));
      assertEquals(again.length, 30);
      closeAll(again);
    });
  });
});

test("SIGTERM shuts down all workers, and logs the number of all sessions", async () => {
  await withTwo([], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    program.kill("SIGTERM");
    const { sessions } = JSON.parse(await program.line(/"shutdown"/));
    assertEquals(sessions, MANY);
    await assertRejects(() => visit(proxy, target), SocksError);
    assertEquals(await countOpen(conns), MANY);
    closeAll(conns);
    const { code, stdout, stderr } = await program.ended;
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.match(/"session-end"/g)?.length, MANY);
  });
});

test("--grace ends the remaining sessions of all workers", async () => {
  await withTwo(["--grace", "50ms"], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    program.kill("SIGTERM");
    const { code, stdout } = await program.ended;
    assertEquals(code, 0);
    assertEquals(stdout.match(/"reason":"closed"/g)?.length, MANY);
    closeAll(conns);
  });
});

test("a second signal ends all workers immediately, and the last line has the number of their sessions", async () => {
  await withTwo(["--grace", "1h"], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    program.kill("SIGINT");
    await program.line(/"shutdown"/);
    program.kill("SIGTERM"); // right after SIGINT, another SIGINT is taken for an echo
    const { code, stdout } = await program.ended;
    assertEquals(code, 143);
    const { time: _, ...last } = JSON.parse(
      stdout.trimEnd().split("\n").at(-1)!,
    );
    assertEquals(last, {
      type: "terminated",
      signal: "SIGTERM",
      sessions: MANY,
    });
    assertEquals(await countOpen(conns), 0);
    closeAll(conns);
  });
});

test(
  "workers ignore the signals that the supervisor handles or ignores",
  async () => {
    await withTwo([], async (program, proxy, target) => {
      const conns = await openMany(proxy, target);
      for (const pid of await pidsOf(program)) {
        const ending = ["SIGINT", "SIGTERM", "SIGHUP"];
        for (const signal of [...ending, "SIGUSR1", "SIGUSR2"]) {
          process.kill(pid, signal);
        }
      }
      assertEquals(await countOpen(conns), MANY);
      closeAll(conns);
    });
  },
  { skip: noThreads },
);

test(
  "a worker that is killed loses only its own sessions, and is restarted",
  async () => {
    const args = ["--max-sessions", String(MANY)];
    await withTwo(args, async (program, proxy, target) => {
      const conns = await openMany(proxy, target);
      const [pid] = await pidsOf(program);
      process.kill(pid, "SIGKILL");
      const ended = JSON.parse(await program.line(/"worker-ended"/));
      assertEquals([ended.worker, ended.signal], [1, "SIGKILL"]);
      const remaining = await countOpen(conns);
      assert(
        remaining > 0 && remaining < MANY,
        `${remaining} of ${MANY} sessions are open`,
      );
      const started = JSON.parse(await program.line(/"worker-started"/));
      assertEquals([started.worker, started.replaces], [3, 1]);
      assert(started.pid > 0 && started.pid !== pid);
      // Exactly the slots of the killed worker are free.
      const more = await openAll(proxy, target);
      assertEquals(more.length, MANY - remaining);
      program.kill("SIGTERM");
      const { sessions } = JSON.parse(await program.line(/"shutdown"/));
      assertEquals(sessions, MANY);
      closeAll([...conns, ...more]);
      assertEquals((await program.ended).code, 0);
    });
  },
  { skip: noThreads },
);

test("workers end with the supervisor", async () => {
  await withTwo([], async (program, proxy, target) => {
    const conns = await openMany(proxy, target);
    const pids = await pidsOf(program) ?? [];
    program.kill("SIGKILL");
    // The output is open until all workers have ended, too.
    await program.ended;
    await until(() => !pids.some(isAlive));
    assertEquals(await countOpen(conns), 0);
    closeAll(conns);
  });
});

test("lines of several workers do not mix", async () => {
  await withTwo([], async (program, proxy) => {
    const port = Number(new URL(proxy).port);
    const transport = await detectTransport();
    const COUNT = 400;
    // Its line is long, and many lines are written at the same time.
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
