/**
 * Listening, as far as it is the same on all runtimes.
 *
 * @module
 */

import { localPlace } from "../local_place.ts";
import type { Open } from "./local_listener.ts";

/**
 * Returns the `listen()` of a transport whose `open` opens a listener at any place, a path or
 * a descriptor included. What only these need is loaded when one of them is used.
 */
export function listenBy(open: Open): Open {
  return async (options, onConn, onError) => {
    if (!localPlace(options.hostname)) {
      return await open(options, onConn, onError);
    }
    const { listenLocally } = await import("./local_listener.ts");
    return await listenLocally(options, onConn, onError, open);
  };
}
