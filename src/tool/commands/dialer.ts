/**
 * The way to targets through the proxies of a command.
 *
 * @module
 */

import { createDialer, type HopDialer } from "../../client/dialer.ts";
import { isOverTls, type ProxyProtocol } from "../../client/proxy.ts";
import { UsageError } from "../../cli/usage_error.ts";
import type { Proxies } from "../args/proxies.ts";

/** Options of {@linkcode openDialer}. */
export interface OpenOptions {
  /** Whether the last proxy resolves the names of targets, also if its URL says otherwise. */
  readonly remoteNames?: boolean;
  /** Whether datagrams may travel beside TLS, in clear. */
  readonly plainDatagrams?: boolean;
}

/**
 * Returns the way through the proxies.
 *
 * @throws {UsageError} if the login does not fit them.
 */
export function openDialer(
  { hops, timeout, tls, auth }: Proxies,
  { remoteNames = false, plainDatagrams = false }: OpenOptions = {},
): HopDialer {
  const last = hops.at(-1)!;
  const protocol = REMOTE[last.protocol] ?? last.protocol;
  const way = remoteNames
    ? [...hops.slice(0, -1), { ...last, protocol }]
    : hops;
  const isTls = tls !== undefined || plainDatagrams && hops.some(isOverTls);
  const options = isTls ? { tls: { ...tls, plainDatagrams } } : {};
  try {
    return createDialer(way, { timeout, auth, ...options });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(withFlags(error.message));
  }
}

/** The message with the names of flags in place of those of options. */
function withFlags(message: string): string {
  for (const [option, flag] of FLAGS) {
    message = message.replaceAll(option, flag);
  }
  return message;
}

const FLAGS = [
  ["tls.serverName", "--tls-name"],
  ["tls.fingerprint256", "--tls-pin"],
  ["tls.cert", "--tls-cert"],
  ["tls.key", "--tls-key"],
  ["tls.ca", "--tls-ca"],
  ["use socks5: or add anonymous()", "--gssapi needs SOCKS5"],
] as const;

/** The same protocol, with names that the proxy resolves. */
const REMOTE: Partial<Record<ProxyProtocol, ProxyProtocol>> = {
  socks5: "socks5h",
  "socks5+tls": "socks5h+tls",
};
