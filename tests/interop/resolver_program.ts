/**
 * Opens WebSockets through proxies, in a network namespace whose resolver is a server of this
 * program. Prints as JSON what they received and the names that were asked for.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import type * as net from "node:net";
import process from "node:process";
import { createWebSocket } from "../../src/doors/fetch/mod.ts";
import { serve } from "../../src/server/serve.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { certificates, issue } from "../support/certificates.ts";
import { type Runtime, runtime } from "../support/harness.ts";
import { onUpgrade } from "../support/web_socket.ts";

/** A name that only the proxies know. */
const NAME = "one.test";

/** The ways: the name and the URLs of the hops, `$` being the port of a proxy. */
export const WAYS: readonly (readonly [string, string])[] = [
  ["socks5h", "socks5h://127.0.0.1:$"],
  ["socks4a", "socks4a://127.0.0.1:$"],
  ["http", "http://127.0.0.1:$"],
  ["chain", "socks5h://127.0.0.1:$ http://127.0.0.1:$"],
];

/** What the program prints. */
export interface Found {
  /** What each way received: an echo for `ws:` and one for `wss:`. */
  readonly received: Readonly<Record<string, readonly string[]>>;
  /** The names that the resolver was asked for, each once. */
  readonly asked: readonly string[];
  /** The targets that the proxies were asked for, each once. */
  readonly requested: readonly string[];
}

/** The program of the door `register`. */
const REGISTERED = `
const echo = (url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send("hi");
  socket.onmessage = ({ data }) => { resolve(data); socket.close(); };
  socket.onerror = ({ message }) => resolve(message);
});
const [, ...urls] = process.argv.slice(1);
console.log(JSON.stringify([await echo(urls[0]), await echo(urls[1])]));`;

/** Answers all queries with "no such name" (RFC 1035 section 4.1.1), and keeps their names. */
async function startResolver(): Promise<Set<string>> {
  const asked = new Set<string>();
  const socket = createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const labels: string[] = [];
    for (let at = 12; query[at]; at += 1 + query[at]) {
      labels.push(`${query.subarray(at + 1, at + 1 + query[at])}`);
    }
    asked.add(labels.join("."));
    query[2] |= 0x80;
    query[3] = 0x83;
    socket.send(query, port, address);
  });
  socket.bind(53, "127.0.0.1");
  await once(socket, "listening");
  return asked;
}

function echo(socket: WebSocket): Promise<string> {
  return new Promise((resolve) => {
    socket.onopen = () => socket.send("hi");
    socket.onmessage = ({ data }) => {
      resolve(data);
      socket.close();
    };
    socket.onerror = (event) => resolve(`${(event as ErrorEvent).message}`);
  });
}

async function registered(
  door: string,
  env: Record<string, string>,
  urls: readonly string[],
): Promise<string[]> {
  const flags: Record<Runtime, readonly string[]> = {
    deno: ["run", "--quiet", "--allow-all", `--preload=${door}`],
    bun: [`--preload=${door}`],
    node: [`--import=${door}`],
  };
  const file = `data:text/javascript,${encodeURIComponent(REGISTERED)}`;
  const child = spawn(process.execPath, [...flags[runtime], file, ...urls], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => text += chunk);
  await once(child, "close");
  return JSON.parse(text);
}

if (process.argv[2] === "run-resolver") {
  const asked = await startResolver();
  await lookup("control.test").catch(() => {});
  const certificate = issue({
    subject: "/CN=one",
    extensions: [`subjectAltName=DNS:${NAME}`],
    by: certificates().ca,
  });
  const { cert } = certificates().ca;
  const web = http.createServer();
  const secure = https.createServer({ ...certificate });
  const ports: number[] = [];
  for (const server of [web, secure]) {
    server.on("upgrade", onUpgrade).listen(0, "127.0.0.1");
    await once(server, "listening");
    ports.push((server.address() as net.AddressInfo).port);
  }
  const requested = new Set<string>();
  const transport = await detectTransport();
  const { addr } = await serve({
    port: 0,
    http: true,
    transport: {
      ...transport,
      lookup: (name, signal) =>
        name === NAME
          ? Promise.resolve(["127.0.0.1"])
          : transport.lookup(name, signal),
    },
    onEvent(event) {
      if (event.type === "request") {
        requested.add(event.session.target!.hostname);
      }
    },
  });
  const urls = [`ws://${NAME}:${ports[0]}/`, `wss://${NAME}:${ports[1]}/`];
  const received: Record<string, string[]> = {};
  for (const [name, hops] of WAYS) {
    const WebSocket = await createWebSocket(
      hops.replaceAll("$", `${addr.port}`),
      {
        targetTls: { ca: cert },
      },
    );
    received[name] = [];
    for (const url of urls) received[name].push(await echo(new WebSocket(url)));
    await WebSocket.close();
  }
  const [door, ca] = process.argv.slice(3);
  if (door) {
    writeFileSync(ca, cert);
    const env = {
      ALL_PROXY: `socks5h://127.0.0.1:${addr.port}`,
      DENO_CERT: ca,
    };
    received.register = await registered(door, env, urls);
  }
  const found: Found = {
    received,
    asked: [...asked].sort(),
    requested: [...requested].sort(),
  };
  console.log(JSON.stringify(found));
  process.exit(0);
}
