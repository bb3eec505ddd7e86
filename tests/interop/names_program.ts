/**
 * Calls of `createFetch()` in the namespaces that names_test.ts creates, whose resolver is
 * here. Prints the names that the resolver was asked for as JSON.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { lookup } from "node:dns";
import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import type * as net from "node:net";
import process from "node:process";
import { createFetch } from "../../src/doors/fetch/mod.ts";
import { serve } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { issue } from "../support/certificates.ts";
import { runtime } from "../support/harness.ts";
import { answerQuery, bindDatagrams } from "./targets.ts";

/** The schemes of proxies that resolve names. */
export const REMOTE: readonly string[] = ["socks5h", "socks4a", "http"];

/** What the program prints: for each scheme, the bodies and the names. */
export type Found = Record<string, { bodies: string[]; names: string[] }>;

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

/** What a program prints that fetches a URL, and knows nothing of the proxy. */
async function registered(proxy: string, url: string): Promise<string> {
  const door = new URL("../../src/doors/register/mod.ts", import.meta.url);
  const code = `console.log(await (await fetch("${url}")).text())`;
  const program = `data:text/javascript,${encodeURIComponent(code)}`;
  const args = ["run", "--quiet", "--allow-all", `--preload=${door}`, program];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ALL_PROXY: proxy },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => text += chunk);
  await once(child, "close");
  return text.trim();
}

if (process.argv[2] === "run-names") {
  const { cert, key } = issue({
    subject: "/CN=two",
    extensions: ["subjectAltName=DNS:two.example"],
  });
  let names: string[] = [];
  const resolver = await bindDatagrams("udp4", "127.0.0.1", 53);
  resolver.on("message", (query, { address, port }) => {
    names.push(nameIn(query));
    resolver.send(answerQuery(query), port, address);
  });
  const answer: http.RequestListener = ({ url = "", headers }, response) => {
    const [, to] = url.split("?to=");
    if (to) response.writeHead(302, { location: decodeURIComponent(to) });
    response.end(headers.host!.split(":")[0]);
  };
  const web = await portOf(http.createServer(answer));
  const secure = await portOf(https.createServer({ cert, key }, answer));
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
  const found: Found = {};
  for (const scheme of [...REMOTE, "socks5"]) {
    names = [];
    const url = `${scheme}://127.0.0.1:${proxy.addr.port}`;
    const fetch = createFetch(url, { targetTls: { ca: cert } });
    const bodies: string[] = [];
    for (const it of urls) {
      const call = fetch(it).then((response) => response.text());
      bodies.push(await call.catch((error) => String(error.cause ?? error)));
    }
    await fetch.close();
    found[scheme] = { bodies, names };
  }
  if (runtime === "deno") {
    names = [];
    const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
    const text = await registered(url, urls[0]);
    found.register = { bodies: [text], names };
  }
  names = [];
  await new Promise((resolve) => lookup("control.example", resolve));
  found.control = { bodies: [], names };
  console.log(JSON.stringify(found));
  process.exit(0);
}
