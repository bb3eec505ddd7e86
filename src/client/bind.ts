/**
 * The command BIND: connections from peers to a port of the proxy.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import { COMMAND } from "../protocol/socks5.ts";
import { Attempt } from "./attempt.ts";
import { SocksError } from "./error.ts";
import { checkOptions, CLIENT_KEYS, type ClientOptions } from "./options.ts";
import type { ProxyConfig } from "./proxy.ts";
import type { SocksListener } from "./socks_listener.ts";
import { parseTarget, resolveTarget } from "./target.ts";

const ANYONE: Endpoint = { hostname: "0.0.0.0", port: 0 };

/**
 * Asks a SOCKS proxy to listen for one connection from a peer, as active FTP
 * requires. The proxy chooses the port.
 *
 * @param proxy As in {@linkcode connect}.
 * @param peer The peer that may connect: a name or an IP address, also as text.
 * Proxies check its address; the port is only a hint, and may be omitted. Without
 * a peer (or with `0.0.0.0`) anyone may connect, if the proxy allows that.
 * @param options The time limit and the signal end with the promise; `accept` has its own.
 *
 * @throws {SocksError} when the proxy does not listen (with code `unsupported` for
 * `http:`); nothing is left open then.
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { bind, connect } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 *
 * await using listener = await bind(url, "127.0.0.1");
 * await using peer = await connect(url, listener.addr); // any program on that host
 * await using conn = await listener.accept({ timeout: 5_000 });
 *
 * await peer.write(Uint8Array.of(1, 2, 3));
 * console.log(conn.peerAddr.hostname, await conn.read()); // 127.0.0.1 Uint8Array [1, 2, 3]
 * ```
 */
export async function bind(
  proxy: string | URL | ProxyConfig,
  peer: string | Endpoint = ANYONE,
  options: ClientOptions = {},
): Promise<SocksListener> {
  checkOptions(options, CLIENT_KEYS, "bind");
  return await bindBy(new Attempt(proxy, options), peer);
}

/** Runs an attempt at BIND. */
export function bindBy(
  attempt: Attempt,
  peer: string | Endpoint = ANYONE,
): Promise<SocksListener> {
  return attempt.run(async () => {
    if (!attempt.dialect.hasBind) throw noBind();
    const wanted = await resolveTarget(attempt, parseTarget(peer, 0));
    const { conn, bound } = await attempt.request(COMMAND.bind, wanted);
    const addr = attempt.reachable(bound);
    const { BoundPort } = await import("./socks_listener.ts"); // seldom needed
    return new BoundPort(attempt, conn, addr);
  });
}

/** The error for a protocol without BIND. */
export function noBind(): SocksError {
  const message = "HTTP has no BIND; use socks5: or socks5h:";
  return new SocksError("unsupported", message, { phase: "bind" });
}
