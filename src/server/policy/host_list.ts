/**
 * Lists of names and networks, which rules refer to.
 *
 * @module
 */

import {
  canonicalHostname,
  cidrFault,
  isIp,
  parseCidr,
} from "../../protocol/address.ts";
import { quote } from "../../protocol/escape.ts";
import { BlockMap } from "./block_map.ts";

/** How many lines are read at a time, so that other work can go on. */
const LINES = 2_000;

/**
 * A list of names and networks, which may have a million entries.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HostList, rules } from "@x/socks5/server";
 *
 * const list = await HostList.parse("ads.example\n*.ads.example\n198.51.100.0/24");
 * assertEquals(list.size, 3);
 * const policy = rules(["deny @ads", "allow *"], { lists: { ads: list } });
 * const session = { client: { hostname: "192.0.2.1" } };
 * const hostname = "www.ads.example";
 * const request = { session, command: "connect", hostname, port: 443 } as const;
 * assertEquals(policy(request)?.verdict, "deny");
 * ```
 */
export class HostList {
  readonly #names = new Set<string>();
  /** With the leading dot. */
  readonly #suffixes = new Set<string>();
  readonly #blocks = new BlockMap<true>();

  private constructor() {}

  /**
   * Parses a list. Each line has one entry: a name, `*.example.com` for the names below
   * `example.com`, `.example.com` for these and itself, an IP address, or a network such
   * as `10.0.0.0/8`. Empty lines, and all that follows `#` or `;`, are ignored.
   *
   * @throws {TypeError} with the number of the first invalid line, and the reason.
   */
  static async parse(text: string): Promise<HostList> {
    const list = new HostList();
    let number = 0;
    for (let start = 0; start <= text.length;) {
      let end = text.indexOf("\n", start);
      if (end === -1) end = text.length;
      list.#addLine(text.slice(start, end), ++number);
      start = end + 1;
      if (number % LINES === 0) await pause();
    }
    return list;
  }

  /** The number of different entries. */
  get size(): number {
    return this.#names.size + this.#suffixes.size + this.#blocks.size;
  }

  /** Whether an address that is not known yet may be in the list. */
  get hasBlocks(): boolean {
    return this.#blocks.size > 0;
  }

  /** Whether the list has a name, in canonical form. */
  hasName(name: string): boolean {
    if (this.#names.has(name)) return true;
    if (this.#suffixes.size === 0) return false;
    for (let at = -1; (at = name.indexOf(".", at + 1)) >= 0;) {
      if (this.#suffixes.has(name.slice(at))) return true;
    }
    return false;
  }

  /** Whether a network of the list contains an address, given as octets. */
  hasAddress(address: Uint8Array): boolean {
    return this.#blocks.some(address, () => true);
  }

  #addLine(line: string, number: number): void {
    const entry = line.replace(/[#;].*/, "").trim();
    if (entry === "") return;
    const fault = this.#add(entry);
    if (fault) throw new TypeError(`line ${number}: ${fault}`);
  }

  /** Returns the reason why the entry is invalid. */
  #add(entry: string): string | undefined {
    if (/^[\d.]+$|[:/]/.test(entry)) return this.#addBlock(entry);
    const [, dots, rest] = /^(\*?\.)?(.*)$/s.exec(entry)!;
    const name = canonicalHostname(rest);
    if (name !== undefined && isIp(name) && !dots) return this.#addBlock(name);
    if (name === undefined || isIp(name)) {
      return `${
        quote(entry, 80)
      } is neither a name, nor *.SUFFIX or .SUFFIX, ` +
        "nor an IP address, nor ADDRESS/PREFIX";
    }
    // Concatenated again: a part of the text would keep all of it in memory.
    if (dots) this.#suffixes.add(`.${name}`);
    if (dots !== "*.") this.#names.add(name);
  }

  #addBlock(entry: string): string | undefined {
    const block = parseCidr(entry);
    if (!block) return cidrFault(entry);
    this.#blocks.getOrSet(block, () => true);
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
