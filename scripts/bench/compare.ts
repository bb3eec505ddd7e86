/**
 * Runs the comparison: rounds that measure each mode on each server in turn.
 *
 * @module
 */

import { root } from "../files.ts";
import { format, type Measurement, median } from "./figures.ts";
import type { LoadProcess } from "./load_process.ts";
import { isLoadMode, type LoadMode, type Mode, modes } from "./modes.ts";
import { freePort, type Running, startServer } from "./running.ts";
import type { Server } from "./servers.ts";

/** The setup of the comparison. */
export interface Setup {
  servers: readonly Server[];
  modes: readonly Mode[];
  rounds: number;
  seconds: number;
  held: number;
  load: LoadProcess;
  /** A command prefix that pins a server to a processor. */
  prefix: readonly string[];
  /** A folder for files of the servers. */
  folder: string;
  /** Called with progress messages. */
  log(line: string): void;
}

/** The number of connections after which the code of a server is compiled. */
const COMPILE = 10_000;

/** The warm-up of each measurement. */
const WARM_UP = { ms: 500, count: 1 };

/** Measures everything and returns all measurements. */
export async function compare(setup: Setup): Promise<Measurement[]> {
  const loads = setup.modes.filter(isLoadMode);
  const found: Measurement[] = [];
  if (loads.length > 0) found.push(...await compareLoads(setup, loads));
  for (const mode of setup.modes) {
    if (mode === "idle") found.push(...await inRounds(setup, mode, idle));
    if (mode === "start") found.push(...await inRounds(setup, mode, startUp));
  }
  return found;
}

/** The order A B C, C B A, …: changes over time affect all servers alike. */
function turns<T>(all: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? all : all.toReversed();
}

function note(
  { log, rounds }: Setup,
  round: number,
  measurement: Measurement,
  rest = "",
): void {
  const { id, mode, value } = measurement;
  const figure = `${format(value)} ${modes[mode].unit}`;
  log(`round ${round + 1}/${rounds}  ${mode}  ${id}  ${figure}${rest}`);
}

/** Runs all servers at the same time; each measurement puts load on one of them. */
async function compareLoads(
  setup: Setup,
  loads: readonly LoadMode[],
): Promise<Measurement[]> {
  const found: Measurement[] = [];
  await using field = new Field(setup);
  await field.open();
  for (let round = 0; round < setup.rounds; round++) {
    for (const mode of loads) {
      for (const server of turns(setup.servers, round)) {
        const value = await field.measure(server, mode, round);
        if (value !== undefined) found.push({ id: server.id, mode, value });
      }
    }
  }
  return found;
}

/** The running servers. */
class Field {
  readonly #setup: Setup;
  readonly #running = new Map<Server, Running>();
  /** The modes that a server does not support; each is tried once. */
  readonly #unfit = new Set<string>();

  constructor(setup: Setup) {
    this.#setup = setup;
  }

  /** Starts all servers that work, and warms them up. */
  async open(): Promise<void> {
    for (const server of this.#setup.servers) {
      if (await this.#start(server)) continue;
      this.#setup.log(`${server.id} does not work here`);
    }
  }

  /** Measures the cost in the unit of the mode; `undefined` if the server fails. */
  async measure(
    server: Server,
    mode: LoadMode,
    round: number,
  ): Promise<number | undefined> {
    const { seconds, load, log } = this.#setup;
    const running = await this.#lookAfter(server);
    if (running === undefined || this.#unfit.has(`${server.id} ${mode}`)) {
      return undefined;
    }
    const { pid, port } = running;
    const job = { mode, pid, port, warmUp: WARM_UP, ms: seconds * 1000 };
    const { count, cost, failed, ms } = await load.do(job);
    if (count === 0) {
      this.#unfit.add(`${server.id} ${mode}`);
      log(`${server.id} does not support ${mode}`);
      return undefined;
    }
    const value = cost / count * modes[mode].per;
    const used = `, used ${Math.round(cost / ms * 100_000)} % of the time`;
    const rest = failed > 0 ? `${used}, ${failed} failed` : used;
    note(this.#setup, round, { id: server.id, mode, value }, rest);
    return value;
  }

  /** Returns the running server; restarts it if it has crashed. */
  async #lookAfter(server: Server): Promise<Running | undefined> {
    const running = this.#running.get(server);
    if (!running?.hasEnded) return running;
    this.#setup.log(`${server.id} has crashed`);
    this.#running.delete(server);
    await this.#start(server);
    return this.#running.get(server);
  }

  async #start(server: Server): Promise<boolean> {
    const running = await launch(this.#setup, server);
    if (running === undefined) return false;
    const { pid, port } = running;
    const warmUp = { ms: 0, count: COMPILE };
    const job = { mode: "conn" as const, pid, port, warmUp, ms: 0 };
    const { warmedUp } = await this.#setup.load.do(job);
    if (warmedUp === 0) await running[Symbol.asyncDispose]();
    else this.#running.set(server, running);
    return warmedUp > 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const it of this.#running.values()) await it[Symbol.asyncDispose]();
  }
}

async function launch(
  { prefix, folder }: Setup,
  server: Server,
): Promise<Running | undefined> {
  const port = freePort();
  const command = [...prefix, ...await server.command(port, folder)];
  return await startServer(command, port, root).catch(() => undefined);
}

/** Measures a mode that needs a new server for each measurement. */
async function inRounds(
  setup: Setup,
  mode: Mode,
  measure: (setup: Setup, running: Running) => Promise<number | undefined>,
): Promise<Measurement[]> {
  const found: Measurement[] = [];
  for (let round = 0; round < setup.rounds; round++) {
    for (const server of turns(setup.servers, round)) {
      await using running = await launch(setup, server);
      if (running === undefined) continue;
      const value = await measure(setup, running);
      if (value === undefined) continue;
      const measurement = { id: server.id, mode, value };
      note(setup, round, measurement);
      found.push(measurement);
    }
  }
  return found;
}

async function idle(
  { load, held }: Setup,
  { port, pid }: Running,
): Promise<number | undefined> {
  const job = { mode: "idle" as const, port, pid, connections: held };
  const { count, cost } = await load.do(job);
  return count < held / 2 ? undefined : cost / count * modes.idle.per;
}

function startUp(_: Setup, { startMs }: Running): Promise<number> {
  return Promise.resolve(startMs);
}

/**
 * Measures how long the runtime of each server takes for an empty program, in
 * milliseconds, by the id of the server.
 */
export async function emptyStarts(
  { servers, prefix, rounds }: Setup,
): Promise<Map<string, number>> {
  const programs = new Map(
    servers.flatMap(({ empty }) => empty ? [[empty.join(" "), empty]] : []),
  );
  const times = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const [key, command] of programs) {
      const [program, ...args] = [...prefix, ...command];
      const begin = performance.now();
      await new Deno.Command(program, { args }).output();
      const ms = performance.now() - begin;
      // The first run compiles the program.
      if (round > 0) times.set(key, [...times.get(key) ?? [], ms]);
    }
  }
  return new Map(servers.flatMap(({ id, empty }) => {
    const all = times.get(empty?.join(" ") ?? "");
    return all ? [[id, median(all)]] : [];
  }));
}
