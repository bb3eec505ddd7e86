/**
 * The arguments of the comparison.
 *
 * @module
 */

import { type RuntimeName, runtimeNames } from "../runtimes.ts";
import { type Mode, modeNames } from "./modes.ts";

/** The options of the comparison. */
export interface Options {
  /** `node` is the newest available version. */
  runtimes: (RuntimeName | "node")[];
  modes: Mode[];
  /** Ids of servers, or their part before the `@`; all servers if empty. */
  only: string[];
  rounds: number;
  seconds: number;
  /** The number of connections that are held to measure an idle one. */
  held: number;
  out?: string;
  readme: boolean;
  /** Whether to compare clients instead of servers. */
  clients: boolean;
}

/** Parses the arguments; throws a TypeError if they are invalid. */
export function parseOptions(args: readonly string[]): Options {
  const options: Options = {
    runtimes: [],
    modes: modeNames,
    only: [],
    rounds: 3,
    seconds: 2,
    held: 5_000,
    readme: false,
    clients: false,
  };
  const rest = args.flatMap((it) => /^--\w+=/.test(it) ? splitFlag(it) : [it]);
  while (rest.length > 0) {
    const arg = rest.shift()!;
    if (!arg.startsWith("-")) options.runtimes.push(runtime(arg));
    else if (arg === "--readme") options.readme = true;
    else if (arg === "--clients") options.clients = true;
    else setFlag(options, arg, rest.shift());
  }
  if (options.runtimes.length === 0) {
    options.runtimes = ["deno", "bun", "node"];
  }
  return options;
}

function splitFlag(arg: string): string[] {
  const at = arg.indexOf("=");
  return [arg.slice(0, at), arg.slice(at + 1)];
}

function setFlag(options: Options, flag: string, value?: string): void {
  if (value === undefined) throw new TypeError(`${flag} needs a value`);
  switch (flag) {
    case "--modes":
      options.modes = value.split(",").map(mode);
      return;
    case "--only":
      options.only = value.split(",");
      return;
    case "--rounds":
      options.rounds = positive(flag, value);
      return;
    case "--secs":
      options.seconds = positive(flag, value);
      return;
    case "--held":
      options.held = positive(flag, value);
      return;
    case "--out":
      options.out = value;
      return;
  }
  throw new TypeError(`unknown option ${flag}`);
}

function runtime(name: string): RuntimeName | "node" {
  const found = [...runtimeNames, "node" as const].find((it) => it === name);
  if (found === undefined) throw new TypeError(`unknown runtime ${name}`);
  return found;
}

function mode(name: string): Mode {
  const found = modeNames.find((it) => it === name);
  if (found !== undefined) return found;
  throw new TypeError(
    `unknown mode ${name}; the modes are ${modeNames.join(", ")}`,
  );
}

function positive(flag: string, value: string): number {
  const number = Number(value);
  if (number > 0) return number;
  throw new TypeError(`${flag} must be a number above 0, not "${value}"`);
}
