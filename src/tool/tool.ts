/**
 * The client's commands.
 *
 * @module
 */

import { EXIT } from "../cli/failure.ts";
import type { Host } from "../cli/host/host.ts";
import { type Command, commandHelp } from "./args/command.ts";
import { type Arguments, parseArguments } from "./args/parse.ts";
import { describeToolFailure } from "./commands/failure.ts";

/** A command, which is loaded when it is asked for. */
interface Loaded {
  readonly command: Command;
  run(host: Host, args: Arguments): Promise<number>;
}

const COMMANDS: Readonly<Record<string, () => Promise<Loaded>>> = {
  check: async () => {
    const { CHECK, checkCommand } = await import("./commands/check.ts");
    return { command: CHECK, run: checkCommand };
  },
  connect: async () => {
    const { CONNECT, connectCommand } = await import("./commands/connect.ts");
    return { command: CONNECT, run: connectCommand };
  },
  forward: async () => {
    const { FORWARD, forwardCommand } = await import("./commands/forward.ts");
    return { command: FORWARD, run: forwardCommand };
  },
  bridge: async () => {
    const { BRIDGE, bridgeCommand } = await import("./commands/bridge.ts");
    return { command: BRIDGE, run: bridgeCommand };
  },
  run: async () => {
    const { RUN, runCommand } = await import("./commands/run.ts");
    return { command: RUN, run: runCommand };
  },
  sessions: async () => {
    const { SESSIONS, sessionsCommand } = await import(
      "./commands/sessions.ts"
    );
    return { command: SESSIONS, run: sessionsCommand };
  },
  end: async () => {
    const { END, endCommand } = await import("./commands/end.ts");
    return { command: END, run: endCommand };
  },
  users: async () => {
    const { USERS, usersCommand } = await import("./commands/users.ts");
    return { command: USERS, run: usersCommand };
  },
  unlock: async () => {
    const { UNLOCK, unlockCommand } = await import("./commands/unlock.ts");
    return { command: UNLOCK, run: unlockCommand };
  },
  drain: async () => {
    const { DRAIN, drainCommand } = await import("./commands/drain.ts");
    return { command: DRAIN, run: drainCommand };
  },
};

/** Runs a command with the arguments after its name, and returns the exit code. */
export async function runTool(
  host: Host,
  name: string,
  args: readonly string[],
): Promise<number> {
  try {
    const { command, run } = await COMMANDS[name]();
    if (wantsHelp(args)) return await print(host, commandHelp(command));
    return await run(host, parseArguments(args, command.flags));
  } catch (error) {
    const failure = describeToolFailure(error);
    if (!failure) throw error;
    for (const line of failure.lines) {
      host.writeError(`socks5 ${name}: ${line}\n`);
    }
    return failure.code;
  }
}

/** Whether help is asked for, whatever else is wrong. */
function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  return own.includes("--help") || own.includes("-h");
}

async function print(host: Host, text: string): Promise<number> {
  await host.write(`${text}\n`);
  return EXIT.ok;
}

/** The help of a command, or of all commands of the client; `undefined` for other words. */
export async function helpOf(name?: string): Promise<string | undefined> {
  if (name === "tool") return OVERVIEW;
  if (name === undefined || !Object.hasOwn(COMMANDS, name)) return undefined;
  return commandHelp((await COMMANDS[name]()).command);
}

/** The text of `socks5 help tool`. */
const OVERVIEW = `\
Usage: socks5 COMMAND [FLAGS] URL... [ARGUMENTS]

  check    Finds out what a proxy really does, and prints a table
  connect  Connects to a target, for ssh's ProxyCommand and the like
  forward  Passes the connections or datagrams of a local port on to a target
  bridge   Puts a local proxy in front of one that programs cannot use
  run      Runs a program whose connections go through the proxy
  serve    Is the server, see "socks5 serve --help"

A URL is socks5h://[NAME:PASSWORD@]HOST:PORT. The scheme may also be socks5 (the
names of targets are resolved here), socks4a, socks4 or http, and over TLS
socks5hs, socks5s, socks4as, socks4s or https. With several URLs, each proxy is
reached through the one before. "socks5 help COMMAND" has more.

These speak to a running server that has --admin, see "socks5 help admin":

  sessions  Lists the open sessions
  end       Ends sessions
  users     Lists the users and their traffic
  unlock    Lets clients log in again that are locked out
  drain     Begins the shutdown`;
