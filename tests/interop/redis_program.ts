/**
 * A node: a server that shares limits in Redis. Prints its port, and later whether Redis is
 * lost or found.
 *
 * @module
 */

import process from "node:process";
import { redisStore, type RedisStoreOptions } from "../../src/redis/mod.ts";
import { userPass } from "../../src/server/auth/user_pass.ts";
import type { ServeOptions } from "../../src/server/options.ts";
import { serve } from "../../src/server/serve.ts";

/** The options of a node, as JSON in an argument. */
export interface NodeOptions {
  readonly store: Omit<RedisStoreOptions, "client">;
  readonly limits: ServeOptions["limits"];
  /** The limits that are shared. */
  readonly shared: NonNullable<ServeOptions["sharedLimits"]>["limits"];
}

if (process.argv[2] === "run-redis") {
  const { store: options, limits, shared }: NodeOptions = JSON.parse(
    process.argv[3],
  );
  const store = redisStore({
    ...options,
    onLost: ({ message }) => console.log(`lost: ${message}`),
    onFound: () => console.log("found"),
  });
  await store.ready.catch(() => {});
  const server = await serve({
    port: 0,
    auth: [userPass({ al: "pw", bo: "pw" }, { guard: store })],
    limits,
    sharedLimits: { store, limits: shared },
  });
  console.log(`port ${server.addr.port}`);
  await server.finished;
}
