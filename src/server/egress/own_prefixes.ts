/**
 * Prefixes that lead to this machine, although their addresses are on none of its interfaces.
 *
 * @module
 */

import { parseCidr } from "../../protocol/cidr.ts";
import { parseZoned } from "../../protocol/ip.ts";
import { BlockMap } from "../policy/block_map.ts";

/** The maximum number of prefixes that are added while the server runs. */
const MAX_LATER = 100_000;

/** A set of prefixes. Looking an address up takes as long for many as for few. */
export class OwnPrefixes {
  readonly #texts = new Set<string>();
  readonly #blocks = new BlockMap<true>();
  #later = 0;

  /**
   * Adds a prefix; returns whether it is one, or an address. Single addresses are not
   * needed, because the system lists them.
   */
  add(text: string): boolean {
    if (this.#texts.has(text)) return true;
    const block = typeof text === "string" ? parseCidr(text) : undefined;
    if (!block) return false;
    if (!text.includes("/")) return true;
    this.#texts.add(text);
    this.#blocks.getOrSet(block, () => true);
    return true;
  }

  /** The same for a user who has connected, as far as there is room. */
  addLater(text: string): void {
    if (this.#texts.has(text) || this.#later >= MAX_LATER) return;
    const { size } = this.#texts;
    this.add(text);
    this.#later += this.#texts.size - size;
  }

  /** Whether the address is in one of the prefixes. */
  has(address: string): boolean {
    if (this.#texts.size === 0) return false;
    const octets = parseZoned(address);
    return octets !== undefined && this.#blocks.some(octets, () => true);
  }
}
