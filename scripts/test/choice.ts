/**
 * The arguments of the test runner.
 *
 * @module
 */

import { nodeNames, type RuntimeName, runtimeNames } from "../runtimes.ts";

/** The tests to run. */
export interface Choice {
  runtimes: RuntimeName[];
  /** Files and folders; the usual ones if empty. */
  paths: string[];
  filter?: string;
  interop: boolean;
  verbose: boolean;
}

/** Parses the arguments; throws a TypeError if one is unknown. */
export function parseChoice(args: readonly string[]): Choice {
  const choice: Choice = {
    runtimes: [],
    paths: [],
    interop: false,
    verbose: false,
  };
  const rest = [...args];
  while (rest.length > 0) {
    const arg = rest.shift()!;
    const name = runtimeNames.find((it) => it === arg);
    if (name) choice.runtimes.push(name);
    else if (arg === "node") choice.runtimes.push(...nodeNames);
    else if (arg === "--interop") choice.interop = true;
    else if (arg === "--verbose") choice.verbose = true;
    else if (arg === "--filter" && rest.length > 0) {
      choice.filter = rest.shift();
    } else if (arg.startsWith("--filter=")) {
      choice.filter = arg.slice("--filter=".length);
    } else if (arg.startsWith("-")) {
      throw new TypeError(`unknown option ${arg}`);
    } else choice.paths.push(arg);
  }
  if (choice.runtimes.length === 0) choice.runtimes.push(...runtimeNames);
  return choice;
}
