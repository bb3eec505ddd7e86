/**
 * From arguments and environment to what the program is to do.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { checkAddresses, CONFIG, type Config } from "./config.ts";
import { flagName, quote } from "../output/escape.ts";
import { hint, type Kind } from "./kinds.ts";
import { UsageError } from "../usage_error.ts";

/** The environment variable with logins. */
export const USERS_VARIABLE = "SOCKS5_USERS";

/** What flags and environment say of the configuration. */
export interface Given {
  /** Only what was asked for: the rest is for the file and the defaults of `serve()`. */
  readonly config: Config;
  /** Passwords by user name. */
  readonly logins: ReadonlyMap<string, string>;
  /** The path of the configuration file. */
  readonly file: string | undefined;
}

/** What the program is to do. */
export type Invocation =
  | { readonly type: "help" | "version" | "schema" }
  | { readonly type: "serve" | "check"; readonly given: Given }
  | {
    readonly type: "explain";
    readonly given: Given;
    /** Such as `user alice connect db.example:5432`. */
    readonly question: string;
  };

/** Flags that take no value. */
const SWITCHES = [
  "help",
  "version",
  "schema",
  "check",
  "open-proxy",
  "drop-fragments",
  "socks4-ident",
] as const;

/**
 * Flags that are settings, and which: by the same name, `--KEY-timeout` for
 * `timeouts.KEY`, `--max-KEY` for `limits.KEY`. Of lists they give one element.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  "hostname": "hostname",
  "port": "port",
  "open-proxy": "openProxy",
  "users-file": "usersFile",
  "failed-logins": "failedLogins",
  "lockout": "lockout",
  "socks4-user-id": "socks4.userIds",
  "socks4-ident": "socks4.ident",
  "advertise": "advertise",
  "relay-ports": "relayPorts",
  "drop-fragments": "dropFragments",
  "handshake-timeout": "timeouts.handshake",
  "connect-timeout": "timeouts.connect",
  "idle-timeout": "timeouts.idle",
  "half-closed-timeout": "timeouts.halfClosed",
  "bind-timeout": "timeouts.bind",
  "association-timeout": "timeouts.association",
  "max-sessions": "limits.sessions",
  "max-sessions-per-client": "limits.sessionsPerClient",
  "max-sessions-per-user": "limits.sessionsPerUser",
  "max-handshakes-per-client": "limits.handshakesPerClient",
  "max-connections-per-second-per-client":
    "limits.connectionsPerSecondPerClient",
  "max-bytes-per-second-per-session": "limits.bytesPerSecondPerSession",
  "max-bytes-per-second-per-user": "limits.bytesPerSecondPerUser",
  "max-associations-per-client": "limits.associationsPerClient",
  "max-targets-per-association": "limits.targetsPerAssociation",
  "grace": "grace",
  "workers": "workers",
  "log": "log",
  "metrics": "metrics",
};

/** Other names of flags. */
const ALIASES = { help: "h", version: "V", "max-sessions": "max-connections" };

/** Flags that may be given several times. */
const REPEATABLE = [
  "user",
  "users-file",
  "allow",
  "deny",
  "socks4-user-id",
  "advertise",
];

/** Flags that take a value and are no settings. */
const OTHERS = ["user", "allow", "deny", "config", "explain"];

/** Flags that take a value. */
const VALUES = [...Object.keys(SETTINGS), ...OTHERS]
  .filter((name) => !isSwitch(name));

/** The names of all flags. */
export const FLAG_NAMES: readonly string[] = [...SWITCHES, ...VALUES];

/**
 * Reads the arguments; `env` gives the value of an environment variable.
 *
 * @throws {UsageError} that says what is wrong, in one line and without any
 * password.
 */
export function parseFlags(
  args: readonly string[],
  env: (name: string) => string | undefined = () => undefined,
): Invocation {
  refuseOddForms(args);
  const extra: string[] = [];
  const flags: Record<string, unknown> & { _: (string | number)[] } = parseArgs(
    [...args],
    {
      boolean: SWITCHES,
      string: VALUES,
      collect: REPEATABLE,
      alias: ALIASES,
      unknown: (arg, key) => key ? refuse(arg) : !extra.push(arg),
    },
  );
  for (const type of ["help", "version", "schema"] as const) {
    if (flags[type]) return { type };
  }
  const valuesOf = (name: string): string[] => {
    const given = flags[name] ?? [];
    const values = (Array.isArray(given) ? given : [given]) as string[];
    // That of --user may be a password: its error does not show it.
    if (name === "user" || !values.includes("")) return values;
    throw new UsageError(`--${name} needs a value`);
  };
  const given: Given = {
    config: {
      ...readSettings(flags, valuesOf),
      rules: readRules(args, valuesOf),
    },
    logins: parseLogins(valuesOf("user"), env(USERS_VARIABLE)),
    file: valuesOf("config").at(-1),
  };
  const question = valuesOf("explain").at(-1);
  // Last: to the parser the "" in `--hostname ""` is no value but an argument.
  const mayShow = valuesOf("user").length === 0;
  for (const arg of [...extra, ...flags._]) refuse(String(arg), mayShow);
  if (question !== undefined) return { type: "explain", given, question };
  return { type: flags.check ? "check" : "serve", given };
}

function isSwitch(name: string): boolean {
  return SWITCHES.some((it) => it === name);
}

/**
 * `--no-NAME` is no flag of ours, and a value behind a switch would switch it
 * on whatever it says: `--open-proxy=no` must not open anything.
 */
function refuseOddForms(args: readonly string[]): void {
  for (const arg of args) {
    if (arg === "--") return;
    if (arg.startsWith("--no-")) refuse(arg);
    const name = /^--(.+?)=/.exec(arg)?.[1];
    if (name !== undefined && isSwitch(name)) {
      throw new UsageError(`--${name} takes no value`);
    }
  }
}

function refuse(arg: string, mayShow = true): never {
  const name = flagName(arg);
  if (name === undefined && /^-./.test(arg)) {
    throw new UsageError(
      'unknown flag, or a value that begins with "-" and is to be written --FLAG=VALUE (--help tells what there is)',
    );
  }
  if (name === undefined) {
    // Nor is the rest of a password with a space.
    const shown = mayShow ? quote(arg) : "beside --user NAME:PASSWORD";
    throw new UsageError(
      `unexpected argument ${shown} (--help tells what there is)`,
    );
  }
  const meant = /^--(?!no-)/.test(name)
    ? hint(name, FLAG_NAMES.map((it) => `--${it}`))
    : "";
  throw new UsageError(
    `unknown flag ${name}${meant} (--help tells what there is)`,
  );
}

/** The settings that flags give, as a file would. */
function readSettings(
  flags: Readonly<Record<string, unknown>>,
  valuesOf: (name: string) => string[],
): Config {
  const config: Record<string, unknown> = {};
  for (const [name, path] of Object.entries(SETTINGS)) {
    const texts = isSwitch(name) ? (flags[name] ? [""] : []) : valuesOf(name);
    if (texts.length === 0) continue;
    const kind = kindOf(path);
    const values = texts.map((text) => kind.parse(text, `--${name}`));
    put(
      config,
      path,
      REPEATABLE.includes(name) ? values.flat() : values.at(-1),
    );
  }
  const { advertise } = config as Config;
  if (advertise) checkAddresses(advertise, "--advertise");
  return config;
}

function kindOf(path: string): Kind<unknown> {
  let kind: Kind<unknown> = CONFIG;
  for (const key of path.split(".")) kind = kind.keys![key];
  return kind;
}

function put(config: Record<string, unknown>, path: string, value: unknown) {
  const [key, inner] = path.split(".");
  config[key] = inner === undefined
    ? value
    : { ...config[key] as object, [inner]: value };
}

/** The rules in the order in which they stand, which the parser does not tell. */
function readRules(
  args: readonly string[],
  valuesOf: (name: string) => string[],
): readonly string[] | undefined {
  const rest = { allow: valuesOf("allow"), deny: valuesOf("deny") };
  const rules: string[] = [];
  for (const arg of args) {
    if (arg === "--") break;
    const name = /^--(allow|deny)(?:=|$)/.exec(arg)?.[1];
    if (name === undefined) continue;
    const action = name as keyof typeof rest;
    const rule = `${action} ${rest[action].shift()}`;
    rules.push(...kindOf("rules").parse(rule, `--${action}`) as string[]);
  }
  return rules.length > 0 ? rules : undefined;
}

function parseLogins(
  given: readonly string[],
  variable: string | undefined,
): Map<string, string> {
  const logins = new Map<string, string>();
  for (const text of given) addLogin(logins, text, "--user");
  for (const [index, line] of (variable ?? "").split("\n").entries()) {
    const text = line.replace(/\r$/, "");
    if (text === "") continue;
    addLogin(logins, text, `line ${index + 1} of ${USERS_VARIABLE}`);
  }
  return logins;
}

/** Its errors do not show the text: it may be all password. */
function addLogin(
  logins: Map<string, string>,
  text: string,
  source: string,
): void {
  const colon = text.indexOf(":");
  const [name, password] = [text.slice(0, colon), text.slice(colon + 1)];
  if (colon < 1 || password === "") {
    throw new UsageError(`${source} must be NAME:PASSWORD, both not empty`);
  }
  if (logins.has(name)) {
    throw new UsageError(`user ${quote(name)} is given twice`);
  }
  logins.set(name, password);
}
