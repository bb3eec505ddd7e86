/** The doors of the client in the libraries of npm: every connection goes through the proxy. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import * as http from "node:http";
import * as http2 from "node:http2";
import type * as net from "node:net";
import * as tls from "node:tls";
import { SocksError } from "../../src/client/mod.ts";
import { agents, type ProxyAgents } from "../../src/doors/agent/mod.ts";
import { dialSocket } from "../../src/doors/socket/mod.ts";
import { connector } from "../../src/doors/undici/mod.ts";
import { startWay, type Way } from "../doors/way.ts";
import { certificates } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { closedPort } from "../support/server.ts";
import { type Library, load, loadModule } from "./libraries.ts";
import { missingRuntime } from "./runtimes.ts";

const skip = missingRuntime("deno"); // which installs the packages
const shimmed = (name: string) =>
  skip ??
    (runtime === "bun"
      ? `Bun replaces ${name} by an own one that ignores agents and dispatchers`
      : undefined);

const noHttp2 = runtime === "deno"
  ? "HTTP/2 of undici fails on Deno, also without a proxy"
  : undefined;

const { ca, server: certificate } = certificates();
/** No own handles of libraries: they create ciphers that Deno takes for leaks. */
const options = { skip, foreign: true };

/** A site with both schemes behind proxies; `/away` redirects to the other scheme. */
interface Site {
  readonly plain: Way;
  readonly secure: Way;
  readonly agents: ProxyAgents;
  url(scheme: "http" | "https", path: string): string;
  /** Passes if all connections came through the proxies. */
  assertThrough(): void;
  close(): Promise<void>;
}

async function withSite(use: (site: Site) => Promise<void>): Promise<void> {
  const respond = (scheme: string) => (socket: net.Socket) => {
    let got = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      got += chunk;
      for (
        let at;
        (at = got.indexOf("\r\n\r\n")) >= 0;
        got = got.slice(at + 4)
      ) {
        const path = /^\S+ (\S+)/.exec(got)![1];
        const isAway = path === "/away";
        const text = isAway ? "" : `${scheme} ${path}`;
        const head = isAway
          ? `302 Found\r\nLocation: ${
            site.url(scheme === "http" ? "https" : "http", "/b")
          }`
          : "200 OK";
        socket.write(
          `HTTP/1.1 ${head}\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
        );
      }
    });
  };
  const terminator = tls.createServer(certificate, respond("https"));
  terminator.on("tlsClientError", () => {});
  const plain = await startWay(respond("http"));
  const secure = await startWay((socket) =>
    void terminator.emit("connection", socket)
  );
  const site: Site = {
    plain,
    secure,
    agents: agents(plain.url(), { agent: { ca: ca.cert } }),
    url: (scheme, path) =>
      `${scheme}://localhost:${
        (scheme === "http" ? plain : secure).port
      }${path}`,
    assertThrough() {
      const targets = plain.connections() + secure.connections();
      assert(targets > 0);
      assertEquals(targets, plain.granted());
    },
    async close() {
      site.agents.http.destroy();
      site.agents.https.destroy();
      await plain.close();
      await secure.close();
    },
  };
  try {
    await use(site);
  } finally {
    await site.close();
  }
}

const SCHEMES = ["http", "https"] as const;

test(
  "axios goes through the proxy by agents(), redirects included",
  async () => {
    const axios = await loadModule("axios", "1.21.1");
    await withSite(async (site) => {
      const { http, https } = site.agents;
      const how = { httpAgent: http, httpsAgent: https, proxy: false };
      for (const scheme of SCHEMES) {
        const { data } = await axios.get(site.url(scheme, "/a"), how);
        assertEquals(data, `${scheme} /a`);
        const other = scheme === "http" ? "https" : "http";
        const moved = await axios.get(site.url(scheme, "/away"), how);
        assertEquals(moved.data, `${other} /b`);
      }
      site.assertThrough();
      const refused = `http://127.0.0.1:${await closedPort()}/`;
      const error = await axios.get(refused, how).catch((it: unknown) => it);
      assertEquals(error.code, "ECONNREFUSED");
      assert(error.cause.cause instanceof SocksError);
    });
  },
  options,
);

test("got goes through the proxy by agents(), redirects included", async () => {
  const got = await load("got", "11.8.6");
  await withSite(async (site) => {
    const how = { agent: site.agents, retry: { limit: 0 } };
    for (const scheme of SCHEMES) {
      assertEquals(
        await got(site.url(scheme, "/a"), how).text(),
        `${scheme} /a`,
      );
      const other = scheme === "http" ? "https" : "http";
      assertEquals(
        await got(site.url(scheme, "/away"), how).text(),
        `${other} /b`,
      );
    }
    site.assertThrough();
    const refused = `http://127.0.0.1:${await closedPort()}/`;
    const error = await got(refused, how).catch((it: unknown) => it);
    assertEquals(error.code, "ECONNREFUSED");
  });
}, options);

test(
  "node-fetch goes through the proxy by agents(), redirects included",
  async () => {
    const fetch = await load("node-fetch", "2.7.0");
    await withSite(async (site) => {
      const agent = ({ protocol }: URL) =>
        protocol === "http:" ? site.agents.http : site.agents.https;
      for (const scheme of SCHEMES) {
        const response = await fetch(site.url(scheme, "/a"), { agent });
        assertEquals(await response.text(), `${scheme} /a`);
        const other = scheme === "http" ? "https" : "http";
        const moved = await fetch(site.url(scheme, "/away"), { agent });
        assertEquals(await moved.text(), `${other} /b`);
      }
      site.assertThrough();
    });
  },
  { ...options, skip: shimmed("node-fetch") },
);

test("ws goes through the proxy by agents()", async () => {
  const { WebSocket, WebSocketServer } = await load("ws", "8.23.0");
  const server = new WebSocketServer({ noServer: true });
  const site = http.createServer();
  site.on(
    "upgrade",
    (request, socket, head) =>
      server.handleUpgrade(
        request,
        socket,
        head,
        (it: Library) => it.send("hi"),
      ),
  );
  const way = await startWay((socket) => void site.emit("connection", socket));
  const agent = agents(way.url());
  const socket = new WebSocket(`ws://localhost:${way.port}/`, {
    agent: agent.http,
  });
  const text = await new Promise((resolve, reject) => {
    socket.on("message", (data: unknown) => resolve(`${data}`));
    socket.on("error", reject);
  });
  assertEquals(text, "hi");
  await way.assertThrough(1);
  socket.terminate();
  agent.http.destroy();
  await way.close();
}, { ...options, skip: shimmed("ws") });

for (const [allowH2, version] of [[false, "1.1"], [true, "2.0"]] as const) {
  test(
    `undici goes through the proxy by connector() with HTTP/${version}`,
    async () => {
      const { Agent, buildConnector, request } = await load("undici", "7.24.0");
      const site = http2.createSecureServer(
        { ...certificate, allowHTTP1: true },
        (request, response) => void response.end(request.httpVersion),
      );
      const way = await startWay((socket) =>
        void site.emit("connection", socket)
      );
      const connect = connector(buildConnector, way.url(), {
        connect: { ca: ca.cert, allowH2 },
      });
      const dispatcher = new Agent({ connect, allowH2 });
      const url = `https://localhost:${way.port}/`;
      const { body } = await request(url, { dispatcher });
      assertEquals(await body.text(), version);
      await dispatcher.destroy();
      await way.assertThrough(1);
      await way.close();
    },
    { ...options, skip: shimmed("undici") ?? (allowH2 ? noHttp2 : undefined) },
  );
}

test("node:http2 goes through the proxy by dialSocket()", async () => {
  const site = http2.createSecureServer(
    certificate,
    (request, response) => response.end(request.url),
  );
  const way = await startWay((socket) => void site.emit("connection", socket));
  const socket = await dialSocket(way.url(), `localhost:${way.port}`, {
    targetTls: { ca: ca.cert, ALPNProtocols: ["h2"] },
  });
  assertMatch(`${socket.alpnProtocol}`, /^h2$/);
  const session = http2.connect(`https://localhost:${way.port}`, {
    createConnection: () => socket,
  });
  const stream = session.request({ ":path": "/a" });
  let text = "";
  for await (const chunk of stream) text += chunk;
  assertEquals(text, "/a");
  await new Promise<void>((resolve) => session.close(resolve));
  socket.destroy();
  await way.assertThrough(1);
  await way.close();
}, options);
