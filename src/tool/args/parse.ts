/**
 * The arguments of a command.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { hint } from "../../cli/config/hint.ts";
import { parseDuration } from "../../cli/config/parse_duration.ts";
import { flagName } from "../../cli/output/escape.ts";
import { UsageError } from "../../cli/usage_error.ts";
import type { Flag } from "./flags.ts";

/** The arguments of a command, checked against its flags. */
export interface Arguments {
  /** The arguments that are proxies' URLs. */
  readonly urls: readonly string[];
  /** The others that are no flags, in order. */
  readonly words: readonly string[];
  /** Everything after `--`, which is not read. */
  readonly rest: readonly string[];
  /** Whether a switch was given. */
  has(name: string): boolean;
  /** The last value of a flag. */
  value(name: string): string | undefined;
  /** All values of a flag. */
  values(name: string): readonly string[];
  /** The value of a flag in milliseconds. */
  duration(name: string, otherwise: number): number;
}

/** A proxy's URL, also one with a misspelt scheme. */
const URL_START = /^[a-z][a-z\d+.-]*:\/\//i;

/**
 * Reads the arguments after the name of a command.
 *
 * @throws {UsageError} for unknown flags and missing values. The message shows no value:
 * it may be a login.
 */
export function parseArguments(
  all: readonly string[],
  flags: readonly Flag[],
): Arguments {
  const end = all.indexOf("--");
  const args = end < 0 ? all : all.slice(0, end);
  const switches = flags.filter((it) => it.value === undefined)
    .map((it) => it.name);
  const names = flags.filter((it) => it.value !== undefined)
    .map((it) => it.name);
  refuseOddForms(args, switches, flags);
  const parsed: Record<string, unknown> & { _: (string | number)[] } =
    parseArgs([...args], {
      boolean: switches,
      string: [...names, "_"],
      collect: names,
      alias: { help: "h" },
      unknown: (arg, key) => key === undefined || refuseFlag(arg, flags),
    });
  const values = (name: string) => (parsed[name] ?? []) as readonly string[];
  for (const name of names) checkValues(name, values(name), flags);
  const words = parsed._.map(String);
  return {
    urls: words.filter((it) => URL_START.test(it)),
    words: words.filter((it) => !URL_START.test(it)),
    rest: end < 0 ? [] : all.slice(end + 1),
    has: (name) => parsed[name] === true,
    value: (name) => values(name).at(-1),
    values,
    duration(name, otherwise) {
      const text = values(name).at(-1);
      return text === undefined ? otherwise : parseDuration(`--${name}`, text);
    },
  };
}

/** The parser would accept `--no-NAME` and values of switches. */
function refuseOddForms(
  args: readonly string[],
  switches: readonly string[],
  flags: readonly Flag[],
): void {
  for (const arg of args) {
    if (arg.startsWith("--no-")) refuseFlag(arg, flags);
    const name = /^--(.+?)=/.exec(arg)?.[1];
    if (name !== undefined && switches.includes(name)) {
      throw new UsageError(`--${name} takes no value`);
    }
  }
}

function refuseFlag(arg: string, flags: readonly Flag[]): never {
  const name = flagName(arg);
  if (name === undefined) {
    throw new UsageError(
      'unknown flag, or a value that begins with "-" and must be written as ' +
        "--FLAG=VALUE",
    );
  }
  const meant = hint(name, flags.map((it) => `--${it.name}`));
  throw new UsageError(`unknown flag ${name}${meant}`);
}

function checkValues(
  name: string,
  values: readonly string[],
  flags: readonly Flag[],
): void {
  if (values.includes("")) throw new UsageError(`--${name} needs a value`);
  const flag = flags.find((it) => it.name === name)!;
  if (values.length > 1 && !flag.isRepeatable) {
    throw new UsageError(`--${name} is given twice`);
  }
}
