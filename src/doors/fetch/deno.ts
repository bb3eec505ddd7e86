/**
 * Deno: its own HTTP client, which knows SOCKS5. It gets a private bridge for everything
 * else.
 *
 * @module
 */

import { hopAddress } from "../../client/hops.ts";
import { hasLogin } from "../../client/proxy.ts";
import { watchDenoCalls } from "./deno_errors.ts";
import { type Environment, withoutNoProxy } from "./no_proxy.ts";
import type { Route } from "./options.ts";
import type { Purpose, Way } from "./way.ts";

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
  readonly errors: { readonly BadResource: new () => Error };
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
export async function openWay(
  route: Route,
  purpose: Purpose,
): Promise<Way> {
  checkPermissions();
  if (purpose === "WebSocket") {
    return await (await import("./deno_web_socket.ts")).openWay(route);
  }
  const url = ownUrl(route);
  return url === undefined ? await bridged(route) : direct(route, url);
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

/** The URL of a proxy that Deno supports itself. */
function ownUrl({ hops }: Route): string | undefined {
  const [proxy] = hops;
  const { protocol, hostname, username, password } = proxy;
  if (hops.length > 1 || protocol !== "socks5h") return undefined;
  if (hostname.includes(":")) return undefined;
  const place = hopAddress(proxy);
  if (!hasLogin(proxy)) return `socks5h://${place}`;
  if (!username || !password) return undefined;
  const login = [username, password].map(encodeURIComponent).join(":");
  return `socks5h://${login}@${place}`;
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

function direct(route: Route, url: string): Way {
  const client = createClient(route, url);
  // A call with a closed client fails before anything is sent.
  const closed = Deno.createHttpClient({});
  closed.close();
  return {
    init: { client },
    call: (start) => start(),
    watch: watchDenoCalls(route),
    probe: {
      host: probeHost(route),
      init: { client: closed },
      hasArrived: (error) => error instanceof Deno.errors.BadResource,
    },
    close() {
      client.close();
      return Promise.resolve();
    },
  };
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
