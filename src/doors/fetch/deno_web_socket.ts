/**
 * Deno's `WebSocket`: its own class, by a private bridge that also speaks TLS to the targets.
 *
 * @module
 */

import { checkTargetTls } from "../../client/connect.ts";
import { SocksError } from "../../client/error.ts";
import { NetError } from "../../transport/errors.ts";
import { type Alias, Aliases } from "./aliases.ts";
import type { Route } from "./options.ts";
import type { Way } from "./way.ts";

/** A name that is used only to check options, and that is never looked up. */
const NOWHERE = { hostname: "probe.invalid", port: 443 };

/** Opens the way of Deno for `WebSocket`. */
export async function openWay({ dialer, options }: Route): Promise<Way> {
  const tls = { ...options.targetTls, alpn: ["http/1.1"] };
  await checkTargetTls(tls, NOWHERE);
  const aliases = new Aliases();
  const { signal: never } = new AbortController();
  const probed: Alias = { target: NOWHERE, isSecure: false, signal: never };
  let hasArrived = false;
  const reach = (alias: Alias, ended: AbortSignal) => {
    if (alias !== probed) {
      const { target, isSecure } = alias;
      const signal = AbortSignal.any([alias.signal, ended]);
      return dialer.connect(target, { signal, targetTls: isSecure && tls });
    }
    hasArrived = true;
    return Promise.reject(new NetError("refused", "a probe"));
  };
  const { serveAliases } = await import("../bridge/aliased.ts");
  const { port, close } = await serveAliases(aliases, reach);
  // It serves the probe only; the other calls get clients of their own.
  const [client] = aliases.client(probed, port);
  return {
    init: { client },
    call: (start) => start(),
    webSocket: (url, init, create) =>
      aliases.open(
        url,
        init,
        port,
        (native, options, alias) =>
          create(native, options, () => failureOf(alias)),
      ),
    probe: { host: `127.0.0.1:${port}`, hasArrived: () => hasArrived },
    close() {
      aliases.clear();
      client.close();
      return close();
    },
  };
}

/** Why the proxies did not reach the target. */
function failureOf({ error }: Alias): SocksError | undefined {
  const isReason = error instanceof SocksError && error.phase !== "target-tls";
  return isReason ? error : undefined;
}
