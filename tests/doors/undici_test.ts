/** The dispatcher for the `fetch()` of Node.js, and connectors for undici. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import * as http from "node:http";
import * as net from "node:net";
import * as tls from "node:tls";
import { SocksError } from "../../src/client/mod.ts";
import { connector, dispatcher } from "../../src/doors/undici/mod.ts";
import { certificates } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import { closedPort } from "../support/server.ts";
import { echo, startWay } from "./way.ts";

const { ca, server: certificate } = certificates();

const isNode = runtime === "node";
const notNode = isNode ? undefined : `fetch() of ${runtime} has no dispatchers`;
const noWebSocket = notNode ??
  ("WebSocket" in globalThis ? undefined : "Node.js 20 has no WebSocket");

/** Fetches a text through a dispatcher. */
async function get(url: string, through: unknown): Promise<string> {
  const response = await fetch(url, { dispatcher: through } as RequestInit);
  return await response.text();
}

/** Answers each request with its path; `/away` redirects. */
function site(port: () => number): http.Server {
  return http.createServer(({ url }, response) => {
    if (url === "/away") {
      const location = `http://127.0.0.1:${port()}/b`;
      response.writeHead(302, { location }).end();
    } else response.end(url);
  });
}

test(
  "dispatcher() sends fetch() through the proxy, redirects included",
  async () => {
    const origin = site(() => way.port);
    const way = await startWay((socket) =>
      void origin.emit("connection", socket)
    );
    const through = dispatcher(way.url());
    assertEquals(await get(`http://localhost:${way.port}/a`, through), "/a");
    await way.assertThrough(1);
    assertEquals(await get(`http://localhost:${way.port}/away`, through), "/b");
    await way.assertThrough();
    await through.close();
    origin.closeAllConnections();
    await way.close();
  },
  { skip: notNode },
);

test(
  "dispatcher() sends fetch() of https: URLs through proxies with TLS",
  async () => {
    const origin = site(() => 0);
    const secure = tls.createServer(
      { ...certificate, ALPNProtocols: ["h2", "http/1.1"] },
      (socket) => void origin.emit("connection", socket),
    );
    const way = await startWay(
      (socket) => void secure.emit("connection", socket),
      { tls: certificate, http: true },
    );
    const through = dispatcher([way.url("socks5h+tls"), way.url("https")], {
      tls: { ca: ca.cert },
      targetTls: { ca: ca.cert },
    });
    assertEquals(await get(`https://localhost:${way.port}/a`, through), "/a");
    assertEquals(await get(`https://127.0.0.1:${way.port}/b`, through), "/b");
    await through.close();
    const untrusting = dispatcher(way.url("socks5h+tls"), {
      tls: { ca: ca.cert },
    });
    await assertRejects(() =>
      get(`https://localhost:${way.port}/a`, untrusting)
    );
    await untrusting.close();
    origin.closeAllConnections();
    await way.close();
  },
  { skip: notNode, timeout: 60_000 },
);

test(
  "the time limit of dispatcher() includes the target's TLS handshake",
  async () => {
    const silent = await startWay(() => {});
    const through = dispatcher(silent.url(), { timeout: 500 });
    const error = await assertRejects(() =>
      get(`https://localhost:${silent.port}`, through)
    );
    const { code, cause } = (error as Error).cause as Error & { code: string };
    assertEquals(code, "ETIMEDOUT");
    assertEquals((cause as SocksError).phase, "target-tls");
    await silent.assertThrough(1);
    await through.destroy();
    await silent.close();
  },
  { skip: notNode },
);

test(
  "the errors of fetch() through dispatcher() have the codes of direct connections",
  async () => {
    const way = await startWay();
    const port = await closedPort();
    const through = dispatcher(way.url());
    const error = await assertRejects(() =>
      get(`http://127.0.0.1:${port}`, through)
    );
    const { cause } = error as Error & { cause: NodeJS.ErrnoException };
    assertEquals(cause.code, "ECONNREFUSED");
    assert(cause.cause instanceof SocksError);
    await through.close();
    await way.close();
  },
  { skip: notNode },
);

test("dispatcher() sends a WebSocket through the proxy", async () => {
  const { createHash } = await import("node:crypto");
  const way = await startWay((socket) => {
    socket.once("data", (head) => {
      const [, key] = /^sec-websocket-key: (\S+)/im.exec(`${head}`)!;
      const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
      const accept = createHash("sha1").update(key + guid).digest("base64");
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
          `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.write(Uint8Array.of(0x81, 2, 0x68, 0x69)); // the text "hi"
    });
  });
  const through = dispatcher(way.url());
  const options = { dispatcher: through } as unknown as string[];
  const socket = new WebSocket(`ws://localhost:${way.port}/`, options);
  const { data } = await new Promise<MessageEvent>((resolve, reject) => {
    socket.onmessage = resolve;
    socket.onerror = reject;
  });
  assertEquals(data, "hi");
  await way.assertThrough(1);
  await through.destroy();
  await way.close();
}, { skip: noWebSocket });

test("dispatcher() names the door for runtimes whose fetch() has no dispatchers", () => {
  if (isNode) {
    const through = dispatcher("socks5h://127.0.0.1:1");
    assertEquals(typeof through.close, "function");
    return;
  }
  const error = assertThrows(() => dispatcher("socks5h://127.0.0.1:1"), Error);
  assertMatch(error.message, /createFetch\(\) of @x\/socks5\/fetch/);
});

test("dispatcher() does not use a global dispatcher of another kind", () => {
  const symbols = ["1", "2"].map((it) =>
    Symbol.for(`undici.globalDispatcher.${it}`)
  );
  const global = globalThis as unknown as Record<symbol, unknown>;
  void globalThis.Headers;
  const before = symbols.map((it) => global[it]);
  class EnvHttpProxyAgent {}
  try {
    for (const it of symbols) global[it] = new EnvHttpProxyAgent();
    const error = assertThrows(
      () => dispatcher("socks5h://127.0.0.1:1"),
      Error,
    );
    assertMatch(error.message, /createFetch/);
  } finally {
    for (const [i, it] of symbols.entries()) global[it] = before[i];
  }
});

test("connector() opens connections and leaves TLS to undici", async () => {
  const way = await startWay(echo);
  const asked: object[] = [];
  const build = (options?: object) => {
    asked.push(options!);
    return (
      origin: object,
      callback: (error: Error | null, socket: net.Socket | null) => void,
    ) => {
      asked.push(origin);
      callback(null, (origin as { httpSocket: net.Socket }).httpSocket);
    };
  };
  const port = `${way.port}`;
  if (runtime === "bun") {
    const error = assertThrows(() => connector(build, way.url()), Error);
    assertMatch(error.message, /createFetch\(\) of @x\/socks5\/fetch/);
    return await way.close();
  }
  const connect = connector(build, way.url(), { connect: { allowH2: true } });
  for (const protocol of ["http:", "https:"]) {
    const origin = { hostname: "localhost", port, protocol };
    const socket = await new Promise<net.Socket>((resolve, reject) =>
      connect(
        origin,
        (error, socket) => error ? reject(error) : resolve(socket!),
      )
    );
    assert(socket instanceof net.Socket);
    socket.destroy();
  }
  assertEquals(asked[0], { allowH2: true });
  assertEquals(asked.length, 2);
  assertEquals((asked[1] as { protocol: string }).protocol, "https:");
  await way.assertThrough(2);
  for (const hostname of ["", "a b"]) {
    const origin = { hostname, port, protocol: "http:" };
    const error = await new Promise((resolve) => connect(origin, resolve));
    assert(error instanceof TypeError);
  }
  await way.close();
});

const build = () => () => {};
const invalid: [name: string, create: () => unknown, message: RegExp][] = [
  [
    "an unknown key",
    () => connector(build, "socks5h://a", { ca: "" } as never),
    /"ca"/,
  ],
  ["no proxy", () => connector(build, []), /no proxy/],
  [
    "socketPath",
    () => connector(build, "socks5h://a", { connect: { socketPath: "/a" } }),
    /around/,
  ],
  [
    "no function",
    () => connector({} as never, "socks5h://a"),
    /buildConnector/,
  ],
  [
    "an unknown key of dispatcher()",
    () => dispatcher("socks5h://a", { ca: "" } as never),
    /"ca"/,
  ],
  ["no proxy of dispatcher()", () => dispatcher(""), /no proxy/],
];

for (const [name, create, message] of invalid) {
  test(`connector() and dispatcher() reject ${name}`, () => {
    const error = assertThrows(create, Error);
    if (runtime === "bun" && !name.includes("dispatcher")) return;
    assert(error instanceof TypeError);
    assertMatch(error.message, message);
  });
}
