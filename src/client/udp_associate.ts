/**
 * The command UDP ASSOCIATE: datagrams through a proxy.
 *
 * @module
 */

import {
  type Endpoint,
  formatEndpoint,
  isIp,
  isLoopback,
} from "../protocol/address.ts";
import { COMMAND } from "../protocol/socks5.ts";
import { NetError } from "../transport/errors.ts";
import type { Address, DatagramSocket } from "../transport/transport.ts";
import { Attempt } from "./attempt.ts";
import type { ClientDialect } from "./dialect.ts";
import { SocksError } from "./error.ts";
import { Inbox } from "./inbox.ts";
import { checkOptions, CLIENT_KEYS, type ClientOptions } from "./options.ts";
import { isHttp, type ProxyConfig } from "./proxy.ts";
import { Association, type UdpAssociation } from "./udp_association.ts";

/** Options of {@linkcode udpAssociate}. The time limit and the signal end with the promise. */
export interface UdpOptions extends ClientOptions {
  /**
   * Whether the request contains the local socket's address and port, so that the
   * proxy accepts datagrams only from there. Behind NAT the proxy sees another address,
   * and may then drop all datagrams. If that socket cannot reach the relay
   * that the proxy names (it has the other IP version, or only one of both is on
   * loopback), the rejection's code is `proxy-unreachable`.
   *
   * @default {false}
   */
  readonly announce?: boolean;
  /**
   * How many bytes may wait for their receiver; each datagram costs 256 more than
   * its payload. When the limit is reached, the newest datagrams are dropped.
   *
   * @default {1_048_576}
   */
  readonly queueLimit?: number;
}

/** The keys of {@linkcode UdpOptions}. */
export const UDP_KEYS: readonly string[] = [
  ...CLIENT_KEYS,
  "announce",
  "queueLimit",
];

const UNKNOWN: Endpoint = { hostname: "0.0.0.0", port: 0 };

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
  { announce = false, queueLimit = 1024 * 1024, conn: given }: UdpOptions,
): Promise<UdpAssociation> {
  const { dialect } = attempt;
  return attempt.run(async () => {
    checkQueueLimit(queueLimit);
    if (!dialect.hasDatagrams) throw noDatagrams(dialect);
    if (attempt.tls && !attempt.tls.plainDatagrams) throw plainDatagrams();
    const transport = await attempt.transport();
    const inbox = new Inbox(queueLimit, attempt.bounds.clock);
    const open = (hostname: string) =>
      attempt.open(transport.datagrams({ hostname, port: 0 }, inbox.receive));

    const raw = await attempt.dial();
    attempt.phase = "udp";
    // The local address of a given connection may have nothing to do with the route to the relay.
    let socket = await open(given ? "0.0.0.0" : raw.localAddr.hostname);
    const client = announce ? socket.addr : UNKNOWN;
    const granted = await attempt.request(COMMAND.udpAssociate, client);
    attempt.phase = "udp";
    const relay = await relayAddress(attempt, granted.bound, socket);
    if (!reaches(socket.addr.hostname, relay.hostname)) {
      if (announce) throw announcedInVain(socket.addr, relay);
      socket.close();
      socket = await open(await transport.sourceAddress(relay.hostname));
    }
    const { conn, datagrams: wrapper } = granted;
    const parts = { dialect, transport, conn, socket, relay, inbox, wrapper };
    return new Association(parts);
  });
}

function checkQueueLimit(limit: number): void {
  if (typeof limit === "number" && limit >= 0) return;
  throw new TypeError(
    `queueLimit must be a number of bytes, 0 or more, not ${limit}`,
  );
}

function noDatagrams(dialect: ClientDialect): SocksError {
  const name = isHttp(dialect) ? "HTTP" : "SOCKS4";
  const message = `${name} has no datagrams; use socks5: or socks5h:`;
  return new SocksError("unsupported", message, { phase: "udp" });
}

function plainDatagrams(): SocksError {
  const message =
    "TLS encrypts only the request, and the datagrams would be sent " +
    "in clear: set tls.plainDatagrams to true if that is what you want";
  return new SocksError("unsupported", message, { phase: "udp" });
}

/** Another socket would reach the relay, but the relay accepts nothing from it. */
function announcedInVain(announced: Address, relay: Address): NetError {
  const [from, to] = [announced, relay].map(formatEndpoint);
  return new NetError(
    "net-unreachable",
    `the relay ${to} cannot be reached from ${from}, which was announced; leave announce out`,
  );
}

/** The relay's IP address, of the socket's IP version if there is a choice. */
async function relayAddress(
  attempt: Attempt,
  bound: Endpoint,
  socket: DatagramSocket,
): Promise<Address> {
  const { hostname, port } = attempt.reachable(bound);
  if (port === 0) {
    const message = "the proxy names no port of its relay";
    throw new SocksError("protocol", message, { phase: "udp" });
  }
  if (isIp(hostname)) return { hostname, port };
  const found = await attempt.lookup(hostname);
  const version = isIp(socket.addr.hostname);
  const address = found.find((it) => isIp(it) === version) ?? found[0];
  return { hostname: address, port };
}

/** Whether datagrams from one address can reach the other, judging by the addresses alone. */
function reaches(local: string, relay: string): boolean {
  if (isIp(local) !== isIp(relay)) return false;
  return local === "0.0.0.0" || isLoopback(local) === isLoopback(relay);
}
