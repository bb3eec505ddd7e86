/**
 * Targets as users write them, and as requests carry them.
 *
 * @module
 */

import {
  encodeAddress,
  type Endpoint,
  isIp,
  parseEndpoint,
} from "../protocol/address.ts";
import { checkKeys } from "../transport/check_keys.ts";
import type { ClientDialect } from "./dialect.ts";
import { SocksError, type SocksPhase } from "./error.ts";
import { plainHostname } from "./plain_hostname.ts";

/**
 * A target that a message can carry, given either form. Unknown keys of a complete
 * endpoint are ignored: the addresses of other libraries have more members.
 *
 * @throws {TypeError} when no message can carry it, or when a text has no port
 * and there is no `defaultPort`.
 */
export function parseTarget(
  target: string | Endpoint,
  defaultPort?: number,
): Endpoint {
  const { hostname, port } = typeof target === "string"
    ? parseText(target, defaultPort)
    : checkedEndpoint(target);
  const wanted = { hostname: plainHostname(hostname), port };
  encodeAddress(wanted); // throws a TypeError for an invalid endpoint
  return wanted;
}

function parseText(text: string, defaultPort?: number): Endpoint {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(text)) throw urlAsTarget(text);
  return parseEndpoint(text, defaultPort);
}

function checkedEndpoint(target: Endpoint): Endpoint {
  if (target instanceof URL) throw urlAsTarget(target.href);
  if (typeof target !== "object" || target === null) {
    throw new TypeError(`${EXPECTED}, not ${target}`);
  }
  const { hostname, port } = target;
  if (hostname === undefined || port === undefined) {
    checkKeys(target, ["hostname", "port"], "the target");
  }
  if (typeof hostname !== "string") throw new TypeError(EXPECTED);
  return target;
}

const EXPECTED = 'a target is "HOSTNAME:PORT" or { hostname, port }';

/** The ports of URLs that are likely to be taken for targets. */
const PORTS: Readonly<Record<string, string>> = {
  "http:": "80",
  "https:": "443",
  "ws:": "80",
  "wss:": "443",
};

/** The message does not repeat the URL, which may contain a login. */
function urlAsTarget(url: string): TypeError {
  let example = "example.com:443";
  try {
    const { protocol, hostname, port } = new URL(url);
    if (hostname) example = `${hostname}:${port || PORTS[protocol] || "PORT"}`;
  } catch {
    // The URL is broken as well.
  }
  return new TypeError(`${EXPECTED}, not a URL: write "${example}"`);
}

/** Resolves names for a dialect that cannot carry them. */
export interface TargetResolver {
  readonly dialect: ClientDialect;
  /** All addresses of a name; rejects with code `dns`. */
  lookup(hostname: string): Promise<string[]>;
}

/**
 * The target as the request carries it: unchanged, or resolved by this client.
 *
 * @throws {SocksError} as {@linkcode pickAddress} does.
 */
export function resolveTarget(
  resolver: TargetResolver,
  target: Endpoint,
): Endpoint | Promise<Endpoint> {
  const { dialect } = resolver;
  const { hostname, port } = target;
  if (dialect.resolvesNames) return target;
  const pick = (found: readonly string[]) => ({
    hostname: pickAddress(dialect, hostname, found, "request"),
    port,
  });
  return isIp(hostname)
    ? pick([hostname])
    : resolver.lookup(hostname).then(pick);
}

/**
 * The first of a name's addresses that the protocol can carry.
 *
 * @throws {SocksError} `"address-type"` when there is none: SOCKS4 has no IPv6,
 * and no version has zones.
 */
export function pickAddress(
  dialect: ClientDialect,
  hostname: string,
  found: readonly string[],
  phase: SocksPhase,
): string {
  const address = found.find((it) => dialect.canCarry(it));
  if (address) return address;
  const what = dialect.cannotCarry(hostname, found[0]);
  const message = `${dialect.protocol}: cannot carry ${what}`;
  throw new SocksError("address-type", message, { phase });
}
