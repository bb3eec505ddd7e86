/**
 * The client of Redis that Bun has.
 *
 * @module
 */

import type { OwnClient } from "./client.ts";
import type { RedisAddress } from "./redis_url.ts";

interface BunGlobal {
  readonly Bun: {
    readonly RedisClient: new (url: string, options: object) => OwnClient;
  };
}

/** Makes a client, which is not connected. */
export function bunClient(address: RedisAddress, timeout: number): OwnClient {
  const { Bun } = globalThis as unknown as BunGlobal;
  return new Bun.RedisClient(urlOf(address), {
    connectionTimeout: timeout,
    // The store connects again by itself, and counts locally until then.
    autoReconnect: false,
    enableOfflineQueue: false,
    ...address.tls && { tls: true },
  });
}

function urlOf(
  { path, hostname, port, tls, username = "", password, database }:
    RedisAddress,
): string {
  const login = password === undefined
    ? ""
    : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
  if (path !== undefined) return `redis+unix://${login}${path}?db=${database}`;
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const scheme = tls ? "rediss" : "redis";
  return `${scheme}://${login}${host}:${port}/${database}`;
}
