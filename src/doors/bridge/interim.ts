import type { Dialer } from "../../server/dialer.ts";
import type { Conn, Endpoint } from "../../server/public.ts";
import { connect } from "../../client/mod.ts";
import type { ProxyConfig, ProxyOptions } from "../../client/mod.ts";
import { resolveProxy } from "../../client/resolve_proxy.ts";

export type Hops = string | URL | ProxyConfig | readonly (string | URL | ProxyConfig)[];

export type HopDialer = Dialer & { connect(target: Endpoint, options: { signal: AbortSignal }): Promise<Conn> };

export function parseHops(hops: Hops) {
  return (Array.isArray(hops) ? hops : typeof hops === "string" ? hops.split(" ") : [hops]).map(resolveProxy);
}

export function createDialer(hops: Hops, options: ProxyOptions): HopDialer {
  const list = parseHops(hops);
  return {
    async connect(target: Endpoint, { signal }: { signal: AbortSignal }) {
      // deno-lint-ignore no-explicit-any
      let conn: any;
      for (let i = 0; i < list.length; i++) {
        conn = await connect(list[i], list[i + 1] ? { hostname: list[i + 1].hostname, port: list[i + 1].port } : target, { ...options, signal, conn });
      }
      return conn;
    },
  };
}
