/**
 * Deno: its own HTTP client, with a private bridge as its proxy. Without the bridge, the
 * client has no timeout for a proxy's handshake, knows no SOCKS4 and no chains, and all
 * failures are texts.
 *
 * @module
 */

import { type Environment, withoutNoProxy } from "./no_proxy.ts";
import type { Route } from "./options.ts";
import { openPrivateBridge } from "./private_bridge.ts";
import type { Way } from "./way.ts";

/** The members of `Deno` that are used here. */
interface DenoClients {
  createHttpClient(options: {
    readonly proxy: { readonly url: string };
    readonly caCerts?: string[];
    readonly cert?: string;
    readonly key?: string;
  }): { close(): void };
  readonly env: Environment;
  readonly permissions: {
    querySync(
      permission: { readonly name: "env"; readonly variable: string },
    ): { readonly state: string };
  };
}

const { Deno } = globalThis as unknown as { Deno: DenoClients };

/** Opens the way on Deno. */
export async function openWay(route: Route): Promise<Way> {
  checkPermissions();
  const { ca, ...pair } = route.options.targetTls ?? {};
  const bridge = await openPrivateBridge("socks5h", route.dialer);
  try {
    const client = withoutNoProxy(
      Deno.env,
      () =>
        Deno.createHttpClient({
          proxy: { url: bridge.url },
          ...ca !== undefined && { caCerts: [ca] },
          ...pair,
        }),
    );
    return {
      ...bridge,
      init: { client },
      call: (start) => start(),
      close() {
        client.close();
        return bridge.close();
      },
    };
  } catch (error) {
    await bridge.close();
    throw error;
  }
}

/** The client of Deno reads the variables in any case. */
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
