/**
 * Web servers that count their connections, and proxies between them and a client.
 *
 * @module
 */

import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import type * as net from "node:net";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Certificate } from "../support/certificates.ts";
import { startServer, type TestServer } from "../support/server.ts";

/** A running web server. */
export interface Web {
  readonly port: number;
  /** How many connections it has accepted. */
  readonly connections: number;
  /** The requests: method, path and the names of the header fields. */
  readonly requests: http.IncomingMessage[];
  close(): Promise<void>;
}

/**
 * Starts a web server on 127.0.0.1:
 *
 * - `/redirect?STATUS,URL` redirects
 * - `/echo` returns the request as JSON
 * - `/never` sends headers, and then nothing
 * - `/silent` sends nothing
 * - `/big` returns 3 MB
 * - every other path returns itself
 */
export async function startWeb(certificate?: Certificate): Promise<Web> {
  const requests: http.IncomingMessage[] = [];
  const sockets = new Set<net.Socket>();
  const onRequest = (
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ) => {
    requests.push(request);
    void answer(request, response);
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
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return connections;
    },
    requests,
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
      const [status, location] = decodeURIComponent(argument).split(",");
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
    default:
      response.end(url);
  }
}

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
