/**
 * Compares the processor time and the memory that this server and others need,
 * on the available runtimes. Prints a table in Markdown and writes a chart. The
 * arguments, in any order:
 *
 * - runtimes: `deno`, `bun`, `node20`, `node22`, `node24`, `node26`, and `node`
 *   for the newest of these; by default `deno bun node`
 * - `--modes down,up,rr,conn,name,idle,udp,start`: measures only these modes
 * - `--only ours,heroku@bun,microsocks`: measures only these servers
 * - `--rounds 3`: the number of rounds
 * - `--secs 2`: the duration of each measurement
 * - `--held 5000`: the number of idle connections
 * - `--out FILE.svg`: the file for the chart
 * - `--readme`: writes the table and the chart into `bench/`, and a part of the table
 *   into the README
 * - `--clients`: compares the doors of the client with the npm packages `socks` and
 *   `socks-proxy-agent` instead; only the runtimes and `--rounds` apply
 *
 * @module
 */

import { join } from "node:path";
import { chart } from "./bench/chart.ts";
import { clientNotes, compareClients } from "./bench/clients.ts";
import { compare, emptyStarts, type Setup } from "./bench/compare.ts";
import { summarize } from "./bench/figures.ts";
import { LoadProcess } from "./bench/load_process.ts";
import { describeMachine, pinning } from "./bench/machine.ts";
import { type Options, parseOptions } from "./bench/options.ts";
import {
  briefReport,
  type Context,
  replaceBetweenMarks,
  report,
} from "./bench/report.ts";
import { findServers } from "./bench/servers.ts";
import { root } from "./files.ts";
import { run } from "./run.ts";
import {
  findRuntime,
  findRuntimes,
  nodeNames,
  type Runtime,
} from "./runtimes.ts";

const details = join(root, "scripts", "bench", "README.md");
const picture = join(root, "scripts", "bench", "speed.svg");

async function chosenRuntimes({ runtimes }: Options): Promise<Runtime[]> {
  const found: Runtime[] = [];
  for (const name of runtimes) {
    if (name !== "node") found.push(...await findRuntimes([name]));
    else found.push(...[await newestNode()].filter((it) => it !== undefined));
  }
  return found;
}

async function newestNode(): Promise<Runtime | undefined> {
  for (const name of nodeNames.toReversed()) {
    const found = await findRuntime(name);
    if (found) return found;
  }
  return undefined;
}

/** Returns the limit of open descriptors of the process that generates the load. */
async function descriptorLimit(): Promise<number> {
  const { stdout } = await run("sh", ["-c", "ulimit -n"]);
  return Number(stdout) || Infinity; // "unlimited" is not a number, and Windows has neither
}

/** Replaces the report in a README. */
async function writeReport(path: string, content: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, replaceBetweenMarks(text, content));
  await run(Deno.execPath(), ["fmt", "--quiet", path]);
}

async function showClients(options: Options, folder: string): Promise<void> {
  const runtimes = await chosenRuntimes(options);
  const [busy] = Deno.loadavg();
  const log = (line: string) => console.error(line);
  const text = await compareClients(runtimes, options.rounds, folder, log);
  const place = `${await describeMachine()}, load average ${busy.toFixed(1)}`;
  console.log(`${text}\n\n${clientNotes}\n\n${place} before`);
}

async function main(args: string[]): Promise<void> {
  const options = parseOptions(args);
  const folder = await Deno.makeTempDir();
  try {
    if (options.clients) return await showClients(options, folder);
    const { only } = options;
    const isWanted = (id: string) =>
      only.length === 0 || only.includes(id) || only.includes(id.split("@")[0]);
    const runtimes = await chosenRuntimes(options);
    const servers = await findServers(runtimes, isWanted, folder);
    if (servers.length === 0) throw new TypeError("no server to measure");
    const { server: prefix, load: loadPrefix } = await pinning();
    await using load = new LoadProcess(loadPrefix);
    const most = Math.floor((await descriptorLimit() - 500) / 2);
    const setup: Setup = {
      ...options,
      servers,
      held: Math.min(options.held, most),
      load,
      prefix,
      folder,
      log: (line) => console.error(line),
    };
    const [busy] = Deno.loadavg();
    const figures = summarize(await compare(setup));
    const empty = options.modes.includes("start")
      ? await emptyStarts(setup)
      : new Map<string, number>();
    const machine = await describeMachine();
    const date = new Date().toISOString().slice(0, 10);
    const context: Context = { ...setup, date, machine, busy, args };
    const shown = servers.filter(({ id }) =>
      [...figures.values()].some((it) => it.has(id))
    );
    const text = report(figures, shown, empty, context);
    console.log(text);
    const out = options.out ?? (options.readme ? picture : undefined);
    if (out) {
      await Deno.writeTextFile(
        out,
        chart(figures, shown, `${date}, ${machine}`),
      );
    }
    if (options.readme) {
      await writeReport(details, text);
      const brief = briefReport(figures, shown, context);
      await writeReport(join(root, "README.md"), brief);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exit(2);
  }
}
