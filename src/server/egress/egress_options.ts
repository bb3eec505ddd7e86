/**
 * How clients keep their addresses to connect from.
 *
 * @module
 */

import { SIP_KEY_SIZE } from "../../crypto/sip_hash.ts";
import { OwnPrefixes } from "./own_prefixes.ts";

/**
 * Options of the choice among several addresses to connect from.
 *
 * @example Each session word has an address of its own, for ten minutes
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { rules, serve, userPass } from "@x/socks5/server";
 *
 * await using server = await serve({
 *   port: 0,
 *   auth: [userPass({ alice: "correct horse" })],
 *   sessionWords: true,
 *   policy: rules(["allow * via 127.0.0.2,127.0.0.3,2001:db8:1::/64"]),
 *   egress: { sticky: 600_000 },
 * });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const login = "alice-session-7:correct%20horse";
 * const proxy = `socks5://${login}@127.0.0.1:${server.addr.port}`;
 * await using conn = await connect(proxy, target.addr);
 * console.log(conn.boundAddr.hostname); // 127.0.0.2 or 127.0.0.3
 * ```
 */
export interface EgressOptions {
  /**
   * For how long a client keeps its address, in milliseconds. The time runs by the clock and
   * not from the first connection, and each client changes at a time of its own; a session
   * keeps its address to its end. 0 = each session has another address.
   *
   * @default {Infinity}
   */
  readonly sticky?: number;
  /**
   * A secret of 16 bytes. Servers with the same key and the same list choose the same address
   * for a client. By default a random one of this process.
   */
  readonly key?: Uint8Array;
  /**
   * Prefixes that lead to this machine, of users for example. Their addresses are closed to
   * exposed sessions as the server's own are, and so are those of prefixes in rules and, once
   * a user has connected, in {@linkcode UserAttributes.via}: of the latter at most 100,000,
   * so that for more users a prefix that contains theirs belongs here. By default no others.
   */
  readonly own?: readonly string[];
}

/** The checked {@linkcode EgressOptions}. */
export interface EgressSettings {
  readonly sticky: number;
  readonly key: Uint8Array;
  /** The prefixes that sessions may connect from: their addresses lead to this machine. */
  readonly own: OwnPrefixes;
}

let processKey: Uint8Array | undefined;

/** A random key, the same for all servers of this process. */
function randomKey(): Uint8Array {
  return processKey ??= crypto.getRandomValues(new Uint8Array(SIP_KEY_SIZE));
}

/** @throws {TypeError} if an option is invalid; the message begins with its name. */
export function resolveEgress(
  { sticky = Infinity, key, own: given = [] }: EgressOptions = {},
  via: readonly string[] = [],
): EgressSettings {
  if (sticky !== Infinity && !(Number.isSafeInteger(sticky) && sticky >= 0)) {
    throw new TypeError("egress.sticky must be a whole number of milliseconds");
  }
  const isKey = key instanceof Uint8Array && key.length === SIP_KEY_SIZE;
  if (key !== undefined && !isKey) {
    throw new TypeError(`egress.key must be ${SIP_KEY_SIZE} bytes`);
  }
  const own = new OwnPrefixes();
  if (!Array.isArray(given)) throw new TypeError("egress.own must be a list");
  for (const it of [...via, ...given]) {
    if (own.add(it)) continue;
    const what = "which is neither an IP address nor a prefix";
    throw new TypeError(`egress.own contains ${JSON.stringify(it)}, ${what}`);
  }
  return { sticky, key: key ?? randomKey(), own };
}
