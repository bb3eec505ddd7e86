/**
 * The parts of rules, as boxes of requests.
 *
 * @module
 */

import type { Cidr } from "../../protocol/address.ts";
import type { CompiledRule, CompiledTarget } from "./compiled_rule.ts";
import { type Box, type Range, type Ranges, unionOf } from "./ranges.ts";
import { COMMANDS } from "./rule.ts";

/** A rule with one of its targets. A rule matches a request if one of its parts does. */
export interface Part {
  /** The index of the rule. */
  readonly rule: number;
  readonly commands: Ranges;
  readonly ports: Ranges;
  /** The same as in the rule. */
  readonly from: readonly Cidr[] | undefined;
  readonly users: readonly string[] | undefined;
  /** The clients of `from`. */
  readonly clients: Ranges;
  readonly target: CompiledTarget | undefined;
  /** The addresses of the target, if that is a block. */
  readonly addresses: Ranges;
}

/** The only value of a dimension in which all parts that are compared are equal. */
const SAME: Ranges = [[0, 1]];
/** All addresses: IPv6, followed by IPv4. */
const ALL_ADDRESSES: Ranges = [[0n, (1n << 128n) + (1n << 32n)]];
const ALL_PORTS: Ranges = [[0, 65536]];
const ALL_COMMANDS: Ranges = [[0, COMMANDS.length]];

/** Returns the parts of a rule. */
export function partsOf(
  { commands, from, users, targets }: CompiledRule,
  index: number,
): readonly Part[] {
  const common = {
    rule: index,
    commands: commands
      ? unionOf(commands.map((it) => one(COMMANDS.indexOf(it))))
      : ALL_COMMANDS,
    from,
    users,
    clients: from ? unionOf(from.map(addressesOf)) : ALL_ADDRESSES,
  };
  return (targets ?? [undefined]).map((target) => ({
    ...common,
    ports: target?.ports
      ? unionOf(target.ports.map(({ first, last }) => [first, last + 1]))
      : ALL_PORTS,
    target,
    addresses: target?.block
      ? unionOf([addressesOf(target.block)])
      : ALL_ADDRESSES,
  }));
}

function one(index: number): Range {
  return [index, index + 1];
}

function addressesOf({ network, prefix }: Cidr): Range {
  const first = network.length === 4 ? 1n << 128n : 0n;
  const start = network.reduce((sum, it) => sum << 8n | BigInt(it), 0n);
  const size = 1n << BigInt(network.length * 8 - prefix);
  return [first + start, first + start + size];
}

/**
 * Turns parts into boxes, so that one of them can be subtracted from the others.
 *
 * A part without `from` also matches clients without an IP address, so that parts with
 * `from` cannot cover it together. The same holds for users, and for targets that are not
 * a block of addresses.
 */
export class Boxes {
  readonly #part: Part;
  readonly #users: ReadonlyMap<string, number>;

  /** `users` are the users of the part that is covered, numbered, if they are known. */
  constructor(part: Part, users: ReadonlyMap<string, number>) {
    this.#part = part;
    this.#users = users;
  }

  /** The part that is covered. */
  get covered(): Box {
    return this.of(this.#part)!;
  }

  /**
   * The box of a part with an equal or a wider target, or with another block; `undefined`
   * if the part cannot help.
   */
  of(part: Part): Box | undefined {
    const { from, target } = this.#part;
    const users = this.#usersOf(part);
    if (!users || !from && part.from) return undefined;
    return [
      part.commands,
      part.ports,
      users,
      from ? part.clients : SAME,
      target?.block ? part.addresses : SAME,
    ];
  }

  #usersOf({ users }: Part): Ranges | undefined {
    if (!users || users === this.#part.users) return this.#all;
    if (users[0] === "*") return this.#part.users ? this.#all : undefined;
    const known = users.flatMap((it) => this.#users.get(it) ?? []);
    return known.length > 0 ? unionOf(known.map(one)) : undefined;
  }

  get #all(): Ranges {
    return this.#users.size > 0 ? [[0, this.#users.size]] : SAME;
  }
}
