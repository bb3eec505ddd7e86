/**
 * Deno: a client of HTTP of this library, and its own `WebSocket`.
 *
 * @module
 */

import type { Route } from "./options.ts";
import type { Purpose, Way } from "./way.ts";

/** The members of `Deno` that are used here. */
interface DenoPermissions {
  readonly permissions: {
    querySync(
      permission: { readonly name: "env"; readonly variable: string },
    ): { readonly state: string };
  };
}

const { Deno } = globalThis as unknown as { Deno: DenoPermissions };

/** Opens the way on Deno. */
export async function openWay(
  route: Route,
  purpose: Purpose,
): Promise<Way> {
  if (purpose === "fetch") {
    return (await import("./deno_fetch.ts")).openWay(route);
  }
  checkPermissions();
  return await (await import("./deno_web_socket.ts")).openWay(route);
}

/** The client of Deno for WebSockets reads the variables in any case. */
function checkPermissions(): void {
  for (const variable of ["NO_PROXY", "no_proxy"]) {
    const { state } = Deno.permissions.querySync({ name: "env", variable });
    if (state === "granted") continue;
    throw new Error(
      "--allow-env=NO_PROXY,no_proxy is needed: Deno does not use a proxy for the " +
        "hosts in these variables, so that requests could bypass it",
    );
  }
}
