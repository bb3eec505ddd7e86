/**
 * The addresses and prefixes of a `via`, and the order in which a session uses them.
 *
 * @module
 */

import { type Cidr, parseCidr } from "../../protocol/cidr.ts";
import { formatIp } from "../../protocol/ip.ts";

/**
 * A hash of who connects and of a label, 8 bytes. The same client gets the same hash for the
 * same label.
 */
export type Choice = (label: string) => Uint8Array;

/** The maximum number of addresses and prefixes in a list. */
export const MAX_SOURCES = 256;
/** How many addresses of a list are tried for one connection. */
const MAX_TRIES = 16;
/** How many of these may belong to the same prefix. */
const MAX_DRAWS = 4;
/** The maximum length of a list in messages. */
const MAX_TEXT = 100;

interface Source {
  readonly text: string;
  /** Tells it from the other sources of the list. */
  readonly seed: number;
  /** `undefined` for a single address. */
  readonly block: Cidr | undefined;
}

/** Addresses and prefixes, sorted by IP version. */
export class SourceList {
  /** The list for messages. */
  readonly text: string;
  readonly #sources: Readonly<Record<number, readonly Source[]>>;

  /** @throws {TypeError} if an item is neither an IP address nor a prefix. */
  constructor(items: readonly string[]) {
    if (items.length > MAX_SOURCES) {
      throw new TypeError(`via takes at most ${MAX_SOURCES} addresses`);
    }
    const text = items.join(",");
    this.text = text.length > MAX_TEXT
      ? `${text.slice(0, MAX_TEXT - 1)}…`
      : text;
    const blocks = items.map(blockOf);
    const sources = (octets: number) =>
      blocks.filter(({ network }) => network.length === octets).map(sourceOf);
    this.#sources = { 4: sources(4), 6: sources(16) };
  }

  /** Whether it has an address of this IP version. */
  has(version: number): boolean {
    return this.#sources[version].length > 0;
  }

  /**
   * The addresses of an IP version in the order in which this client uses them, at most 16:
   * one of each source, and then more of the prefixes. Over all clients, each source comes
   * first equally often, and so does each address of a prefix. If a source is removed, only
   * its own clients get another one (rendezvous hashing).
   */
  *order(version: number, choose: Choice): Generator<string, void> {
    const sources = this.#sources[version];
    const sorted = sources.length > 1 ? byScore(sources, choose) : sources;
    let left = MAX_TRIES;
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      for (const { text, block } of sorted) {
        if (!block && draw > 0) continue;
        if (left-- === 0) return;
        yield block ? addressIn(block, choose, draw) : text;
      }
    }
  }
}

function blockOf(text: string): Cidr {
  const block = typeof text === "string" ? parseCidr(text) : undefined;
  if (block) return block;
  throw new TypeError(
    `${
      JSON.stringify(text)
    } is neither an IP address nor a prefix to connect from`,
  );
}

function sourceOf(block: Cidr): Source {
  const { text, network, prefix } = block;
  const isOne = prefix === network.length * 8;
  return {
    text: isOne ? formatIp(network) : text,
    seed: [...text].reduce(
      (hash, it) => Math.imul(hash ^ it.charCodeAt(0), 0x01000193),
      0x811c9dc5,
    ),
    block: isOne ? undefined : block,
  };
}

function byScore(sources: readonly Source[], choose: Choice): Source[] {
  const hash = Number(BigInt.asIntN(32, numberOf(choose("source"))));
  const scores = new Map(
    sources.map((it) => [it, mixed(hash, it.seed)] as const),
  );
  return sources.toSorted((a, b) => scores.get(b)! - scores.get(a)!);
}

function numberOf(hash: Uint8Array): bigint {
  return new DataView(hash.buffer, hash.byteOffset).getBigUint64(0);
}

/** Mixes as MurmurHash3 does. */
function mixed(hash: number, seed: number): number {
  let mix = hash ^ seed;
  mix = Math.imul(mix ^ mix >>> 16, 0x85ebca6b);
  mix = Math.imul(mix ^ mix >>> 13, 0xc2b2ae35);
  return (mix ^ mix >>> 16) >>> 0;
}

/**
 * An address of the block. The first one is the network itself, or the anycast address of its
 * routers (RFC 4291 section 2.6.1), and the last one of IPv4 is for broadcast: they are left
 * out unless the block has only two addresses.
 */
function addressIn(
  { network, prefix }: Cidr,
  choose: Choice,
  draw: number,
): string {
  const size = 1n << BigInt(network.length * 8 - prefix);
  const first = size > 2n ? 1n : 0n;
  const last = size > 2n && network.length === 4 ? 1n : 0n;
  const usable = size - first - last;
  const start = wide(choose, "address") % usable;
  return atIndex(
    network,
    first + (start + offsetOf(draw, usable, choose)) % usable,
  );
}

function atIndex(network: Uint8Array, index: bigint): string {
  const octets = network.slice();
  const view = new DataView(octets.buffer);
  if (octets.length === 4) {
    view.setUint32(0, view.getUint32(0) | Number(index));
  } else {
    view.setBigUint64(8, view.getBigUint64(8) | BigInt.asUintN(64, index));
    view.setBigUint64(0, view.getBigUint64(0) | index >> 64n);
  }
  return formatIp(octets);
}

/** Clients of one address do not all move to the same other one. */
function offsetOf(draw: number, usable: bigint, choose: Choice): bigint {
  if (draw === 0) return 0n;
  const step = usable > 2n ? 1n + wide(choose, "step") % (usable - 1n) : 1n;
  return BigInt(draw) * step;
}

/** A hash of 128 bits, so that each address of a large prefix is equally likely. */
function wide(choose: Choice, label: string): bigint {
  return numberOf(choose(label)) << 64n | numberOf(choose(`${label} 2`));
}
