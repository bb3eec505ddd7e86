/**
 * The table of protocols.
 *
 * @module
 */

import type { ClientDialect } from "./dialect.ts";
import { HTTP } from "./http.ts";
import type { PlainProtocol, ProxyConfig } from "./proxy.ts";
import { SOCKS4, SOCKS4A } from "./socks4.ts";
import { SOCKS5, SOCKS5H } from "./socks5.ts";

const PLAIN = [SOCKS4, SOCKS4A, SOCKS5, SOCKS5H];
const OVER_TLS = PLAIN.map((it): ClientDialect => ({
  ...it,
  protocol: `${it.protocol as PlainProtocol}+tls`,
}));
const HTTPS: ClientDialect = { ...HTTP, protocol: "https" };
const ALL = [...PLAIN, HTTP, ...OVER_TLS, HTTPS];

/** The names of all protocols. */
export const PROTOCOLS: readonly string[] = ALL.map((it) => it.protocol);

const DIALECTS: ReadonlyMap<string, ClientDialect> = new Map(
  ALL.map((it) => [it.protocol, it]),
);

/** The dialect of this name, if there is one; `socks5s` is another name of `socks5+tls`. */
export function dialectNamed(protocol: string): ClientDialect | undefined {
  return DIALECTS.get(protocol.replace(/^(socks4a?|socks5h?)s$/, "$1+tls"));
}

/** The dialect that a proxy speaks. */
export function dialectOf({ protocol }: ProxyConfig): ClientDialect {
  return DIALECTS.get(protocol)!;
}
