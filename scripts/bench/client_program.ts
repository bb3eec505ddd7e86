/**
 * Measures the processor time that clients need, in this process. The argument is a
 * {@linkcode Task} in JSON; prints a number for each client and round, in seconds of
 * processor time per operation. The clients take turns.
 *
 * @module
 */

import * as http from "node:http";
import * as https from "node:https";
import { createRequire } from "node:module";
import type * as net from "node:net";
import process from "node:process";
import { agents } from "../../src/doors/agent/mod.ts";
import { dialSocket } from "../../src/doors/socket/mod.ts";

/** What to measure. */
export interface Task {
  mode: ClientMode;
  /** The folder with the npm packages. */
  folder: string;
  /** The port of the proxy on 127.0.0.1. */
  proxy: number;
  /** The port of the target on 127.0.0.1. */
  target: number;
  /** The number of operations in a round, and of those before the first one. */
  count: number;
  warmUp: number;
  rounds: number;
}

/** The modes of the comparison of clients. */
export type ClientMode = "dial" | "http" | "https";

/** Does one operation. */
type Operation = () => Promise<void>;

const task = JSON.parse(process.argv[2]) as Task;
const require = createRequire(`${task.folder}/package.json`);
const url = `socks5h://127.0.0.1:${task.proxy}`;

/** Closes as quickly as possible: tens of thousands of sockets in TIME_WAIT slow all down. */
function close(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on("close", () => resolve());
    socket.resetAndDestroy();
  });
}

const target = { hostname: "127.0.0.1", port: task.target };

async function dialOurs(): Promise<void> {
  await close(await dialSocket(url, target));
}

async function dialPeer(): Promise<void> {
  const { SocksClient } = require("socks");
  const { socket } = await SocksClient.createConnection({
    proxy: { host: "127.0.0.1", port: task.proxy, type: 5 },
    command: "connect",
    destination: { host: "127.0.0.1", port: task.target },
  });
  await close(socket);
}

function get(agent: http.Agent, isSecure: boolean): Operation {
  const { port } = target;
  const { get } = isSecure ? https : http;
  const url = `http${isSecure ? "s" : ""}://127.0.0.1:${port}/`;
  // With a `ca`, socks-proxy-agent keeps no connections.
  const options = { agent, rejectUnauthorized: false };
  return () =>
    new Promise((resolve, reject) => {
      const request = get(url, options, (response) => {
        response.on("end", resolve).resume();
      });
      request.on("error", reject);
    });
}

function operations(): Operation[] {
  if (task.mode === "dial") return [dialOurs, dialPeer];
  const { SocksProxyAgent } = require("socks-proxy-agent");
  const ours = agents(url);
  const peer = new SocksProxyAgent(url, { keepAlive: true });
  const isSecure = task.mode === "https";
  return [isSecure ? ours.https : ours.http, peer].map((it) =>
    get(it, isSecure)
  );
}

/** Returns the processor time of so many operations, eight at a time, in seconds. */
async function cost(operation: Operation, count: number): Promise<number> {
  const before = process.cpuUsage();
  let left = count;
  const work = async () => {
    while (left-- > 0) await operation();
  };
  await Promise.all(Array.from({ length: 8 }, work));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const all = operations();
for (const it of all) await cost(it, task.warmUp);
for (let round = 0; round < task.rounds; round++) {
  const values: number[] = [];
  for (const it of all) values.push(await cost(it, task.count) / task.count);
  console.log(JSON.stringify(values));
}
process.exit();
