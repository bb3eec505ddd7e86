/**
 * The package `redis` of npm, which is installed only where it is used.
 *
 * @module
 */

import { detectRuntime } from "../transport/detect.ts";
import type { OwnClient } from "./client.ts";
import type { RedisAddress } from "./redis_url.ts";

/** The members of the package `redis` that are used here. */
interface NpmRedis {
  createClient(options: object): NpmClient;
}

interface NpmClient {
  on(event: "error", listener: () => void): unknown;
  connect(): Promise<unknown>;
  sendCommand(args: string[]): Promise<unknown>;
  /** Since version 5. */
  destroy?(): void;
  disconnect(): Promise<void>;
}

/**
 * Makes a client, which is not connected. Rejects with {@linkcode MissingPackage} if the
 * package is not installed.
 */
export async function npmClient(
  address: RedisAddress,
  timeout: number,
): Promise<OwnClient> {
  const { createClient } = await loadRedis();
  const client = createClient(optionsOf(address, timeout));
  // The same errors reject what is pending.
  client.on("error", () => {});
  return {
    connect: () => client.connect().catch(explain),
    send: (command, args) => client.sendCommand([command, ...args]),
    close() {
      try {
        if (client.destroy) client.destroy();
        else client.disconnect().catch(() => {});
      } catch {
        // It has closed itself.
      }
    },
  };
}

function optionsOf(
  { path, hostname, port, tls, username, password, database }: RedisAddress,
  timeout: number,
): object {
  const place = path === undefined ? { host: hostname, port } : { path };
  // The store connects again by itself, and counts locally until then.
  const socket = {
    ...place,
    connectTimeout: timeout,
    reconnectStrategy: false,
  };
  return {
    username,
    password,
    database,
    socket: tls ? { ...socket, tls: true } : socket,
    disableOfflineQueue: true,
    // The store has one timer for all commands; by default each has an `AbortSignal`.
    commandOptions: { timeout: 0 },
  };
}

/** The variables that the package reads. */
const VARIABLES = "REDIS_DEBUG_MAINTENANCE,REDIS_EMIT_DIAGNOSTICS";
/** Not a literal: nothing should install the package unless it is used. */
const ON_DENO: string = "npm:redis@6";

async function loadRedis(): Promise<NpmRedis> {
  const { createRequire } = await import("node:module");
  const installed = () => createRequire(import.meta.url)("redis");
  if (detectRuntime() !== "deno") {
    try {
      return installed();
    } catch (error) {
      throw missing("npm install redis", error);
    }
  }
  try {
    return await import(ON_DENO);
  } catch (error) {
    try {
      return installed(); // in a project with a package.json
    } catch {
      throw missing("deno add npm:redis", error);
    }
  }
}

function missing(command: string, cause: unknown): MissingPackage {
  const text = `shared limits need the package redis: \`${command}\``;
  return new MissingPackage(text, { cause });
}

/** Explains a permission of Deno that is missing. */
function explain(error: Error): never {
  if (error.name !== "NotCapable" || !/\benv\b/.test(error.message)) {
    throw error;
  }
  throw new MissingPackage(
    `the package redis needs --allow-env=${VARIABLES} on Deno`,
    { cause: error },
  );
}

/** The package `redis` cannot be loaded. */
export class MissingPackage extends Error {
  override readonly name = "MissingPackage";
}
