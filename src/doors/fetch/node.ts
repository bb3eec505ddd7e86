/**
 * Node.js: a dispatcher for the undici that it has built in.
 *
 * @module
 */

import type { Route } from "./options.ts";
import type { Way } from "./way.ts";

/** Opens the way on Node.js. */
export function openWay(route: Route): Promise<Way> {
  throw new Error("not yet");
}
