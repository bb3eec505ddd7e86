/**
 * The command line (`--help` tells its flags).
 *
 * @module
 */

import { configSchema } from "./config/config.ts";
import { checkText, explainText } from "./commands/dry_run.ts";
import { describeFailure, EXIT } from "./failure.ts";
import { FileReader } from "./config/files.ts";
import { type Given, parseFlags, USERS_VARIABLE } from "./config/flags.ts";
import { HELP } from "./config/help.ts";
import { type Host, thisHost } from "./host/host.ts";
import { load, type Loaded } from "./config/load.ts";
import { openLog } from "./output/log.ts";
import { Reloader } from "./serve/reload.ts";
import { start } from "./serve/running.ts";
import { Signals } from "./serve/signals.ts";
import { VERSION } from "./version.ts";

/**
 * The whole program until its end; gives its exit code. Only a second signal
 * ends the process from in here.
 *
 * @param args The arguments behind the program's name; by default those of the process.
 */
export function main(args?: readonly string[]): Promise<number> {
  const host = thisHost();
  return begin(host, args ?? host.args);
}

/** Runs the program with the process's arguments, and ends the process with its exit code. */
export async function run(): Promise<void> {
  const host = thisHost();
  if (host.isWorker) return await workForParent();
  host.end(await begin(host, host.args));
}

async function workForParent(): Promise<void> {
  const { parentProcess } = await import("./workers/processes.ts");
  const { work } = await import("./workers/worker.ts");
  work(parentProcess());
}

async function begin(host: Host, args: readonly string[]): Promise<number> {
  let loaded: Loaded | undefined;
  try {
    if (args[0] === "hash-password") {
      const { hashPasswordCommand } = await import(
        "./commands/hash_password.ts"
      );
      return await hashPasswordCommand(host, args.slice(1));
    }
    const command = parseFlags(args, host.env);
    switch (command.type) {
      case "help":
        return print(HELP);
      case "version":
        return print(`socks5-server ${VERSION}`);
      case "schema":
        return print(JSON.stringify(configSchema(), null, 2));
    }
    const files = new FileReader();
    loaded = await load(command.given, files.read);
    switch (command.type) {
      case "check":
        return print(await checkText(loaded));
      case "explain":
        return await answer(loaded, command.question);
      case "serve":
        return await serveUntilSignal(host, command.given, loaded, files);
    }
  } catch (error) {
    const mayReadEnv = host.mayReadEnv(USERS_VARIABLE);
    const failure = describeFailure(error, loaded?.options, mayReadEnv);
    if (!failure) throw error;
    for (const line of failure.message.split("\n")) printError(line);
    return failure.code;
  }
}

async function answer(loaded: Loaded, question: string): Promise<number> {
  const { text, notes, isAllowed } = await explainText(loaded, question);
  for (const note of notes) printError(note);
  print(text);
  return isAllowed ? EXIT.ok : EXIT.failed;
}

async function serveUntilSignal(
  host: Host,
  given: Given,
  loaded: Loaded,
  files: FileReader,
): Promise<number> {
  const { users } = loaded;
  const log = await openLog(host, loaded.log);
  const { output, tell } = log;
  const metrics = await openMetrics(loaded);
  const server = await start({ given, loaded, files, log });
  metrics?.start(server);
  const signals = new Signals(host, (code) => {
    Promise.all([output.finish(), server.end()]).then(() => host.exit(code));
  });
  const { read } = files;
  const reloader = new Reloader({ given, read, loaded, server, note: tell });
  // Without a file it means what it means to any program: the terminal is gone.
  const forgetReload = loaded.hasFiles
    ? host.onSignal("SIGHUP", () => void reloader.reload())
    : undefined;
  // Only now: who reads this line may send a signal.
  const { addr, workers, pids } = server;
  tell({
    type: "listening",
    addr,
    logins: users.size,
    workers,
    pids,
    metrics: metrics?.url,
  });
  const signal = await signals.first;
  metrics?.drain();
  const { grace } = reloader.current;
  const sessions = await server.closeDoor();
  tell({ type: "shutdown", signal, sessions, grace });
  await server.shutdown({ grace });
  metrics?.close();
  await output.finish();
  signals.forget();
  forgetReload?.();
  return EXIT.ok;
}

async function openMetrics({ metrics }: Loaded) {
  if (!metrics) return undefined;
  // Only now: it loads the runtime's whole HTTP server.
  const { MetricsServer } = await import("./serve/metrics_server.ts");
  return await MetricsServer.open(metrics);
}

function printError(line: string): void {
  console.error(`socks5-server: ${line}`);
}

/** Prints to the standard output; that it is full or closed must not stop a server. */
function print(text: string): number {
  try {
    console.log(text);
  } catch {
    // Such as "no space left on device", which Deno throws.
  }
  return EXIT.ok;
}
