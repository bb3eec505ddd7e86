/**
 * The authentication methods for the logins of the program.
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
import { userPass } from "../../server/auth/user_pass.ts";
import { Users } from "../../server/auth/users.ts";
import { quote } from "../output/escape.ts";
import { type AuthCommandConfig, openAuthCommand } from "./auth_command.ts";
import type { Config } from "./config.ts";
import type { LoadedLogins } from "./load_logins.ts";

/** Options of {@linkcode methodsOf}. */
export interface MethodOptions {
  /** The program that verifies passwords, if there is one. */
  readonly command?: AuthCommandConfig;
  readonly lockout: LockoutOptions;
  readonly guard?: LoginGuard;
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
  { command, lockout, guard = new Lockout(lockout) }: MethodOptions,
): Promise<readonly AuthMethod[] | undefined> {
  const { secrets } = logins;
  const options = { guard };
  const password = command
    ? userPass(await openAuthCommand(command), options)
    : await passwordMethod(logins, options);
  if (secrets.length === 0) return password && [password];
  const byChap = chap(Object.fromEntries(secrets), options);
  if (!password) return [byChap];
  const { withoutSecret } = compare(logins);
  if (command) return [password, byChap];
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

/** Returns a line if the methods reject all clients that speak HTTP. */
export function httpWarnings(
  { http, authCommand }: Config,
  methods: readonly AuthMethod[] | undefined,
  { hashes, passwords }: LoadedLogins,
): string[] {
  const servesNone = methods && !authCommand &&
    hashes.length + passwords.length === 0;
  return http && servesNone
    ? [
      "--http serves no client: HTTP clients log in by password, and no user has one",
    ]
    : [];
}

/** Returns a line if users have quotas, but what they have used is forgotten at each restart. */
export function quotaWarnings(
  { accountingFile, shared }: Config,
  { attributes }: LoadedLogins,
): string[] {
  if (accountingFile !== undefined || shared !== undefined) return [];
  return [...attributes.values()].some(({ quota }) => quota)
    ? [
      "quotas begin again at each restart: keep the totals with --accounting 60s " +
      "--accounting-file FILE",
    ]
    : [];
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((it) => quote(it)).join(", ");
  const rest = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return names.length > 1 ? `users ${shown}${rest} have` : `user ${shown} has`;
}
