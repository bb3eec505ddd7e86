/**
 * Loads the configuration of the program from flags and files.
 *
 * @module
 */

import { formatEndpoint, isIp, isUnspecified } from "../../protocol/address.ts";
import { plainHostname } from "../../transport/socket.ts";
import type { LockoutOptions, LoginGuard } from "../../server/auth/lockout.ts";
import type { AuthMethod } from "../../server/auth/method.ts";
import type { ServeOptions } from "../../server/options.ts";
import { hashPassword } from "../../server/auth/password_hash.ts";
import { type RulePolicy, rules } from "../../server/policy/rules.ts";
import { userPass } from "../../server/auth/user_pass.ts";
import { Users } from "../../server/auth/users.ts";
import { parseUsers, UsersError } from "../../server/auth/users_file.ts";
import { quote, showPath } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import {
  type Config,
  mergeConfigs,
  type ProgramConfig,
  programConfig,
  readConfig,
  serveConfig,
} from "./config.ts";
import { MAX_PROBLEMS } from "./kinds.ts";
import { besideFile, type ReadFile } from "./files.ts";
import type { CommandLine } from "./flags.ts";
import {
  type GssapiConfig,
  gssapiConfig,
  gssapiMethod,
} from "./gssapi_method.ts";

/** The configuration of the program, merged and checked. */
export interface LoadedConfig extends ProgramConfig {
  /** All options of flags and files, before defaults. */
  readonly config: Config;
  /** The options of `serve()`, see {@linkcode serveConfig}. */
  readonly options: Omit<ServeOptions, "policy"> & {
    readonly policy?: RulePolicy;
  };
  /** The names of the users. If there are none, clients need no login. */
  readonly users: ReadonlySet<string>;
  /** The number of rules. */
  readonly rules: number;
  /** Parts that are valid but may be mistakes, each on one line. */
  readonly warnings: readonly string[];
  /** Whether there are files to reload. */
  readonly hasFiles: boolean;
  /** The options of the lockout after failed logins. */
  readonly lockout: LockoutOptions;
  /** Differs if `options.auth` would differ. Secret, because it has the passwords. */
  readonly authKey: string;
}

/** Options of {@linkcode load}. */
export interface LoadOptions {
  /** The previous configuration. Clients stay locked out unless the logins have changed. */
  readonly before?: LoadedConfig;
  /** Counts failed logins. By default a {@linkcode Lockout} of this process. */
  readonly guard?: LoginGuard;
}

/** The values that `options.auth` depends on. */
interface Login extends LockoutOptions {
  readonly hashes: readonly [name: string, hash: string][];
  readonly passwords: readonly [name: string, password: string][];
}

/** The problems of the files of a configuration. */
export class ConfigError extends UsageError {
  /** Each on one line: `FILE: PATH: reason`. */
  readonly problems: readonly string[];

  /** Takes at least one problem. Keeps the first ones, and of long ones the beginning. */
  constructor(problems: readonly string[]) {
    const shown = problems.slice(0, MAX_PROBLEMS).map(shorten);
    if (problems.length > MAX_PROBLEMS) shown.push("and more problems");
    super(shown.join("\n"));
    this.problems = shown;
  }
}

/** The maximum length of a problem: a value of a file may have any length. */
const MAX_PROBLEM = 1_000;

function shorten(problem: string): string {
  if (problem.length <= MAX_PROBLEM) return problem;
  return `${problem.slice(0, MAX_PROBLEM - 1)}…`;
}

/**
 * Reads the files, checks everything, and merges flags and file, see
 * {@linkcode mergeConfigs}.
 *
 * @throws {ConfigError} with all problems of the files.
 * @throws {TypeError} if logins of flags are invalid.
 */
export async function load(
  commandLine: CommandLine,
  read: ReadFile,
  { before, guard }: LoadOptions = {},
): Promise<LoadedConfig> {
  const problems: string[] = [];
  const warnings: string[] = [];
  const { file } = commandLine;
  const config = mergeConfigs(
    commandLine.config,
    file === undefined ? {} : await loadFile(file, read, problems, warnings),
  );
  const users = await loadUsers(config, commandLine, read, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  checkMetrics(config);
  const lockout = {
    failedLogins: config.failedLogins,
    lockout: config.lockout,
  };
  const { logins } = commandLine;
  const login = { hashes: [...users], passwords: [...logins], ...lockout };
  const gssapi = gssapiConfig(config);
  const authKey = JSON.stringify({ ...login, gssapi });
  // The same methods keep the clients that are locked out.
  const auth = authKey === before?.authKey
    ? before.options.auth
    : await withGssapi(gssapi, await authOf(login, guard));
  const { rules: list = [], usersFile = [] } = config;
  const policy = list.length > 0 ? rules(list) : undefined;
  const names = new Set([...users.keys(), ...logins.keys()]);
  if (list.length > 0) {
    // Loaded lazily: most servers start without rules.
    const { ruleWarnings } = await import("./rule_warnings.ts");
    warnings.push(...ruleWarnings(list, namesOf(names, config)));
  }
  return {
    ...programConfig(config),
    config,
    options: { ...serveConfig(config), auth, policy },
    lockout,
    authKey,
    users: names,
    rules: list.length,
    warnings,
    hasFiles: file !== undefined || usersFile.length > 0,
  };
}

/** The names that rules may have; `undefined` if Kerberos or an ident server may confirm any. */
function namesOf(
  users: ReadonlySet<string>,
  { gssapiKeytab, socks4: { userIds, ident } = {} }: Config,
): ReadonlySet<string> | undefined {
  // Kerberos knows more users than the configuration.
  if (gssapiKeytab !== undefined) return undefined;
  if (ident && userIds === undefined) return undefined;
  return userIds === undefined ? users : new Set([...users, ...userIds]);
}

/** Refuses a port that the server itself would report as in use. */
function checkMetrics(
  { metrics, hostname = "127.0.0.1", port = 1080 }: Config,
): void {
  if (!metrics?.port || metrics.port !== port) return;
  const hosts = [metrics.hostname, plainHostname(hostname)];
  const differ = hosts[0] !== hosts[1] && hosts.every(isOneAddress);
  if (differ) return;
  const where = formatEndpoint(metrics);
  throw new UsageError(
    `metrics cannot be on ${where}, where the server listens`,
  );
}

function isOneAddress(hostname: string): boolean {
  return isIp(hostname) > 0 && !isUnspecified(hostname);
}

async function loadFile(
  path: string,
  read: ReadFile,
  problems: string[],
  warnings: string[],
): Promise<Config> {
  const name = showPath(path);
  const text = await attempt(() => read(path), name, problems);
  if (text === undefined) return {};
  const config = readConfig(text, name, problems, warnings);
  const usersFile = config.usersFile?.map((it) => besideFile(path, it));
  const { gssapiKeytab: keytab } = config;
  const gssapiKeytab = keytab && besideFile(path, keytab);
  return { ...config, usersFile, gssapiKeytab };
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

/** Returns the hash of each user of the configuration and of users files. */
async function loadUsers(
  { users = [], usersFile = [] }: Config,
  { file, logins }: CommandLine,
  read: ReadFile,
  problems: string[],
): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  const add = (lines: string, source: string, pathOf: PathOf) => {
    for (const [name, hash] of readUsers(lines, source, pathOf, problems)) {
      if (!hashes.has(name) && !logins.has(name)) hashes.set(name, hash);
      else problems.push(`${source}: user ${quote(name)} is defined twice`);
    }
  };
  for (const line of users) add(line, `${showPath(file!)}: users`, () => "");
  for (const path of usersFile) {
    const name = showPath(path);
    const lines = await attempt(() => read(path), name, problems);
    if (lines !== undefined) {
      add(lines, name, (line) => line ? `line ${line}: ` : "");
    }
  }
  return hashes;
}

/** The position of a line in error messages. */
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

/** Returns `undefined` if clients need no login. */
async function authOf(
  { hashes, passwords, ...lockout }: Login,
  guard: LoginGuard | undefined,
): Promise<readonly AuthMethod[] | undefined> {
  const options = { ...lockout, guard };
  if (hashes.length > 0) {
    const all = [...hashes, ...await Promise.all(passwords.map(hashed))];
    return [userPass(new Users(all), options)];
  }
  return passwords.length > 0
    ? [userPass(Object.fromEntries(passwords), options)]
    : undefined;
}

/** Kerberos is preferred to passwords: nothing that could be stolen travels. */
async function withGssapi(
  gssapi: GssapiConfig | undefined,
  others: readonly AuthMethod[] | undefined,
): Promise<readonly AuthMethod[] | undefined> {
  return gssapi ? [await gssapiMethod(gssapi), ...others ?? []] : others;
}

/** Hashes a password that is used along with hashes, so that logins of both take the same time. */
async function hashed(
  [name, password]: readonly [string, string],
): Promise<[string, string]> {
  return [name, await hashPassword(password)];
}
