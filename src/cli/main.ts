/**
 * The command line of the server (`--help` lists its flags).
 *
 * @module
 */

import { configSchema } from "./config/config.ts";
import { LazyAccounting } from "./accounting/lazy_accounting.ts";
import { describeFailure, EXIT, type Failure } from "./failure.ts";
import { ConfigFileReader } from "./config/files.ts";
import { USERS_VARIABLE } from "./config/flag_table.ts";
import { type CommandLine, parseFlags } from "./config/flags.ts";
import { detectHost } from "./host/detect.ts";
import { type Host, type ProcessSignal, SIGNALS } from "./host/host.ts";
import { systemClock } from "../transport/clock.ts";
import { detectRuntime, detectTransport } from "../transport/detect.ts";
import { load, type LoadedConfig } from "./config/load.ts";
import { type Log, openLog } from "./output/log.ts";
import type { SharedMachines } from "./serve/shared_limits.ts";
import type { MonitoredServer } from "./admin/metrics_server.ts";
import type { LogRecord } from "./output/record.ts";
import { Reloader } from "./serve/reload.ts";
import { Hangups } from "./serve/hangups.ts";
import { Signals } from "./serve/signals.ts";
import { startServer } from "./start.ts";
import { VERSION } from "./version.ts";

/**
 * Runs the program to its end, and returns its exit code. Only a second signal
 * ends the process from within.
 *
 * @param args The arguments after the name of the program; by default those of the process.
 */
export function main(args?: readonly string[]): Promise<number> {
  const host = detectHost();
  return runCommand(host, args ?? host.args);
}

/**
 * Runs the program with the arguments of the process, and ends the process with the exit code.
 *
 * @param fallback The arguments if there are none; by default the server starts.
 */
export async function run(fallback: readonly string[] = []): Promise<void> {
  const host = detectHost();
  const args = host.args.length > 0 ? host.args : fallback;
  if (!host.isWorker) return host.end(await runCommand(host, args));
  if (detectRuntime() === "deno") {
    // In a bundle of the whole program, which is then the module of the thread.
    // A worker starts by itself as soon as its module is loaded.
    await import("./workers/worker_thread.ts");
    return;
  }
  const { runWorkerProcess } = await import("./workers/worker_process.ts");
  runWorkerProcess();
}

async function runCommand(
  host: Host,
  args: readonly string[],
): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case "check":
    case "connect":
    case "forward":
    case "bridge":
    case "run":
    case "sessions":
    case "end":
    case "users":
    case "unlock":
    case "drain": {
      const { runTool } = await import("../tool/tool.ts");
      return await runTool(host, command, rest);
    }
    case "hash-password":
      return await hashPassword(host, rest);
    case "help":
      return await runServer(host, ["--help", ...rest]);
    case "serve":
      return await runServer(host, rest);
    default:
      return await runServer(host, args);
  }
}

async function hashPassword(
  host: Host,
  args: readonly string[],
): Promise<number> {
  try {
    const { hashPasswordCommand } = await import("./commands/hash_password.ts");
    return await hashPasswordCommand(host, args);
  } catch (error) {
    return printFailure(error, describeFailure(error));
  }
}

async function runServer(
  host: Host,
  args: readonly string[],
): Promise<number> {
  let loaded: LoadedConfig | undefined;
  let hangups: Hangups | undefined;
  try {
    const invocation = parseFlags(args, host.env);
    // Modules that a server does not need are loaded lazily: its start takes less time.
    switch (invocation.type) {
      case "help":
        return await help(invocation.topic);
      case "version":
        return print(`socks5 ${VERSION}`);
      case "schema":
        return print(JSON.stringify(configSchema(), null, 2));
      case "fail2ban": {
        const { FAIL2BAN_FILTER } = await import("./commands/fail2ban.ts");
        return print(FAIL2BAN_FILTER);
      }
    }
    const files = new ConfigFileReader(host.input);
    const { commandLine } = invocation;
    const isServer = invocation.type === "serve";
    // Not without files: removing the listener would undo that nohup has it ignored.
    loaded = await load(commandLine, (path, options) => {
      if (isServer) hangups ??= new Hangups(host);
      return files.read(path, options);
    });
    for (const warning of loaded.warnings) printError(`warning: ${warning}`);
    switch (invocation.type) {
      case "check": {
        const { checkText } = await import("./commands/dry_run.ts");
        const text = await checkText(loaded);
        await warnOfVia(loaded);
        return print(text);
      }
      case "explain":
        return await answer(loaded, invocation.question);
      case "serve":
        return await serveUntilSignal(
          { host, commandLine, files, hangups },
          loaded,
        );
    }
  } catch (error) {
    hangups?.stop();
    const mayReadEnv = host.mayReadEnv(USERS_VARIABLE);
    const failure = describeFailure(error, loaded?.options, mayReadEnv);
    return printFailure(error, failure);
  }
}

/** Prints an expected error, and returns the exit code. Throws an unexpected one. */
function printFailure(error: unknown, failure: Failure | undefined): number {
  if (!failure) throw error;
  for (const line of failure.message.split("\n")) printError(line);
  return failure.code;
}

async function help(topic: string | undefined): Promise<number> {
  const { helpOf } = await import("../tool/tool.ts");
  const { helpText } = await import("./config/help.ts");
  return print(await helpOf(topic) ?? helpText(topic));
}

async function answer(loaded: LoadedConfig, question: string): Promise<number> {
  const { explainText } = await import("./commands/dry_run.ts");
  const { text, notes, isAllowed } = await explainText(loaded, question);
  for (const note of notes) printError(note);
  print(text);
  return isAllowed ? EXIT.ok : EXIT.failed;
}

interface Start {
  readonly host: Host;
  readonly commandLine: CommandLine;
  readonly files: ConfigFileReader;
  /** Of a configuration with files that were read. */
  readonly hangups: Hangups | undefined;
}

async function serveUntilSignal(
  { host, commandLine, files, hangups: early }: Start,
  loaded: LoadedConfig,
): Promise<number> {
  const { users } = loaded;
  // Without files, SIGHUP keeps its usual meaning: the terminal was closed.
  const hangups = loaded.hasFiles ? early ?? new Hangups(host) : undefined;
  const log = await openLog(host, loaded);
  const { output, printNow } = log;
  const metrics = await openMetrics(loaded);
  const admin = await openAdmin(loaded);
  const shared = await openShared(loaded, printNow);
  if (shared) {
    // Again, for the methods to count failed logins in the store.
    const guard = shared.store;
    loaded = await load(commandLine, files.readAgain([]), { guard });
  }
  const accounting = await openAccounting(loaded, log, shared);
  const start = { commandLine, loaded, files, log, shared, accounting };
  const server = await startServer(start).catch(async (error) => {
    await admin?.close(); // which removes the file of a Unix socket
    await accounting.close();
    await shared?.close();
    throw error;
  });
  metrics?.start(shared ? withMetricsOf(shared, server) : server);
  await accounting.start(server);
  if (loaded.log === "off") await warnOfOwnAddresses(loaded);
  const terminate = async (signal: ProcessSignal) => {
    const sessions = await server.stopAccepting();
    await server.terminate();
    await accounting.close();
    await shared?.close();
    // After the last lines of workers.
    printNow({ type: "terminated", signal, sessions });
    await output.finish();
    host.exit(128 + SIGNALS[signal]);
  };
  let terminated: Promise<void> | undefined;
  const signals = new Signals(host, (signal) => {
    terminated = terminate(signal);
  });
  const { read } = files;
  const reloader = new Reloader({
    commandLine,
    read,
    loaded,
    server,
    guard: shared?.store,
    log: printNow,
  });
  admin?.start({
    server,
    token: () => reloader.current.adminToken,
    reload: () => reloader.reload(),
    drain: () => signals.begin("admin"),
    log: printNow,
  });
  if (admin?.secretUrl) printError(`the console is on ${admin.secretUrl}`);
  const watcher = loaded.tls && await watchCertificates(reloader, files);
  // Logged after the listeners for signals are set: a reader of this line may
  // send a signal immediately.
  const { addr, plainAddr, workers, pids } = server;
  const { tls } = loaded;
  printNow({
    type: "listening",
    addr,
    plainAddr,
    tls: tls && {
      validTo: tls.validTo,
      asksClients: tls.options.clientCa !== undefined,
    },
    logins: users.size,
    gssapi: loaded.config.gssapiKeytab === undefined ? undefined : true,
    authCommand: loaded.config.authCommand === undefined ? undefined : true,
    unreadVariable: host.mayReadEnv(USERS_VARIABLE)
      ? undefined
      : USERS_VARIABLE,
    workers,
    pids,
    metrics: metrics?.url,
    admin: admin?.url,
  });
  hangups?.start(() => void reloader.reload());
  const signal = await signals.first;
  watcher?.stop();
  metrics?.drain();
  admin?.drain();
  const { grace, drainDelay } = reloader.current;
  if (drainDelay > 0) {
    server.drain();
    printNow({ type: "drain", signal, delay: drainDelay });
    await new Promise<void>((resolve) =>
      systemClock.startTimeout(drainDelay, () => resolve())
    );
    await terminated; // a second signal need not wait
  }
  const sessions = await server.stopAccepting();
  printNow({ type: "shutdown", signal, sessions, grace });
  await server.shutdown({ grace });
  await accounting.close();
  await shared?.close();
  await terminated; // which ends the process with another exit code
  await Promise.all([metrics?.close(), admin?.close()]);
  await output.finish();
  signals.stop();
  hangups?.stop();
  return EXIT.ok;
}

/** Without a log, the warning is on the standard error. */
async function warnOfOwnAddresses({ options }: LoadedConfig): Promise<void> {
  const { ownAddressesWarning } = await import(
    "./serve/own_addresses_warning.ts"
  );
  const transport = await detectTransport();
  const warning = await ownAddressesWarning(options, transport);
  if (warning) printError(warning);
}

/** Warns of addresses to connect from that this machine cannot use. */
async function warnOfVia({ via }: LoadedConfig): Promise<void> {
  if (via.length === 0) return;
  const { viaWarnings } = await import("./commands/via_warnings.ts");
  const warnings = await viaWarnings(via, await detectTransport());
  for (const it of warnings) printError(`warning: ${it}`);
}

/** Reloads the certificates when they have changed. */
async function watchCertificates(
  reloader: Reloader,
  files: ConfigFileReader,
) {
  // Loaded lazily: most servers do not speak TLS.
  const { FileWatcher } = await import("./serve/file_watcher.ts");
  return new FileWatcher({
    files: () => reloader.current.tls?.files ?? [],
    onChange: (changed) => void reloader.reload(files.readAgain(changed)),
  });
}

/** Opens the file at the start, so that one that cannot be used is an error. */
async function openAccounting(
  { accounting: interval = 0, accountingFile: file }: LoadedConfig,
  { print: log, output }: Log,
  shared: SharedMachines | undefined,
): Promise<LazyAccounting> {
  const { store } = shared ?? {};
  const flush = () => output.finish();
  const accounting = new LazyAccounting({ interval, file, store, log, flush });
  if (interval === 0) return accounting;
  try {
    await accounting.open();
  } catch (error) {
    await shared?.close();
    throw error;
  }
  return accounting;
}

async function openShared(
  loaded: LoadedConfig,
  log: (record: LogRecord) => void,
): Promise<SharedMachines | undefined> {
  if (loaded.shared === undefined) return undefined;
  const { openSharedLimits } = await import("./serve/shared_limits.ts");
  return await openSharedLimits(loaded, log);
}

function withMetricsOf(
  shared: SharedMachines,
  server: MonitoredServer,
): MonitoredServer {
  return {
    get isListening() {
      return server.isListening;
    },
    metrics: async () => ({ ...await server.metrics(), ...shared.metrics() }),
  };
}

async function openMetrics({ metrics }: LoadedConfig) {
  if (!metrics) return undefined;
  // Loaded lazily: it needs the whole HTTP server of the runtime.
  const { MetricsServer } = await import("./admin/metrics_server.ts");
  return await MetricsServer.open(metrics);
}

async function openAdmin({ admin: place, adminToken: token }: LoadedConfig) {
  if (!place) return undefined;
  // Loaded lazily, for the same reason.
  const { AdminServer } = await import("./admin/admin_server.ts");
  return await AdminServer.open({ place, token });
}

function printError(line: string): void {
  console.error(`socks5: ${line}`);
}

/** Prints to the standard output. Ignores errors: a closed output must not stop a server. */
function print(text: string): number {
  try {
    console.log(text);
  } catch {
    // For example "no space left on device", which Deno throws.
  }
  return EXIT.ok;
}
