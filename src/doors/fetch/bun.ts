/**
 * Bun, which knows HTTP proxies only: a private bridge is one. With it, Bun keeps no
 * connections to the targets of `http:` URLs, which go by Unix sockets instead.
 *
 * @module
 */

import { withoutNoProxy } from "./no_proxy.ts";
import type { Route } from "./options.ts";
import { openPrivateBridge } from "./private_bridge.ts";
import type { Purpose, Way } from "./way.ts";

const { process } = globalThis as unknown as {
  process: { env: Record<string, string | undefined>; platform: string };
};

/** Bun reads the environment again for each call, not for the redirects. */
const environment = {
  get: (name: string) => process.env[name],
  set: (name: string, value: string) => void (process.env[name] = value),
  delete: (name: string) => void delete process.env[name],
};

/** Opens the way on Bun. */
export async function openWay(route: Route, purpose: Purpose): Promise<Way> {
  const bridge = await openPrivateBridge(route.dialer, "probe.invalid");
  const { targetTls: tls } = route.options;
  const way: Way = {
    ...bridge,
    init: { proxy: bridge.url, ...tls && { tls } },
    call: (start) => withoutNoProxy(environment, start),
  };
  if (purpose === "WebSocket" || process.platform === "win32") return way;
  const { withOrigins } = await import("./bun_origins.ts");
  return withOrigins(way, route.dialer);
}
