/**
 * Redis and Valkey on 127.0.0.1, and nodes that share limits in them.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import type { NodeOptions } from "./redis_program.ts";
import type { Runtime } from "../support/harness.ts";
import { connect, SocksError } from "../../src/client/mod.ts";
import type { Conn } from "../../src/transport/transport.ts";
import type { ProgramOptions } from "../support/spawn.ts";
import {
  freePort,
  type Program,
  run,
  start,
  until,
  withFolder,
} from "./programs.ts";
import { environment, installed, withProgramOn } from "./runtimes.ts";

/** The version of the package `redis` that the tests use. */
export const NPM_REDIS = "6.3.1";

/** The environment and the permissions of a program that finds the package `redis`. */
export async function redisOptions(): Promise<ProgramOptions> {
  const folder = await installed(`redis@${NPM_REDIS}`);
  return {
    mayShare: true,
    variables: "REDIS_DEBUG_MAINTENANCE,REDIS_EMIT_DIAGNOSTICS",
    env: { NODE_PATH: join(folder, "node_modules") },
  };
}

/** A running server. */
export class Redis {
  readonly folder: string;
  readonly port: number;
  readonly #command: string;
  readonly #args: readonly string[];
  #program: Program | undefined;

  constructor(
    command: string,
    folder: string,
    port: number,
    args: readonly string[],
  ) {
    this.#command = command;
    this.folder = folder;
    this.port = port;
    this.#args = args;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, empty. */
  async start(): Promise<void> {
    const args = [
      ...["--bind", "127.0.0.1", "--port", `${this.port}`, "--save", ""],
      ...["--dir", this.folder, "--unixsocket", join(this.folder, "socket")],
      ...this.#args,
    ];
    this.#program = await start(
      this.#command,
      args,
      ({ stdout }) => stdout.includes("eady to accept connections"),
    );
  }

  /** Suspends it, resumes it, or ends it. */
  signal(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    process.kill(this.#program!.pid, signal);
  }

  async stop(): Promise<void> {
    this.signal("SIGCONT");
    await this.#program!.stop();
  }

  /** Runs a command, and returns the reply as text. */
  async command(...args: string[]): Promise<string> {
    const where = ["-s", join(this.folder, "socket")];
    const { stdout } = await run("redis-cli", [...where, ...args]);
    return stdout.trim();
  }

  /** How many slots all nodes hold of `sessionsPerUser` of the user `al`. */
  async held(): Promise<number> {
    const field = "sessionsPerUser|'al";
    return Number(await this.command("HGET", "{socks5}:totals", field));
  }
}

/** Runs `use` with a new server, which may be suspended or killed. */
export function withRedis<T>(
  command: string,
  use: (redis: Redis) => Promise<T>,
  ...args: string[]
): Promise<T> {
  return withFolder(async (folder) => {
    const redis = new Redis(command, folder, await freePort(), args);
    await redis.start();
    try {
      return await use(redis);
    } finally {
      await redis.stop();
    }
  });
}

/** A node on some runtime. */
export class Node {
  readonly #program: Program;

  constructor(program: Program) {
    this.#program = program;
  }

  get port(): number {
    return Number(/^port (\d+)$/m.exec(this.#program.stdout)![1]);
  }

  /** What it has printed. */
  get output(): string {
    return this.#program.stdout;
  }

  signal(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    process.kill(this.#program.pid, signal);
  }

  /** How often Redis was lost or found. */
  times(what: "lost" | "found"): number {
    return this.output.match(new RegExp(`^${what}`, "gm"))?.length ?? 0;
  }

  /** Logs in and connects to a port of 127.0.0.1. Returns `undefined` if that is refused. */
  async login(
    port: number,
    { user = "al", password = "pw" } = {},
  ): Promise<Conn | undefined> {
    const proxy = `socks5://${user}:${password}@127.0.0.1:${this.port}`;
    try {
      return await connect(proxy, { hostname: "127.0.0.1", port });
    } catch (error) {
      if (error instanceof SocksError) return undefined;
      throw error;
    }
  }
}

/** Without the latter, a package.json beside the bundle would name all packages. */
const DENO_FLAGS = ["--allow-all", "--node-modules-dir=none"];

/** Runs `use` with a node on each of the runtimes. */
export async function withNodes<T>(
  runtimes: readonly Runtime[],
  options: NodeOptions,
  use: (nodes: readonly Node[]) => Promise<T>,
  env: Readonly<Record<string, string>> = {},
): Promise<T> {
  const folder = await installed(`redis@${NPM_REDIS}`);
  const all = {
    ...environment(),
    // Where a bundle finds the package.
    NODE_PATH: join(folder, "node_modules"),
    ...env,
  };
  const next = (nodes: readonly Node[]): Promise<T> => {
    if (nodes.length === runtimes.length) return use(nodes);
    const name = runtimes[nodes.length];
    return withProgramOn(name, "redis", async ([command, ...args]) => {
      const program = await start(
        command,
        [...args, JSON.stringify(options)],
        ({ stdout }) => /^port \d+$/m.test(stdout),
        { env: all },
      );
      try {
        return await next([...nodes, new Node(program)]);
      } finally {
        try {
          process.kill(program.pid, "SIGCONT");
        } catch {
          // It has ended.
        }
        await program.stop();
      }
    }, DENO_FLAGS);
  };
  return await next([]);
}

/** Waits until all nodes together hold this many slots of the user `al`. */
export async function untilHeld(
  redis: Redis,
  count: number,
  timeout?: number,
): Promise<void> {
  let held: number | undefined;
  const holds = async () => (held = await redis.held()) === count;
  try {
    await until(`${count} slots are held`, holds, timeout);
  } catch (error) {
    throw new Error(`${held} slots are held`, { cause: error });
  }
}
