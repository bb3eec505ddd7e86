/**
 * The arguments of the comparison.
 *
 * @module
 */

import { type RuntimeName, runtimeNames } from "../runtimes.ts";
import { type Mode, modeNames } from "./modes.ts";

/** What is to be compared, and how. */
export interface Options {
  /** `node` is the newest of those that there are. */
  runtimes: (RuntimeName | "node")[];
  modes: Mode[];
  /** Ids of servers, or what stands before the `@`; all of them when there are none. */
  only: string[];
  rounds: number;
  seconds: number;
  /** How many connections are held to see what an idle one takes. */
  held: number;
  out?: string;
  readme: boolean;
}

/** Reads the arguments; throws a TypeError that says what is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options: Options = {
    runtimes: [],
    modes: modeNames,
    only: [],
    rounds: 3,
    seconds: 2,
    held: 5_000,
    readme: false,
  };
  const rest = args.flatMap((it) => /^--\w+=/.test(it) ? splitFlag(it) : [it]);
  while (rest.length > 0) {
    const arg = rest.shift()!;
    if (!arg.startsWith("-")) options.runtimes.push(runtime(arg));
    else if (arg === "--readme") options.readme = true;
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
  if (value === undefined) throw new TypeError(`${flag} lacks its value`);
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
    `unknown mode ${name}; there are ${modeNames.join(", ")}`,
  );
}

function positive(flag: string, value: string): number {
  const number = Number(value);
  if (number > 0) return number;
  throw new TypeError(`${flag} wants a number above 0, not "${value}"`);
}
