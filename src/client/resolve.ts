/**
 * The commands RESOLVE and RESOLVE_PTR of Tor (`socks-extensions.txt`): look-ups by a
 * proxy.
 *
 * @module
 */

import { Attempt } from "./attempt.ts";
import { checkOptions, CLIENT_KEYS, type ClientOptions } from "./options.ts";
import type { ProxyConfig } from "./proxy.ts";

/**
 * Asks the proxy to resolve a name, and returns its IP address. A reply carries only one
 * address: Tor and this library's server (with its option `resolve`) prefer IPv4. Few
 * other proxies have the command.
 *
 * @param proxy As in {@linkcode connect}, except that the proxy resolves the name also
 * with `socks5:`. SOCKS4 has no look-ups, SOCKS4a only those of IPv4 addresses.
 * @param hostname The name, without a port.
 *
 * @throws {SocksError} with code `rejected` when the proxy finds no address or does not
 * have the command (`reply` 7), `unsupported` with `socks4:`, or as `connect()` does.
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { resolve } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0, resolve: true });
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * console.log(await resolve(url, "localhost")); // 127.0.0.1
 * ```
 */
export async function resolve(
  proxy: string | URL | ProxyConfig,
  hostname: string,
  options: ClientOptions = {},
): Promise<string> {
  checkOptions(options, CLIENT_KEYS, "resolve");
  return await resolveBy(new Attempt(proxy, options), hostname);
}

/**
 * Asks the proxy for the name of an IP address, as {@linkcode resolve} finds the
 * address of a name. Only SOCKS5 has the command.
 *
 * @param address An IP address, without a port.
 *
 * @throws {SocksError} as `resolve()` does; with code `unsupported` also with `socks4a:`.
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { reverse } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0, resolve: true });
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * console.log(await reverse(url, "127.0.0.1")); // localhost, or another name of this machine
 * ```
 */
export async function reverse(
  proxy: string | URL | ProxyConfig,
  address: string,
  options: ClientOptions = {},
): Promise<string> {
  checkOptions(options, CLIENT_KEYS, "reverse");
  return await reverseBy(new Attempt(proxy, options), address);
}

/** Runs an attempt at RESOLVE. */
export function resolveBy(attempt: Attempt, hostname: string): Promise<string> {
  return attempt.run(async () => {
    const { lookUpAddress } = await import("./look_up.ts");
    return await lookUpAddress(attempt, hostname);
  });
}

/** Runs an attempt at RESOLVE_PTR. */
export function reverseBy(attempt: Attempt, address: string): Promise<string> {
  return attempt.run(async () => {
    const { lookUpName } = await import("./look_up.ts");
    return await lookUpName(attempt, address);
  });
}
