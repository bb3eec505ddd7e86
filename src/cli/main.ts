/**
 * The command line (`--help` tells its flags).
 *
 * @module
 */

import { serve } from "../server/serve.ts";
import { EXIT, explain } from "./failure.ts";
import { type Command, parseFlags, USERS_VARIABLE } from "./flags.ts";
import { HELP } from "./help.ts";
import { type Host, type Signal, SIGNALS, thisHost } from "./host.ts";
import { formatRecord, type LogRecord } from "./log.ts";
import { VERSION } from "./version.ts";

/**
 * The whole program until its end; gives its exit code. Only a second signal
 * ends the process from in here.
 *
 * @param args The arguments behind the program's name; by default those of the process.
 */
export function main(args?: readonly string[]): Promise<number> {
  const host = thisHost();
  return start(host, args ?? host.args);
}

/** Runs the program with the process's arguments, and ends the process with its exit code. */
export async function run(): Promise<void> {
  const host = thisHost();
  host.end(await start(host, host.args));
}

async function start(host: Host, args: readonly string[]): Promise<number> {
  host.ignoreClosedOutput();
  let command: Command | undefined;
  try {
    command = parseFlags(args, host.env);
    switch (command.type) {
      case "help":
        return print(HELP);
      case "version":
        return print(`socks5-server ${VERSION}`);
      case "serve":
        return await serveUntilSignal(host, command);
    }
  } catch (error) {
    const options = command?.type === "serve" ? command.options : undefined;
    const mayReadEnv = host.mayReadEnv(USERS_VARIABLE);
    const failure = explain(error, options, mayReadEnv);
    if (!failure) throw error;
    console.error(`socks5-server: ${failure.message}`);
    return failure.code;
  }
}

async function serveUntilSignal(
  host: Host,
  { options, logins, graceMs, log }: Extract<Command, { type: "serve" }>,
): Promise<number> {
  const note = (record: LogRecord) => {
    const line = formatRecord(log, record, new Date());
    if (line !== undefined) print(line);
  };
  const server = await serve({
    ...options,
    onEvent: log === "off" ? undefined : (event) => {
      // These two are told below, with what the server does not know.
      if (event.type !== "listening" && event.type !== "shutdown") note(event);
    },
  });
  const signals = new Signals(host);
  // Only now: who reads this line may send a signal.
  note({ type: "listening", addr: server.addr, logins });
  const signal = await signals.first;
  const sessions = server.sessions.length;
  note({ type: "shutdown", signal, sessions, graceMs });
  await server.shutdown({ graceMs });
  signals.forget();
  return EXIT.ok;
}

/** Waits for a first signal; a second one ends the process. */
class Signals {
  readonly first: Promise<Signal>;
  readonly forget: () => void;

  constructor(host: Host) {
    let onFirst: ((signal: Signal) => void) | undefined;
    this.first = new Promise((resolve) => onFirst = resolve);
    const undo = Object.entries(SIGNALS).map(([name, number]) =>
      host.onSignal(name as Signal, () => {
        if (!onFirst) host.exit(128 + number);
        onFirst(name as Signal);
        onFirst = undefined;
      })
    );
    this.forget = () => undo.forEach((it) => it());
  }
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
