/**
 * Node.js: a dispatcher for the undici that it has built in.
 *
 * @module
 */

import type { Hops } from "../../client/mod.ts";
import type { FetchOptions } from "./options.ts";
import type { Way } from "./way.ts";

/** Opens the way on Node.js. */
export function openWay(
  _hops: Hops,
  _options: FetchOptions,
): Promise<Way> {
  throw new Error("not yet");
}
