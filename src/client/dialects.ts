/**
 * The table of protocols.
 *
 * @module
 */

import type { ClientDialect } from "./dialect.ts";
import { HTTP } from "./http.ts";
import type { ProxyConfig } from "./proxy.ts";
import { SOCKS4, SOCKS4A } from "./socks4.ts";
import { SOCKS5, SOCKS5H } from "./socks5.ts";

const DIALECTS: ReadonlyMap<string, ClientDialect> = new Map(
  [SOCKS4, SOCKS4A, SOCKS5, SOCKS5H, HTTP].map((it) => [it.protocol, it]),
);

/** The names of all protocols. */
export const PROTOCOLS: readonly string[] = [...DIALECTS.keys()];

/** The dialect of this name, if there is one. */
export function dialectNamed(protocol: string): ClientDialect | undefined {
  return DIALECTS.get(protocol);
}

/** The dialect that a proxy speaks. */
export function dialectOf({ protocol }: ProxyConfig): ClientDialect {
  return DIALECTS.get(protocol)!;
}
