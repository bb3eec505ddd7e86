/**
 * From flags and files to what `serve()` is told.
 *
 * @module
 */

import {
  type Endpoint,
  formatEndpoint,
  isIp,
  isUnspecified,
} from "../../protocol/address.ts";
import { plainHostname } from "../../transport/common/checks.ts";
import { type AuthMethod, guardedUserPass } from "../../server/auth/auth.ts";
import {
  Lockout,
  type LockoutOptions,
  type LoginGuard,
} from "../../server/auth/lockout.ts";
import type { ServeOptions } from "../../server/options.ts";
import { hashPassword } from "../../server/auth/password_hash.ts";
import { type RulePolicy, rules } from "../../server/policy/rules.ts";
import { parseUsers, Users, UsersError } from "../../server/auth/users.ts";
import {
  type Config,
  readConfig,
  type Socks4Config,
  type WorkerCount,
} from "./config.ts";
import { escapeText, quote } from "../output/escape.ts";
import { besideFile, type ReadFile } from "./files.ts";
import type { Given } from "./flags.ts";
import type { LogFormat } from "../output/format.ts";
import { UsageError } from "../usage_error.ts";

/** All that the program needs to run. */
export interface Loaded {
  /** A member for each that the program sets, `undefined` for its default. */
  readonly options: Omit<ServeOptions, "policy"> & {
    readonly policy?: RulePolicy;
  };
  /** The names of the users; without any no login is needed. */
  readonly users: ReadonlySet<string>;
  /** How many rules. */
  readonly rules: number;
  /** Whether there is something to read again. */
  readonly hasFiles: boolean;
  /** Milliseconds that a signal leaves the sessions. */
  readonly grace: number;
  /** What is printed of what happens. */
  readonly log: LogFormat;
  /** How many workers; `auto` is one for each core. */
  readonly workers: WorkerCount;
  /** Where metrics are told, if anywhere. */
  readonly metrics: Endpoint | undefined;
  /** What happens to those whose logins fail. */
  readonly lockout: LockoutOptions;
  /** Tells whether `options.auth` would be another one. Secret. */
  readonly authKey: string;
}

/** Options of {@linkcode load}. */
export interface LoadOptions {
  /** What was loaded before: who is locked out stays it unless the logins have changed. */
  readonly before?: Loaded;
  /** Counts failed logins. By default that is done here. */
  readonly guard?: LoginGuard;
}

/** What `options.auth` is made from. */
interface Login extends LockoutOptions {
  readonly hashes: readonly [name: string, hash: string][];
  readonly passwords: readonly [name: string, password: string][];
}

/** All that is wrong with the files of a configuration. */
export class ConfigError extends UsageError {
  /** A line for each: `FILE: PATH: reason`. */
  readonly problems: readonly string[];

  /** At least one problem. */
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Reads the files, checks everything, and puts flags over file: single values
 * of flags win, elements of lists add up, rules of flags in front.
 *
 * @throws {ConfigError} with all that is wrong in the files.
 * @throws {TypeError} when logins of flags make no sense.
 */
export async function load(
  given: Given,
  read: ReadFile,
  { before, guard }: LoadOptions = {},
): Promise<Loaded> {
  const problems: string[] = [];
  const file = given.file === undefined
    ? {}
    : await loadConfig(given.file, read, problems);
  const config = merge(given.config, file);
  const users = await loadUsers(config, given, read, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  checkMetrics(config);
  const { failedLogins } = config;
  const lockout = { failedLogins, lockout: config.lockout };
  const logins = { hashes: [...users], passwords: [...given.logins] };
  const login: Login = { ...logins, ...lockout };
  const authKey = JSON.stringify(login);
  return {
    options: optionsOf(
      config,
      // A new one would forget who is locked out.
      authKey === before?.authKey
        ? before.options.auth
        : await authOf(login, guard),
    ),
    lockout,
    authKey,
    users: new Set([...users.keys(), ...given.logins.keys()]),
    rules: config.rules?.length ?? 0,
    hasFiles: given.file !== undefined || config.usersFile!.length > 0,
    grace: config.grace ?? 10_000,
    log: config.log ?? "auto",
    workers: config.workers ?? 1,
    metrics: config.metrics,
  };
}

/** Else the program would say of its own port that it is in use. */
function checkMetrics(
  { metrics, hostname = "127.0.0.1", port = 1080 }: Config,
): void {
  if (!metrics?.port || metrics.port !== port) return;
  const hosts = [metrics.hostname, plainHostname(hostname)];
  const differ = hosts[0] !== hosts[1] && hosts.every(isOneAddress);
  if (differ) return;
  const where = formatEndpoint(metrics);
  throw new UsageError(`metrics cannot be on ${where}, where the server is`);
}

function isOneAddress(hostname: string): boolean {
  return isIp(hostname) > 0 && !isUnspecified(hostname);
}

async function loadConfig(
  path: string,
  read: ReadFile,
  problems: string[],
): Promise<Config> {
  const name = escapeText(path);
  const text = await attempt(() => read(path), name, problems);
  if (text === undefined) return {};
  const config = readConfig(text, name, problems);
  const usersFile = config.usersFile?.map((it) => besideFile(path, it));
  return { ...config, usersFile };
}

async function attempt<T>(
  action: () => Promise<T>,
  name: string,
  problems: string[],
): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    problems.push(`${name}: ${error.message}`);
  }
}

function merge(flags: Config, file: Config): Config {
  return {
    ...file,
    ...flags,
    rules: [...flags.rules ?? [], ...file.rules ?? []],
    usersFile: [...flags.usersFile ?? [], ...file.usersFile ?? []],
    timeouts: { ...file.timeouts, ...flags.timeouts },
    limits: { ...file.limits, ...flags.limits },
    socks4: mergeSocks4(flags.socks4, file.socks4),
  };
}

function mergeSocks4(
  flags: Socks4Config = {},
  file: Socks4Config = {},
): Socks4Config | undefined {
  const merged = { ...file, ...flags };
  if (Object.keys(merged).length === 0) return undefined;
  if (!flags.userIds || !file.userIds) return merged;
  return { ...merged, userIds: [...flags.userIds, ...file.userIds] };
}

/** The hash of each user, of the configuration and of users files. */
async function loadUsers(
  { users = [], usersFile = [] }: Config,
  { file, logins }: Given,
  read: ReadFile,
  problems: string[],
): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  const add = (lines: string, source: string, pathOf: PathOf) => {
    for (const [name, hash] of readUsers(lines, source, pathOf, problems)) {
      if (!hashes.has(name) && !logins.has(name)) hashes.set(name, hash);
      else problems.push(`${source}: user ${quote(name)} is given twice`);
    }
  };
  for (const line of users) add(line, `${escapeText(file!)}: users`, () => "");
  for (const path of usersFile) {
    const name = escapeText(path);
    const lines = await attempt(() => read(path), name, problems);
    if (lines !== undefined) {
      add(lines, name, (line) => line ? `line ${line}: ` : "");
    }
  }
  return hashes;
}

/** How errors call a line. */
type PathOf = (line: number | undefined) => string;

function readUsers(
  lines: string,
  source: string,
  pathOf: PathOf,
  problems: string[],
): ReadonlyMap<string, string> {
  try {
    return parseUsers(lines).hashes;
  } catch (error) {
    if (!(error instanceof UsersError)) throw error;
    for (const { line, reason } of error.problems) {
      problems.push(`${source}: ${pathOf(line)}${reason}`);
    }
    return new Map();
  }
}

/** `undefined` where no login is needed. */
async function authOf(
  { hashes, passwords, ...lockout }: Login,
  guard: LoginGuard = new Lockout(lockout),
): Promise<readonly AuthMethod[] | undefined> {
  if (hashes.length > 0) {
    const all = [...hashes, ...await Promise.all(passwords.map(hashed))];
    return [guardedUserPass(new Users(all), guard)];
  }
  return passwords.length > 0
    ? [guardedUserPass(Object.fromEntries(passwords), guard)]
    : undefined;
}

/** A password beside hashes has to cost a client as much as they do. */
async function hashed(
  [name, password]: readonly [string, string],
): Promise<[string, string]> {
  return [name, await hashPassword(password)];
}

function optionsOf(
  config: Config,
  auth: ServeOptions["auth"],
): Loaded["options"] {
  const { rules: list = [] } = config;
  return {
    hostname: config.hostname,
    port: config.port,
    auth,
    openProxy: config.openProxy,
    policy: list.length > 0 ? rules(list) : undefined,
    timeouts: config.timeouts,
    limits: config.limits,
    advertise: config.advertise,
    relayPorts: config.relayPorts,
    dropFragments: config.dropFragments,
    socks4: config.socks4,
  };
}
