/**
 * The network interfaces of this machine, which Deno lists only with a permission.
 *
 * @module
 */

/** The members of `Deno` that are used here. */
export interface DenoInterfaces {
  /** Returns all addresses of this machine; needs a permission. */
  networkInterfaces(): DenoInterface[];
  /** The permissions of the process. */
  readonly permissions: {
    querySync(
      wanted: { name: "sys"; kind: "networkInterfaces" },
    ): { state: string };
  };
}

/** An address of this machine. */
export interface DenoInterface {
  readonly family: "IPv4" | "IPv6";
  readonly address: string;
  /** The address and the prefix of its network: `192.0.2.1/24`. `null` if the mask has gaps. */
  readonly cidr: string | null;
  /** The number of the link that a link-local address belongs to; 0 or `null` for all others. */
  readonly scopeid: number | null;
}

const deno = (globalThis as unknown as { Deno: DenoInterfaces }).Deno;

/** Returns none without the permission: otherwise Deno would prompt for it. */
function interfaces(): DenoInterface[] {
  const wanted = { name: "sys", kind: "networkInterfaces" } as const;
  if (deno.permissions.querySync(wanted).state !== "granted") return [];
  return deno.networkInterfaces();
}

/** Implements {@linkcode Transport.ownAddresses}. */
export function ownAddresses(): string[] {
  return interfaces().map(({ address }) => address);
}

/**
 * Returns the address of this machine on the network that an IP address belongs to, or
 * `undefined` if it belongs to none, or if the interfaces cannot be listed.
 */
export async function addressTowards(
  hostname: string,
): Promise<string | undefined> {
  try {
    return await nearestOf(interfaces(), hostname);
  } catch {
    return undefined; // for example because a service manager forbids netlink sockets
  }
}

/**
 * Returns the address whose network has the longest prefix and contains `hostname`. That
 * is the one which the kernel prefers, unless there are routes of another kind. The
 * network of a link-local address is on every link, so that it is no answer.
 */
export async function nearestOf(
  interfaces: readonly DenoInterface[],
  hostname: string,
): Promise<string | undefined> {
  const { BlockList } = await import("node:net");
  const version = hostname.includes(":") ? "IPv6" : "IPv4";
  const type = version === "IPv6" ? "ipv6" : "ipv4";
  let nearest: string | undefined;
  let longest = -1;
  for (const { family, address, cidr, scopeid } of interfaces) {
    if (address === hostname) return address;
    if (family !== version || scopeid || !cidr) continue;
    const prefix = Number(cidr.split("/")[1]);
    const network = new BlockList();
    network.addSubnet(address, prefix, type);
    if (prefix <= longest || !network.check(hostname, type)) continue;
    nearest = address;
    longest = prefix;
  }
  return nearest;
}
