/**
 * Calls `createFetch()` and `createWebSocket()` with a proxy that denies everything, and
 * prints what happened as JSON.
 *
 * @module
 */

import { once } from "node:events";
import * as http from "node:http";
import type * as net from "node:net";
import process from "node:process";
import type { SocksError } from "../../src/client/mod.ts";
import { createFetch, createWebSocket } from "../../src/doors/fetch/mod.ts";
import { serve } from "../../src/server/serve.ts";

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
  let connections = 0;
  const web = http.createServer((_, response) => response.end("direct"));
  web.on("connection", () => connections++);
  await once(web.listen(0, "127.0.0.1"), "listening");
  const { port } = web.address() as net.AddressInfo;
  const proxy = await serve({ port: 0, policy: () => false });
  const hops = `socks5h://127.0.0.1:${proxy.addr.port}`;
  const fetch = createFetch(hops);
  const errors: string[] = [];
  for (const host of ["localhost", "127.0.0.1"]) {
    const url = `http://${host}:${port}/`;
    errors.push(await errorOf(() => fetch(url)));
  }
  if (typeof WebSocket === "function") {
    errors.push(
      await errorOf(async () => {
        const WebSocket = await createWebSocket(hops);
        const socket = new WebSocket(`ws://localhost:${port}/`);
        await new Promise((resolve) => {
          socket.onopen = resolve;
          socket.onerror = resolve;
        });
        if (socket.failure) throw new Error("", { cause: socket.failure });
      }),
    );
  }
  const outcome: Outcome = { errors, connections };
  console.log(JSON.stringify(outcome));
  process.exit(0);
}
