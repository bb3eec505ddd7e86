/**
 * Connections through a proxy: the command CONNECT.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { COMMAND } from "../protocol/socks5.ts";
import { Attempt, type ClientOptions } from "./attempt.ts";
import type { ProxyConfig } from "./proxy.ts";
import { type SocksConn, Tunnel } from "./socks_conn.ts";
import { parseTarget, resolveTarget } from "./target.ts";

/**
 * Connects to a target through a SOCKS proxy.
 *
 * @param proxy `socks5h://user:password@hostname:port` (see
 * {@linkcode ProxyConfig.protocol} for the four schemes), or the same as an object.
 * @param target Name or IP address and port, also as `"example.com:443"`.
 *
 * @throws {SocksError} when there is no connection; nothing is left open then.
 * @throws {TypeError} when the arguments make no sense.
 *
 * @example
 * ```ts
 * import { serve } from "../server/serve.ts";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * await using conn = await connect(
 *   `socks5h://127.0.0.1:${proxy.addr.port}`,
 *   { hostname: "localhost", port: target.addr.port },
 *   { timeout: 5_000 },
 * );
 * const writer = conn.writable.getWriter();
 * await writer.write(Uint8Array.of(5, 1, 0));
 * const { value } = await conn.readable.getReader().read();
 * console.log(value); // Uint8Array [5, 0]
 * ```
 */
export async function connect(
  proxy: string | URL | ProxyConfig,
  target: string | Endpoint,
  options: ClientOptions = {},
): Promise<SocksConn> {
  const attempt = new Attempt(proxy, options);
  return await attempt.run(async () => {
    const wanted = parseTarget(target);
    const resolved = await resolveTarget(attempt.proxy, wanted, attempt.lookup);
    const conn = await attempt.dial();
    const bound = await attempt.request(COMMAND.connect, resolved);
    return new Tunnel(conn, bound);
  });
}
