/**
 * Other people's programs, as the interop tests run them: found, fed, bounded in
 * time, and ended by their pid whatever happens.
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

/** Milliseconds that a program has to do what it is run for. */
const PATIENCE = 50_000;
/** Milliseconds that a server has to listen, and any program to end when it is told to. */
const START_PATIENCE = 20_000;

const path = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
const inCI = !["", "0", "false"].includes(process.env.CI ?? "");

/** Whether we are root, as some programs want it. */
export const isRoot: boolean = process.getuid?.() === 0;

/** Where a program is, if it is installed. */
export function findProgram(name: string): string | undefined {
  return path.split(":").map((folder) => join(folder, name)).find((it) => {
    try {
      accessSync(it, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why a test that needs these programs can't run here; in CI it runs, and fails. */
export function missing(...names: string[]): string | undefined {
  const lacking = inCI ? undefined : names.find((it) => !findProgram(it));
  return lacking && `${lacking} is not installed`;
}

/** As {@linkcode missing}, for tests that only root can run. */
export function missingForRoot(...names: string[]): string | undefined {
  return isRoot || inCI ? missing(...names) : "needs root";
}

/** What a program prints to its standard output when it is asked about itself; "" where it is missing. */
export function about(name: string, ...args: string[]): string {
  const program = findProgram(name);
  if (!program) return "";
  return execFileSync(program, args, { encoding: "utf8", timeout: PATIENCE });
}

/** How to run a program. */
export interface RunOptions {
  /** What it gets to read, then EOF. @default {""} */
  readonly stdin?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Takes what it prints, which is then not in the {@linkcode Output}. */
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Milliseconds until it is killed. */
  readonly timeout?: number;
}

/** What became of a program. */
export interface Output {
  /** Its exit code, or the signal that ended it. */
  readonly code: number | string;
  readonly stdout: string;
  /** The same before it was read as UTF-8. */
  readonly octets: Uint8Array;
  readonly stderr: string;
}

// What a test that takes too long leaves behind ends with the tests.
const running = new Set<ChildProcessWithoutNullStreams>();
const folders = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface Started {
  readonly child: ChildProcessWithoutNullStreams;
  /** What it has printed so far. */
  readonly stdout: Uint8Array[];
  readonly stderr: Uint8Array[];
  /** Its exit code or signal, once its pipes are closed too. */
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
  child.stdin.on("error", () => {}); // it may end without having read all
  child.stdout.on("data", onStdout ?? ((chunk) => stdout.push(chunk)));
  child.stderr.on("data", (chunk) => stderr.push(chunk));
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? signal ?? -1));
  }).finally(() => running.delete(child));
  ended.catch(() => {}); // whoever awaits it learns of it
  return { child, stdout, stderr, ended };
}

function text(chunks: Uint8Array[]): string {
  return Buffer.concat(chunks).toString();
}

/** Runs a program to its end; kills it and rejects when that takes too long. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  const { stdin = "", timeout = PATIENCE } = options;
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
  /** What it has printed to standard error so far. */
  readonly stderr: string;
  /** What it has printed to standard output so far. */
  readonly stdout: string;
  /** Ends it. */
  stop(): Promise<void>;
}

/** Starts a program and waits until it is `ready`, by default at once. */
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
        for (const pipe of [child.stdout, child.stderr]) pipe.destroy(); // its children may hold them
      }, START_PATIENCE);
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

/** How often a program is started that does not come to listen. */
const STARTS = 3;

/**
 * Calls with the port of 127.0.0.1 that a program listens on, and stops it. The
 * program can't say which port it chose, so it is told one that is free; should
 * it end before it listens, perhaps for somebody else was faster, it is started
 * once more with another one.
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
  for (let left = STARTS - 1;; left--) {
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
    socket.on("connect", () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", (failed) => resolve(!failed));
  });
}

/** Waits until a condition holds; rejects when that takes too long. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patience = START_PATIENCE,
): Promise<void> {
  const deadline = performance.now() + patience;
  while (!await holds()) {
    if (performance.now() > deadline) {
      throw new Error(`not within ${patience} ms: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A port of 127.0.0.1 that nobody has. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Calls with a new folder, which is removed afterwards. */
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
 * The command that runs a `_program.ts` of this folder on the runtime of the
 * tests. On Bun and Node the program is in the test's own bundle: the test file
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
