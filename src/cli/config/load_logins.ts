/**
 * The logins of the program: users, passwords and secrets of flags and files.
 *
 * @module
 */

import { chap } from "../../server/auth/chap.ts";
import {
  Lockout,
  type LockoutOptions,
  type LoginGuard,
} from "../../server/auth/lockout.ts";
import type { AuthMethod } from "../../server/auth/method.ts";
import { hashPassword } from "../../server/auth/password_hash.ts";
import { parseSecrets } from "../../server/auth/secrets_file.ts";
import { UsersError } from "../../server/auth/user_lines.ts";
import { userPass } from "../../server/auth/user_pass.ts";
import { Users } from "../../server/auth/users.ts";
import { parseUsers } from "../../server/auth/users_file.ts";
import { quote, showPath } from "../output/escape.ts";
import type { Config } from "./config.ts";
import { type ReadFile, tryRead } from "./files.ts";
import type { CommandLine } from "./flags.ts";

/** The logins of the configuration. */
export interface LoadedLogins {
  /** The users of the configuration and of users files. */
  readonly hashes: readonly (readonly [name: string, hash: string])[];
  /** The users of flags and of the environment. */
  readonly passwords: readonly (readonly [name: string, password: string])[];
  /** The users of the CHAP secrets. */
  readonly secrets: readonly (readonly [name: string, secret: string])[];
}

/** Reads the files of logins; adds their problems to `problems`. */
export async function loadLogins(
  config: Config,
  commandLine: CommandLine,
  read: ReadFile,
  problems: string[],
): Promise<LoadedLogins> {
  const hashes = await loadUsers(config, commandLine, read, problems);
  const secrets = await loadSecrets(config, read, problems);
  const passwords = [...commandLine.logins];
  return { hashes: [...hashes], passwords, secrets: Object.entries(secrets) };
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
    const found = usable(
      () => parseUsers(lines).hashes,
      source,
      pathOf,
      problems,
    );
    for (const [name, hash] of found ?? []) {
      if (!hashes.has(name) && !logins.has(name)) hashes.set(name, hash);
      else problems.push(`${source}: user ${quote(name)} is defined twice`);
    }
  };
  for (const line of users) add(line, `${showPath(file!)}: users`, () => "");
  for (const path of usersFile) {
    const lines = await tryRead(read, path, problems);
    if (lines !== undefined) add(lines, showPath(path), lineText);
  }
  return hashes;
}

async function loadSecrets(
  { chapSecrets: path }: Config,
  read: ReadFile,
  problems: string[],
): Promise<Readonly<Record<string, string>>> {
  if (path === undefined) return {};
  const text = await tryRead(read, path, problems, { isPrivate: true });
  if (text === undefined) return {};
  const parse = () => parseSecrets(text);
  return usable(parse, showPath(path), lineText, problems) ?? {};
}

/** The position of a line in error messages. */
type PathOf = (line: number | undefined) => string;

const lineText: PathOf = (line) => line ? `line ${line}: ` : "";

function usable<T>(
  parse: () => T,
  source: string,
  pathOf: PathOf,
  problems: string[],
): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof UsersError)) throw error;
    for (const { line, reason } of error.problems) {
      problems.push(`${source}: ${pathOf(line)}${reason}`);
    }
  }
}

/** The names of all users. */
export function namesOfLogins(
  { hashes, passwords, secrets }: LoadedLogins,
): ReadonlySet<string> {
  return new Set([...hashes, ...passwords, ...secrets].map(([name]) => name));
}

/**
 * The methods for these logins, in the order of preference; `undefined` if clients
 * need no login.
 *
 * A client that offers both methods has a single try by the first one, so CHAP is the
 * first one only if every user has a secret.
 */
export async function methodsOf(
  logins: LoadedLogins,
  lockout: LockoutOptions,
  guard: LoginGuard = new Lockout(lockout),
): Promise<readonly AuthMethod[] | undefined> {
  const { secrets } = logins;
  const options = { guard };
  const password = await passwordMethod(logins, options);
  if (secrets.length === 0) return password && [password];
  const byChap = chap(Object.fromEntries(secrets), options);
  if (!password) return [byChap];
  const { withoutSecret } = compare(logins);
  return withoutSecret.length > 0 ? [password, byChap] : [byChap, password];
}

async function passwordMethod(
  { hashes, passwords }: LoadedLogins,
  options: { readonly guard: LoginGuard },
): Promise<AuthMethod | undefined> {
  if (hashes.length === 0 && passwords.length === 0) return undefined;
  if (hashes.length === 0) {
    return userPass(Object.fromEntries(passwords), options);
  }
  const all = [...hashes, ...await Promise.all(passwords.map(hashed))];
  return userPass(new Users(all), options);
}

/** Hashes a password that is used along with hashes, so that logins of both take the same time. */
async function hashed(
  [name, password]: readonly [string, string],
): Promise<[string, string]> {
  return [name, await hashPassword(password)];
}

/** The users that can log in by only one of both methods. */
function compare({ hashes, passwords, secrets }: LoadedLogins) {
  const byPassword = [...hashes, ...passwords].map(([name]) => name);
  const bySecret = secrets.map(([name]) => name);
  const [first, second] = [new Set(byPassword), new Set(bySecret)];
  return {
    withoutSecret: byPassword.filter((it) => !second.has(it)),
    withoutPassword: bySecret.filter((it) => !first.has(it)),
  };
}

/** Returns a line for each consequence of users that have only a secret or only a password. */
export function loginWarnings(logins: LoadedLogins): string[] {
  const { withoutSecret, withoutPassword } = compare(logins);
  if (logins.secrets.length === 0 || withoutSecret.length === 0) return [];
  const prefers =
    `${
      listed(withoutSecret)
    } no CHAP secret, so that passwords are preferred to ` +
    "CHAP: clients that offer both, such as PuTTY, send their password in clear";
  if (withoutPassword.length === 0) return [prefers];
  return [
    prefers,
    `${
      listed(withoutPassword)
    } a CHAP secret but no password: clients that offer ` +
    "both methods cannot log in",
  ];
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((it) => quote(it)).join(", ");
  const rest = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return names.length > 1 ? `users ${shown}${rest} have` : `user ${shown} has`;
}
