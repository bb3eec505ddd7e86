/**
 * Method 02, user name and password (RFC 1929).
 *
 * @module
 */

import { METHOD } from "../../protocol/socks5.ts";
import {
  decodeLogin,
  encodeLoginStatus,
  type Login,
} from "../../protocol/password.ts";
import { withSignal } from "../../transport/dial.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import { readName } from "./name.ts";
import type { Address } from "../../transport/transport.ts";
import type { AbortSignalLike } from "../../transport/signal.ts";
import { Lockout, type LockoutOptions, type LoginGuard } from "./lockout.ts";
import type { AuthExchange, AuthMethod, AuthResult } from "./method.ts";
import { Users } from "./users.ts";

export {
  type AuthExchange,
  type AuthMethod,
  type AuthResult,
  noAuth,
} from "./method.ts";

export type { LockoutOptions } from "./lockout.ts";
export {
  type HashOptions,
  hashPassword,
  verifyPassword,
} from "./password_hash.ts";
export {
  type LoginAttempt,
  parseUsers,
  Users,
  UsersError,
  type UsersOptions,
  type UsersProblem,
} from "./users.ts";

/** Decides about a login; both strings are never empty. */
export type VerifyLogin = (
  username: string,
  password: string,
  client: Address,
) => boolean | Promise<boolean>;

/**
 * Method 02, user name and password (RFC 1929).
 *
 * With a table (name to password) octets are compared, in a time that depends
 * neither on the names nor on the passwords. With {@linkcode Users}, which hold
 * hashes, unknown users cost the same work and time as known ones. A function
 * gets both as text: a login that is not valid UTF-8 fails without asking it,
 * and so does one whose question throws.
 *
 * From the third failure in a row on, the answers to a client's address are
 * delayed, by 250 ms and then twice that each time, up to 4 s; after
 * `failedLogins` all its logins fail at once for `lockout`. A right login
 * clears that, one that could not be verified does not count. All servers that
 * are given the same value share what it has counted. Where all clients come
 * from one address, as behind a balancer, set `lockout` to 0.
 *
 * @throws {TypeError} when the table is empty, a name or password is not 1 to
 * 255 octets long, or an option is no whole number.
 *
 * @example
 * ```ts
 * const fromTable = userPass({ alice: "correct horse" });
 * const fromHashes = userPass(
 *   new Users([["alice", await hashPassword("correct horse")]]),
 *   { failedLogins: 5 },
 * );
 * const asked = userPass(async (username, password) => {
 *   return await Promise.resolve(username === "bob" && password.length > 3);
 * });
 * ```
 */
export function userPass(
  logins: Readonly<Record<string, string>> | Users | VerifyLogin,
  options: LockoutOptions = {},
): AuthMethod {
  return guardedUserPass(logins, new Lockout(options));
}

/** As {@linkcode userPass}, where failures may be counted elsewhere. */
export function guardedUserPass(
  logins: Readonly<Record<string, string>> | Users | VerifyLogin,
  guard: LoginGuard,
): AuthMethod {
  const verify = verifierOf(logins);
  return {
    number: METHOD.password,
    name: "password",
    negotiate: (exchange) => negotiate(exchange, verify, guard),
  };
}

/** Whether a login is right; `undefined` when there is no telling. */
type Verdict = boolean | undefined;

type Verify = (
  username: Uint8Array,
  password: Uint8Array,
  client: Address,
  isWanted: () => boolean,
) => Verdict | Promise<Verdict>;

function verifierOf(
  logins: Readonly<Record<string, string>> | Users | VerifyLogin,
): Verify {
  if (typeof logins === "function") return byFunction(logins);
  if (logins instanceof Users) return byUsers(logins);
  return byTable(logins);
}

async function negotiate(
  exchange: AuthExchange,
  verify: Verify,
  guard: LoginGuard,
): Promise<AuthResult> {
  let login;
  try {
    login = await exchange.read(decodeLogin);
  } catch (error) {
    if ((error as Error).name !== "ProtocolError") throw error;
    return { ok: false, farewell: encodeLoginStatus(1) };
  }
  const user = readName(login.username);
  const ok = await judge(exchange, login, verify, guard);
  if (!ok) return { ok, user, farewell: encodeLoginStatus(1) };
  await exchange.write(encodeLoginStatus(0));
  return { ok, user };
}

/** Whether the client may go on; a no comes when it is time for it. */
async function judge(
  exchange: AuthExchange,
  { username, password }: Login,
  verify: Verify,
  guard: LoginGuard,
): Promise<boolean> {
  const { client, client: { hostname } } = exchange;
  if (await guard.isLocked(hostname)) return false;
  const isWanted = () =>
    !exchange.signal.aborted &&
    !(guard instanceof Lockout && guard.isLocked(hostname));
  const answer = verify(username, password, client, isWanted);
  const verdict = answer instanceof Promise
    ? await withSignal(answer, exchange.signal)
    : answer;
  if (verdict === undefined) return false;
  const complete = username.length > 0 && password.length > 0;
  // Of logins that are verified at the same time one may have locked the address out meanwhile.
  if (verdict && complete && await guard.succeeded(hostname)) return true;
  const delay = await guard.failed(hostname);
  if (delay > 0) await pause(delay, exchange.signal);
  return false;
}

/**
 * Waits; rejects when the session is stopped. Not when the client sends its
 * FIN, or a FIN behind the login would be a way around the delay.
 */
function pause(ms: number, signal: AbortSignalLike): Promise<void> {
  let timeout: Timeout;
  const over = new Promise<void>((resolve) => {
    timeout = startTimeout(ms, resolve);
  });
  return withSignal(over, signal).finally(() => timeout.cancel());
}

function byUsers(users: Users): Verify {
  return (username, password, { hostname }, isWanted) =>
    users.verify(username, password, { client: hostname, isWanted });
}

function byFunction(ask: VerifyLogin): Verify {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return async (username, password, client) => {
    let texts;
    try {
      texts = [utf8.decode(username), utf8.decode(password)];
    } catch {
      return false;
    }
    if (texts.includes("")) return false;
    try {
      return await ask(texts[0], texts[1], client) === true;
    } catch {
      return undefined;
    }
  };
}

function byTable(logins: Readonly<Record<string, string>>): Verify {
  const known = Object.entries(logins).map(padded);
  if (known.length === 0) throw new TypeError("userPass() needs a login");
  return (username, password) => {
    const given = padLogin(username, password);
    let found = 0;
    for (const login of known) found |= same(login, given);
    return found === 1;
  };
}

function padded([username, password]: [string, string]): Uint8Array {
  const encoder = new TextEncoder();
  const octets = [encoder.encode(username), encoder.encode(password)];
  if (octets.some(({ length }) => length < 1 || length > 255)) {
    throw new TypeError(
      "a user name and its password each have 1 to 255 octets" +
        (username ? ` (user ${JSON.stringify(username)})` : ""),
    );
  }
  return padLogin(octets[0], octets[1]);
}

/** Name and password in 512 octets, each behind its length. */
function padLogin(username: Uint8Array, password: Uint8Array): Uint8Array {
  const login = new Uint8Array(512);
  login[0] = username.length;
  login.set(username, 1);
  login[256] = password.length;
  login.set(password, 257);
  return login;
}

/** 1 or 0, in the same time for any two logins. */
function same(a: Uint8Array, b: Uint8Array): number {
  let differs = 0;
  for (let i = 0; i < a.length; i++) differs |= a[i] ^ b[i];
  return differs === 0 ? 1 : 0;
}
