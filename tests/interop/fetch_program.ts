/**
 * Calls `createFetch()` and `createWebSocket()` with a proxy that denies everything, and
 * prints what happened as JSON.
 *
 * @module
 */

import process from "node:process";
import type { SocksError } from "../../src/client/mod.ts";
import { createFetch, createWebSocket } from "../../src/doors/fetch/mod.ts";
import { startProxy, startWeb, urlOf } from "../doors/web.ts";

/** What the program prints. */
export interface Outcome {
  /** The codes of the errors, or their messages. */
  readonly errors: readonly string[];
  /** How many connections have reached the target. */
  readonly connections: number;
}

async function errorOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return "none";
  } catch (error) {
    const { cause, message } = error as Error;
    return (cause as SocksError | undefined)?.code ?? message;
  }
}

if (process.argv[2] === "run-fetch") {
  const web = await startWeb();
  const proxy = await startProxy({ policy: () => false });
  const fetch = createFetch(urlOf(proxy));
  const errors: string[] = [];
  for (const host of ["localhost", "127.0.0.1"]) {
    const url = `http://${host}:${web.port}/`;
    errors.push(await errorOf(() => fetch(url)));
  }
  if (typeof WebSocket === "function") {
    errors.push(
      await errorOf(async () => {
        const WebSocket = await createWebSocket(urlOf(proxy));
        const socket = new WebSocket(`ws://localhost:${web.port}/`);
        await new Promise((resolve) => {
          socket.onopen = resolve;
          socket.onerror = resolve;
        });
        if (socket.failure) throw new Error("", { cause: socket.failure });
      }),
    );
  }
  const outcome: Outcome = { errors, connections: web.connections };
  console.log(JSON.stringify(outcome));
  process.exit(0);
}
