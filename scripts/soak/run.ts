/**
 * The soak test of one server: load at a constant rate, with pauses in which the
 * server must release all resources.
 *
 * @module
 */

import { descriptorsOf, memoryOf } from "../bench/process.ts";
import type { Running } from "../bench/running.ts";
import { type Errand, errands, type Place } from "./errands.ts";
import type { Observations } from "./verdict.ts";

/** The rate of the load, and durations in milliseconds. */
export interface Schedule {
  /** The fraction of the usual load. */
  rate: number;
  /** The load before the first observation. */
  warmUp: number;
  /** The total load after the warm-up. */
  load: number;
  /** The load between two pauses. */
  stretch: number;
  /** The interval between two samples of the memory. */
  sample: number;
}

/** The time limit for an errand, and for releasing all resources, in milliseconds. */
const PATIENCE = 60_000;

/** How long the number of descriptors must be stable, in milliseconds. */
const QUIET = 1_500;

/** The limit of concurrent errands of a kind, which reduces the load on a slow machine. */
const AT_ONCE = 100;

/** The number of failures that are reported. */
const TOLD = 10;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs the schedule on a server; `log` is called with the observations. */
export async function longRun(
  { pid, port }: Running,
  targets: Place["targets"],
  schedule: Schedule,
  log: (line: string) => void,
): Promise<Observations> {
  const crowd = new Crowd({ proxy: port, targets }, schedule.rate);
  const memory: number[] = [];
  const descriptors: number[] = [];
  const pause = async () => {
    await crowd.settle();
    const count = await settledDescriptors(pid, descriptors[0]);
    if (count !== undefined) descriptors.push(count);
    log(`pause: ${count ?? "?"} descriptors, ${crowd.done} done`);
  };
  await crowd.work(schedule.warmUp);
  await pause();
  const stretches = Math.max(1, Math.round(schedule.load / schedule.stretch));
  for (let i = 0; i < stretches; i++) {
    const timer = setInterval(() => {
      memory.push(memoryOf(pid));
    }, schedule.sample);
    await crowd.work(schedule.load / stretches);
    clearInterval(timer);
    log(
      `${((i + 1) * schedule.load / stretches / 1000).toFixed(0)} s: ` +
        `${(memory.at(-1)! / 2 ** 20).toFixed(1)} MiB, ` +
        `${descriptorsOf(pid) ?? "?"} descriptors`,
    );
    await pause();
  }
  return { memory, descriptors, done: crowd.done, failures: crowd.failures };
}

/** Returns the number of descriptors when it is as expected, or stable after a timeout. */
async function settledDescriptors(
  pid: number,
  expected: number | undefined,
): Promise<number | undefined> {
  const end = performance.now() + PATIENCE;
  let count = descriptorsOf(pid);
  let since = performance.now();
  for (;;) {
    await sleep(100);
    const now = performance.now();
    const current = descriptorsOf(pid);
    if (current !== count) since = now;
    count = current;
    const isExpected = expected === undefined || count === expected;
    if (isExpected && now - since >= QUIET || now >= end) return count;
  }
}

/** The clients of the soak test. */
class Crowd {
  done = 0;
  readonly failures: string[] = [];
  readonly #place: Place;
  readonly #rate: number;
  readonly #running = new Map<Errand, Set<Promise<void>>>();

  constructor(place: Place, rate: number) {
    this.#place = place;
    this.#rate = rate;
    for (const errand of errands) this.#running.set(errand, new Set());
  }

  /** Starts errands at their rates, for `ms` milliseconds. */
  async work(ms: number): Promise<void> {
    const timers = errands.map((it) =>
      setInterval(() => this.#send(it), it.every / this.#rate)
    );
    await sleep(ms);
    timers.forEach(clearInterval);
  }

  /** Waits until all errands have ended. */
  async settle(): Promise<void> {
    const all = [...this.#running.values()].flatMap((it) => [...it]);
    await Promise.all(all);
  }

  #send(errand: Errand): void {
    const running = this.#running.get(errand)!;
    if (running.size >= AT_ONCE) return;
    const task = inTime(errand.run(this.#place)).then(
      () => void this.done++,
      (error) => this.#fail(`${errand.name}: ${error.message ?? error}`),
    ).finally(() => running.delete(task));
    running.add(task);
  }

  #fail(text: string): void {
    if (this.failures.length < TOLD) this.failures.push(text);
    else if (this.failures.length === TOLD) this.failures.push("and more");
  }
}

/** Rejects if the task exceeds the time limit. */
async function inTime(task: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`not finished after ${PATIENCE} ms`);
    timer = setTimeout(() => reject(error), PATIENCE);
  });
  await Promise.race([task, late]).finally(() => clearTimeout(timer));
}
