/**
 * Loads the configuration of the program from flags and files.
 *
 * @module
 */

import {
  type Endpoint,
  formatEndpoint,
  isIp,
  isUnspecified,
} from "../../protocol/address.ts";
import { plainHostname } from "../../transport/socket.ts";
import {
  Lockout,
  type LockoutOptions,
  type LoginGuard,
} from "../../server/auth/lockout.ts";
import type { ServeOptions } from "../../server/options.ts";
import { type RulePolicy, rules } from "../../server/policy/rules.ts";
import { UsageError } from "../usage_error.ts";
import {
  type Config,
  mergeConfigs,
  type ProgramConfig,
  programConfig,
  readConfig,
  serveConfig,
} from "./config.ts";
import { DIRECT } from "../../server/policy/rule.ts";
import { hint } from "./hint.ts";
import { MAX_PROBLEMS } from "./kinds.ts";
import { besideFile, fileName, type ReadFile, tryRead } from "./files.ts";
import type { CommandLine } from "./flags.ts";
import { checkAdmin, loadAdminToken } from "./load_admin.ts";
import { loadLists } from "./load_lists.ts";
import { type LoadedTls, loadTls } from "./load_tls.ts";
import { loadLogins, namesOfLogins } from "./load_logins.ts";
import {
  httpWarnings,
  loginWarnings,
  methodsOf,
  quotaWarnings,
} from "./login_methods.ts";
import { authCommandConfig } from "./auth_command.ts";
import { type LoadedUpstreams, loadUpstreams } from "./load_upstreams.ts";
import { gssapiConfig, withGssapi } from "./gssapi_method.ts";

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
  /** The addresses and prefixes of this machine that rules and users connect from. */
  readonly via: readonly string[];
  /** Parts that are valid but may be mistakes, each on one line. */
  readonly warnings: readonly string[];
  /** The certificates, if the server speaks TLS. */
  readonly tls: LoadedTls | undefined;
  /** The upstream proxies, if there are any. */
  readonly upstreams: LoadedUpstreams | undefined;
  /** Whether there are files to reload. */
  readonly hasFiles: boolean;
  /** The options of the lockout after failed logins. */
  readonly lockout: LockoutOptions;
  /** Counts failed logins. */
  readonly guard: LoginGuard;
  /** The token of the admin port, if the configuration has one. Secret. */
  readonly adminToken: string | undefined;
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
  { before, guard: given }: LoadOptions = {},
): Promise<LoadedConfig> {
  const problems: string[] = [];
  const warnings: string[] = [];
  const { file } = commandLine;
  const fileConfig = file === undefined
    ? {}
    : await loadFile(file, read, problems, warnings);
  const config = mergeConfigs(commandLine.config, fileConfig);
  const logins = await loadLogins(config, commandLine, read, problems);
  const tls = await loadTls(config, read, { problems, warnings });
  const upstreams = await loadUpstreams(
    { config, commandLine, read, problems },
    before?.upstreams,
  );
  const { rules: list = [], usersFile = [], chapSecrets } = config;
  const lists = list.length > 0
    ? await loadLists(
      { flags: commandLine.config.rules, fileRules: fileConfig.rules, file },
      read,
      problems,
    )
    : {};
  const adminToken = await loadAdminToken(config, read, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  checkPorts(config, commandLine);
  checkAdmin(config);
  checkAccounting(config);
  const lockout = {
    failedLogins: config.failedLogins,
    lockout: config.lockout,
  };
  const gssapi = gssapiConfig(config);
  const command = authCommandConfig(config, logins);
  // Attributes can change without new methods.
  const { attributes, ...secrets } = logins;
  const authKey = JSON.stringify({ ...secrets, ...lockout, gssapi, command });
  // The same methods keep the clients that are locked out.
  const kept = authKey === before?.authKey ? before : undefined;
  const guard = given ?? kept?.guard ?? new Lockout(lockout);
  const auth = kept ? kept.options.auth : await withGssapi(
    gssapi,
    await methodsOf(logins, { command, lockout, guard }),
  );
  const policy = list.length > 0 ? rules(list, { lists }) : undefined;
  checkWays(policy, upstreams);
  const names = namesOfLogins(logins);
  warnings.push(...loginWarnings(logins));
  warnings.push(...httpWarnings(config, auth, logins));
  warnings.push(...quotaWarnings(config, logins));
  if (list.length > 0) {
    // Loaded lazily: most servers start without rules.
    const { addressWarnings, listWarnings, ruleWarnings } = await import(
      "./rule_warnings.ts"
    );
    const known = mayKnowMoreUsers(config) ? undefined : names;
    const all = known && withUserIds(known, config);
    warnings.push(...ruleWarnings(list, all, lists));
    warnings.push(...listWarnings(lists));
    warnings.push(...addressWarnings(list, lists, upstreams));
  }
  const userVia = [...attributes.values()].flatMap(({ via = [] }) => via);
  return {
    ...programConfig(config),
    config,
    via: [...new Set([...policy?.via ?? [], ...userVia])],
    options: {
      ...serveConfig(config),
      ...userVia.length > 0 && { egress: { ...config.egress, own: userVia } },
      auth,
      policy,
      tls: tls?.options,
      dial: upstreams?.dial,
      upstreams: upstreams?.named,
      userAttributes: attributes.size > 0
        ? (user) => attributes.get(user)
        : undefined,
    },
    tls,
    upstreams,
    lockout,
    guard,
    adminToken,
    authKey,
    users: names,
    rules: list.length,
    warnings,
    hasFiles: usersFile.length > 0 || Object.keys(lists).length > 0 ||
      [
        file,
        chapSecrets,
        config.gssapiKeytab,
        tls,
        config.upstreamCa,
        config.adminTokenFile,
      ].some((it) => it !== undefined),
  };
}

/**
 * Whether Kerberos, a program, an ident server or an authority of certificates may confirm
 * users that are not in the configuration.
 */
export function mayKnowMoreUsers(
  { gssapiKeytab, authCommand, tlsClientCa, socks4: { userIds, ident } = {} }:
    Config,
): boolean {
  const others = [gssapiKeytab, authCommand, tlsClientCa];
  return others.some((it) => it !== undefined) ||
    ident === true && userIds === undefined;
}

function withUserIds(
  users: ReadonlySet<string>,
  { socks4: { userIds = [] } = {} }: Config,
): ReadonlySet<string> {
  return new Set([...users, ...userIds]);
}

/** Refuses a file that would never be written. */
function checkAccounting({ accounting, accountingFile }: Config): void {
  if (accountingFile === undefined || accounting) return;
  throw new UsageError(
    "the accounting file needs an interval: --accounting 60s",
  );
}

/** Refuses rules for an upstream that does not exist. */
function checkWays(
  policy: RulePolicy | undefined,
  upstreams: LoadedUpstreams | undefined,
): void {
  const names = Object.keys(upstreams?.named ?? {});
  const unknown = policy?.through.find((it) =>
    it !== DIRECT && !names.includes(it)
  );
  if (unknown === undefined) return;
  throw new UsageError(
    `a rule goes through ${unknown}, but there is no such upstream` +
      (names.length === 0
        ? ': "upstreams" in the --config file has none'
        : hint(unknown, names)),
  );
}

/** Refuses ports that the program itself would report as in use. */
function checkPorts(
  config: Config,
  { config: flags, file }: CommandLine,
): void {
  const { hostname = "127.0.0.1", port = 1080, plainPort } = config;
  const places = [port, ...plainPort === undefined ? [] : [plainPort]]
    .map((port) => ({ hostname: plainHostname(hostname), port }));
  let user = "the server";
  for (const key of ["metrics", "admin"] as const) {
    const place = config[key];
    if (!place) continue;
    if (places.some((it) => collide(it, place))) {
      const subject = flags[key] ? `--${key}` : `${fileName(file!)}: ${key}:`;
      throw new UsageError(
        `${subject} cannot be on ${
          formatEndpoint(place)
        }, where ${user} listens`,
      );
    }
    places.push(place);
    user = `the server or --${key}`;
  }
}

function collide(one: Endpoint, other: Endpoint): boolean {
  if (one.port === 0 || one.port !== other.port) return false;
  const hosts = [one.hostname, other.hostname];
  return one.hostname === other.hostname || !hosts.every(isOneAddress);
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
  const name = fileName(path);
  const text = await tryRead(read, path, problems);
  if (text === undefined) return {};
  const config = readConfig(text, name, problems, warnings);
  const beside = (it: string | undefined) => it && besideFile(path, it);
  return {
    ...config,
    usersFile: config.usersFile?.map((it) => besideFile(path, it)),
    chapSecrets: beside(config.chapSecrets),
    gssapiKeytab: beside(config.gssapiKeytab),
    tlsCert: beside(config.tlsCert),
    tlsKey: beside(config.tlsKey),
    tlsClientCa: beside(config.tlsClientCa),
    upstreamCa: beside(config.upstreamCa),
    accountingFile: beside(config.accountingFile),
    adminTokenFile: beside(config.adminTokenFile),
  };
}
