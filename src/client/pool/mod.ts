/**
 * Pools: several proxies, or chains of them, of which those that work are used. They are an
 * entry of their own because few programs need them.
 *
 * @example
 * ```ts
 * import { createPool } from "@x/socks5/pool";
 * import { serve } from "@x/socks5/server";
 *
 * await using one = await serve({ port: 0 });
 * await using other = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const urls = [one, other].map(({ addr }) => `socks5h://127.0.0.1:${addr.port}`);
 * const pool = createPool(urls, { strategy: "round-robin" });
 * for (let i = 0; i < 2; i++) {
 *   await using conn = await pool.connect(target.addr);
 *   console.log(conn.remoteAddr.port === [one, other][i].addr.port); // true
 * }
 * ```
 *
 * @module
 */

export type { AlternativeStatus, PoolBackoff } from "./alternative.ts";
export type {
  PoolAlternative,
  PoolCallOptions,
  PoolConnectOptions,
  PoolOptions,
} from "./options.ts";
export { createPool, type HopPool } from "./pool.ts";
export type { PoolStrategy } from "./strategy.ts";

export type { Endpoint } from "../../protocol/address.ts";
