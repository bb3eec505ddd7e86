/**
 * The dialer of a bridge or a forward.
 *
 * @module
 */

import {
  createDialer,
  type DialerOptions,
  type HopDialer,
  type Hops,
  parseHops,
  type ProxyProtocol,
} from "../../client/mod.ts";
import type { Endpoint } from "../../protocol/address.ts";
import type { Conn, Transport } from "../../transport/transport.ts";

/** How {@linkcode bridge} and {@linkcode forward} reach targets. */
export interface UpstreamOptions {
  /**
   * Milliseconds for reaching a target through all hops; 0 means no limit.
   *
   * @default {30_000}
   */
  readonly timeout?: number;
  /**
   * TLS to the hops, for protocols such as `socks5+tls`: for all of them, or a list with an
   * entry for each hop, which is `undefined` for those without.
   */
  readonly tls?: DialerOptions["tls"];
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
}

/** The keys of {@linkcode UpstreamOptions}. */
export const UPSTREAM_KEYS: readonly string[] = ["timeout", "tls", "transport"];

/** Connects to targets. */
export interface TargetDialer {
  /** Connects to a target; `signal` is aborted when the connection is no longer needed. */
  connect(
    target: Endpoint,
    options: { readonly signal: AbortSignal },
  ): Promise<Conn>;
}

/**
 * A dialer through the hops, which leaves the names of targets to the last one. A dialer is
 * returned as it is.
 */
export function upstreamOf<D extends TargetDialer>(
  hops: Hops | D,
  { timeout, tls, transport }: UpstreamOptions,
): D | HopDialer {
  if (!isDialer(hops)) {
    return createDialer(withRemoteNames(hops), { timeout, tls, transport });
  }
  if (timeout === undefined && tls === undefined) return hops;
  throw new TypeError("timeout and tls are options of the dialer");
}

function isDialer<D extends TargetDialer>(hops: Hops | D): hops is D {
  return typeof (hops as D | undefined)?.connect === "function";
}

function withRemoteNames(hops: Hops): Hops {
  const all = parseHops(hops);
  const last = all[all.length - 1];
  const protocol = REMOTE[last.protocol] ?? last.protocol;
  return [...all.slice(0, -1), { ...last, protocol }];
}

/** The same protocol, with names that the proxy resolves. */
const REMOTE: Partial<Record<ProxyProtocol, ProxyProtocol>> = {
  socks5: "socks5h",
  "socks5+tls": "socks5h+tls",
};
