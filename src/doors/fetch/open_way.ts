/**
 * The choice of the way by the runtime.
 *
 * @module
 */

import { detectRuntime } from "../../transport/detect.ts";
import type { Route } from "./options.ts";
import type { Probe, Purpose, Way } from "./way.ts";

/**
 * Opens the way of this runtime for `fetch()`, or for `WebSocket`. `call` calls the host of
 * a {@linkcode Probe}, and rejects with the error.
 */
export async function openWay(
  route: Route,
  purpose: Purpose,
  call: (way: Way, probe: Probe) => Promise<unknown>,
): Promise<Way> {
  const way = await openOwnWay(route, purpose);
  const { probe } = way;
  if (!probe) return way;
  const called = (async () => await call(way, probe))();
  const error = await called.catch((error) => error);
  if (probe.hasArrived(error)) return way;
  await way.close();
  throw new Error(
    `the runtime's own ${purpose} is needed, and something has replaced it: a call did ` +
      "not go through the proxy",
  );
}

async function openOwnWay(
  route: Route,
  purpose: Purpose,
): Promise<Way> {
  switch (detectRuntime()) {
    case "deno":
      return await (await import("./deno.ts")).openWay(route, purpose);
    case "bun":
      return await (await import("./bun.ts")).openWay(route, purpose);
    case "node":
      return await (await import("./node.ts")).openWay(route);
  }
}
