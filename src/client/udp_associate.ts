/**
 * The command UDP ASSOCIATE: datagrams through a proxy.
 *
 * @module
 */

import { Attempt } from "./attempt.ts";
import { checkOptions } from "./options.ts";
import type { ProxyConfig } from "./proxy.ts";
import type { UdpAssociation } from "./udp_association.ts";
import { UDP_KEYS, type UdpOptions } from "./udp_options.ts";

/**
 * Sends and receives UDP datagrams through a SOCKS5 proxy.
 *
 * Only the request travels through the connection to the proxy, also with the
 * option `conn`: the datagrams are sent directly from this machine to the
 * address that the proxy names. They are neither encrypted nor authenticated,
 * unless the authentication method does that. Therefore protocols such as `socks5+tls` need
 * the option {@linkcode TlsOptions.plainDatagrams}.
 *
 * @param proxy As in {@linkcode connect}; SOCKS4 and HTTP have no datagrams.
 *
 * @throws {SocksError} when there is no association (with code `unsupported`
 * for `socks4:`, `socks4a:` and `http:`); nothing is left open then.
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { udpAssociate } from "@x/socks5/client";
 * import { serve } from "@x/socks5/server";
 * import { createSocket } from "node:dgram";
 *
 * await using proxy = await serve({ port: 0 });
 * const target = createSocket("udp4"); // sends everything back
 * target.on("message", (payload, { port, address }) => target.send(payload, port, address));
 * await new Promise<void>((resolve) => target.bind(0, "127.0.0.1", resolve));
 *
 * await using udp = await udpAssociate(`socks5h://127.0.0.1:${proxy.addr.port}`);
 * await udp.send(Uint8Array.of(1, 2, 3), `127.0.0.1:${target.address().port}`);
 * for await (const [payload, from] of udp) {
 *   console.log(payload, from.hostname); // Uint8Array [1, 2, 3] 127.0.0.1
 *   break;
 * }
 * target.close();
 * ```
 */
export async function udpAssociate(
  proxy: string | URL | ProxyConfig,
  options: UdpOptions = {},
): Promise<UdpAssociation> {
  checkOptions(options, UDP_KEYS, "udpAssociate");
  return await udpAssociateBy(new Attempt(proxy, options), options);
}

/** Runs an attempt at UDP ASSOCIATE. */
export function udpAssociateBy(
  attempt: Attempt,
  options: UdpOptions,
): Promise<UdpAssociation> {
  return attempt.run(async () => {
    const { openAssociation } = await import("./open_association.ts");
    return await openAssociation(attempt, options);
  });
}
