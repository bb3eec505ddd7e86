/**
 * Attempts at UDP ASSOCIATE, which few programs make: the module is loaded by the first.
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
import type { Attempt } from "./attempt.ts";
import type { ClientDialect } from "./dialect.ts";
import { SocksError } from "./error.ts";
import { Inbox } from "./inbox.ts";
import { isHttp } from "./proxy.ts";
import { Association, type UdpAssociation } from "./udp_association.ts";
import type { UdpOptions } from "./udp_options.ts";

const UNKNOWN: Endpoint = { hostname: "0.0.0.0", port: 0 };

/** Opens an association within the bounds of the attempt. */
export async function openAssociation(
  attempt: Attempt,
  { announce = false, queueLimit = 1024 * 1024, conn: given }: UdpOptions,
): Promise<UdpAssociation> {
  const { dialect } = attempt;
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
