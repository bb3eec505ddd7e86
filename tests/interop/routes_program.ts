/**
 * Connects to targets that routes keep it from, in the network namespace that
 * routes_test.ts starts it in, and prints what came of it as JSON.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { connect, SocksError } from "../../src/client/mod.ts";
import { serve } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError, type Transport } from "../../src/transport/transport.ts";

/** What the program found out. */
export interface Findings {
  /** The kind of the error of `connect()`, by target. */
  readonly kinds: Record<string, string>;
  /** The server's reply, by target. */
  readonly replies: Record<string, number | undefined>;
  /** An attempt that nobody answers, ended by a signal. */
  readonly aborted: HangUp;
  /** The same, ended by a time limit. */
  readonly timedOut: HangUp;
  /** The same, ended by the server's own time limit. */
  readonly leftByServer: number;
}

/** The kind of an attempt's error, and how many attempts still went on after it. */
export interface HangUp {
  readonly kind: string;
  readonly left: number;
}

/** A target that takes packets and does not answer. */
export const SILENT = "10.4.0.9";

/** Targets with other routes. */
export const TARGETS: readonly string[] = [
  "127.0.0.1",
  "10.1.0.1",
  "10.2.0.1",
  "10.3.0.1",
  "10.9.0.1",
  "fd00::1",
];

const PORT = 9;

/** Attempts to connect that wait for an answer, of all processes in this network. */
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

/** Ends an attempt while it hangs, and gives it some time to let go. */
async function hangUp(
  transport: Transport,
  signal: AbortSignal,
): Promise<HangUp> {
  const kind = await kindOf(transport, SILENT, signal);
  for (let i = 0; i < 100 && pendingAttempts() > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { kind, left: pendingAttempts() };
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

  const server = await serve({ port: 0, timeouts: { connect: 200 } });
  const replies: Record<string, number | undefined> = {};
  for (const target of [...TARGETS, SILENT]) {
    replies[target] = await replyOf(server.addr.port, target);
  }
  await server.shutdown();
  const leftByServer = pendingAttempts();

  const abort = new AbortController();
  setTimeout(() => abort.abort(), 100);
  const aborted = await hangUp(transport, abort.signal);
  const timedOut = await hangUp(transport, AbortSignal.timeout(100));
  return { kinds, replies, aborted, timedOut, leftByServer };
}

if (process.argv[2] === "run-routes") {
  console.log(JSON.stringify(await explore()));
  process.exit(0);
}
