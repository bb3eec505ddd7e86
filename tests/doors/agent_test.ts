/** Agents through proxies. */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import type * as net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { SocksError } from "../../src/client/mod.ts";
import {
  agents,
  type AgentsOptions,
  type ProxyAgents,
} from "../../src/doors/agent/mod.ts";
import { certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import { until } from "../transport/contract.ts";
import { startWay, type Way } from "./way.ts";

const { ca, server: certificate } = certificates();

/** Starts a site behind a proxy; it answers with the path and the `Host` of the request. */
async function startSite(
  scheme: "http" | "https",
  options: Parameters<typeof startWay>[1] = {},
): Promise<Way & { readonly origin: string }> {
  const secure = tls.createServer(
    { ...certificate, ALPNProtocols: ["http/1.1", "x"] },
    respond,
  );
  secure.on("tlsClientError", () => {});
  const way = await startWay((socket) => {
    if (scheme === "http") respond(socket);
    else secure.emit("connection", socket);
  }, options);
  return { ...way, origin: `${scheme}://localhost:${way.port}` };
}

/** The site, for requests without bodies. */
function respond(socket: net.Socket): void {
  let got = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    got += chunk;
    for (let at; (at = got.indexOf("\r\n\r\n")) >= 0; got = got.slice(at + 4)) {
      const [, path, host] = /^GET (\S+) .*?^host: (\S+)/ims.exec(got) ?? [];
      const text = `${path} ${host}`;
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n`;
      socket.write(head + text);
    }
  });
}

type Failure = Error & { code?: string; cause?: unknown };

interface Exchange {
  readonly request: http.ClientRequest;
  /** The text of the response, or the error. */
  readonly done: Promise<string | Failure>;
}

function get(
  url: string,
  agent: ProxyAgents,
  options: https.RequestOptions = {},
): Exchange {
  const isSecure = url.startsWith("https:");
  const how = { agent: isSecure ? agent.https : agent.http, ...options };
  const request = (isSecure ? https : http).get(url, how);
  const done = new Promise<string | Failure>((resolve) => {
    request.on("error", resolve);
    request.on("response", (response) => {
      let text = "";
      response.on("data", (chunk) => text += chunk);
      response.on("end", () => resolve(text));
      response.on("error", resolve);
    });
  });
  return { request, done };
}

function destroy(agent: ProxyAgents): void {
  agent.http.destroy();
  agent.https.destroy();
}

const trusting: AgentsOptions = { agent: { ca: ca.cert } };

for (const scheme of ["http", "https"] as const) {
  test(`agents() sends ${scheme} requests through the proxy`, async () => {
    const site = await startSite(scheme);
    const agent = agents(site.url(), trusting);
    assertEquals(
      await get(`${site.origin}/a`, agent).done,
      `/a localhost:${site.port}`,
    );
    await site.assertThrough(1);
    destroy(agent);
    await site.close();
  });

  test(`agents() sends ${scheme} requests through proxies with TLS`, async () => {
    const site = await startSite(scheme, { tls: certificate, http: true });
    const hops = [site.url("https"), site.url("socks5h+tls")];
    const agent = agents(hops, { ...trusting, tls: { ca: ca.cert } });
    assertEquals(
      await get(`${site.origin}/a`, agent).done,
      `/a localhost:${site.port}`,
    );
    destroy(agent);
    await site.close();
  });

  test(`agents() keeps ${scheme} connections`, async () => {
    const site = await startSite(scheme);
    const agent = agents(site.url(), trusting);
    for (let i = 0; i < 5; i++) {
      const { request, done } = get(`${site.origin}/${i}`, agent);
      assertEquals(await done, `/${i} localhost:${site.port}`);
      assertEquals(request.reusedSocket, i > 0);
      await new Promise((resolve) => setTimeout(resolve, 5)); // back into the pool
    }
    await site.assertThrough(1);
    destroy(agent);
    await site.close();
  });

  test(`agents() opens at most maxSockets ${scheme} connections`, async () => {
    const site = await startSite(scheme);
    const agent = agents(site.url(), {
      agent: { ca: ca.cert, maxSockets: 2 },
    });
    const done = Array.from(
      { length: 9 },
      (_, i) => get(`${site.origin}/${i}`, agent).done,
    );
    const expected = done.map((_, i) => `/${i} localhost:${site.port}`);
    assertEquals(await Promise.all(done), expected);
    await site.assertThrough(2);
    destroy(agent);
    await site.close();
  });

  test(`agents() goes on with the ${scheme} requests that wait after a failure`, async () => {
    const site = await startSite(scheme, {
      dial: (await import("../../src/client/mod.ts")).socks(
        "socks5h://127.0.0.1:1",
      ),
    });
    const agent = agents(site.url(), {
      agent: { ca: ca.cert, maxSockets: 1 },
    });
    const done = [1, 2, 3].map(() => get(site.origin, agent).done);
    for (const error of await Promise.all(done)) {
      assert(error instanceof Error);
      assert((error as Failure).cause instanceof SocksError);
    }
    destroy(agent);
    await site.close();
  });

  test(`an aborted ${scheme} request ends at once while the proxy connects`, async () => {
    const site = await startSite(scheme, { dial: () => new Promise(() => {}) });
    const agent = agents(site.url(), trusting);
    const { events } = site.server;
    const ways: ((exchange: Exchange, abort: () => void) => void)[] = [
      ({ request }) => request.destroy(),
      ({ request }) => request.destroy(new Error("enough")),
      (_, abort) => abort(),
    ];
    for (const [i, way] of ways.entries()) {
      const controller = new AbortController();
      const { signal } = controller;
      const exchange = get(site.origin, agent, { signal });
      await until(() =>
        events.filter(({ type }) => type === "request").length > i
      );
      way(exchange, () => controller.abort());
      const error = await exchange.done as Failure;
      assertEquals(
        [error.code ?? error.message],
        [["ECONNRESET", "enough", "ABORT_ERR"][i]],
      );
    }
    destroy(agent);
    await site.close();
  });

  test(`agent.destroy() ends ${scheme} requests while the proxy connects`, async () => {
    const site = await startSite(scheme, { dial: () => new Promise(() => {}) });
    const agent = agents(site.url(), trusting);
    const { done } = get(site.origin, agent);
    await until(() => site.server.events.some((it) => it.type === "request"));
    destroy(agent);
    assertEquals((await done as Failure).code, "ECONNRESET");
    await site.close();
  });

  test(`the errors of ${scheme} requests have the codes of direct connections`, async () => {
    const site = await startSite(scheme);
    const rows: [hops: string, url: string, code: string, cause: string][] = [
      [site.url(), `${scheme}://127.0.0.1:1`, "ECONNREFUSED", "rejected"],
      [
        "socks5h://127.0.0.1:1",
        site.origin,
        "ECONNREFUSED",
        "proxy-unreachable",
      ],
      [
        site.url().replace("al:", "eve:"),
        site.origin,
        "EACCES",
        "login-failed",
      ],
      [site.url("http"), site.origin, "ECONNREFUSED", "rejected"],
    ];
    for (const [hops, url, code, cause] of rows) {
      const agent = agents(hops, trusting);
      const error = await get(url, agent).done as Failure;
      assertEquals([error.code, (error.cause as SocksError)?.code], [
        code,
        cause,
      ]);
      assert(!`${error.message}${error.stack}`.includes("p@ss"));
      destroy(agent);
    }
    await site.assertThrough(0);
    await site.close();
  });

  test(`a ${scheme} request for a Unix socket does not go around the proxy`, async () => {
    const site = await startSite(scheme);
    const agent = agents(site.url(), trusting);
    const error = await get(site.origin, agent, { socketPath: "/nowhere" })
      .done;
    assertMatch(`${error}`, /socketPath/);
    destroy(agent);
    await site.close();
  });
}

test("agents() leaves ALPN to the caller", async () => {
  const site = await startSite("https");
  const agent = agents(site.url(), {
    agent: { ca: ca.cert, ALPNProtocols: ["x"] },
  });
  const { request, done } = get(site.origin, agent);
  const socket = await new Promise<tls.TLSSocket>((resolve) =>
    request.once("socket", (it: net.Socket) => resolve(it as tls.TLSSocket))
  );
  assertEquals(typeof await done, "string");
  assertEquals(socket.alpnProtocol, "x");
  destroy(agent);
  await site.close();
});

test("agents() checks the certificate of the target", async () => {
  const site = await startSite("https");
  const agent = agents(site.url());
  const error = await get(site.origin, agent).done as Failure;
  assert(error instanceof Error);
  assertMatch(`${error.code}`, /CERT|ISSUER|VERIFY/);
  destroy(agent);
  await site.close();
});

for (const scheme of ["socks5h", "socks5h+tls"]) {
  test(`the time limit of agents() includes the target's TLS handshake behind ${scheme}:`, async () => {
    const isTls = scheme.endsWith("+tls");
    const silent = await startWay(() => {}, isTls ? { tls: certificate } : {});
    const tls = isTls ? { ca: ca.cert } : undefined;
    const agent = agents(silent.url(scheme), { timeout: 1_000, tls });
    const { done } = get(`https://localhost:${silent.port}`, agent);
    const { code, message, cause } = await done as Failure;
    assertEquals(code, "ETIMEDOUT");
    assertMatch(message, /TLS connection to the target/);
    assertEquals((cause as SocksError).phase, "target-tls");
    await silent.assertThrough(1);
    destroy(agent);
    await silent.close();
  });
}

test("the time limit of agents() ends with the handshakes", async () => {
  const site = await startSite("https");
  const agent = agents(site.url(), { ...trusting, timeout: 1_000 });
  assertEquals(
    await get(`${site.origin}/a`, agent).done,
    `/a localhost:${site.port}`,
  );
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  assertEquals(
    await get(`${site.origin}/b`, agent).done,
    `/b localhost:${site.port}`,
  );
  await site.assertThrough(1);
  destroy(agent);
  await site.close();
});

test("an agent refuses the URLs of the other scheme", async () => {
  const site = await startSite("http");
  const agent = agents(site.url());
  const wrong = { http: agent.https, https: agent.http } as const;
  for (const [scheme, it] of Object.entries(wrong)) {
    const send = scheme === "http" ? http.get : https.get;
    let error: unknown;
    try {
      const request = send(`${scheme}://localhost:${site.port}`, { agent: it });
      error = await new Promise((resolve) => {
        request.on("error", resolve);
        request.on("response", () => resolve("a response"));
      });
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof Error, `${scheme}: ${error}`);
  }
  destroy(agent);
  await site.close();
});

const invalid: [name: string, create: () => unknown, message: RegExp][] = [
  [
    "an unknown key",
    () => agents("socks5h://a", { timeOut: 1 } as never),
    /timeOut.*timeout/,
  ],
  ["no proxy", () => agents(""), /no proxy/],
  ["a direct scheme", () => agents("ftp://a"), /begins with/],
  [
    "proxyEnv",
    () => agents("socks5h://a", { agent: { proxyEnv: {} } as never }),
    /around/,
  ],
  [
    "socketPath",
    () => agents("socks5h://a", { agent: { socketPath: "/a" } as never }),
    /around/,
  ],
  [
    "no options",
    () => agents("socks5h://a", { agent: null as never }),
    /agent/,
  ],
];

for (const [name, create, message] of invalid) {
  test(`agents() rejects ${name}`, () => {
    assertThrows(create, TypeError, undefined);
    try {
      create();
    } catch (error) {
      assertMatch(`${error}`, message);
    }
  });
}

test("a response that nobody reads holds the site back", async () => {
  const size = 128 * 1024 * 1024;
  let sent = 0;
  const site = tls.createServer(certificate, (socket) => {
    const chunk = new Uint8Array(64 * 1024);
    const send = () => {
      while (sent < size) {
        sent += chunk.length;
        if (!socket.write(chunk)) return void socket.once("drain", send);
      }
    };
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      send();
    });
  });
  const way = await startWay((socket) => void site.emit("connection", socket));
  const agent = agents(way.url());
  const url = `https://localhost:${way.port}`;
  const request = https.get(url, { agent: agent.https, ca: ca.cert });
  const [response] = await once(request, "response");
  await until(() => sent > 0);
  for (let before = -1; before !== sent;) {
    before = sent;
    await sleep(500);
  }
  assert(sent < size / 2, `${sent} octets`);
  let received = 0;
  for await (const chunk of response) received += chunk.length;
  assertEquals(received, size);
  agent.https.destroy();
  await way.close();
});
