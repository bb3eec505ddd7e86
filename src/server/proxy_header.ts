/**
 * Reads the header of the PROXY protocol, by which a load balancer names the client.
 *
 * @module
 */

import { type Cidr, cidrContains } from "../protocol/cidr.ts";
import { decodeProxyHeader } from "../protocol/proxy_header.ts";
import { MessageReader } from "../transport/message_reader.ts";
import type { Conn } from "../transport/transport.ts";
import type { Accepted, AcceptHook } from "./accept.ts";

/**
 * Reads the header of connections from these addresses, which must begin with one; others
 * are served as they are. Sessions behind a header are exposed, whatever client it names:
 * the balancer may serve the whole Internet from loopback. TLS starts only after the header.
 */
export function proxyHeaderHook(from: readonly Cidr[]): AcceptHook {
  return {
    name: "the PROXY header",
    failure: "no valid PROXY header",
    countsProbes: true,
    knowsClient: false,
    accept(conn) {
      const { hostname } = conn.remoteAddr;
      if (hostname === "") return undefined; // reset before it was accepted
      const isBalancer = from.some((it) => cidrContains(it, hostname));
      return isBalancer ? readHeader(conn) : { conn };
    },
  };
}

async function readHeader(conn: Conn): Promise<Accepted | undefined> {
  const isProbe = !await conn.peek().catch(() => false);
  if (isProbe) return undefined;
  const reader = new MessageReader(conn);
  const { source, destination } = await reader.read(decodeProxyHeader);
  const origin = source && { client: source, destination };
  return { conn: reader.release(), exposed: true, ...origin };
}
