/**
 * A process that generates the load and runs the targets. It reads jobs from its
 * standard input, one per line as JSON, and prints the outcome of each.
 *
 * @module
 */

import { Backend } from "./backend.ts";
import { lines } from "./lines.ts";
import { hold, startLoad } from "./loads.ts";
import type { LoadMode } from "./modes.ts";
import { cpuOf, memoryOf } from "./process.ts";

/** The server of a job. */
interface Proxy {
  port: number;
  pid: number;
}

/** Generates load, and measures after a warm-up. */
export interface LoadJob extends Proxy {
  mode: LoadMode;
  /** The minimum of the warm-up: the time in milliseconds, and the count. */
  warmUp: { ms: number; count: number };
  ms: number;
}

/** Holds idle connections. */
export interface HoldJob extends Proxy {
  mode: "idle";
  connections: number;
}

/** A job of the process. */
export type Job = LoadJob | HoldJob;

/** The outcome of a job. */
export interface Outcome {
  /** The number of octets, round trips, connections or datagrams. */
  count: number;
  /** The same for the warm-up. */
  warmedUp: number;
  /** The processor time of the server in seconds, or its memory in octets. */
  cost: number;
  failed: number;
  /** The duration in milliseconds. */
  ms: number;
}

/** The time limits of a warm-up, and of its first result, in milliseconds. */
const PATIENCE = { end: 20_000, begin: 2_000 };

/** How long the memory of a server takes to become stable, in milliseconds. */
const SETTLE = 700;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function measure(job: LoadJob, backend: Backend): Promise<Outcome> {
  const { mode, port, pid, warmUp } = job;
  const load = startLoad(mode, port, backend);
  const begin = performance.now();
  const passed = () => performance.now() - begin;
  const isWarm = () => passed() >= warmUp.ms && load.count >= warmUp.count;
  const isHopeless = () =>
    passed() > (load.count > 0 ? PATIENCE.end : PATIENCE.begin);
  do await sleep(100); while (!isWarm() && !isHopeless());
  const snapshot = () => ({
    count: load.count,
    failed: load.failed,
    cost: cpuOf(pid),
    ms: performance.now(),
  });
  const before = snapshot();
  if (load.count > 0) await sleep(job.ms);
  const after = snapshot();
  await load.stop();
  return {
    count: after.count - before.count,
    warmedUp: before.count,
    failed: after.failed - before.failed,
    cost: after.cost - before.cost,
    ms: after.ms - before.ms,
  };
}

async function measureIdle(job: HoldJob, backend: Backend): Promise<Outcome> {
  const { port, pid, connections } = job;
  await (await hold(300, port, backend)).stop(); // allocates memory that is needed only once
  await sleep(SETTLE);
  const before = memoryOf(pid);
  const begin = performance.now();
  const load = await hold(connections, port, backend);
  await sleep(SETTLE);
  const cost = memoryOf(pid) - before;
  const ms = performance.now() - begin;
  await load.stop();
  const { count, failed } = load;
  return { count, warmedUp: 0, failed, cost, ms };
}

if (import.meta.main) {
  const backend = new Backend();
  for await (const line of lines(Deno.stdin.readable)) {
    const job: Job = JSON.parse(line);
    const outcome = job.mode === "idle"
      ? await measureIdle(job, backend)
      : await measure(job, backend);
    console.log(JSON.stringify(outcome));
  }
  Deno.exit(0); // the targets would keep the process alive
}
