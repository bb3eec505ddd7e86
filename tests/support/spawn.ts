/**
 * Starts the program as a process, on the runtime of the tests.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtime } from "./harness.ts";

/** How a program ended. */
export interface Ended {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** A running program. */
export interface Program {
  /** Resolves with the first matching line of the standard output. */
  line(pattern: RegExp): Promise<string>;
  /** Resolves with the first `count` matching lines. */
  lines(pattern: RegExp, count: number): Promise<string[]>;
  /** Resolves with the port that it reports to listen on. */
  port(): Promise<number>;
  /** Sends it a signal. */
  kill(
    signal:
      | "SIGINT"
      | "SIGTERM"
      | "SIGHUP"
      | "SIGKILL"
      | "SIGUSR1"
      | "SIGUSR2",
  ): void;
  /** Writes to its standard input, which `keepsInput` has left open. */
  type(text: string | Uint8Array): void;
  /** Ends its standard input. */
  endInput(): void;
  /** Resolves when its standard output has ended. */
  readonly outputEnded: Promise<void>;
  /** Stops reading its standard output, as `head -1` does. */
  closeOutput(): void;
  /** Leaves its standard output open and unread, as a stopped `less` does. */
  pauseOutput(): void;
  /** Resumes reading. */
  resumeOutput(): void;
  /** Resolves with its exit code, even if its output is not read to the end. */
  readonly exited: Promise<number | null>;
  /** Settles when it has exited and all of its output has been read. */
  readonly ended: Promise<Ended>;
}

/** Options of {@linkcode withProgram}. */
export interface ProgramOptions {
  /** The value of `SOCKS5_USERS`; on Deno with the permission to read it. */
  users?: string;
  /** The value of `SOCKS5_USERS`; on Deno without the permission to read it. */
  unreadableUsers?: string;
  /** Whether it has the permission to read files, on Deno. */
  mayRead?: boolean;
  /** Whether it has the permission to write files, on Deno. */
  mayWrite?: boolean;
  /** Whether it has the flags and permissions for several workers, on Deno. */
  mayShare?: boolean;
  /** Whether it may load native libraries, on Deno. */
  mayLoad?: boolean;
  /** Whether it may start programs, on Deno. */
  mayRun?: boolean;
  /** Whether it may read all environment variables, on Deno. */
  mayReadEnv?: boolean;
  /** The environment variables that it may read, on Deno. */
  variables?: string;
  /** More environment variables. */
  env?: Record<string, string>;
  /** The content of its standard input; none by default. */
  input?: string | Uint8Array;
  /** Whether it is started with SIGHUP ignored, as `nohup` does. */
  ignoresHangup?: boolean;
  /** Whether its standard input stays open after that, for `type()` and `endInput()`. */
  keepsInput?: boolean;
}

/** Starts the program, calls `use`, and kills the program afterwards. */
export async function withProgram(
  args: string[],
  use: (program: Program) => Promise<void>,
  options: ProgramOptions = {},
): Promise<void> {
  const command = [process.execPath, ...programArgs(options), ...args];
  if (options.ignoresHangup) {
    command.unshift("sh", "-c", 'trap "" HUP; exec "$0" "$@"');
  }
  const [file, ...rest] = command;
  const child = spawn(file, rest, {
    env: environment(options),
    stdio: ["pipe", "pipe", "pipe"],
  });
  // The program may exit before it has read all of its input.
  child.stdin.on("error", () => {});
  if (options.input !== undefined) child.stdin.write(options.input);
  if (!options.keepsInput) child.stdin.end();
  let [stdout, stderr] = ["", ""];
  let onOutput = () => {};
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
    onOutput();
  });
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  let isOver = false;
  const outputEnded = new Promise<void>((resolve) =>
    child.stdout.on("close", resolve)
  );
  const exited = new Promise<number | null>((resolve) =>
    child.on("exit", (code) => resolve(code))
  );
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      isOver = true;
      resolve({ code, signal, stdout, stderr });
      onOutput();
    });
  });

  const lines = (pattern: RegExp, count: number) =>
    new Promise<string[]>((resolve, reject) => {
      onOutput = () => {
        const complete = stdout.split("\n").slice(0, -1);
        const found = complete.filter((it) => pattern.test(it));
        if (found.length >= count) resolve(found.slice(0, count));
        else if (isOver) {
          reject(new Error(`No line ${pattern} in:\n${stdout}${stderr}`));
        }
      };
      onOutput();
    });
  const line = async (pattern: RegExp) => (await lines(pattern, 1))[0];

  try {
    await use({
      line,
      lines,
      port: async () =>
        Number(
          /(?:listens on \S+|"port"):(\d+)/.exec(
            await line(/listens on |"listening"/),
          )![1],
        ),
      // On Deno `child.kill()` works once, and then hides the exit code.
      kill: (signal) => void process.kill(child.pid!, signal),
      type: (text) => void child.stdin.write(text),
      endInput: () => void child.stdin.end(),
      outputEnded,
      closeOutput: () => child.stdout.destroy(),
      pauseOutput: () => void child.stdout.pause(),
      resumeOutput: () => void child.stdout.resume(),
      exited,
      ended,
    });
  } finally {
    child.stdout.resume();
    if (!isOver) child.kill("SIGKILL");
    await ended;
  }
}

/** Runs the program until it exits. */
export async function runProgram(
  args: string[],
  options: ProgramOptions = {},
): Promise<Ended> {
  let result: Ended | undefined;
  await withProgram(
    args,
    async ({ ended }) => void (result = await ended),
    options,
  );
  return result!;
}

/** The arguments for the executable of the runtime that start the program. */
export function programArgs(
  {
    users,
    mayRead,
    mayWrite,
    mayShare,
    mayLoad,
    mayRun,
    mayReadEnv,
    variables,
  }: ProgramOptions,
): string[] {
  if (runtime !== "deno") {
    const program = fileURLToPath(new URL("./program.js", import.meta.url));
    if (existsSync(program)) return [program];
    throw new Error(`${program} is missing: bundle tests/cli/program.ts, too`);
  }
  // The flag that the tests were started with if JSR is not reachable.
  const parser = import.meta.resolve("@std/cli/parse-args");
  return [
    "run",
    "--allow-net",
    ...(mayRead || mayShare ? ["--allow-read"] : []),
    ...(mayWrite ? ["--allow-write"] : []),
    ...(mayShare ? ["--unstable-net"] : []),
    ...(mayLoad ? ["--allow-ffi"] : []),
    ...(mayRun ? ["--allow-run"] : []),
    ...(mayRun && !mayReadEnv ? ["--allow-env=NODE_V8_COVERAGE"] : []),
    ...(users === undefined ? [] : ["--allow-env=SOCKS5_USERS"]),
    ...(mayReadEnv ? ["--allow-env"] : []),
    ...(variables === undefined ? [] : [`--allow-env=${variables}`]),
    ...(parser.startsWith("file:")
      ? [`--import-map=${new URL("./import_map.json", parser)}`]
      : []),
    fileURLToPath(new URL("../../src/server/mod.ts", import.meta.url)),
  ];
}

function environment({ users, unreadableUsers, env: more }: ProgramOptions) {
  const { SOCKS5_USERS: _, ...env } = process.env;
  const value = users ?? unreadableUsers;
  return {
    ...env,
    ...more,
    NO_COLOR: "1",
    ...(value === undefined ? {} : { SOCKS5_USERS: value }),
  };
}
