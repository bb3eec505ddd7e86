/**
 * Registers tests in the same way on every runtime: with `Deno.test` on Deno and
 * with `node:test` on Bun and Node. A test fails if it takes too long, or if it
 * leaks a socket (on Node also a timer).
 *
 * @module
 */

import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";

/** The name of a runtime. */
export type Runtime = "deno" | "bun" | "node";

/** The runtime that runs the tests. */
export const runtime: Runtime = "Deno" in globalThis
  ? "deno"
  : "Bun" in globalThis
  ? "bun"
  : "node";

/** Options of {@linkcode test}. */
export interface TestOptions {
  /** Why the test cannot run here. If set, the test is reported as skipped. */
  skip?: string;
  /**
   * The time limit of the test, in milliseconds.
   *
   * @default {60_000}
   */
  timeout?: number;
  /**
   * Whether a library of others leaves objects behind that are no sockets, such as ciphers
   * and timers. Deno then does not look for its resources; sockets are looked for.
   *
   * @default {false}
   */
  foreign?: boolean;
}

interface DenoTest {
  test(test: {
    name: string;
    ignore: boolean;
    sanitizeResources?: boolean;
    sanitizeOps?: boolean;
    fn: () => Promise<void>;
  }): void;
}

/**
 * How long sockets may stay open after a test, in milliseconds, and the number of
 * checks during that time.
 */
const LEAK_GRACE = 2_000;
const LEAK_CHECKS = 400;

/** Registers a test. */
export function test(
  name: string,
  fn: () => void | Promise<void>,
  options: TestOptions = {},
): void {
  const { skip, timeout = 60_000, foreign = false } = options;
  if (!matchesFilter(name)) return;
  const title = skip === undefined ? name : `${name} [skip: ${skip}]`;
  const call = () => run(fn, timeout);
  register(title, skip !== undefined, call, timeout, foreign);
}

/** Whether the name matches `$TEST_FILTER`, a text or a `/regexp/`. */
function matchesFilter(name: string): boolean {
  const filter = environment("TEST_FILTER") ?? "";
  const regexp = /^\/(.*)\/$/.exec(filter)?.[1];
  return regexp === undefined
    ? name.includes(filter)
    : new RegExp(regexp).test(name);
}

/** Returns an environment variable, or `undefined` if it is not set or not readable. */
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
  foreign: boolean,
) => void;

async function registrar(): Promise<Register> {
  if (runtime === "deno") {
    const { Deno } = globalThis as unknown as { Deno: DenoTest };
    return (name, ignore, fn, _timeout, foreign) => {
      const sanitize = foreign
        ? { sanitizeResources: false, sanitizeOps: false }
        : {};
      Deno.test({ name, ignore, fn, ...sanitize });
    };
  }
  const { after, test } = await import("node:test");
  if (runtime === "node") after(() => exitSoon());
  return (name, skip, fn, timeout) => {
    // The limit of the runtime is only needed for tests that block the event loop.
    test(name, { skip, timeout: timeout + 2 * LEAK_GRACE }, fn);
  };
}

/**
 * Exits the process if a leak of a test keeps it alive.
 * (`node --test --test-force-exit` does so as well, but Node 22 then sometimes
 * loses the results of tests.)
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
 * Waits until no more handles are open than before, and rejects if that takes
 * too long. It counts turns of the event loop, so that a machine that was
 * suspended for a while does not fail the test.
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

/** The number of timers that keep the process alive; only Node reports them. */
function openTimers(): number {
  if (runtime !== "node") return 0;
  return process.getActiveResourcesInfo().filter((it) => it === "Timeout")
    .length;
}

/**
 * The targets of the open file descriptors of this process, or `undefined` if
 * the system does not list them.
 */
function openDescriptors(): string[] | undefined {
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
      return []; // the descriptor of the listing itself
    }
  });
}

/**
 * The number of open sockets of this process, or `undefined` if the system does
 * not list them.
 */
export function openSockets(): number | undefined {
  return openDescriptors()?.filter((it) => it.startsWith("socket:")).length;
}
