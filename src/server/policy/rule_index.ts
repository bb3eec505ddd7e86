/**
 * Finds the parts of rules that may match the same requests as another part, without
 * comparing each with each.
 *
 * @module
 */

import type { Cidr } from "../../protocol/address.ts";
import type { Part } from "./rule_part.ts";

/**
 * The maximum number of parts returned for a part. It bounds the work for lists whose
 * rules all overlap.
 */
const MAX_FOUND = 300;

/**
 * An index of parts by their host, or if they have none by their clients, or else by
 * their users.
 *
 * Only parts that can help to cover another part are returned. A part without a host also
 * matches hosts that occur in no rule, so that parts with a host cannot help. The same
 * holds for clients and users.
 */
export class RuleIndex {
  readonly #blocks: BlockIndex;
  readonly #names = new Map<string, Part[]>();
  readonly #clients: BlockIndex;
  readonly #users = new Map<string, Part[]>();
  /** The parts that name neither a host nor a client nor a user. */
  readonly #others: Part[] = [];

  /** An index for these parts, which {@linkcode RuleIndex.add} adds. */
  constructor(parts: readonly Part[]) {
    this.#blocks = new BlockIndex(
      parts.flatMap(({ target }) => target?.block ?? []),
    );
    this.#clients = new BlockIndex(parts.flatMap(({ from }) => from ?? []));
  }

  add(part: Part): void {
    const { from, users, target } = part;
    const { block, name, suffix } = target ?? {};
    const host = name ?? suffix;
    if (block) return this.#blocks.add(block, part);
    if (host !== undefined) return push(this.#names, host, part);
    if (from) return from.forEach((it) => this.#clients.add(it, part));
    if (!users || users[0] === "*") return append(this.#others, part);
    for (const user of users) push(this.#users, user, part);
  }

  /**
   * Returns parts that may help to cover this one, in the order of their rules. `users`
   * are the names of its users, if they are known.
   */
  overlapping(
    { from = [], target }: Part,
    users: readonly string[],
  ): readonly Part[] {
    const { block, name, suffix } = target ?? {};
    const sources = [
      ...namesCovering(suffix ?? name).map((it) => this.#names.get(it)),
      ...block ? this.#blocks.overlapping(block) : [],
      ...from.flatMap((it) => this.#clients.overlapping(it)),
      ...users.map((it) => this.#users.get(it)),
      this.#others,
    ];
    const found = new Set<Part>();
    for (const parts of sources) {
      for (const part of parts ?? []) {
        if (found.size === MAX_FOUND) break;
        found.add(part);
      }
    }
    return [...found].sort((a, b) => a.rule - b.rule);
  }
}

/** A name or a suffix (with its leading dot), and the suffixes that contain it. */
function namesCovering(host: string | undefined): string[] {
  if (host === undefined) return [];
  const covering = [host];
  let dot = host.indexOf(".", 1);
  while (dot !== -1) {
    covering.push(host.slice(dot));
    dot = host.indexOf(".", dot + 1);
  }
  return covering;
}

/** An index of parts by blocks of addresses. */
class BlockIndex {
  /** The lengths of the prefixes that occur, by the length of the addresses. */
  readonly #prefixes: ReadonlyMap<number, ReadonlySet<number>>;
  readonly #exact = new Map<string, Part[]>();
  /** By each block of such a prefix that contains that of the part. */
  readonly #within = new Map<string, Part[]>();

  /** An index for parts with these blocks. */
  constructor(blocks: readonly Cidr[]) {
    const prefixes = new Map([4, 16].map((it) => [it, new Set<number>()]));
    for (const { network, prefix } of blocks) {
      prefixes.get(network.length)!.add(prefix);
    }
    this.#prefixes = prefixes;
  }

  add(block: Cidr, part: Part): void {
    push(this.#exact, keyOf(block, block.prefix), part);
    for (const key of this.#containing(block)) push(this.#within, key, part);
  }

  /** Returns the parts whose blocks contain this one, or are in it. */
  overlapping(block: Cidr): (readonly Part[] | undefined)[] {
    return [
      ...this.#containing(block).map((key) => this.#exact.get(key)),
      this.#within.get(keyOf(block, block.prefix)),
    ];
  }

  #containing(block: Cidr): string[] {
    return [...this.#prefixes.get(block.network.length)!]
      .filter((prefix) => prefix <= block.prefix)
      .map((prefix) => keyOf(block, prefix));
  }
}

/** The key of the block with this prefix that contains another one. */
function keyOf({ network }: Cidr, prefix: number): string {
  const octets = network.slice(0, (prefix + 7) >> 3);
  if (prefix & 7) octets[prefix >> 3] &= 0xff00 >> (prefix & 7);
  return `${network.length} ${prefix} ${octets}`;
}

function push(map: Map<string, Part[]>, key: string, part: Part): void {
  const list = map.get(key);
  if (list) append(list, part);
  else map.set(key, [part]);
}

/** Later parts would not be returned. */
function append(list: Part[], part: Part): void {
  if (list.length < MAX_FOUND) list.push(part);
}
