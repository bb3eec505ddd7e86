import type { Dialer } from "../server/dialer.ts";
import type { Conn, Endpoint } from "../server/public.ts";
import {
  connect,
  hopAddress,
  type Hops,
  parseHops,
  type ProxyOptions,
} from "../client/mod.ts";
export { type Hops, parseHops };
export type HopDialer = Dialer & {
  connect(target: Endpoint, options: { signal: AbortSignal }): Promise<Conn>;
};

export function createDialer(hops: Hops, options: ProxyOptions): HopDialer {
  const list = parseHops(hops);
  return {
    async connect(target: Endpoint, { signal }: { signal: AbortSignal }) {
      // deno-lint-ignore no-explicit-any
      let conn: any;
      for (let i = 0; i < list.length; i++) {
        conn = await connect(
          list[i],
          list[i + 1] ? hopAddress(list[i + 1]) : target,
          { ...options, signal, conn },
        );
      }
      return conn;
    },
  };
}
