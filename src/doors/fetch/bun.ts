/**
 * Bun, which knows HTTP proxies only: a private bridge is one.
 *
 * @module
 */

import { withoutNoProxy } from "./no_proxy.ts";
import type { Route } from "./options.ts";
import { openPrivateBridge } from "./private_bridge.ts";
import type { Way } from "./way.ts";

const { process } = globalThis as unknown as {
  process: { env: Record<string, string | undefined> };
};

/** Bun reads the environment again for each call, not for the redirects. */
const environment = {
  get: (name: string) => process.env[name],
  set: (name: string, value: string) => void (process.env[name] = value),
  delete: (name: string) => void delete process.env[name],
};

/** Opens the way on Bun. */
export async function openWay(route: Route): Promise<Way> {
  const bridge = await openPrivateBridge(
    "http",
    route.dialer,
    "probe.invalid",
  );
  const { targetTls: tls } = route.options;
  return {
    ...bridge,
    init: { proxy: bridge.url, ...tls && { tls } },
    call: (start) => withoutNoProxy(environment, start),
  };
}
