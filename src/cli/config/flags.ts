/**
 * The arguments and the environment of the program.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../usage_error.ts";
import { type Config, setValue } from "./config.ts";
import {
  FLAG_NAMES,
  type FlagEntry,
  FLAGS,
  USERS_VARIABLE,
} from "./flag_table.ts";
import { STANDARD_INPUT } from "./files.ts";
import { parseLogins } from "./logins.ts";
import { OPTIONS } from "./options.ts";
import { refuseArgument } from "./refuse_argument.ts";

/** The configuration by flags and environment. */
export interface CommandLine {
  /** Only the options that are given; the others are up to the file and the defaults. */
  readonly config: Config;
  /** Passwords by user name. */
  readonly logins: ReadonlyMap<string, string>;
  /** The path of the configuration file, or {@linkcode STANDARD_INPUT}. */
  readonly file: string | undefined;
}

/** The action that the arguments ask for. */
export type Invocation =
  | {
    readonly type: "help";
    /** As it was given; without it, the first screen is wanted. */
    readonly topic?: string;
  }
  | { readonly type: "version" | "schema" | "fail2ban" }
  | { readonly type: "serve" | "check"; readonly commandLine: CommandLine }
  | {
    readonly type: "explain";
    readonly commandLine: CommandLine;
    /** Such as `user alice connect db.example:5432`. */
    readonly question: string;
  };

const SWITCHES = FLAGS.filter((it) => it.isSwitch).map(({ name }) => name);

/**
 * Reads the arguments; `env` returns the value of an environment variable.
 *
 * @throws {UsageError} if they are invalid. The message is one line, and contains
 * no password.
 */
export function parseFlags(
  args: readonly string[],
  env: (name: string) => string | undefined = () => undefined,
): Invocation {
  const help = findHelp(args);
  if (help) return help;
  refuseOddForms(args);
  const extra: string[] = [];
  const aliases = FLAGS.flatMap(({ name, alias }) =>
    alias ? [[name, alias]] : []
  );
  const flags: Record<string, unknown> & { _: (string | number)[] } = parseArgs(
    joinDash(args),
    {
      boolean: SWITCHES,
      string: FLAG_NAMES.filter((it) => !SWITCHES.includes(it)),
      collect: FLAGS.filter((it) => it.isRepeatable).map(({ name }) => name),
      alias: Object.fromEntries(aliases),
      unknown: (arg, key) => key ? refuseArgument(arg) : !extra.push(arg),
    },
  );
  for (const type of ["help", "version", "schema", "fail2ban"] as const) {
    if (flags[type]) return { type };
  }
  const valuesOf = (name: string): string[] => {
    const given = flags[name] ?? [];
    const values = (Array.isArray(given) ? given : [given]) as string[];
    // The value of --user may be a password: its own error does not show it.
    if (name === "user" || !values.includes("")) return values;
    const typed = typedName(FLAGS.find((it) => it.name === name)!, args);
    throw new UsageError(`${typed} needs a value`);
  };
  const commandLine: CommandLine = {
    config: {
      ...readOptions(flags, valuesOf, args),
      rules: readRules(args, valuesOf),
    },
    logins: parseLogins(valuesOf("user"), env(USERS_VARIABLE)),
    file: valuesOf("config").at(-1),
  };
  const question = valuesOf("explain").at(-1);
  // Checked last: to the parser, the "" of `--hostname ""` is an argument and no value.
  const mayShow = valuesOf("user").length === 0;
  for (const arg of [...extra, ...flags._]) {
    refuseArgument(String(arg), mayShow);
  }
  if (question !== undefined) return { type: "explain", commandLine, question };
  return { type: flags.check ? "check" : "serve", commandLine };
}

/** Writes `--config -` as `--config=-`: the parser takes a lone dash for an argument. */
function joinDash(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    if (arg === STANDARD_INPUT && joined.at(-1) === "--config") {
      joined[joined.length - 1] += `=${arg}`;
    } else joined.push(arg);
  }
  return joined;
}

/** The first request for help: it counts whatever else is wrong. */
function findHelp(args: readonly string[]): Invocation | undefined {
  for (const [i, arg] of args.entries()) {
    if (arg === "--") return undefined;
    const [found, , value] = /^(--help|-h)(?:=(.*))?$/s.exec(arg) ?? [];
    if (found === undefined) continue;
    const next = args.at(i + 1);
    const topic = value ?? (next?.startsWith("-") ? undefined : next);
    return { type: "help", topic };
  }
}

/**
 * Refuses `--no-NAME`, which the parser would accept, and any value of a switch,
 * because the parser would set the switch: `--open-proxy=no` must not open anything.
 */
function refuseOddForms(args: readonly string[]): void {
  for (const arg of args) {
    if (arg === "--") return;
    if (arg.startsWith("--no-")) refuseArgument(arg);
    const name = /^--(.+?)=/.exec(arg)?.[1];
    if (name !== undefined && SWITCHES.includes(name)) {
      throw new UsageError(`--${name} takes no value`);
    }
  }
}

/** The options that have flags of their own. */
function readOptions(
  flags: Readonly<Record<string, unknown>>,
  valuesOf: (name: string) => string[],
  args: readonly string[],
): Config {
  const config: Config = {};
  for (const flag of FLAGS) {
    const { name, isSwitch, entry } = flag;
    if (!entry) continue;
    const texts = isSwitch ? (flags[name] ? [""] : []) : valuesOf(name);
    if (texts.length === 0) continue;
    const { kind } = entry.option;
    const typed = typedName(flag, args);
    const values = texts.map((text) => kind.parse(text, typed));
    const value = kind.isList ? values.flat() : values.at(-1);
    kind.check?.(value, typed);
    setValue(config, entry.path, value);
  }
  return config;
}

/** The flag as it was typed, whose alias may be given in its place. */
function typedName(
  { name, alias }: FlagEntry,
  args: readonly string[],
): string {
  const hasAlias = alias !== undefined &&
    args.some((it) => it.replace(/=.*$/s, "") === `--${alias}`);
  return `--${hasAlias ? alias : name}`;
}

/** The rules in the order of the arguments, which the parser does not keep. */
function readRules(
  args: readonly string[],
  valuesOf: (name: string) => string[],
): readonly string[] | undefined {
  const rest = {
    allow: valuesOf("allow").values(),
    deny: valuesOf("deny").values(),
  };
  const rules: string[] = [];
  for (const arg of args) {
    if (arg === "--") break;
    const name = /^--(allow|deny)(?:=|$)/.exec(arg)?.[1];
    if (name === undefined) continue;
    const action = name as keyof typeof rest;
    const rule = `${action} ${rest[action].next().value}`;
    rules.push(...OPTIONS.rules.kind.parse(rule, `--${action}`));
  }
  return rules.length > 0 ? rules : undefined;
}
