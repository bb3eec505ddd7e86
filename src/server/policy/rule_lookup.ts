/**
 * Finds the rules that may match a request, without comparing it with each of them.
 *
 * @module
 */

import type { Cidr } from "../../protocol/address.ts";
import { embeddedOctets } from "../../protocol/ip.ts";
import type { CompiledRule } from "./compiled_rule.ts";

/** The numbers of rules, in ascending order. */
type Numbers = number[];

/** What the rules that may match are looked up by. */
export interface LookupKeys {
  /** The hostname of the target. */
  readonly hostname: string;
  /**
   * The octets of the target's address, none if it is no IP address; `undefined` if it is
   * not known yet.
   */
  readonly address: Uint8Array | undefined;
  readonly user: string | undefined;
  /** The octets of the client's address. */
  readonly client: Uint8Array | undefined;
}

/**
 * An index of rules by their targets, or if they have none by their users, or else by
 * their clients.
 */
export class RuleLookup {
  readonly #names = new Map<string, Numbers>();
  /** With the leading dot. */
  readonly #suffixes = new Map<string, Numbers>();
  readonly #blocks = new BlockTable();
  /** Those with blocks: before its address is known, a name may be in any of them. */
  readonly #allowedBlocks: Numbers = [];
  readonly #deniedBlocks: Numbers = [];
  readonly #users = new Map<string, Numbers>();
  readonly #clients = new BlockTable();
  readonly #others: Numbers = [];

  constructor(rules: readonly CompiledRule[]) {
    rules.forEach((rule, number) => this.#add(rule, number));
  }

  #add({ targets, users, from, allows }: CompiledRule, number: number): void {
    if (targets?.every(({ isAny }) => !isAny)) {
      for (const { name, suffix, block } of targets) {
        if (name !== undefined) append(this.#names, name, number);
        else if (suffix !== undefined) append(this.#suffixes, suffix, number);
        else if (block) this.#blocks.add(block, number);
      }
      if (!targets.some(({ block }) => block)) return;
      (allows ? this.#allowedBlocks : this.#deniedBlocks).push(number);
    } else if (users && users[0] !== "*") {
      for (const user of users) append(this.#users, user, number);
    } else if (from) {
      for (const block of from) this.#clients.add(block, number);
    } else this.#others.push(number);
  }

  /** Finds the rules that may match. */
  find({ hostname, address, user, client }: LookupKeys): Candidates {
    const found = new Candidates(this.#deniedBlocks);
    found.add(this.#others);
    found.add(this.#names.get(hostname));
    if (this.#suffixes.size > 0) this.#findSuffixes(hostname, found);
    if (user !== undefined) found.add(this.#users.get(user));
    if (client) this.#clients.find(client, found);
    if (address) this.#blocks.find(address, found);
    else {
      found.add(this.#allowedBlocks);
      found.add(this.#deniedBlocks);
    }
    return found;
  }

  #findSuffixes(hostname: string, found: Candidates): void {
    for (let at = -1; (at = hostname.indexOf(".", at + 1)) >= 0;) {
      found.add(this.#suffixes.get(hostname.slice(at)));
    }
  }
}

/** The numbers of the rules that may match, each once, in ascending order. */
export class Candidates {
  readonly #lists: Numbers[] = [];
  readonly #positions: number[] = [];
  readonly #deniedBlocks: Numbers;

  constructor(deniedBlocks: Numbers) {
    this.#deniedBlocks = deniedBlocks;
  }

  /** Adds a list. */
  add(list: Numbers | undefined): void {
    if (!list || list.length === 0) return;
    this.#lists.push(list);
    this.#positions.push(0);
  }

  /** The next number, or `undefined` if there are no more. */
  next(): number | undefined {
    let least: number | undefined;
    for (let i = 0; i < this.#lists.length; i++) {
      const number = this.#lists[i][this.#positions[i]];
      if (least === undefined || number < least) least = number;
    }
    for (let i = 0; i < this.#lists.length; i++) {
      if (this.#lists[i][this.#positions[i]] === least) this.#positions[i]++;
    }
    return least;
  }

  /** Leaves out the rules that deny only blocks, from now on. */
  skipDeniedBlocks(): void {
    const index = this.#lists.indexOf(this.#deniedBlocks);
    if (index >= 0) this.#positions[index] = Infinity;
  }
}

/** Rules by blocks of addresses. */
class BlockTable {
  /** By the length of the prefix, and then by the octets of the prefix. */
  readonly #ipv4 = new Map<number, Map<string, Numbers>>();
  readonly #ipv6 = new Map<number, Map<string, Numbers>>();

  add({ network, prefix }: Cidr, number: number): void {
    const table = network.length === 4 ? this.#ipv4 : this.#ipv6;
    let blocks = table.get(prefix);
    if (!blocks) table.set(prefix, blocks = new Map());
    append(blocks, keyOf(network, prefix), number);
  }

  /**
   * Adds the rules whose blocks contain the address. An IPv6 address is also in the blocks
   * of the IPv4 address that it embeds, and the unspecified address in those of loopback.
   */
  find(address: Uint8Array, found: Candidates): void {
    if (address.length === 0) return;
    const ipv4 = address.length === 4 ? address : embeddedOctets(address);
    if (ipv4) find(this.#ipv4, ipv4, found);
    if (address.length === 16) find(this.#ipv6, address, found);
    const used = ipv4 ?? address;
    if (used.some((octet) => octet !== 0)) return;
    if (ipv4) find(this.#ipv4, LOOPBACK_IPV4, found);
    else find(this.#ipv6, LOOPBACK_IPV6, found);
  }
}

const LOOPBACK_IPV4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_IPV6 = new Uint8Array(16).fill(1, 15);

function find(
  table: ReadonlyMap<number, ReadonlyMap<string, Numbers>>,
  address: Uint8Array,
  found: Candidates,
): void {
  for (const [prefix, blocks] of table) {
    found.add(blocks.get(keyOf(address, prefix)));
  }
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

/** Appends a number, unless it is the last one. */
function append(
  lists: Map<string, Numbers>,
  key: string,
  number: number,
): void {
  const list = lists.get(key);
  if (!list) lists.set(key, [number]);
  else if (list.at(-1) !== number) list.push(number);
}
