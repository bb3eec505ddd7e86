/** Nodes that share limits in Redis and Valkey, on all runtimes. */

import "./redis_program.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { runtime, test } from "../support/harness.ts";
import { echo, startTarget } from "../support/server.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { findProgram, missing, until } from "./programs.ts";
import {
  type Node,
  type Redis,
  untilHeld,
  withNodes,
  withRedis,
} from "./redis.ts";
import { missingRuntime, runtimes } from "./runtimes.ts";

const noRuntime = runtimes.map(missingRuntime).find((it) => it !== undefined);
const skip = noRuntime ?? missing("redis-server", "redis-cli");
/** Debian has it since version 13, so that it may be missing in CI. */
const noValkey = findProgram("valkey-server") && findProgram("redis-cli")
  ? undefined
  : "valkey-server is not installed";

const servers = [
  ["Redis", skip, "redis-server"],
  ["Valkey", noRuntime ?? noValkey, "valkey-server"],
] as const;

/** In milliseconds. */
const LEASE = 3_000;
const BEAT = LEASE / 3;

const shared = ["sessionsPerUser"] as const;
const limits = { sessionsPerUser: 10 };

function close(conns: readonly (Conn | undefined)[]): void {
  for (const conn of conns) conn?.close();
}

/** Logs in on the nodes in turn, all at once. */
function logIn(
  nodes: readonly Node[],
  count: number,
  port: number,
): Promise<(Conn | undefined)[]> {
  return Promise.all(
    Array.from(
      { length: count },
      (_, i) => nodes[i % nodes.length].login(port),
    ),
  );
}

/** Logs in one after the other, and measures how long each takes, in milliseconds. */
async function timed(
  node: Node,
  port: number,
  count: number,
): Promise<{ conns: (Conn | undefined)[]; median: number }> {
  const conns: (Conn | undefined)[] = [];
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = performance.now();
    conns.push(await node.login(port));
    times.push(performance.now() - at);
  }
  times.sort((a, b) => a - b);
  return { conns, median: times[Math.floor(count / 2)] };
}

/** A connection is no part of the message: it would take all memory to describe it. */
async function assertRefused(
  node: Node,
  port: number,
  login?: { password: string },
): Promise<void> {
  const conn = await node.login(port, login);
  conn?.close();
  assert(conn === undefined, "the login was not refused");
}

function granted(conns: readonly (Conn | undefined)[]): Conn[] {
  return conns.filter((it) => it !== undefined);
}

/** Runs `use` with a Redis and a node on each of the runtimes. */
async function withCluster(
  use: (
    it: { redis: Redis; nodes: readonly Node[]; port: number },
  ) => Promise<void>,
  { on = runtimes, command = "redis-server", args = [], ...options }: {
    on?: typeof runtimes;
    command?: string;
    /** Arguments of Redis. */
    args?: readonly string[];
    limits?: object;
    shared?: readonly ["bytesPerSecondPerUser"];
    store?: object;
  } = {},
): Promise<void> {
  const target = await startTarget(echo);
  await withRedis(command, (redis) => {
    const store = { url: redis.url, lease: LEASE, ...options.store };
    return withNodes(
      on,
      { limits, shared, ...options, store },
      (nodes) => use({ redis, nodes, port: target.addr.port }),
    );
  }, ...args);
  await target.close();
}

for (const [name, reason, command] of servers) {
  test(
    `three nodes on three runtimes let in exactly 10 of 90 logins at once through ${name}`,
    () =>
      withCluster(async ({ redis, nodes, port }) => {
        for (let round = 0; round < 10; round++) {
          const conns = await logIn(nodes, 90, port);
          assertEquals(granted(conns).length, 10);
          assertEquals(await redis.held(), 10);
          close(conns);
          await untilHeld(redis, 0);
        }
        for (const node of nodes) assertEquals(node.times("lost"), 0);
      }, { command }),
    { skip: reason, foreign: true },
  );
}

test(
  "a node that is killed loses its slots within the lease",
  () =>
    withCluster(async ({ redis, nodes: [killed, other], port }) => {
      const lost = await logIn([killed], 6, port);
      const kept = await logIn([other], 4, port);
      assertEquals(granted([...lost, ...kept]).length, 10);
      await assertRefused(other, port);
      const at = performance.now();
      killed.signal("SIGKILL");
      await until("a slot is free", async () => {
        const conn = await other.login(port);
        if (!conn) return false;
        kept.push(conn);
        return true;
      }, LEASE + 500);
      assert(performance.now() - at > LEASE - BEAT - 500);
      assertEquals(await redis.held(), 5);
      close([...lost, ...kept]);
    }, { on: [runtime, "bun"] }),
  { skip, foreign: true },
);

test(
  "a node that is suspended for longer than the lease is counted again",
  () =>
    withCluster(async ({ redis, nodes: [frozen, other], port }) => {
      const conns = await logIn([frozen], 6, port);
      frozen.signal("SIGSTOP");
      await until("its slots are free", async () => {
        await (await other.login(port))?.close();
        return await redis.held() <= 1;
      });
      conns.push(...await logIn([other], 7, port));
      assertEquals(await redis.held(), 7);
      frozen.signal("SIGCONT");
      await untilHeld(redis, 13, BEAT);
      await assertRefused(other, port);
      await assertRefused(frozen, port);
      close(conns);
      await untilHeld(redis, 0);
    }, { on: [runtime, "bun"] }),
  { skip, foreign: true },
);

test(
  "a Redis that does not answer costs a connection nothing after the first",
  () =>
    withCluster(async ({ redis, nodes, port }) => {
      const [node] = nodes;
      const before = await timed(node, port, 9);
      close(before.conns);
      await untilHeld(redis, 0);
      redis.signal("SIGSTOP");
      const first = await timed(node, port, 1);
      const rest = await timed(node, port, 9);
      const conns = [...first.conns, ...rest.conns];
      // The limit holds for the node alone.
      assertEquals(granted(conns).length, 10);
      await assertRefused(node, port);
      assert(first.median < 5_000);
      const times = `${before.median} ${first.median} ${rest.median}`;
      // Less than the timeout of 500 ms, on a busy machine, too.
      assert(rest.median < 400, times);
      assertEquals(node.times("lost"), 1);
      redis.signal("SIGCONT");
      await untilHeld(redis, 10, 2 * BEAT + 2_500);
      // Redis counts them a moment before the node reports that.
      await until("Redis is used", () => node.times("found") === 2);
      assertEquals(node.times("lost"), 1);
      close(conns);
      await untilHeld(redis, 0);
    }, { on: [runtime] }),
  { skip, foreign: true },
);

test(
  "a Redis that comes back empty has the right counts within a heartbeat",
  () =>
    withCluster(async ({ redis, nodes, port }) => {
      const conns = await logIn(nodes, 9, port);
      assertEquals(granted(conns).length, 9);
      redis.signal("SIGKILL");
      await redis.stop();
      await until("all have noticed", () =>
        nodes.every((it) => it.times("lost") === 1));
      conns.push(await nodes[0].login(port));
      close([conns.shift()]);
      await redis.start();
      await untilHeld(redis, 9, BEAT + 500);
      conns.push(await nodes[1].login(port));
      await assertRefused(nodes[2], port);
      close(conns);
      await untilHeld(redis, 0);
    }),
  { skip, foreign: true },
);

test(
  "failed logins that are spread over nodes lock a client out on all of them",
  () =>
    withCluster(async ({ nodes, port }) => {
      const wrong = { password: "no" };
      for (const node of nodes) {
        await assertRefused(node, port, wrong);
      }
      for (const node of nodes) {
        await assertRefused(node, port);
      }
    }, { store: { failedLogins: 3 } }),
  { skip, foreign: true },
);

test(
  "a strict node refuses logins while Redis is not reachable",
  () =>
    withCluster(async ({ redis, nodes: [node], port }) => {
      close([await node.login(port)]);
      await untilHeld(redis, 0);
      redis.signal("SIGKILL");
      await redis.stop();
      await assertRefused(node, port);
      await redis.start();
      let conn: Conn | undefined;
      await until("Redis is used again", async () => {
        conn = await node.login(port);
        return conn !== undefined;
      }, 2 * BEAT + 500);
      close([conn]);
      await untilHeld(redis, 0);
    }, { on: [runtime], store: { strict: true } }),
  { skip, foreign: true },
);

/** What Redis refuses to do, and the command that ends it. */
const refusals = [
  {
    name: "has no memory left",
    args: ["--maxmemory", "1"],
    message: /^lost: OOM /m,
    remedy: ["CONFIG", "SET", "maxmemory", "0"],
  },
  {
    name: "is a replica",
    args: ["--replicaof", "127.0.0.1 1"],
    message: /^lost: READONLY /m,
    remedy: ["REPLICAOF", "NO", "ONE"],
  },
  {
    name: "wants a password",
    args: ["--requirepass", "s3cret"],
    // Bun does not tell the reason.
    message: runtime === "bun" ? /^lost: ./m : /^lost: NOAUTH /m,
    remedy: ["--no-auth-warning", "-a", "s3cret", "CONFIG", "SET"]
      .concat("requirepass", ""),
  },
] as const;

for (const { name, args, message, remedy } of refusals) {
  test(
    `a node counts for itself while Redis ${name}, and reports it once`,
    () =>
      withCluster(async ({ redis, nodes: [node], port }) => {
        const conns = await logIn([node], 12, port);
        assertEquals(granted(conns).length, 10);
        assertMatch(node.output, message);
        // Attempts to reach Redis fail with each heartbeat.
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        assertEquals([node.times("lost"), node.times("found")], [1, 0]);
        await redis.command(...remedy);
        await until("Redis is used", () => node.times("found") === 1);
        assertEquals(await redis.held(), 10);
        await assertRefused(node, port);
        close(conns);
        await untilHeld(redis, 0);
      }, { on: [runtime], args, store: { lease: 900 } }),
    { skip, foreign: true },
  );
}

test(
  "a node uses a Redis that loses everything while it is used",
  () =>
    withCluster(async ({ redis, nodes, port }) => {
      const conns = await logIn(nodes, 6, port);
      await redis.command("FLUSHALL");
      await redis.command("SCRIPT", "FLUSH");
      conns.push(...await logIn(nodes, 30, port));
      await untilHeld(redis, 10);
      assertEquals(granted(conns).length, 10);
      for (const node of nodes) assertEquals(node.times("lost"), 0);
      close(conns);
      await untilHeld(redis, 0);
    }, { on: [runtime] }),
  { skip, foreign: true },
);
