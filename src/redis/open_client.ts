/**
 * Connects to Redis with the client of the runtime.
 *
 * @module
 */

import type { Clock } from "../transport/clock.ts";
import { detectRuntime } from "../transport/detect.ts";
import type { Timeout } from "../transport/timeouts.ts";
import type { OwnClient } from "./client.ts";
import type { RedisAddress } from "./redis_url.ts";

/**
 * Connects, with Bun's own client or the package `redis` of npm. Rejects if that takes more
 * than `timeout` milliseconds, the login included: a frozen server still accepts
 * connections.
 */
export async function openClient(
  address: RedisAddress,
  timeout: number,
  clock: Clock,
): Promise<OwnClient> {
  const client = detectRuntime() === "bun"
    ? (await import("./bun_client.ts")).bunClient(address, timeout)
    : await (await import("./npm_client.ts")).npmClient(address, timeout);
  let timer: Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = clock.startTimeout(timeout, () => {
      reject(new Error(`no connection within ${timeout} ms`));
    });
  });
  try {
    await Promise.race([client.connect(), late]);
    return client;
  } catch (error) {
    client.close();
    throw error;
  } finally {
    timer?.cancel();
  }
}
