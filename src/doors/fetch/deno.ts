/**
 * `WebSocket` on Deno: its own HTTP client, which knows SOCKS5, with a private bridge.
 *
 * @module
 */

import { hopAddress } from "../../client/hops.ts";
import { type Environment, withoutNoProxy } from "./no_proxy.ts";
import type { Route } from "./options.ts";
import type { Way } from "./way.ts";

interface HttpClient {
  close(): void;
}

/** The members of `Deno` that are used here. */
interface DenoClients {
  createHttpClient(options: {
    readonly proxy?: { readonly url: string };
    readonly caCerts?: string[];
    readonly cert?: string;
    readonly key?: string;
  }): HttpClient;
  readonly env: Environment;
  readonly permissions: {
    querySync(
      permission:
        | { readonly name: "env"; readonly variable: string }
        | { readonly name: "net"; readonly host: string },
    ): { readonly state: string };
  };
}

const { Deno } = globalThis as unknown as { Deno: DenoClients };

/** Opens the way on Deno. */
export async function openWay(route: Route): Promise<Way> {
  checkPermissions();
  return await bridged(route);
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

/** A host that the program may call: it may be permitted to reach the first hop only. */
function probeHost({ hops }: Route): string {
  const host = "probe.invalid";
  const { state } = Deno.permissions.querySync({ name: "net", host });
  return state === "granted" ? host : hopAddress(hops[0]);
}

async function bridged(route: Route): Promise<Way> {
  const { openPrivateBridge } = await import("./private_bridge.ts");
  const bridge = await openPrivateBridge(
    "socks5h",
    route.dialer,
    probeHost(route),
  );
  try {
    const client = createClient(route, bridge.url);
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

function createClient(route: Route, url: string): HttpClient {
  const { ca, ...pair } = route.options.targetTls ?? {};
  const create = () =>
    Deno.createHttpClient({
      proxy: { url },
      ...ca !== undefined && { caCerts: [ca] },
      ...pair,
    });
  return withoutNoProxy(Deno.env, create);
}
