/**
 * Addresses and prefixes after `via` that this machine cannot connect from.
 *
 * @module
 */

import { type Cidr, parseCidr } from "../../protocol/cidr.ts";
import { formatIp } from "../../protocol/ip.ts";
import { systemClock } from "../../transport/clock.ts";
import { NetError } from "../../transport/errors.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import type { Transport } from "../../transport/transport.ts";

/** How long a datagram of this machine to itself may take, in milliseconds. */
const TIMEOUT = 500;
/** How many are checked at the same time; each needs a file descriptor. */
const AT_ONCE = 128;

type Problem = "no-address" | "no-route";

/**
 * Returns a warning for each address that this machine does not have, and for each prefix that
 * is not set up. Sends a datagram from an address of each to itself.
 */
export async function viaWarnings(
  via: readonly string[],
  transport: Transport,
): Promise<string[]> {
  const problems: (Problem | undefined)[] = [];
  for (let i = 0; i < via.length; i += AT_ONCE) {
    const some = via.slice(i, i + AT_ONCE);
    const checks = some.map((it) => problemOf(parseCidr(it)!, transport));
    problems.push(...await Promise.all(checks));
  }
  return via.flatMap((text, i) => {
    const problem = problems[i];
    return problem ? [warningText(text, problem)] : [];
  });
}

function warningText(text: string, problem: Problem): string {
  if (!text.includes("/")) {
    return problem === "no-address"
      ? `via ${text}: this machine does not have the address`
      : `via ${text}: answers to the address do not reach this machine`;
  }
  const isV6 = text.includes(":");
  const route = `ip ${isV6 ? "-6 " : ""}route add local ${text} dev lo`;
  const setting = "sysctl -w net.ipv6.ip_nonlocal_bind=1";
  if (problem === "no-route") {
    return `via ${text}: the prefix does not lead to this machine; on Linux run: ${route}`;
  }
  return `via ${text}: this machine cannot use the addresses of the prefix; on Linux run: ` +
    (isV6 ? `${route} && ${setting}` : route);
}

async function problemOf(
  block: Cidr,
  transport: Transport,
): Promise<Problem | undefined> {
  const hostname = exampleOf(block);
  if (transport.ownAddresses?.().includes(hostname)) return undefined;
  try {
    const isReached = await reachesItself(hostname, transport);
    return isReached ? undefined : "no-route";
  } catch (error) {
    const { kind } = error as NetError;
    const isMissing = error instanceof NetError &&
      kind === "addr-not-available";
    return isMissing ? "no-address" : undefined; // otherwise it is not known
  }
}

/** An address of the block: the second one if there are more than two. */
function exampleOf({ network, prefix }: Cidr): string {
  const octets = network.slice();
  const bits = network.length * 8 - prefix;
  if (bits > 1) octets[octets.length - 1] |= 1;
  return formatIp(octets);
}

/** Whether a datagram from the address to itself arrives; rejects if no socket can have it. */
async function reachesItself(
  hostname: string,
  { datagrams, clock = systemClock }: Transport,
): Promise<boolean> {
  let settle!: (isReached: boolean) => void;
  const isReached = new Promise<boolean>((resolve) => settle = resolve);
  const socket = await datagrams({ hostname, port: 0 }, () => settle(true));
  const timeout = clock.startTimeout(TIMEOUT, () => settle(false));
  try {
    socket.send(Uint8Array.of(0), hostname, socket.addr.port);
    return await isReached;
  } finally {
    timeout.cancel();
    closeQuietly(socket);
  }
}
