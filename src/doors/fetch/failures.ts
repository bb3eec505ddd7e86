/**
 * The latest failures of a way, to find the reason of a rejection: the runtimes' own errors
 * say little, or nothing.
 *
 * @module
 */

import type { SocksError } from "../../client/error.ts";
import type { Endpoint } from "../../protocol/address.ts";

/** How many failures are kept. */
const KEPT = 64;

interface Failure {
  readonly number: number;
  readonly target: string;
  readonly error: SocksError;
}

/** A log of failures, the latest last. */
export class Failures {
  readonly #all: Failure[] = [];
  /** The number of failures so far. */
  count = 0;

  add(error: SocksError, to: Endpoint): void {
    const target = keyOf(to);
    this.#all.push({ number: ++this.count, target, error });
    if (this.#all.length > KEPT) this.#all.shift();
  }

  /**
   * The latest failure after the first `count` ones: of the URL's origin if there is one, and
   * otherwise of any, because a redirect may have led to another origin.
   */
  since(count: number, url: string): SocksError | undefined {
    const { number = 0, error } = this.#all.at(-1) ?? {};
    return this.of(url, count) ?? (number > count ? error : undefined);
  }

  /** The latest failure of this URL's origin after the first `count` ones. */
  of(url: string, count: number): SocksError | undefined {
    const target = keyOf(targetOf(url));
    const found = this.#all.findLast((it) => it.target === target);
    return found && found.number > count ? found.error : undefined;
  }
}

function keyOf({ hostname, port }: Endpoint): string {
  return `${hostname.replace(/^\[|\]$/g, "").toLowerCase()} ${port}`;
}

const PORTS: Readonly<Record<string, number>> = {
  "http:": 80,
  "ws:": 80,
  "https:": 443,
  "wss:": 443,
};

/** The target of an `http:`, `https:`, `ws:` or `wss:` URL. */
export function targetOf(url: string): Endpoint {
  const { protocol, hostname, port } = new URL(url);
  return { hostname, port: port === "" ? PORTS[protocol] : Number(port) };
}
