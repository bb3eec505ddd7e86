/**
 * Datagrams through a proxy: the command UDP ASSOCIATE.
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
import type { Address, DatagramSocket } from "../transport/transport.ts";
import { NetError } from "../transport/errors.ts";
import { Attempt, type ClientOptions } from "./attempt.ts";
import { SocksError } from "./error.ts";
import { Inbox } from "./inbox.ts";
import { isSocks4, type ProxyConfig } from "./proxy.ts";
import { Association, type UdpAssociation } from "./udp_association.ts";

/** Options of {@linkcode udpAssociate}. The time and the signal end with the promise. */
export interface UdpOptions extends ClientOptions {
  /**
   * Whether to tell the proxy our socket's address and port, so that it lets
   * nobody else use the association; behind NAT they are not what the proxy
   * sees, and it may then let nobody. Where that socket does not reach the relay
   * that the proxy names (of the other IP version, or only one of both is on
   * loopback), the rejection's code is `proxy-unreachable`.
   *
   * @default {false}
   */
  readonly announce?: boolean;
  /**
   * Octets that may wait until somebody asks for them, of which each datagram
   * costs 256 more than it carries; when it is reached, the newest are lost.
   *
   * @default {1_048_576}
   */
  readonly queueLimit?: number;
}

const UNKNOWN: Endpoint = { hostname: "0.0.0.0", port: 0 };

/**
 * Sends and receives UDP datagrams through a SOCKS5 proxy.
 *
 * Only the request travels through the connection to the proxy, also where that
 * is one of your own (option `conn`): the datagrams go straight from this
 * machine to the address that the proxy names. They are neither encrypted nor
 * authenticated.
 *
 * @param proxy As in {@linkcode connect}; SOCKS4 has no datagrams.
 *
 * @throws {SocksError} when there is no association (with code `unsupported`
 * for `socks4:` and `socks4a:`); nothing is left open then.
 * @throws {TypeError} when the arguments make no sense.
 *
 * @example
 * ```ts
 * import { serve } from "../server/serve.ts";
 * import { detectTransport } from "../transport/detect.ts";
 *
 * await using proxy = await serve({ port: 0 });
 * const transport = await detectTransport();
 * const target = await transport.datagrams( // sends everything back
 *   { hostname: "127.0.0.1", port: 0 },
 *   (payload, hostname, port) => target.send(payload, hostname, port),
 * );
 *
 * await using udp = await udpAssociate(`socks5h://127.0.0.1:${proxy.addr.port}`);
 * await udp.send(Uint8Array.of(1, 2, 3), target.addr);
 * for await (const [payload, from] of udp) {
 *   console.log(payload, from.port === target.addr.port); // Uint8Array [1, 2, 3] true
 *   break;
 * }
 * target.close();
 * ```
 */
export async function udpAssociate(
  proxy: string | URL | ProxyConfig,
  options: UdpOptions = {},
): Promise<UdpAssociation> {
  const { announce = false, queueLimit = 1024 * 1024 } = options;
  const attempt = new Attempt(proxy, options);
  return await attempt.run(async () => {
    if (isSocks4(attempt.proxy)) throw noDatagrams();
    const transport = await attempt.transport();
    const inbox = new Inbox(queueLimit);
    const open = (hostname: string) =>
      attempt.open(transport.datagrams({ hostname, port: 0 }, inbox.receive));

    const conn = await attempt.dial();
    attempt.phase = "udp";
    // The local end of somebody's tunnel says nothing of the way to the relay.
    let socket = await open(options.conn ? "0.0.0.0" : conn.localAddr.hostname);
    const asker = announce ? socket.addr : UNKNOWN;
    const bound = await attempt.request(COMMAND.udpAssociate, asker);
    attempt.phase = "udp";
    const relay = await relayAddress(attempt, bound, socket);
    if (!reaches(socket.addr.hostname, relay.hostname)) {
      if (announce) throw announcedInVain(socket.addr, relay);
      socket.close();
      const source = transport.sourceAddress(relay.hostname);
      socket = await open(await attempt.wait(source));
    }
    const parts = { transport, conn, socket, relay, inbox };
    return new Association({ proxy: attempt.proxy, ...parts });
  });
}

function noDatagrams(): SocksError {
  const message = "SOCKS4 has no datagrams; use socks5: or socks5h:";
  return new SocksError("unsupported", message, { phase: "udp" });
}

/** Another socket would reach the relay, which takes nothing from it. */
function announcedInVain(announced: Address, relay: Address): NetError {
  const [from, to] = [announced, relay].map(formatEndpoint);
  return new NetError(
    "net-unreachable",
    `its relay ${to} is not reached from ${from}, which was announced; leave announce out`,
  );
}

/** The relay's IP address, of the socket's family if there is a choice. */
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
  const family = isIp(socket.addr.hostname);
  const fitting = found.find((it) => isIp(it) === family);
  return { hostname: fitting ?? found[0], port };
}

/** Whether datagrams from one address get to the other, as far as they tell. */
function reaches(local: string, relay: string): boolean {
  if (isIp(local) !== isIp(relay)) return false;
  return local === "0.0.0.0" || isLoopback(local) === isLoopback(relay);
}
