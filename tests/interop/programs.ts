/**
 * Runs foreign programs for the interop tests: with input, with a time limit, and
 * stopped by their pid in any case.
 *
 * @module
 */

import {
  type ChildProcessWithoutNullStreams,
  execFileSync,
  spawn,
} from "node:child_process";
import { accessSync, constants, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Buffer } from "node:buffer";
import process from "node:process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { runtime } from "../support/harness.ts";

/** The time limit of a program that runs to its end, in milliseconds. */
const RUN_TIMEOUT = 50_000;
/** How long a server may take to listen, and any program to stop, in milliseconds. */
const START_TIMEOUT = 20_000;

const path = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
const inCI = !["", "0", "false"].includes(process.env.CI ?? "");

/** Whether the tests run as root, which some programs need. */
export const isRoot: boolean = process.getuid?.() === 0;

/** Returns the path of a program, given its name or path; `undefined` if it is not installed. */
export function findProgram(name: string): string | undefined {
  return [...path.split(":"), ""].map((folder) => join(folder, name)).find(
    (it) => {
      try {
        accessSync(it, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    },
  );
}

/**
 * Returns why a test cannot run if one of these programs is missing. In CI such a test
 * runs, and fails.
 */
export function missing(...names: string[]): string | undefined {
  const lacking = inCI ? undefined : names.find((it) => !findProgram(it));
  return lacking && `${lacking} is not installed`;
}

/** The same as {@linkcode missing}, for tests that need root. */
export function missingForRoot(...names: string[]): string | undefined {
  return isRoot || inCI ? missing(...names) : "needs root";
}

/** Returns the standard output of a program, or `""` if the program is missing. */
export function outputOf(name: string, ...args: string[]): string {
  const program = findProgram(name);
  if (!program) return "";
  return execFileSync(program, args, {
    encoding: "utf8",
    timeout: RUN_TIMEOUT,
  });
}

/** Options of {@linkcode run} and {@linkcode start}. */
export interface RunOptions {
  /** Its standard input, followed by EOF. @default {""} */
  readonly stdin?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Receives its standard output, which the {@linkcode Output} then lacks. */
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** When to kill it, in milliseconds. */
  readonly timeout?: number;
}

/** The result of a program. */
export interface Output {
  /** Its exit code, or the signal that ended it. */
  readonly code: number | string;
  readonly stdout: string;
  /** The same before it was decoded as UTF-8. */
  readonly octets: Uint8Array;
  readonly stderr: string;
}

// A test that takes too long leaves its programs and folders; they are removed at the end.
const running = new Set<ChildProcessWithoutNullStreams>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface Started {
  readonly child: ChildProcessWithoutNullStreams;
  /** Its output so far. */
  readonly stdout: Uint8Array[];
  readonly stderr: Uint8Array[];
  /** Settles with its exit code or signal when its pipes are closed as well. */
  readonly ended: Promise<number | string>;
}

function launch(
  command: string,
  args: readonly string[],
  { onStdout, env, cwd }: RunOptions,
): Started {
  const child = spawn(findProgram(command) ?? command, args, {
    stdio: "pipe",
    cwd,
    env: { PATH: path, LC_ALL: "C", HOME: tmpdir(), ...env },
  });
  running.add(child);
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  child.stdin.on("error", () => {}); // it may end before it has read everything
  child.stdout.on("data", onStdout ?? ((chunk) => stdout.push(chunk)));
  child.stderr.on("data", (chunk) => stderr.push(chunk));
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? signal ?? -1));
  }).finally(() => running.delete(child));
  ended.catch(() => {}); // reported where it is awaited
  return { child, stdout, stderr, ended };
}

function text(chunks: Uint8Array[]): string {
  return Buffer.concat(chunks).toString();
}

/** Runs a program to its end. If it takes too long, kills it and rejects. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  const { stdin = "", timeout = RUN_TIMEOUT } = options;
  const started = launch(command, args, options);
  const { child, ended } = started;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, timeout);
  try {
    if (typeof stdin === "string" || stdin instanceof Uint8Array) {
      child.stdin.end(stdin);
    } else {
      pipeline(Readable.from(stdin), child.stdin).catch(() => {});
    }
    const code = await ended;
    const octets = Buffer.concat(started.stdout);
    const stderr = text(started.stderr);
    if (!late) return { code, stdout: `${octets}`, octets, stderr };
    throw new Error(`${command} took longer than ${timeout} ms: ${stderr}`);
  } finally {
    clearTimeout(timer);
  }
}

/** A server or another program that runs until it is stopped. */
export interface Program {
  readonly pid: number;
  /** Its standard error so far. */
  readonly stderr: string;
  /** Its standard output so far. */
  readonly stdout: string;
  /** Stops it; kills it if that takes too long. */
  stop(): Promise<void>;
}

/** Starts a program, and waits until `ready` returns true, by default at once. */
export async function start(
  command: string,
  args: readonly string[],
  ready: (program: Program) => boolean | Promise<boolean> = () => true,
  options: RunOptions = {},
): Promise<Program> {
  const { child, stdout, stderr, ended } = launch(command, args, options);
  let code: number | string | undefined;
  ended.then((it) => code = it, () => code = -1);
  const program: Program = {
    pid: child.pid ?? 0,
    get stderr() {
      return text(stderr);
    },
    get stdout() {
      return text(stdout);
    },
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        // Its children may hold the pipes open.
        for (const pipe of [child.stdout, child.stderr]) pipe.destroy();
      }, START_TIMEOUT);
      await ended.catch(() => {});
      clearTimeout(timer);
    },
  };
  try {
    await until(
      `${command} is ready`,
      () => {
        if (code === undefined) return ready(program);
        throw new Error(`${command} ended (${code}): ${text(stderr)}`);
      },
    );
    return program;
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** How often a program is started at most until it listens. */
const MAX_STARTS = 3;

/**
 * Starts a program that listens on a port of 127.0.0.1, runs `use` with the port, and
 * stops the program. The program cannot report a port that it chose itself, so it
 * gets a free one. If it ends before it listens, for example because another process
 * took the port, it is started again with another port.
 */
export async function withListening<T>(
  command: string,
  argsFor: (port: number) => readonly string[] | Promise<readonly string[]>,
  use: (port: number) => Promise<T>,
): Promise<T> {
  const [port, program] = await startListening(command, argsFor);
  try {
    return await use(port);
  } finally {
    await program.stop();
  }
}

async function startListening(
  command: string,
  argsFor: (port: number) => readonly string[] | Promise<readonly string[]>,
): Promise<[number, Program]> {
  for (let left = MAX_STARTS - 1;; left--) {
    const port = await freePort();
    const args = await argsFor(port);
    try {
      return [port, await start(command, args, () => listens(port))];
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port });
    let isListener = false;
    socket.on("connect", () => {
      // Without a listener, a socket that gets the same port connects to itself.
      isListener = socket.localPort !== port;
      socket.destroy();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(isListener));
  });
}

/** Waits until a condition holds. Rejects if that takes too long. */
export async function until(
  condition: string,
  holds: () => boolean | Promise<boolean>,
  timeout = START_TIMEOUT,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!await holds()) {
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeout} ms: ${condition}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Returns a port of 127.0.0.1 that is free. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Runs `use` with a new folder, and removes the folder afterwards. */
export async function withFolder<T>(
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "socks5-interop-"));
  folders.add(folder);
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
    folders.delete(folder);
  }
}

/**
 * Returns the command that runs a `_program.ts` of this folder on the runtime of the
 * tests. On Bun and Node the program is part of the bundle of the test: the test file
 * must import it before anything else.
 */
export function programCommand(
  name: string,
  denoPermissions: readonly string[] = ["--allow-net"],
): [string, ...string[]] {
  const file = runtime === "deno"
    ? new URL(`./${name}_program.ts`, import.meta.url)
    : new URL(import.meta.url);
  const flags = runtime === "deno"
    ? ["run", "--quiet", ...denoPermissions]
    : [];
  return [process.execPath, ...flags, fileURLToPath(file), `run-${name}`];
}
