/**
 * Authentication methods of the server: each is a value with a method number
 * and a negotiation. Make your own with the {@linkcode AuthMethod} interface.
 *
 * @module
 */

import { METHOD } from "../protocol/socks5.ts";
import { decodeLogin, encodeLoginStatus } from "../protocol/password.ts";
import type { Address, Conn } from "../transport/transport.ts";
import type { MessageDecoder } from "../transport/message_reader.ts";

/** How a method talks to the client. */
export interface AuthExchange {
  /** The client's address. */
  readonly client: Address;
  /** The client's next message. */
  read<T>(decode: MessageDecoder<T>): Promise<T>;
  /** Sends a message. */
  write(octets: Uint8Array): Promise<void>;
}

/** What a negotiation found. */
export interface AuthResult {
  /** Whether the client may go on to its request. */
  readonly ok: boolean;
  /** Who the client is, or failing that claims to be. */
  readonly user?: string;
  /** Sent before the connection is closed when `ok` is false. */
  readonly farewell?: Uint8Array;
  /** Through which everything after the negotiation travels, for methods that wrap it. */
  readonly conn?: Conn;
}

/** One way to learn who a client is (RFC 1928 section 3). */
export interface AuthMethod {
  /** The number on the wire: 0 to 254. */
  readonly number: number;
  /** How events call it. */
  readonly name: string;
  /**
   * Called when the method was chosen; a rejection closes the connection. A
   * method without it lets every client in.
   */
  negotiate?(exchange: AuthExchange): Promise<AuthResult>;
}

/** Method 00: every client is welcome. The only one under which SOCKS4 is served. */
export function noAuth(): AuthMethod {
  return { number: METHOD.none, name: "none" };
}

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
 * neither on the names nor on the passwords. A function gets both as text: a
 * login that is not valid UTF-8 fails without asking it, and so does one whose
 * question throws.
 *
 * @throws {TypeError} when the table is empty, or a name or password is not 1
 * to 255 octets long.
 *
 * @example
 * ```ts
 * const fromTable = userPass({ alice: "correct horse" });
 * const asked = userPass(async (username, password) => {
 *   return await Promise.resolve(username === "bob" && password.length > 3);
 * });
 * ```
 */
export function userPass(
  logins: Readonly<Record<string, string>> | VerifyLogin,
): AuthMethod {
  const verify = typeof logins === "function"
    ? byFunction(logins)
    : byTable(logins);
  return {
    number: METHOD.password,
    name: "password",
    negotiate: (exchange) => negotiate(exchange, verify),
  };
}

type Verify = (
  username: Uint8Array,
  password: Uint8Array,
  client: Address,
) => boolean | Promise<boolean>;

async function negotiate(
  exchange: AuthExchange,
  verify: Verify,
): Promise<AuthResult> {
  let login;
  try {
    login = await exchange.read(decodeLogin);
  } catch (error) {
    if ((error as Error).name !== "ProtocolError") throw error;
    return { ok: false, farewell: encodeLoginStatus(1) };
  }
  const { username, password } = login;
  const complete = username.length > 0 && password.length > 0;
  const verdict = verify(username, password, exchange.client);
  const ok = await verdict && complete;
  const user = new TextDecoder().decode(username);
  if (!ok) return { ok, user, farewell: encodeLoginStatus(1) };
  await exchange.write(encodeLoginStatus(0));
  return { ok, user };
}

function byFunction(ask: VerifyLogin): Verify {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return async (username, password, client) => {
    try {
      const texts = [utf8.decode(username), utf8.decode(password)];
      if (texts.includes("")) return false;
      return await ask(texts[0], texts[1], client) === true;
    } catch {
      return false;
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
