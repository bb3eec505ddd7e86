/**
 * Registers tests, the same way on every runtime: with `Deno.test` on Deno and
 * with `node:test` on Bun and Node. A test fails when it takes too long or when
 * it leaves a socket (on Node also a timer) behind.
 *
 * @module
 */

import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";

/** The runtime the tests run on. */
export type Runtime = "deno" | "bun" | "node";

/** The runtime these tests run on. */
export const runtime: Runtime = "Deno" in globalThis
  ? "deno"
  : "Bun" in globalThis
  ? "bun"
  : "node";

/** Options of {@linkcode test}. */
export interface TestOptions {
  /** Why the test cannot run here: it is then reported as skipped. */
  skip?: string;
  /**
   * How long the test may take, in milliseconds.
   *
   * @default {60_000}
   */
  timeout?: number;
}

interface DenoTest {
  test(test: { name: string; ignore: boolean; fn: () => Promise<void> }): void;
}

/** How long a socket may take to be gone after a test, in milliseconds, and how often it is looked for meanwhile. */
const LEAK_GRACE = 2_000;
const LEAK_CHECKS = 400;

/** Registers a test. */
export function test(
  name: string,
  fn: () => void | Promise<void>,
  options: TestOptions = {},
): void {
  const { skip, timeout = 60_000 } = options;
  if (!matchesFilter(name)) return;
  const title = skip === undefined ? name : `${name} [skip: ${skip}]`;
  register(title, skip !== undefined, () => run(fn, timeout), timeout);
}

/** Whether `$TEST_FILTER`, a text or a `/regexp/`, lets the test run. */
function matchesFilter(name: string): boolean {
  const filter = environment("TEST_FILTER") ?? "";
  const regexp = /^\/(.*)\/$/.exec(filter)?.[1];
  return regexp === undefined
    ? name.includes(filter)
    : new RegExp(regexp).test(name);
}

/** An environment variable, or `undefined` where it is not set or may not be read. */
function environment(name: string): string | undefined {
  try {
    return process.env[name];
  } catch {
    return undefined;
  }
}

const register = await registrar();

type Register = (
  name: string,
  skip: boolean,
  fn: () => Promise<void>,
  timeout: number,
) => void;

async function registrar(): Promise<Register> {
  if (runtime === "deno") {
    const { Deno } = globalThis as unknown as { Deno: DenoTest };
    return (name, ignore, fn) => Deno.test({ name, ignore, fn });
  }
  const { after, test } = await import("node:test");
  if (runtime === "node") after(() => exitSoon());
  return (name, skip, fn, timeout) => {
    // The runtime's own limit is only there for what blocks the event loop.
    test(name, { skip, timeout: timeout + 2 * LEAK_GRACE }, fn);
  };
}

/**
 * Ends the process when what a test left open keeps it from ending by itself.
 * (`node --test --test-force-exit` would do so too, but Node 22 then loses
 * results of tests now and then.)
 */
function exitSoon(checks = 2 * LEAK_CHECKS): void {
  const timer = setTimeout(() => {
    if (checks > 0) return exitSoon(checks - 1);
    console.error("The tests are done, but something they left open goes on");
    process.exit(1);
  }, LEAK_GRACE / LEAK_CHECKS);
  timer.unref();
}

async function run(fn: () => void | Promise<void>, timeout: number) {
  const before = openHandles();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`The test took longer than ${timeout} ms`);
    timer = setTimeout(() => reject(error), timeout);
  });
  try {
    await Promise.race([fn(), late]);
  } finally {
    clearTimeout(timer);
  }
  await noLeaks(before);
}

interface Handles {
  sockets: number;
  timers: number;
}

function openHandles(): Handles {
  return { sockets: openSockets() ?? 0, timers: openTimers() };
}

/**
 * Waits until no more handles are open than before, and rejects when that takes
 * too long: in turns of the event loop, so that a machine that stood still for a
 * while does not count.
 */
async function noLeaks(before: Handles): Promise<void> {
  for (let checks = 0;; checks++) {
    const now = openHandles();
    const sockets = now.sockets - before.sockets;
    const timers = now.timers - before.timers;
    if (sockets <= 0 && timers <= 0) return;
    if (checks === LEAK_CHECKS) {
      throw new Error(
        `The test leaves ${sockets} sockets and ${timers} timers open`,
      );
    }
    await new Promise((resolve) =>
      setTimeout(resolve, LEAK_GRACE / LEAK_CHECKS)
    );
  }
}

/** Timers that keep the process alive, where the runtime tells: on Node only. */
function openTimers(): number {
  if (runtime !== "node") return 0;
  return process.getActiveResourcesInfo().filter((it) => it === "Timeout")
    .length;
}

/** The targets of this process's open file descriptors, or `undefined` where that cannot be known. */
export function openDescriptors(): string[] | undefined {
  let names: string[];
  try {
    names = readdirSync("/proc/self/fd");
  } catch {
    return undefined;
  }
  return names.flatMap((name) => {
    try {
      return [readlinkSync(`/proc/self/fd/${name}`)];
    } catch {
      return []; // the descriptor that was used to list them
    }
  });
}

/** How many sockets this process has open, or `undefined` where that cannot be known. */
export function openSockets(): number | undefined {
  return openDescriptors()?.filter((it) => it.startsWith("socket:")).length;
}
