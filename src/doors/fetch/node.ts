/**
 * Node.js: a dispatcher for the undici that it has built in.
 *
 * @module
 */

import { dispatcher } from "../undici/mod.ts";
import type { Route } from "./options.ts";
import type { Way } from "./way.ts";

/** Opens the way on Node.js. */
export function openWay({ hops, options }: Route): Promise<Way> {
  const through = dispatcher(hops, options);
  let hasArrived = false;
  const probe = {
    dispatch() {
      hasArrived = true;
      throw new Error("a probe");
    },
  };
  return Promise.resolve({
    init: { dispatcher: through },
    call: (start) => start(),
    probe: {
      hostname: "probe.invalid",
      init: { dispatcher: probe },
      hasArrived: () => hasArrived,
    },
    close: () => through.destroy(),
  });
}
