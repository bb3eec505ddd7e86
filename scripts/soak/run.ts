/**
 * The long run of one server: load at a constant rate, with pauses in which it
 * has to let go of everything.
 *
 * @module
 */

import { descriptorsOf, memoryOf } from "../bench/process.ts";
import type { Running } from "../bench/running.ts";
import { type Errand, errands, type Place } from "./errands.ts";
import type { Observations } from "./verdict.ts";

/** How much, and for how long, in milliseconds. */
export interface Schedule {
  /** How much of the usual load; 1 is all of it. */
  rate: number;
  /** Load before anything is observed. */
  warmUp: number;
  /** Load in all, after that. */
  load: number;
  /** Load from one pause to the next. */
  stretch: number;
  /** From one look at the memory to the next. */
  sample: number;
}

/** Milliseconds in which a server has to let go of everything, and an errand to end. */
const PATIENCE = 60_000;

/** Milliseconds in which the number of descriptors has to stay the same. */
const QUIET = 1_500;

/** How many errands of a kind may run at the same time: a slow machine does less. */
const AT_ONCE = 100;

/** How many failures are told. */
const TOLD = 10;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs a server through the schedule; `log` is told what is seen. */
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

/** The number of descriptors once it is as expected, or else once it stays the same. */
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

/** The clients. */
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

  /** Starts errands at their rates, for as many milliseconds. */
  async work(ms: number): Promise<void> {
    const timers = errands.map((it) =>
      setInterval(() => this.#send(it), it.every / this.#rate)
    );
    await sleep(ms);
    timers.forEach(clearInterval);
  }

  /** Waits until nobody is under way any more. */
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

/** Rejects when it takes too long. */
async function inTime(task: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`not done after ${PATIENCE} ms`);
    timer = setTimeout(() => reject(error), PATIENCE);
  });
  await Promise.race([task, late]).finally(() => clearTimeout(timer));
}
