/**
 * BINDs of a server on two networks, in the network namespace that networks_test.ts
 * creates. Prints the addresses at which they listen as JSON.
 *
 * @module
 */

import process from "node:process";
import { bind, type Endpoint, SocksError } from "../../src/client/mod.ts";
import { serve } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";

/** Where the client reaches the server, and the peer that is expected. */
export const BINDS: readonly (readonly [string, string])[] = [
  ["10.4.0.1", "10.5.0.9"],
  ["fd00:4::1", "fd00:5::9"],
  ["10.4.0.1", "fd00:5::9"],
  ["10.4.0.1", "10.6.0.9"],
];

/** Whether something listens there, though it may reset a peer that it does not expect. */
async function listensAt(addr: Endpoint): Promise<boolean> {
  try {
    (await (await detectTransport()).connect(addr)).close();
    return true;
  } catch (error) {
    return error instanceof NetError && error.kind === "reset";
  }
}

/** Returns the address in the first reply, or the reply if the request is refused. */
async function boundAddress(reached: string, peer: string): Promise<string> {
  const server = await serve({
    hostname: reached,
    port: 0,
    openProxy: true,
    policy: () => true,
  });
  const proxy = { protocol: "socks5", ...server.addr } as const;
  try {
    const listener = await bind(proxy, { hostname: peer, port: 0 });
    const { addr } = listener;
    const isListening = await listensAt(addr);
    listener.close();
    return isListening ? addr.hostname : "nothing listens";
  } catch (error) {
    if (error instanceof SocksError) return `reply ${error.reply}`;
    throw error;
  } finally {
    await server.shutdown();
  }
}

if (process.argv[2] === "run-networks") {
  const found: string[] = [];
  for (const [reached, peer] of BINDS) {
    found.push(await boundAddress(reached, peer));
  }
  console.log(JSON.stringify(found));
  process.exit(0);
}
