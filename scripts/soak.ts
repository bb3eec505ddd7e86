/**
 * The long run: mixed load at a constant rate on the server, on one runtime
 * after the other. What the server holds has to stay the same: descriptors in
 * every pause exactly, memory within some slack. The arguments:
 *
 * - runtimes: `deno`, `bun`, `node20`, `node22`, `node24`, `node26`; by default
 *   `deno bun node24`
 * - `--secs 3600`: of load on each
 * - `--rate 1`: how much of it, for several runs at once on one machine
 *
 * Exits with 1 when anything is wrong.
 *
 * @module
 */

import { freePort, startServer } from "./bench/running.ts";
import { buildPackage, ours, runtimeTitle } from "./bench/servers.ts";
import {
  findRuntimes,
  root,
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

/** Short enough that a pause is, and long enough that a busy machine trips none. */
const timeouts = ["handshake", "idle", "half-closed", "association", "bind"]
  .map((it) => `--${it}-timeout=6s`);

/** From how many seconds on memory tells more than that a program has just started. */
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
  if (!(choice.seconds > 0)) throw new TypeError("--secs wants a number");
  if (!(choice.rate > 0)) throw new TypeError("--rate wants a number");
  if (choice.runtimes.length === 0) {
    choice.runtimes = ["deno", "bun", "node24"];
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
  if (running.hasEnded) failures.push("the server has ended");
  return { ...seen, failures };
}

/** Tells what was seen, and whether it is as it should be. */
function tell(runtime: Runtime, seen: Observations, slack: Slack): boolean {
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
    if (!tell(runtime, seen, slack)) isFlat = false;
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
