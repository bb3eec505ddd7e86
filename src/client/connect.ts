/**
 * The command CONNECT: connections to targets.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { TlsClientOptions } from "../transport/tls_options.ts";
import { COMMAND } from "../protocol/socks5.ts";
import { Attempt } from "./attempt.ts";
import {
  checkOptions,
  type ClientConnectOptions,
  CONNECT_KEYS,
} from "./options.ts";
import type { ProxyConfig } from "./proxy.ts";
import { type SocksConn, Tunnel } from "./socks_conn.ts";
import { parseTarget, resolveTarget } from "./target.ts";

/**
 * Connects to a target through a SOCKS proxy, or through an HTTP proxy by CONNECT.
 *
 * @param proxy `socks5h://user:password@hostname:port` (see
 * {@linkcode ProxyConfig.protocol} for all schemes), or the same as an object.
 * @param target Name or IP address and port, also as `"example.com:443"`.
 *
 * @throws {SocksError} when there is no connection; nothing is left open then.
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * await using conn = await connect(
 *   `socks5h://127.0.0.1:${proxy.addr.port}`,
 *   { hostname: "localhost", port: target.addr.port },
 *   { timeout: 5_000 },
 * );
 * await conn.write(Uint8Array.of(5, 1, 0));
 * console.log(await conn.read()); // Uint8Array [5, 0]
 * ```
 *
 * @example Through an HTTP proxy
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { serve, userPass } from "@x/socks5/server";
 *
 * const auth = [userPass({ al: "pw" })];
 * await using proxy = await serve({ port: 0, http: true, auth });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `http://al:pw@127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, target.addr);
 * await conn.write(Uint8Array.of(5, 1, 0));
 * console.log(await conn.read()); // Uint8Array [5, 0]
 * ```
 *
 * @example TLS to the target, inside the tunnel
 * ```ts
 * import { connect, SocksError } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // speaks no TLS
 *
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * const options = { targetTls: { alpn: ["h2", "http/1.1"] } };
 * const error = await connect(url, target.addr, options).catch((error) => error);
 * if (!(error instanceof SocksError)) throw error;
 * console.log(error.code, error.phase); // tls-failed target-tls
 * ```
 *
 * @example With Web streams
 * ```ts
 * import { connect } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 });
 *
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, target.addr);
 * const writer = conn.writable.getWriter();
 * await writer.write(Uint8Array.of(5, 1, 0));
 * const { value } = await conn.readable.getReader().read();
 * console.log(value); // Uint8Array [5, 0]
 * ```
 */
export async function connect(
  proxy: string | URL | ProxyConfig,
  target: string | Endpoint,
  options: ClientConnectOptions = {},
): Promise<SocksConn> {
  checkOptions(options, CONNECT_KEYS, "connect");
  return await connectBy(new Attempt(proxy, options), target, options);
}

/** Runs an attempt at CONNECT. */
export function connectBy(
  attempt: Attempt,
  target: string | Endpoint,
  { targetTls }: ClientConnectOptions,
): Promise<SocksConn> {
  return attempt.run(async () => {
    const named = parseTarget(target);
    const tls = targetTls === undefined
      ? undefined
      : await checkTargetTls(targetTls, named);
    const wanted = await resolveTarget(attempt, named);
    const { conn, bound } = await attempt.request(COMMAND.connect, wanted);
    if (!tls) return new Tunnel(conn, bound);
    const secured = await attempt.secureTarget(conn, tls, named);
    return new Tunnel(secured, bound, secured.tls);
  });
}

/**
 * Checks the option, if there is anything to check.
 *
 * @throws {TypeError} if it is invalid.
 */
export async function checkTargetTls(
  targetTls: ClientConnectOptions["targetTls"],
  target: Endpoint,
): Promise<TlsClientOptions | undefined> {
  // Anything else than `false` and nothing is an option to check.
  if (targetTls === undefined || targetTls === false) return undefined;
  const { resolveTargetTls } = await import("./target_tls.ts");
  return resolveTargetTls(targetTls, target);
}
