/**
 * `socks5 run`: a program whose connections go through proxies.
 *
 * @module
 */

import type { Host } from "../../cli/host/host.ts";
import { UsageError } from "../../cli/usage_error.ts";
import { bridge } from "../../doors/bridge/bridge.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { quietly } from "../../transport/quiet.ts";
import type { Command } from "../args/command.ts";
import { PROXY_FLAGS } from "../args/flags.ts";
import type { Arguments } from "../args/parse.ts";
import { readProxies } from "../args/proxies.ts";
import { openDialer } from "./dialer.ts";
import { describeToolFailure, ToolError } from "./failure.ts";
import { findPreload, preloadVariables, uncovered } from "./preload.ts";

import type { ChildProcess } from "node:child_process";

/** The description of the command. */
export const RUN: Command = {
  name: "run",
  usage: "[FLAGS] URL... -- COMMAND [ARGUMENTS]",
  summary:
    "Runs a program with an environment that leads its connections through a proxy,\n" +
    "or several in a row",
  text: `\
While the program runs, a proxy on 127.0.0.1 with a random login passes its
connections on. ALL_PROXY, HTTP_PROXY, HTTPS_PROXY and their like name it, and
NO_PROXY is removed: curl, git, pip, wget and many others follow them. Programs
on Node.js and Bun load a module that leads all their connections there. The
login of the real proxy stays out of the environment. Other programs that do not
follow these variables connect directly: where that must not happen, use a
network namespace or a firewall as well.

Exit code: that of the program, 128 and more if a signal ended it; 2 invalid
arguments, 126 and 127 as a shell has them.`,
  flags: [
    {
      name: "direct",
      value: "HOSTS",
      text: "Hosts that are reached without the proxies, as in NO_PROXY",
    },
    ...PROXY_FLAGS,
  ],
  examples: [
    "socks5 run socks5h://127.0.0.1:1080 -- curl https://example.com",
    "socks5 run --proxy-file proxy.txt -- git clone https://example.com/x.git",
  ],
};

/** Runs the command, and returns the exit code. */
export async function runCommand(
  host: Host,
  args: Arguments,
): Promise<number> {
  const [command, ...rest] = args.rest;
  if (args.words.length > 0 || command === undefined) {
    throw new UsageError(
      "write the proxies' URLs, then --, then the program and its arguments",
    );
  }
  const dialer = openDialer(await readProxies(args), { remoteNames: true });
  const preload = findPreload();
  const problem = uncovered([command, ...rest], preload);
  if (problem) throw new ToolError(problem, NOT_EXECUTABLE);
  const auth = { username: "run", password: crypto.randomUUID() };
  const running = await bridge(dialer, {
    auth,
    onError(error, target) {
      const lines = describeToolFailure(error)?.lines ?? [String(error)];
      const where = formatEndpoint(target);
      host.writeError(`socks5 run: ${where}: ${lines[0]}\n`);
    },
  });
  try {
    const { hostname, port } = running.addr;
    const place = `${auth.username}:${auth.password}@${
      formatEndpoint({ hostname, port })
    }`;
    const all = variables(place, args.value("direct"));
    return await start(host, [command, ...rest], all, preload);
  } finally {
    await running.close();
  }
}

/** The variables that programs follow; `undefined` removes one. */
export function variables(
  place: string,
  noProxy?: string,
): Record<string, string | undefined> {
  const all = `socks5h://${place}`;
  const http = `http://${place}`;
  const both = (name: string, value: string | undefined) => [
    [name, value],
    [name.toLowerCase(), value],
  ];
  return Object.fromEntries([
    ...both("ALL_PROXY", all),
    ...both("HTTP_PROXY", http),
    ...both("HTTPS_PROXY", http),
    ...both("FTP_PROXY", http),
    ...both("WS_PROXY", http),
    ...both("WSS_PROXY", http),
    ...both("NO_PROXY", noProxy),
  ]);
}

/** The members of a process that are used here. */
interface WithEnv {
  readonly env: Record<string, string | undefined>;
}

function environment({ env }: WithEnv): Record<string, string | undefined> {
  try {
    return { ...env };
  } catch (error) {
    if ((error as Error).name !== "NotCapable") throw error;
    throw new ToolError("the program needs its environment: add --allow-env");
  }
}

/** The exit codes of shells for programs that cannot be started. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** Runs a program to its end. Signals to this process reach it as well. */
async function start(
  host: Host,
  [command, ...args]: readonly [string, ...string[]],
  variables: Record<string, string | undefined>,
  preload: string | undefined,
): Promise<number> {
  const { spawn } = await import("node:child_process");
  const { default: process } = await import("node:process");
  const { constants } = await import("node:os");
  const { isatty } = await import("node:tty"); // `process.stdin` would change the descriptor
  const given = environment(process);
  const flags = preload === undefined ? {} : preloadVariables(preload, given);
  const env: typeof given = { ...given, ...variables, ...flags };
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) delete env[name];
  }
  let pid: number | undefined;
  // The listeners are set before the program runs. A terminal sends it SIGINT by itself.
  const removals = (["SIGTERM", "SIGHUP", "SIGINT"] as const).map((name) =>
    host.onSignal(name, () => {
      if (pid === undefined || name === "SIGINT" && isatty(0)) return;
      quietly(() => process.kill(pid!, name)); // `child.kill()` hides the exit code on Deno
    })
  );
  try {
    const child = spawn(command, args, { stdio: "inherit", env });
    pid = child.pid;
    return await exitCodeOf(child, constants.signals);
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    const isMissing = code === "ENOENT";
    throw new ToolError(
      isMissing
        ? "there is no such program"
        : `the program cannot be started: ${message}`,
      isMissing ? NOT_FOUND : NOT_EXECUTABLE,
    );
  } finally {
    for (const remove of removals) remove();
  }
}

/** Resolves with the exit code as a shell has it. Rejects if the program does not start. */
function exitCodeOf(
  child: ChildProcess,
  signals: Readonly<Record<string, number>>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on(
      "exit",
      (code, signal) => resolve(code ?? 128 + (signals[signal ?? ""] ?? 0)),
    );
  });
}
