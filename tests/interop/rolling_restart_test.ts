/** Two nodes behind HAProxy, which are restarted one after the other while clients come and go. */

import { assert, assertEquals } from "@std/assert";
import { writeFile } from "node:fs/promises";
import * as net from "node:net";
import { text } from "node:stream/consumers";
import { connect } from "../../src/client/mod.ts";
import { assertEchoes, withEcho } from "../cli/echo.ts";
import { test } from "../support/harness.ts";
import { type Program, withProgram } from "../support/spawn.ts";
import { missing, until, withFolder, withListening } from "./programs.ts";

/**
 * An address of its own for the nodes, so that no other socket takes the port of one
 * while it is restarted.
 */
const HOST = "127.0.18.1";

/** Two ports of a node. */
interface Ports {
  readonly port: number;
  readonly metrics: number;
}

async function freePorts(): Promise<Ports> {
  const servers = [net.createServer(), net.createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
    ports.push((server.address() as net.AddressInfo).port);
  }
  for (const server of servers) {
    await new Promise((resolve) => server.close(resolve));
  }
  return { port: ports[0], metrics: ports[1] };
}

/**
 * Checks at the default interval and with the default counts: a node is down after three
 * checks, and up after two, one every two seconds.
 */
function config(folder: string, port: number, nodes: readonly Ports[]): string {
  const servers = nodes.map(({ port, metrics }, i) =>
    `  server node${i} ${HOST}:${port} check port ${metrics}`
  );
  return `
global
  stats socket ${folder}/stats mode 600
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend socks
  bind 127.0.0.1:${port}
  default_backend nodes
backend nodes
  option httpchk GET /health
${servers.join("\n")}
`.trimStart();
}

/** The state of a node according to HAProxy, such as `UP`. */
async function stateOf(folder: string, node: number): Promise<string> {
  const socket = net.connect(`${folder}/stats`);
  socket.end("show stat\n");
  const [names, ...rows] = (await text(socket)).replace("# ", "").trim()
    .split("\n").map((line) => line.split(","));
  const row = rows.find((it) => it[1] === `node${node}`)!;
  return row[names.indexOf("status")];
}

/** How long a long session lasts, in milliseconds; the grace time of the nodes is longer. */
const LONG = 3_000;

/** Clients that come and go until they are stopped, and their failures. */
class Churn {
  sessions = 0;
  readonly failures: string[] = [];
  #isOver = false;
  readonly #clients: Promise<void>[];

  constructor(proxy: string, target: number) {
    const lengths = [0, 0, 0, 0, LONG, LONG / 2, LONG, LONG / 2];
    this.#clients = lengths.map((it) => this.#repeat(proxy, target, it));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
  }

  async #repeat(proxy: string, port: number, length: number): Promise<void> {
    while (!this.#isOver) {
      try {
        const target = { hostname: "127.0.0.1", port };
        const conn = await connect(proxy, target);
        try {
          await assertEchoes(conn, "before");
          await pause(length);
          await assertEchoes(conn, "after");
        } finally {
          conn.close();
        }
        this.sessions++;
      } catch (error) {
        this.failures.push(`${length} ms: ${error}`);
      }
      await pause(50);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Starts a node with these ports, and runs `use` with it. */
function withNode(
  { port, metrics }: Ports,
  use: (node: Program) => Promise<void>,
): Promise<void> {
  const args = ["--hostname", HOST, "--port", `${port}`, "--workers", "2"];
  const times = ["--drain-delay", "10s", "--grace", "20s"];
  const health = ["--metrics", `${HOST}:${metrics}`];
  return withProgram([...args, ...times, ...health], async (node) => {
    await node.line(/"listening"/);
    await use(node);
  }, { mayShare: true });
}

/** Ends a node with SIGTERM. None of its sessions is longer than its grace time. */
async function stop(node: Program): Promise<void> {
  node.kill("SIGTERM");
  const { code, stdout, stderr } = await node.ended;
  assertEquals([code, stderr], [0, ""]);
  const [, sessions] = /"type":"shutdown".*"sessions":(\d+)/.exec(stdout)!;
  assert(Number(sessions) < 8, `${sessions}`);
  assertEquals(/"reason":"closed"/.test(stdout), false, stdout);
}

test(
  "a rolling restart behind HAProxy with its defaults loses no client and cuts no session",
  () =>
    withFolder((folder) =>
      withEcho(async (target) => {
        const nodes = [await freePorts(), await freePorts()];
        const file = `${folder}/haproxy.cfg`;
        const isUp = (node: number) =>
          until(
            `node ${node} is up`,
            async () => await stateOf(folder, node) === "UP",
          );
        await withNode(nodes[0], (first) =>
          withNode(nodes[1], (second) =>
            withListening("haproxy", async (port) => {
              await writeFile(file, config(folder, port, nodes));
              return ["-db", "-f", file];
            }, async (port) => {
              const churn = new Churn(`socks5://127.0.0.1:${port}`, target);
              try {
                await stop(first);
                await withNode(nodes[0], async () => {
                  await isUp(0);
                  await stop(second);
                  await withNode(nodes[1], async () => {
                    await isUp(1);
                    const { sessions } = churn;
                    await until(
                      "clients come",
                      () => churn.sessions > sessions + 8,
                    );
                    await churn.stop();
                    assertEquals(churn.failures, []);
                    assert(churn.sessions > 100, `${churn.sessions}`);
                  });
                });
              } finally {
                await churn.stop();
              }
            })));
      })
    ),
  { skip: missing("haproxy"), timeout: 150_000 },
);
