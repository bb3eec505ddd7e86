/**
 * Connects to targets that cannot be reached, because of the routes in the network
 * namespace that routes_test.ts creates, and prints the results as JSON.
 *
 * @module
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import process from "node:process";
import { connect, SocksError } from "../../src/client/mod.ts";
import { serve } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Transport } from "../../src/transport/transport.ts";

/** The output of the program. */
export interface Findings {
  /** The kind of the error of `connect()`, by target. */
  readonly kinds: Record<string, string>;
  /** The server's reply, by target. */
  readonly replies: Record<string, number | undefined>;
  /** The outcome of {@linkcode ATTEMPTS} without an answer, ended by a signal. */
  readonly aborted: Abandoned;
  /** The same, ended by a timeout. */
  readonly timedOut: Abandoned;
  /** How many attempts continued after the server's own timeout. */
  readonly leftByServer: number;
  /** How many bytes came back afterwards, through the server, after the client's FIN. */
  readonly echoed: number;
}

/** The kinds of the attempts' errors, and how many attempts continued after them. */
export interface Abandoned {
  readonly kinds: readonly string[];
  readonly left: number;
}

/** The number of simultaneous attempts. */
const ATTEMPTS = 100;

/** How many bytes are sent to a target and back at the end. */
export const ECHOED = 3_000_000;

/** A target that receives packets and does not answer. */
export const SILENT = "10.4.0.9";

/** The targets with other routes. */
export const TARGETS: readonly string[] = [
  "127.0.0.1",
  "10.1.0.1",
  "10.2.0.1",
  "10.3.0.1",
  "10.9.0.1",
  "fd00::1",
];

const PORT = 9;

/** Returns how many attempts to connect wait for an answer, of all processes in this namespace. */
function pendingAttempts(): number {
  const SYN_SENT = "02";
  const lines = readFileSync("/proc/self/net/tcp", "utf8").split("\n");
  return lines.filter((it) => it.trim().split(/\s+/)[3] === SYN_SENT).length;
}

async function kindOf(
  transport: Transport,
  hostname: string,
  signal?: AbortSignal,
): Promise<string> {
  try {
    (await transport.connect({ hostname, port: PORT, signal })).close();
    return "connected";
  } catch (error) {
    return error instanceof NetError ? error.kind : `no NetError: ${error}`;
  }
}

/** Ends attempts that wait for an answer, and waits until their sockets are closed, for a while. */
async function abandon(
  transport: Transport,
  signal: () => AbortSignal,
): Promise<Abandoned> {
  const attempts = Array.from(
    { length: ATTEMPTS },
    () => kindOf(transport, SILENT, signal()),
  );
  const kinds = await Promise.all(attempts);
  for (let i = 0; i < 50 && pendingAttempts() > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { kinds: [...new Set(kinds)], left: pendingAttempts() };
}

/** Sends bytes to a target that sends them back, the FIN included, and counts them. */
async function echo(proxyPort: number): Promise<number> {
  const target = createServer({ allowHalfOpen: true }, (it) => it.pipe(it));
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  const { port } = target.address() as AddressInfo;
  const conn = await connect(
    `socks5://127.0.0.1:${proxyPort}`,
    { hostname: "127.0.0.1", port },
  );
  const sending = conn.write(new Uint8Array(ECHOED))
    .then(() => conn.closeWrite());
  let echoed = 0;
  for (let it = await conn.read(); it; it = await conn.read()) {
    echoed += it.length;
  }
  await sending;
  conn.close();
  target.close();
  return echoed;
}

async function replyOf(
  proxyPort: number,
  hostname: string,
): Promise<number | undefined> {
  const proxy = `socks5h://127.0.0.1:${proxyPort}`;
  try {
    (await connect(proxy, { hostname, port: PORT })).close();
    return 0;
  } catch (error) {
    return error instanceof SocksError ? error.reply : undefined;
  }
}

async function explore(): Promise<Findings> {
  const transport = await detectTransport();
  const kinds: Record<string, string> = {};
  for (const target of TARGETS) kinds[target] = await kindOf(transport, target);

  const server = await serve({ port: 0, timeouts: { connect: 1_000 } });
  const replies: Record<string, number | undefined> = {};
  for (const target of [...TARGETS, SILENT]) {
    replies[target] = await replyOf(server.addr.port, target);
  }
  const leftByServer = pendingAttempts();

  const aborted = await abandon(transport, () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 100);
    return abort.signal;
  });
  const timedOut = await abandon(transport, () => AbortSignal.timeout(100));
  const echoed = await echo(server.addr.port);
  await server.shutdown();
  return { kinds, replies, aborted, timedOut, leftByServer, echoed };
}

if (process.argv[2] === "run-routes") {
  console.log(JSON.stringify(await explore()));
  process.exit(0);
}
