/**
 * Calls of `createFetch()` and WebSockets of `createWebSocket()` in the namespaces that
 * names_test.ts creates, whose resolver is here. Prints the names that the resolver was asked
 * for as JSON.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { lookup } from "node:dns";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import type * as net from "node:net";
import process from "node:process";
import { createFetch, createWebSocket } from "../../src/doors/fetch/mod.ts";
import { serve } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { issue } from "../support/certificates.ts";
import { type Runtime, runtime } from "../support/harness.ts";
import { onUpgrade } from "../support/web_socket.ts";
import { answerQuery, bindDatagrams } from "./targets.ts";

/** The ways that do not resolve names here: the URLs of the hops, `$` being the proxy's port. */
export const REMOTE: readonly string[] = [
  "socks5h://127.0.0.1:$",
  "socks4a://127.0.0.1:$",
  "http://127.0.0.1:$",
  "socks5h://127.0.0.1:$ http://127.0.0.1:$",
];
/** A way that does. */
export const LOCAL = "socks5://127.0.0.1:$";

/** What a way has brought: the bodies and the echoes; and the names asked for, each once. */
interface Brought {
  readonly bodies: readonly string[];
  readonly echoes: readonly string[];
  readonly names: readonly string[];
}

/** What the program prints. */
export interface Found {
  readonly ways: Readonly<Record<string, Brought>>;
  /** The names of a program's own look-up. */
  readonly control: readonly string[];
  /** What an unmodified program was brought; `undefined` without a door for it. */
  readonly register: Brought | undefined;
}

/** The name of the first question (RFC 1035 section 4.1.2). */
function nameIn(query: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 12; query[at] > 0; at += 1 + query[at]) {
    const label = query.subarray(at + 1, at + 1 + query[at]);
    labels.push(new TextDecoder().decode(label));
  }
  return labels.join(".");
}

async function portOf(server: http.Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as net.AddressInfo).port;
}

/** A program that knows nothing of the proxy. */
const PROGRAM = `
const echo = (url) => new Promise((resolve) => {
  if (!globalThis.WebSocket) return resolve("hi");
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send("hi");
  socket.onmessage = ({ data }) => { resolve(data); socket.close(); };
  socket.onerror = ({ message }) => resolve(message);
});
const [http, ...urls] = process.argv.slice(2);
const body = await (await fetch(http)).text();
const echoes = [await echo(urls[0]), await echo(urls[1])];
console.log(JSON.stringify({ bodies: [body], echoes }));`;

/** What that program prints when it is sent through the proxy. */
async function registered(
  door: string,
  env: Record<string, string>,
  urls: readonly string[],
): Promise<Omit<Brought, "names">> {
  const flags: Record<Runtime, readonly string[]> = {
    deno: ["run", "--quiet", "--allow-all", `--preload=${door}`],
    bun: [`--preload=${door}`],
    node: [`--import=${door}`],
  };
  const file = `data:text/javascript,${encodeURIComponent(PROGRAM)}`;
  const child = spawn(process.execPath, [...flags[runtime], file, ...urls], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => text += chunk);
  await once(child, "close");
  return JSON.parse(text);
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

if (process.argv[2] === "run-names") {
  const { cert, key } = issue({
    subject: "/CN=two",
    extensions: ["subjectAltName=DNS:two.example"],
  });
  const asked = new Set<string>();
  /** The names since the last call. */
  const names = () => {
    const all = [...asked].sort();
    asked.clear();
    return all;
  };
  const resolver = await bindDatagrams("udp4", "127.0.0.1", 53);
  resolver.on("message", (query, { address, port }) => {
    asked.add(nameIn(query));
    resolver.send(answerQuery(query), port, address);
  });
  const answer: http.RequestListener = ({ url = "", headers }, response) => {
    const [, to] = url.split("?to=");
    if (to) response.writeHead(302, { location: decodeURIComponent(to) });
    response.end(headers.host!.split(":")[0]);
  };
  const servers = [
    http.createServer(answer),
    https.createServer({ cert, key }, answer),
  ];
  for (const it of servers) it.on("upgrade", onUpgrade);
  const [web, secure] = await Promise.all(servers.map(portOf));
  const transport = await detectTransport();
  const proxy = await serve({
    port: 0,
    http: true,
    dial: ({ port }) => transport.connect({ hostname: "127.0.0.1", port }),
  });
  const to = encodeURIComponent(`https://two.example:${secure}/`);
  const urls = [
    `http://one.example:${web}/`,
    `http://three.example:${web}/?to=${to}`,
  ];
  const sockets = [`ws://one.example:${web}/`, `wss://two.example:${secure}/`];
  const ways: Record<string, Brought> = {};
  for (const way of [...REMOTE, LOCAL]) {
    const hops = way.replaceAll("$", `${proxy.addr.port}`);
    const options = { targetTls: { ca: cert } };
    const fetch = createFetch(hops, options);
    const bodies: string[] = [];
    for (const it of urls) {
      const call = fetch(it).then((response) => response.text());
      bodies.push(await call.catch((error) => String(error.cause ?? error)));
    }
    await fetch.close();
    const echoes: string[] = [];
    if (typeof WebSocket === "function") {
      const WebSocket = await createWebSocket(hops, options);
      for (const it of sockets) echoes.push(await echo(new WebSocket(it)));
      await WebSocket.close();
    }
    ways[way] = { bodies, echoes, names: names() };
  }
  const [door, ca] = process.argv.slice(3);
  let register: Brought | undefined;
  if (door) {
    writeFileSync(ca, cert);
    const env = {
      ALL_PROXY: `socks5h://127.0.0.1:${proxy.addr.port}`,
      DENO_CERT: ca,
      NODE_EXTRA_CA_CERTS: ca,
    };
    const brought = await registered(door, env, [urls[0], ...sockets]);
    register = { ...brought, names: names() };
  }
  await new Promise((resolve) => lookup("control.example", resolve));
  const found: Found = { ways, control: names(), register };
  console.log(JSON.stringify(found));
  process.exit(0);
}
