/**
 * Values of blocks of addresses, looked up by an address.
 *
 * @module
 */

import type { Cidr } from "../../protocol/address.ts";
import { embeddedOctets, isMapped } from "../../protocol/ip.ts";

/** Values by blocks of addresses. */
export class BlockMap<T> {
  /** By the length of the prefix, and then by the octets of the prefix. */
  readonly #ipv4 = new Map<number, Map<string, T>>();
  readonly #ipv6 = new Map<number, Map<string, T>>();
  #size = 0;

  /** The number of different blocks. */
  get size(): number {
    return this.#size;
  }

  /** Returns the value of a block, after setting it if there is none. */
  getOrSet({ network, prefix }: Cidr, initial: () => T): T {
    const table = network.length === 4 ? this.#ipv4 : this.#ipv6;
    let blocks = table.get(prefix);
    if (!blocks) table.set(prefix, blocks = new Map());
    const key = keyOf(network, prefix);
    let value = blocks.get(key);
    if (value === undefined) {
      blocks.set(key, value = initial());
      this.#size++;
    }
    return value;
  }

  /**
   * Calls `use` with the values of the blocks that contain the address, given as octets,
   * until it returns true; returns whether it did. An IPv6 address is also in the blocks of
   * the IPv4 address that it embeds, and the unspecified address, to which sockets connect
   * on loopback, also in those of loopback.
   */
  some(address: Uint8Array, use: (value: T) => boolean): boolean {
    if (address.length === 0) return false;
    const ipv4 = address.length === 4 ? address : embeddedOctets(address);
    if (ipv4 && someOf(this.#ipv4, ipv4, use)) return true;
    const isIpv6 = address.length === 16 && !(ipv4 && isMapped(address));
    if (isIpv6 && someOf(this.#ipv6, address, use)) return true;
    if ((ipv4 ?? address).some((octet) => octet !== 0)) return false;
    return ipv4
      ? someOf(this.#ipv4, LOOPBACK_IPV4, use)
      : someOf(this.#ipv6, LOOPBACK_IPV6, use);
  }
}

const LOOPBACK_IPV4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_IPV6 = new Uint8Array(16).fill(1, 15);

function someOf<T>(
  table: ReadonlyMap<number, ReadonlyMap<string, T>>,
  address: Uint8Array,
  use: (value: T) => boolean,
): boolean {
  for (const [prefix, blocks] of table) {
    const value = blocks.get(keyOf(address, prefix));
    if (value !== undefined && use(value)) return true;
  }
  return false;
}

/** The first `prefix` bits of an address, as text. */
function keyOf(address: Uint8Array, prefix: number): string {
  let key = "";
  for (let i = 0; 8 * i < prefix; i++) {
    const kept = Math.min(prefix - 8 * i, 8);
    key += String.fromCharCode(address[i] & 0xff00 >> kept);
  }
  return key;
}
