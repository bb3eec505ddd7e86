/**
 * The soak test: mixed load at a constant rate on the server, on one runtime
 * after the other. The resources of the server must not grow: the number of
 * descriptors must be the same in every pause, memory may grow by a small
 * tolerance. The arguments:
 *
 * - runtimes: `deno`, `bun`, `node20`, `node22`, `node24`, `node26`; by default
 *   `deno bun node24 node26`
 * - `--secs 3600`: the duration of the load on each runtime
 * - `--rate 1`: the fraction of the usual load, for concurrent runs on one machine
 *
 * Exits with 1 if the server fails the test.
 *
 * @module
 */

import { freePort, startServer } from "./bench/running.ts";
import { buildPackage, ours, runtimeTitle } from "./bench/servers.ts";
import { root } from "./files.ts";
import {
  findRuntimes,
  type Runtime,
  type RuntimeName,
  runtimeNames,
} from "./runtimes.ts";
import { longRun, type Schedule } from "./soak/run.ts";
import { Targets } from "./soak/targets.ts";
import {
  complaints,
  mebi,
  type Observations,
  quarters,
  type Slack,
} from "./soak/verdict.ts";

/** Short, so that pauses are short, but long enough for a busy machine. */
const timeouts = ["handshake", "idle", "half-closed", "association", "bind"]
  .map((it) => `--${it}-timeout=6s`);

/** The duration in seconds after which memory no longer grows because of the start. */
const LONG = 300;

const SLACK = {
  long: { factor: 1.15, octets: 10 * 2 ** 20 },
  short: { factor: 1.3, octets: 48 * 2 ** 20 },
};

function schedule({ seconds, rate }: Choice): Schedule {
  const load = seconds * 1000;
  return {
    rate,
    warmUp: Math.min(60_000, load / 2),
    load,
    stretch: Math.min(60_000, load),
    sample: Math.min(2_000, load / 80),
  };
}

interface Choice {
  runtimes: RuntimeName[];
  seconds: number;
  rate: number;
}

function parse(args: readonly string[]): Choice {
  const choice: Choice = { runtimes: [], seconds: 3_600, rate: 1 };
  const rest = args.flatMap((it) => it.startsWith("--") ? it.split("=") : [it]);
  while (rest.length > 0) {
    const arg = rest.shift()!;
    const name = runtimeNames.find((it) => it === arg);
    if (name) choice.runtimes.push(name);
    else if (arg === "--secs") choice.seconds = Number(rest.shift());
    else if (arg === "--rate") choice.rate = Number(rest.shift());
    else throw new TypeError(`unknown argument ${arg}`);
  }
  if (!(choice.seconds > 0)) {
    throw new TypeError("--secs must be a number above 0");
  }
  if (!(choice.rate > 0)) {
    throw new TypeError("--rate must be a number above 0");
  }
  if (choice.runtimes.length === 0) {
    choice.runtimes = ["deno", "bun", "node24", "node26"];
  }
  return choice;
}

async function soak(
  runtime: Runtime,
  targets: Targets,
  choice: Choice,
): Promise<Observations> {
  const port = freePort();
  const command = [...await ours(runtime), ...timeouts, `--port=${port}`];
  await using running = await startServer(command, port, root);
  const log = (line: string) => console.error(`${runtime.name}  ${line}`);
  const seen = await longRun(running, targets, schedule(choice), log);
  const failures = [...seen.failures];
  if (running.hasEnded) failures.push("the server has exited");
  return { ...seen, failures };
}

/** Prints the observations and returns whether the server passes. */
function report(runtime: Runtime, seen: Observations, slack: Slack): boolean {
  const { memory, descriptors, done } = seen;
  const { second, last } = quarters(memory);
  const found = complaints(seen, slack);
  const every = Math.max(1, Math.floor(memory.length / 12));
  const series = memory.filter((_, i) => i % every === 0).map(mebi);
  console.log(`
${runtimeTitle(runtime)}: ${found.length === 0 ? "flat" : "NOT FLAT"}
  done         ${done}
  memory       ${mebi(second)} MiB in the second quarter, ${
    mebi(last)
  } in the last (${series.join(" ")})
  descriptors  ${
    [...new Set(descriptors)].join(", ") || "?"
  } in ${descriptors.length} pauses`);
  for (const complaint of found) console.log(`  wrong: ${complaint}`);
  return found.length === 0;
}

async function main(args: readonly string[]): Promise<number> {
  const choice = parse(args);
  const { runtimes, seconds } = choice;
  if (runtimes.some((it) => it !== "deno")) await buildPackage();
  const targets = new Targets();
  const slack = seconds < LONG ? SLACK.short : SLACK.long;
  let isFlat = true;
  for (const runtime of await findRuntimes(runtimes)) {
    const seen = await soak(runtime, targets, choice);
    if (!report(runtime, seen, slack)) isFlat = false;
  }
  return isFlat ? 0 : 1;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
