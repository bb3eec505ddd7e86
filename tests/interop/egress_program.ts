/**
 * Connections from addresses of a prefix, and from addresses that run out of ports, in the
 * network namespaces that egress_test.ts creates. Prints the results as JSON.
 *
 * @module
 */

import { execFile } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { viaWarnings } from "../../src/cli/commands/via_warnings.ts";
import { bind, connect, SocksError } from "../../src/client/mod.ts";
import { Metrics, rules, serve, userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";

/** A prefix of which this machine has no address. */
export const PREFIX = "2001:db8:1::/64";
/** A prefix that does not lead to this machine. */
const ELSEWHERE = "2001:db8:9::/64";
/** Two addresses that run out of ports. */
export const PAIR: readonly string[] = ["127.0.0.2", "127.0.0.3"];
/** The number of ports while addresses run out of them. */
export const PORTS = 8;

const [FIRST_PORT, LAST_PORT] = [61_001, 61_000 + PORTS];

/** The output of the program. */
export interface Findings {
  /** The address of curl's connections, by session word, of two each: SOCKS and HTTP. */
  readonly words: Record<string, readonly string[]>;
  /** Where the BIND of one of these words listens. */
  readonly bound: string;
  /** The replies when {@linkcode PAIR} runs out of ports, and how often the targets saw each. */
  readonly pair: Exhaustion;
  /** The same for {@linkcode PREFIX}. */
  readonly prefix: Exhaustion;
  readonly warnings: readonly string[];
}

/** What happened when addresses ran out of ports. */
export interface Exhaustion {
  readonly replies: readonly number[];
  readonly sources: Record<string, number>;
  readonly counted: Record<string, number>;
  readonly error: string | undefined;
}

const LOGIN = userPass({ alice: "pw" });

/** Requests the target by curl, and returns the answer: the address that the target saw. */
function curl(proxy: string, target: string, word: string): Promise<string> {
  const user = `alice-session-${word}:pw`;
  const args = ["-sgp", "-m", "20", "-x", proxy, "-U", user, target];
  return new Promise((resolve, reject) =>
    execFile(
      "curl",
      args,
      (error, stdout) => error ? reject(error) : resolve(stdout),
    )
  );
}

async function words(): Promise<Pick<Findings, "words" | "bound">> {
  const target = createServer((request, response) => {
    response.end(request.socket.remoteAddress);
  });
  target.listen(0, "::1");
  await once(target, "listening");
  const url = `http://[::1]:${(target.address() as AddressInfo).port}/`;
  const server = await serve({
    port: 0,
    http: true,
    auth: [LOGIN],
    sessionWords: true,
    policy: rules([`allow * via ${PREFIX},127.0.0.2`]),
  });
  const { port } = server.addr;
  const found: Record<string, string[]> = {};
  let bound = "";
  try {
    for (const word of ["1", "2", "3"]) {
      found[word] = [
        await curl(`socks5h://127.0.0.1:${port}`, url, word),
        await curl(`http://127.0.0.1:${port}`, url, word),
      ];
    }
    const proxy = `socks5://alice-session-1:pw@127.0.0.1:${port}`;
    const listener = await bind(proxy, { hostname: "::1", port: 0 });
    bound = listener.addr.hostname;
    listener.close();
  } catch (error) {
    if (!isExpected(error)) throw error;
  }
  target.close();
  await server.shutdown();
  return { words: found, bound };
}

/** Curl's error for a refused request, or the client's: without the prefix there is no way. */
function isExpected(error: unknown): boolean {
  return error instanceof SocksError ||
    [56, 97].includes((error as { code: number }).code);
}

function setPorts(first: number, last: number): void {
  writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", `${first} ${last}`);
}

/** Opens `count` connections to a target while there are few ports. */
async function exhaust(
  via: string,
  hostname: string,
  count: number,
): Promise<Exhaustion> {
  const transport = await detectTransport();
  const conns: Conn[] = [];
  const sources: Record<string, number> = {};
  const target = await transport.listen({ hostname, port: 0 }, (conn) => {
    const { hostname } = conn.remoteAddr;
    sources[hostname] = (sources[hostname] ?? 0) + 1;
    conns.push(conn);
  });
  const metrics = new Metrics();
  let error: string | undefined;
  const server = await serve({
    port: 0,
    policy: rules([`allow * via ${via}`]),
    onEvent(event) {
      metrics.onEvent(event);
      if (event.type === "session-end") error ??= event.error?.message;
    },
  });
  // The clients need ports as well, and have them already.
  const clients: Conn[] = [];
  for (let i = 0; i < count; i++) {
    clients.push(await transport.connect(server.addr));
  }
  setPorts(FIRST_PORT, LAST_PORT);
  const replies: number[] = [];
  for (const client of clients) {
    const proxy = { protocol: "socks5", ...server.addr } as const;
    const open = { ...transport, connect: () => Promise.resolve(client) };
    try {
      await connect(proxy, target.addr, { transport: open });
      replies.push(0);
    } catch (error) {
      replies.push(error instanceof SocksError ? error.reply ?? -1 : -1);
    }
  }
  setPorts(32_768, 60_999);
  for (const conn of [...clients, ...conns]) conn.reset();
  await target.close();
  await server.shutdown({ grace: 0 });
  const values = metrics.read();
  const counted = {
    exhausted: values.socks5_egress_exhausted_total,
    unavailable: values.socks5_egress_unavailable_total,
  };
  return { replies, sources, counted, error };
}

async function explore(): Promise<Findings> {
  const transport = await detectTransport();
  const via = [PREFIX, ELSEWHERE, "192.0.2.7", "127.0.0.2", "127.3.0.0/16"];
  return {
    ...await words(),
    pair: await exhaust(PAIR.join(), "127.0.0.1", 3 * PORTS),
    prefix: await exhaust(PREFIX, "::1", 5 * PORTS),
    warnings: await viaWarnings(via, transport),
  };
}

if (process.argv[2] === "run-egress") {
  console.log(JSON.stringify(await explore()));
  process.exit(0);
}
