/**
 * The arguments and the environment of the program.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { linesOf, problemOfLine } from "../../server/auth/text_lines.ts";
import { flagName, mayBeLogin, quote } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import {
  type Config,
  OPTION_ENTRIES,
  type OptionEntry,
  setValue,
} from "./config.ts";
import { hint } from "./hint.ts";
import type { Flag } from "./option.ts";
import { COMMAND_FLAGS, OPTIONS } from "./options.ts";

/** The environment variable with logins. */
export const USERS_VARIABLE = "SOCKS5_USERS";

/** The configuration by flags and environment. */
export interface CommandLine {
  /** Only the options that are given; the others are up to the file and the defaults. */
  readonly config: Config;
  /** Passwords by user name. */
  readonly logins: ReadonlyMap<string, string>;
  /** The path of the configuration file. */
  readonly file: string | undefined;
}

/** The action that the arguments ask for. */
export type Invocation =
  | { readonly type: "help" | "version" | "schema" }
  | { readonly type: "serve" | "check"; readonly commandLine: CommandLine }
  | {
    readonly type: "explain";
    readonly commandLine: CommandLine;
    /** Such as `user alice connect db.example:5432`. */
    readonly question: string;
  };

/** A flag, or a variable of the environment, as `--help` lists it. */
export interface FlagEntry extends Flag {
  /** Without dashes. */
  readonly name: string;
  readonly isVariable: boolean;
  /** The placeholder of the value, such as `PORT`; a switch has none. */
  readonly placeholder?: string;
  /** The option whose value it has, if it is in the form of the option's kind. */
  readonly entry?: OptionEntry;
}

/** The flags and variables of both tables, in the order of `--help` within each section. */
export const FLAG_ENTRIES: readonly FlagEntry[] = [
  ...OPTION_ENTRIES.flatMap((entry): FlagEntry[] => {
    const { kind, section, flag, alias, givenBy = [], help } = entry.option;
    if (section === undefined) return []; // only files have it
    const others = givenBy.map((it) => toEntry({ ...it, section }));
    if (flag === undefined) return others;
    const description = help ?? entry.option.description;
    const isRepeatable = kind.isList;
    const own = toEntry({ flag, alias, section, description, isRepeatable });
    return [{ ...own, entry }, ...others];
  }),
  ...COMMAND_FLAGS.map(toEntry),
];

function toEntry(flag: Flag): FlagEntry {
  const parts = /^(-*)(\S+)(?: (.+))?$/.exec(flag.flag)!;
  const [, dashes, name, placeholder] = parts;
  return { ...flag, name, isVariable: dashes === "", placeholder };
}

const FLAGS = FLAG_ENTRIES.filter(({ isVariable }) => !isVariable);

/** The names of all flags, without dashes and aliases. */
export const FLAG_NAMES: readonly string[] = FLAGS.map(({ name }) => name);

const SWITCHES = FLAGS
  .filter(({ placeholder }) => placeholder === undefined)
  .map(({ name }) => name);

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
  refuseOddForms(args);
  const extra: string[] = [];
  const aliases = FLAGS.flatMap(({ name, alias }) =>
    alias ? [[name, alias]] : []
  );
  const flags: Record<string, unknown> & { _: (string | number)[] } = parseArgs(
    [...args],
    {
      boolean: SWITCHES,
      string: FLAG_NAMES.filter((it) => !SWITCHES.includes(it)),
      collect: FLAGS.filter((it) => it.isRepeatable).map(({ name }) => name),
      alias: Object.fromEntries(aliases),
      unknown: (arg, key) => key ? refuse(arg) : !extra.push(arg),
    },
  );
  for (const type of ["help", "version", "schema"] as const) {
    if (flags[type]) return { type };
  }
  const valuesOf = (name: string): string[] => {
    const given = flags[name] ?? [];
    const values = (Array.isArray(given) ? given : [given]) as string[];
    // The value of --user may be a password: its own error does not show it.
    if (name === "user" || !values.includes("")) return values;
    throw new UsageError(`--${name} needs a value`);
  };
  const commandLine: CommandLine = {
    config: {
      ...readOptions(flags, valuesOf),
      rules: readRules(args, valuesOf),
    },
    logins: parseLogins(valuesOf("user"), env(USERS_VARIABLE)),
    file: valuesOf("config").at(-1),
  };
  const question = valuesOf("explain").at(-1);
  // Checked last: to the parser, the "" of `--hostname ""` is an argument and no value.
  const mayShow = valuesOf("user").length === 0;
  for (const arg of [...extra, ...flags._]) refuse(String(arg), mayShow);
  if (question !== undefined) return { type: "explain", commandLine, question };
  return { type: flags.check ? "check" : "serve", commandLine };
}

/**
 * Refuses `--no-NAME`, which the parser would accept, and any value of a switch,
 * because the parser would set the switch: `--open-proxy=no` must not open anything.
 */
function refuseOddForms(args: readonly string[]): void {
  for (const arg of args) {
    if (arg === "--") return;
    if (arg.startsWith("--no-")) refuse(arg);
    const name = /^--(.+?)=/.exec(arg)?.[1];
    if (name !== undefined && SWITCHES.includes(name)) {
      throw new UsageError(`--${name} takes no value`);
    }
  }
}

function refuse(arg: string, mayShow = true): never {
  const see = "(--help lists all flags)";
  const name = flagName(arg);
  if (name === undefined && /^-./.test(arg)) {
    throw new UsageError(
      'unknown flag, or a value that begins with "-" and must be written as ' +
        `--FLAG=VALUE ${see}`,
    );
  }
  if (name === undefined) {
    // It may be a login, or the rest of a password that has a space.
    const shown = !mayShow
      ? "in addition to --user NAME:PASSWORD"
      : mayBeLogin(arg)
      ? 'with ":": logins are given by --user'
      : quote(arg);
    throw new UsageError(`unexpected argument ${shown} ${see}`);
  }
  const suggestion = /^--(?!no-)/.test(name)
    ? hint(name, FLAG_NAMES.map((it) => `--${it}`))
    : "";
  throw new UsageError(`unknown flag ${name}${suggestion} ${see}`);
}

/** The options that have flags of their own. */
function readOptions(
  flags: Readonly<Record<string, unknown>>,
  valuesOf: (name: string) => string[],
): Config {
  const config: Config = {};
  for (const { name, placeholder, entry } of FLAGS) {
    if (!entry) continue;
    const isSwitch = placeholder === undefined;
    const texts = isSwitch ? (flags[name] ? [""] : []) : valuesOf(name);
    if (texts.length === 0) continue;
    const { kind } = entry.option;
    const values = texts.map((text) => kind.parse(text, `--${name}`));
    const value = kind.isList ? values.flat() : values.at(-1);
    kind.check?.(value, `--${name}`);
    setValue(config, entry.path, value);
  }
  return config;
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

function parseLogins(
  given: readonly string[],
  variable: string | undefined,
): Map<string, string> {
  const logins = new Map<string, string>();
  for (const text of given) addLogin(logins, text, "--user");
  for (const { line, text } of linesOf(variable ?? "")) {
    if (text.trim() === "") continue;
    addLogin(logins, text, `line ${line} of ${USERS_VARIABLE}`);
  }
  return logins;
}

/** Error messages do not show the text: all of it may be a password. */
function addLogin(
  logins: Map<string, string>,
  text: string,
  source: string,
): void {
  const unusable = problemOfLine(text);
  if (unusable) throw new UsageError(`${source} has ${unusable}`);
  const colon = text.indexOf(":");
  const [name, password] = [text.slice(0, colon), text.slice(colon + 1)];
  if (colon < 1 || password === "") {
    throw new UsageError(
      `${source} must be NAME:PASSWORD, neither of them empty`,
    );
  }
  if (name !== name.trim()) {
    throw new UsageError(`${source} has white space around the name`);
  }
  if (logins.has(name)) {
    throw new UsageError(`user ${quote(name)} is defined twice`);
  }
  logins.set(name, password);
}
