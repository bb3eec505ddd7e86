/**
 * Starts servers, and stops them with their descendants.
 *
 * @module
 */

import { pidsOf } from "./process.ts";

/** The time limit until a server listens, in milliseconds. */
const START_PATIENCE = 20_000;

/** The time limit until a server exits, in milliseconds. */
const END_PATIENCE = 2_000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A server that listens on a port of `127.0.0.1`. */
export interface Running extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** The time from its start until it listened, in milliseconds. */
  readonly startMs: number;
  /** Whether it has exited by itself. */
  readonly hasEnded: boolean;
}

/** Returns a port that is free at the moment. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a server and waits until it listens; rejects if it does not. */
export async function startServer(
  [program, ...args]: string[],
  port: number,
  cwd: string,
): Promise<Running> {
  const begin = performance.now();
  const child = new Deno.Command(program, {
    args,
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let hasEnded = false;
  const ended = child.status.then(() => void (hasEnded = true));
  const running: Running = {
    port,
    pid: child.pid,
    get startMs() {
      return startMs;
    },
    get hasEnded() {
      return hasEnded;
    },
    [Symbol.asyncDispose]: () => stop(child.pid, ended),
  };
  let startMs = 0;
  while (!await isListening(port)) {
    if (hasEnded || performance.now() - begin > START_PATIENCE) {
      await running[Symbol.asyncDispose]();
      throw new Error("the server does not listen");
    }
    await sleep(1);
  }
  startMs = performance.now() - begin;
  return running;
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

async function stop(pid: number, ended: Promise<void>): Promise<void> {
  const pids = pidsOf(pid);
  kill(pid, "SIGTERM");
  await Promise.race([ended, sleep(END_PATIENCE)]);
  for (const it of pids) kill(it, "SIGKILL");
  await ended;
}

function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch {
    // It has exited.
  }
}
