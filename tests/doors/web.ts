/**
 * Web servers that count their connections, and proxies between them and a client.
 *
 * @module
 */

import { assert } from "@std/assert";
import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import type * as net from "node:net";
import { type Session, userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Certificate } from "../support/certificates.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { onUpgrade } from "../support/web_socket.ts";

/** A running web server. */
export interface Web {
  readonly port: number;
  /** How many connections it has accepted. */
  readonly connections: number;
  /** The requests: method, path and the names of the header fields. */
  readonly requests: http.IncomingMessage[];
  /** Answers `/later`. */
  answerLater(): void;
  close(): Promise<void>;
}

/**
 * Starts a web server on 127.0.0.1:
 *
 * - `/redirect?STATUS,URL` redirects
 * - `/echo` returns the request as JSON
 * - `/never` sends headers, and then nothing
 * - `/silent` sends nothing, and `/later` only when {@linkcode Web.answerLater} is called
 * - `/big` returns 3 MB
 * - `/page.html` returns a page with a script, which fetches and opens a WebSocket
 * - every other path returns itself, and accepts a WebSocket that echoes
 */
export async function startWeb(certificate?: Certificate): Promise<Web> {
  const requests: http.IncomingMessage[] = [];
  const sockets = new Set<net.Socket>();
  const waiting: http.ServerResponse[] = [];
  const onRequest = (
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ) => {
    requests.push(request);
    if (request.url === "/later") waiting.push(response);
    else void answer(request, response);
  };
  const server = certificate
    ? https.createServer({ ...certificate }, onRequest)
    : http.createServer(onRequest);
  let connections = 0;
  server.on("connection", (socket: net.Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", () => {});
  server.on("upgrade", onUpgrade);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return connections;
    },
    requests,
    answerLater() {
      for (const response of waiting.splice(0)) response.end("later");
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections?.();
      await closed;
    },
  };
}

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const { url = "", method, headers } = request;
  const [path, argument = ""] = url.split("?");
  switch (path) {
    case "/redirect": {
      const [status, location] = argument.split(",").map(decodeURIComponent);
      request.resume();
      response.writeHead(Number(status), { location }).end();
      return;
    }
    case "/echo": {
      let body = "";
      for await (const chunk of request) body += chunk;
      response.end(JSON.stringify({ method, headers, body }));
      return;
    }
    case "/never":
      response.writeHead(200).flushHeaders();
      return;
    case "/silent":
      return;
    case "/big":
      response.end("x".repeat(3_000_000));
      return;
    case "/page.html":
      response.setHeader("content-type", "text/html").end(PAGE);
      return;
    case "/page.js":
      response.setHeader("content-type", "text/javascript").end(SCRIPT);
      return;
    default:
      response.end(url);
  }
}

const PAGE = `<!doctype html><title>A page</title>
<style>body { font: 24px sans-serif; background: lightgreen }</style>
<body>page<script type="module" src="/page.js"></script>`;

/** Shows what it could load. */
const SCRIPT = `
const { body } = document;
body.append(", script");
const answer = await fetch("/fetch");
if (await answer.text() === "/fetch") body.append(", fetch");
const socket = new WebSocket(location.origin.replace("http", "ws") + "/");
socket.onopen = () => socket.send("socket");
socket.onmessage = ({ data }) => {
  body.append(", " + data);
  socket.close();
};
socket.onclose = () => body.dataset.done = "done";`;

/** The names that only the proxies of {@linkcode startProxy} know. */
export const NAMES: readonly string[] = ["one.test", "two.test"];

/** The login of {@linkcode startProxy}. */
export const LOGIN = "al:p%40ss";

/** Starts a proxy with a login, which knows {@linkcode NAMES}. */
export async function startProxy(
  options: Parameters<typeof startServer>[0] = {},
): Promise<TestServer> {
  const transport = await detectTransport();
  return await startServer({
    auth: [userPass({ al: "p@ss" })],
    http: true,
    transport: {
      ...transport,
      lookup: (name, signal) =>
        NAMES.includes(name)
          ? Promise.resolve(["127.0.0.1"])
          : name.endsWith(".test")
          ? Promise.reject(new NetError("dns", "no such name"))
          : transport.lookup(name, signal),
    },
    ...options,
  });
}

/** The URL of a proxy. */
export function urlOf(
  { server }: TestServer,
  scheme = "socks5h",
  login = LOGIN,
): string {
  return `${scheme}://${login}@127.0.0.1:${server.addr.port}`;
}

/** The sessions of a proxy that have requested a target. */
export function requests({ events }: TestServer): Session[] {
  return events.flatMap((it) => it.type === "request" ? [it.session] : []);
}

/** How many connections a proxy has opened to targets. */
export function opened({ events, server }: TestServer): number {
  const ended = events.filter((it) =>
    it.type === "session-end" && [0, 90, 200].includes(it.session.reply ?? -1)
  );
  return ended.length + server.sessions.length;
}

/**
 * Passes if a proxy has opened all connections to these web servers. It may have opened more:
 * runtimes open some that they do not use, and Bun does not report failed TLS handshakes.
 */
export function assertNoBypassOf(proxy: TestServer, ...webs: Web[]): void {
  const connections = webs.map((it) => it.connections);
  const sum = connections.reduce((all, it) => all + it, 0);
  assert(sum <= opened(proxy), `${connections} > ${opened(proxy)}`);
}
