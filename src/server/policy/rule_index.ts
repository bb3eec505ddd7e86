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

  /** An index for the parts of these rules, which {@linkcode RuleIndex.add} adds. */
  constructor(rules: readonly (readonly Part[])[]) {
    this.#blocks = new BlockIndex(
      rules.flat().flatMap(({ target }) => target?.block ?? []),
    );
    this.#clients = new BlockIndex(rules.flatMap(([{ from }]) => from ?? []));
  }

  /** Adds the parts of a rule. */
  add(parts: readonly Part[]): void {
    const others: Part[] = [];
    for (const part of parts) {
      const { block, name, suffix } = part.target ?? {};
      const host = name ?? suffix;
      if (block) this.#blocks.add(block, [part]);
      else if (host !== undefined) append(this.#names, host, [part]);
      else others.push(part);
    }
    if (others.length > 0) this.#addOthers(others);
  }

  /** Adds the parts of a rule that name no host; they have the same clients and users. */
  #addOthers(parts: readonly Part[]): void {
    const [{ from, users }] = parts;
    if (from) return from.forEach((it) => this.#clients.add(it, parts));
    if (!users || users[0] === "*") return appendTo(this.#others, parts);
    for (const user of users) append(this.#users, user, parts);
  }

  /**
   * Returns parts whose clients or users overlap those of a rule, or that have neither;
   * `users` are its users, if they are known. All parts of a rule have these in common.
   */
  helping(
    from: readonly Cidr[] | undefined,
    users: ReadonlyMap<string, unknown>,
  ): ReadonlySet<Part> {
    return firstOf(this.#helping(from, users));
  }

  *#helping(
    from: readonly Cidr[] | undefined,
    users: ReadonlyMap<string, unknown>,
  ): Iterable<Iterable<Part> | undefined> {
    for (const it of from ?? []) yield* this.#clients.overlapping(it);
    if (users.size < this.#users.size) {
      for (const user of users.keys()) yield this.#users.get(user);
    } else {
      for (const [user, parts] of this.#users) {
        if (users.has(user)) yield parts;
      }
    }
    yield this.#others;
  }

  /**
   * Returns parts that may help to cover this one, in the order of their rules. `helping`
   * are those that may help all parts of its rule.
   */
  overlapping({ target }: Part, helping: ReadonlySet<Part>): readonly Part[] {
    const { block, name, suffix } = target ?? {};
    const found = firstOf([
      ...namesCovering(suffix ?? name).map((it) => this.#names.get(it)),
      ...block ? this.#blocks.overlapping(block) : [],
      helping,
    ]);
    return [...found].sort((a, b) => a.rule - b.rule);
  }
}

function firstOf(sources: Iterable<Iterable<Part> | undefined>): Set<Part> {
  const found = new Set<Part>();
  for (const parts of sources) {
    for (const part of parts ?? []) {
      if (found.size === MAX_FOUND) return found;
      found.add(part);
    }
  }
  return found;
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

  add(block: Cidr, parts: readonly Part[]): void {
    append(this.#exact, keyOf(block, block.prefix), parts);
    for (const key of this.#containing(block)) append(this.#within, key, parts);
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

function append(
  map: Map<string, Part[]>,
  key: string,
  parts: readonly Part[],
): void {
  let list = map.get(key);
  if (!list) map.set(key, list = []);
  appendTo(list, parts);
}

/** Later parts would not be returned. */
function appendTo(list: Part[], parts: readonly Part[]): void {
  list.push(...parts.slice(0, MAX_FOUND - list.length));
}
