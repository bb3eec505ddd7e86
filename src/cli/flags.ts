/**
 * From arguments and environment to what the program is to do.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { isIp, isUnspecified } from "../protocol/address.ts";
import { userPass } from "../server/auth.ts";
import type { PortRange, ServeOptions } from "../server/options.ts";
import { parseDuration } from "./duration.ts";
import { escapeText, quote } from "./escape.ts";
import { LOG_FORMATS, type LogFormat } from "./log.ts";
import { UsageError } from "./usage_error.ts";

/** The environment variable with logins. */
export const USERS_VARIABLE = "SOCKS5_USERS";

/** What the program is to do. */
export type Command =
  | { readonly type: "help" }
  | { readonly type: "version" }
  | {
    readonly type: "serve";
    /** Only what was asked for: the defaults are those of `serve()`. */
    readonly options: ServeOptions;
    /** How many logins there are; 0 means that none is needed. */
    readonly logins: number;
    /** Milliseconds that a signal leaves the sessions. */
    readonly graceMs: number;
    /** What is printed of what happens. */
    readonly log: LogFormat;
  };

/** Flags that take no value. */
const SWITCHES = ["help", "version", "open-proxy", "drop-fragments"] as const;
/** Flags that take one. */
const VALUES = [
  "hostname",
  "port",
  "user",
  "handshake-timeout",
  "connect-timeout",
  "idle-timeout",
  "half-closed-timeout",
  "bind-timeout",
  "association-timeout",
  "max-connections",
  "max-associations",
  "advertise",
  "relay-ports",
  "grace",
  "log",
] as const;

/**
 * Reads the arguments; `env` gives the value of an environment variable.
 *
 * @throws {UsageError} or {@linkcode TypeError} that says what is wrong, in one
 * line and without any password.
 */
export function parseFlags(
  args: readonly string[],
  env: (name: string) => string | undefined = () => undefined,
): Command {
  refuseOddForms(args);
  const extra: string[] = [];
  const flags = parseArgs([...args], {
    boolean: SWITCHES,
    string: VALUES,
    collect: ["user", "advertise"],
    alias: { help: "h", version: "V" },
    unknown: (arg, key) => key ? refuse(arg) : !extra.push(arg),
  });
  if (flags.help) return { type: "help" };
  if (flags.version) return { type: "version" };

  const value = (
    name: Exclude<typeof VALUES[number], "user" | "advertise">,
  ) => {
    const text = flags[name];
    if (text === "") throw new UsageError(`--${name} needs a value`);
    return text;
  };
  const duration = (name: Parameters<typeof value>[0]) => {
    const text = value(name);
    return text === undefined ? text : parseDuration(`--${name}`, text);
  };
  const logins = parseLogins(flags.user, env(USERS_VARIABLE));
  const command: Command = {
    type: "serve",
    options: {
      hostname: value("hostname"),
      port: parseNumber("--port", value("port"), 65535),
      auth: logins.size > 0
        ? [userPass(Object.fromEntries(logins))]
        : undefined,
      openProxy: flags["open-proxy"],
      timeouts: {
        handshake: duration("handshake-timeout"),
        connect: duration("connect-timeout"),
        idle: duration("idle-timeout"),
        halfClosed: duration("half-closed-timeout"),
        bind: duration("bind-timeout"),
        association: duration("association-timeout"),
      },
      limits: {
        sessions: parseNumber("--max-connections", value("max-connections")),
        associations: parseNumber(
          "--max-associations",
          value("max-associations"),
        ),
      },
      advertise: parseAddresses("--advertise", flags.advertise),
      relayPorts: parsePorts("--relay-ports", value("relay-ports")),
      dropFragments: flags["drop-fragments"],
    },
    logins: logins.size,
    graceMs: duration("grace") ?? 10_000,
    log: parseLogFormat(value("log") ?? "text"),
  };
  // Last: to the parser the "" in `--hostname ""` is no value but an argument.
  for (const arg of [...extra, ...flags._]) refuse(String(arg));
  return command;
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
    if (SWITCHES.some((it) => it === name)) {
      throw new UsageError(`--${name} takes no value`);
    }
  }
}

function refuse(arg: string): never {
  // What follows the name may be a password, and is not ours to repeat.
  const name = /^-[^=]+/.exec(arg)?.[0];
  throw new UsageError(
    (name
      ? `unknown flag ${escapeText(name)}`
      : `unexpected argument ${quote(arg)}`) +
      " (--help tells what there is)",
  );
}

function parseNumber(
  flag: string,
  text: string | undefined,
  max: number = 2 ** 31 - 1,
): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,10}$/.test(text) && Number(text) <= max) return Number(text);
  throw new UsageError(
    `${flag} must be a whole number from 0 to ${max}, not ${quote(text)}`,
  );
}

/** As {@linkcode ServeOptions.advertise}, which needs addresses of one version each. */
function parseAddresses(
  flag: string,
  texts: readonly string[],
): readonly string[] | undefined {
  for (const text of texts) {
    if (isIp(text) && !isUnspecified(text)) continue;
    throw new UsageError(
      `${flag} must be an IP address that clients can reach, not ${
        quote(text)
      }`,
    );
  }
  if (new Set(texts.map(isIp)).size < texts.length) {
    throw new UsageError(`${flag} may name one address of each IP version`);
  }
  return texts.length > 0 ? texts : undefined;
}

function parsePorts(
  flag: string,
  text: string | undefined,
): PortRange | undefined {
  if (text === undefined) return undefined;
  const [first, last] =
    /^(\d{1,5})-(\d{1,5})$/.exec(text)?.slice(1).map(Number) ??
      [];
  if (first >= 1 && first <= last && last <= 65535) return { first, last };
  throw new UsageError(
    `${flag} must be FIRST-LAST, ports from 1 to 65535, not ${quote(text)}`,
  );
}

function parseLogFormat(text: string): LogFormat {
  const format = LOG_FORMATS.find((it) => it === text);
  if (format) return format;
  throw new UsageError(
    `--log must be one of ${LOG_FORMATS.join(", ")}, not ${quote(text)}`,
  );
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
