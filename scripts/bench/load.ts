/**
 * A process that puts load on servers, and that has the targets behind them. It
 * reads jobs from its standard input, one a line as JSON, and prints what each
 * of them came to.
 *
 * @module
 */

import { Backend } from "./backend.ts";
import { lines } from "./lines.ts";
import { hold, startLoad } from "./loads.ts";
import type { LoadMode } from "./modes.ts";
import { cpuOf, memoryOf } from "./process.ts";

/** The server that a job is about. */
interface Proxy {
  port: number;
  pid: number;
}

/** Puts load on it, and measures after a warm-up. */
export interface LoadJob extends Proxy {
  mode: LoadMode;
  /** Ends the warm-up: milliseconds that have passed, and how much is done. */
  warmUp: { ms: number; count: number };
  ms: number;
}

/** Holds connections that do nothing. */
export interface HoldJob extends Proxy {
  mode: "idle";
  connections: number;
}

/** Something to do for the process. */
export type Job = LoadJob | HoldJob;

/** What a job came to. */
export interface Outcome {
  /** Octets, round trips, connections or datagrams. */
  count: number;
  /** The same of the warm-up. */
  warmedUp: number;
  /** Seconds of processor time that the server used, or octets of memory. */
  cost: number;
  failed: number;
  /** Milliseconds. */
  ms: number;
}

/** Milliseconds that a warm-up takes at most, and those in which something must be done. */
const PATIENCE = { end: 20_000, begin: 2_000 };

/** Milliseconds after which a server's memory is what it stays at. */
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
  await (await hold(300, port, backend)).stop(); // what is there once is not counted
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
  Deno.exit(0); // the targets would go on
}
