/**
 * Finds the rules that may match a request, without comparing it with each of them.
 *
 * @module
 */

import type { Cidr } from "../../protocol/address.ts";
import { BlockMap } from "./block_map.ts";
import type { CompiledRule } from "./compiled_rule.ts";

/** The numbers of rules, in ascending order. */
type Numbers = number[];

/** The keys by which the rules that may match are looked up. */
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
  readonly #blocks = new BlockMap<Numbers>();
  /** Those with blocks: before its address is known, a name may be in any of them. */
  readonly #allowedBlocks: Numbers = [];
  readonly #deniedBlocks: Numbers = [];
  readonly #users = new Map<string, Numbers>();
  readonly #clients = new BlockMap<Numbers>();
  readonly #others: Numbers = [];

  constructor(rules: readonly CompiledRule[]) {
    rules.forEach((rule, number) => this.#add(rule, number));
  }

  #add({ targets, users, from, allows }: CompiledRule, number: number): void {
    if (targets?.every(({ isAny, list }) => !isAny && !list)) {
      for (const { name, suffix, block } of targets) {
        if (name !== undefined) put(this.#names, name, number);
        else if (suffix !== undefined) put(this.#suffixes, suffix, number);
        else if (block) putBlock(this.#blocks, block, number);
      }
      if (!targets.some(({ block }) => block)) return;
      (allows ? this.#allowedBlocks : this.#deniedBlocks).push(number);
    } else if (users && users[0] !== "*") {
      for (const user of users) put(this.#users, user, number);
    } else if (from) {
      for (const block of from) putBlock(this.#clients, block, number);
    } else this.#others.push(number);
  }

  /** Finds the rules that may match. */
  find({ hostname, address, user, client }: LookupKeys): Candidates {
    const found = new Candidates(this.#deniedBlocks);
    found.add(this.#others);
    found.add(this.#names.get(hostname));
    if (this.#suffixes.size > 0) this.#findSuffixes(hostname, found);
    if (user !== undefined) found.add(this.#users.get(user));
    if (client) found.addFrom(this.#clients, client);
    if (address) found.addFrom(this.#blocks, address);
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

  /** Adds the lists of the blocks that contain an address. */
  addFrom(blocks: BlockMap<Numbers>, address: Uint8Array): void {
    blocks.some(address, (list) => {
      this.add(list);
      return false;
    });
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

function put(lists: Map<string, Numbers>, key: string, number: number): void {
  const list = lists.get(key);
  if (list) append(list, number);
  else lists.set(key, [number]);
}

function putBlock(
  lists: BlockMap<Numbers>,
  block: Cidr,
  number: number,
): void {
  append(lists.getOrSet(block, () => []), number);
}

/** Appends a number, unless it is the last one. */
function append(list: Numbers, number: number): void {
  if (list.at(-1) !== number) list.push(number);
}
