/** The runtimes' own `WebSocket` through proxies. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { once } from "node:events";
import * as http from "node:http";
import type * as net from "node:net";
import process from "node:process";
import type { Duplex } from "node:stream";
import { inspect } from "node:util";
import type { SocksError, SocksErrorCode } from "../../src/client/mod.ts";
import {
  createWebSocket,
  type FetchOptions,
  type ProxiedWebSocket,
  type ProxiedWebSocketClass,
  type WebSocketOptions,
} from "../../src/doors/fetch/mod.ts";
import { issue } from "../support/certificates.ts";
import { runtime, test as register } from "../support/harness.ts";
import {
  closedPort,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { onUpgrade } from "../support/web_socket.ts";
import { until } from "../transport/contract.ts";
import {
  assertNoBypassOf,
  opened,
  requests,
  startProxy,
  startWeb,
  urlOf,
  type Web,
} from "./web.ts";

const noWebSocket = typeof WebSocket === "function"
  ? undefined
  : "Node.js 20 has no WebSocket";

function test(
  name: string,
  run: () => Promise<void>,
  skip: string | undefined = undefined,
): void {
  register(name, run, { skip: noWebSocket ?? skip });
}

interface World {
  readonly WebSocket: ProxiedWebSocketClass;
  readonly web: Web;
  readonly proxy: TestServer;
  /** The URL of the web server, with a name that only the proxy knows. */
  readonly url: string;
}

/** Runs `use` with a web server and a `WebSocket` through a proxy with a login. */
async function withWebSocket(
  use: (world: World) => Promise<void>,
  options: Parameters<typeof startProxy>[0] = {},
): Promise<void> {
  const web = await startWeb();
  const proxy = await startProxy(options);
  const WebSocket = await createWebSocket(urlOf(proxy));
  try {
    const url = `ws://one.test:${web.port}/`;
    await use({ WebSocket, web, proxy, url });
  } finally {
    await WebSocket.close();
    await web.close();
    await proxy.close();
  }
}

/** Resolves with the next event of one of these types. */
function next<T extends Event>(
  socket: WebSocket,
  ...types: string[]
): Promise<T> {
  return new Promise((resolve) => {
    for (const type of types) {
      socket.addEventListener(type, (event) => resolve(event as T), {
        once: true,
      });
    }
  });
}

/** Passes if a message comes back. Closes the socket. */
async function assertEchoes(socket: WebSocket): Promise<void> {
  const { type } = await next(socket, "open", "error");
  assertEquals(type, "open");
  socket.send("hello");
  const { data } = await next<MessageEvent>(socket, "message");
  assertEquals(data, "hello");
  const closed = next(socket, "close");
  socket.close(1000);
  await closed;
}

/** Passes if it cannot connect; returns the reason. */
async function failureOf(
  socket: ProxiedWebSocket,
): Promise<SocksError | undefined> {
  assertEquals((await next(socket, "open", "error")).type, "error");
  return socket.failure;
}

test("createWebSocket() returns a WebSocket that goes through the proxy", () =>
  withWebSocket(async ({ WebSocket: Proxied, web, proxy, url }) => {
    const socket = new Proxied(url);
    assert(socket instanceof Proxied && socket instanceof WebSocket);
    await assertEchoes(socket);
    await assertEchoes(new Proxied(new URL(url)));
    assertEquals([web.connections, opened(proxy)], [2, 2]);
    assertEquals([Proxied.OPEN, socket.failure], [1, undefined]);
    const targets = requests(proxy).map(({ target }) => target?.hostname);
    assertEquals(targets.filter((it) => it === "one.test").length, 2);
  }));

for (const scheme of ["socks4a", "socks5", "socks5h", "http"]) {
  test(`createWebSocket() goes through a ${scheme}: proxy`, async () => {
    const web = await startWeb();
    const proxy = await startServer({ http: true });
    const { port } = proxy.server.addr;
    const WebSocket = await createWebSocket(`${scheme}://127.0.0.1:${port}`);
    await assertEchoes(new WebSocket(`ws://127.0.0.1:${web.port}/`));
    assertEquals([web.connections, opened(proxy)], [1, 1]);
    await WebSocket.close();
    await web.close();
    await proxy.close();
  });
}

test("createWebSocket() speaks TLS to the target with the authority of targetTls", async () => {
  const certificate = issue({
    subject: "/CN=one",
    extensions: ["subjectAltName=DNS:one.test"],
  });
  const web = await startWeb(certificate);
  const proxy = await startProxy();
  const targetTls = { ca: certificate.cert };
  const WebSocket = await createWebSocket(urlOf(proxy), { targetTls });
  await assertEchoes(new WebSocket(`wss://one.test:${web.port}/`));
  const wrong = new WebSocket(`wss://two.test:${web.port}/`);
  assertEquals(await failureOf(wrong), undefined);
  assertNoBypassOf(proxy, web);
  await WebSocket.close();
  await web.close();
  await proxy.close();
});

test("createWebSocket() passes on subprotocols and headers", () =>
  withWebSocket(async ({ WebSocket, web, url }) => {
    for (const protocols of ["chat", ["chat", "other"]]) {
      const socket = new WebSocket(url, protocols);
      await next(socket, "open", "error");
      assertEquals(socket.protocol, "chat");
      await closed(socket);
    }
    const headers = { "x-own": "1" };
    const socket = new WebSocket(url, { protocols: "chat", headers });
    await next(socket, "open", "error");
    assertEquals(socket.protocol, "chat");
    await closed(socket);
    assertEquals(web.connections, 3);
  }));

async function closed(socket: WebSocket): Promise<void> {
  const event = next(socket, "close");
  socket.close();
  await event;
}

/** Runs `use` with the URL of a server behind a proxy that calls `answer` for each WebSocket. */
async function withAnswers(
  answer: (request: http.IncomingMessage, socket: Duplex) => void,
  use: (WebSocket: ProxiedWebSocketClass, url: URL) => Promise<void>,
): Promise<void> {
  await withWebSocket(async ({ WebSocket }) => {
    const server = http.createServer();
    const sockets: Duplex[] = [];
    server.on("upgrade", (request, socket) => {
      sockets.push(socket.on("error", () => {}));
      answer(request, socket);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as net.AddressInfo;
    try {
      await use(WebSocket, new URL(`ws://one.test:${port}/`));
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

test("createWebSocket() sends the request of the URL, and has its address", async () => {
  const requests: http.IncomingMessage[] = [];
  await withAnswers((request, socket) => {
    requests.push(request);
    onUpgrade(request, socket);
  }, async (WebSocket, url) => {
    url.pathname = "/a%20path/";
    url.search = "?a=b&c";
    const { href, host } = url;
    [url.username, url.password] = ["al", "p%40ss"];
    const headers = { "x-own": "1", host: "other.test" };
    const calls = [
      () => new WebSocket(url.href.replace("ws:", "http:")),
      ...runtime === "deno" ? [() => new WebSocket(url, { headers })] : [],
    ];
    for (const call of calls) {
      const socket = call();
      if (runtime === "deno") assertEquals(socket.url, href);
      assertEquals((await next(socket, "open", "error")).type, "open");
      const { url, headers } = requests.at(-1)!;
      const basic = `Basic ${btoa("al:p@ss")}`;
      assertEquals([url, headers.host], ["/a%20path/?a=b&c", host]);
      if (runtime === "deno") assertEquals(headers.authorization, basic);
      socket.send("hello");
      const { origin } = await next<MessageEvent>(socket, "message");
      assert(href.startsWith(origin), origin);
      await closed(socket);
    }
  });
});

const old = runtime === "node" && process.version.startsWith("v22.")
  ? "Node.js 22 does not close WebSockets that have failed"
  : undefined;

/** A row: what the target does, and its answer. */
const ANSWERS: readonly [string, (url: string) => string][] = [
  ["refuses", () => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"],
  [
    "redirects",
    (url) =>
      `HTTP/1.1 302 Found\r\nLocation: ${url}\r\nContent-Length: 0\r\n\r\n`,
  ],
  [
    "has no key",
    () =>
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n" +
      "Connection: Upgrade\r\n\r\n",
  ],
  ["speaks another protocol", () => "SSH-2.0-OpenSSH_9.2\r\n"],
  ["says nothing", () => ""],
];

for (const [name, answer] of ANSWERS) {
  test(`createWebSocket() fails if the target ${name}`, () => {
    let count = 0;
    return withAnswers((request, socket) => {
      count++;
      socket.end(answer(`ws://${request.headers.host}/moved`));
    }, async (WebSocket, url) => {
      const socket = new WebSocket(url);
      const closed = next(socket, "close");
      assertEquals(await failureOf(socket), undefined);
      await closed;
      assertEquals([socket.readyState, count], [WebSocket.CLOSED, 1]);
    });
  }, old);
}

for (const scheme of ["ws", "wss"]) {
  test(
    `createWebSocket() ends an attempt at ${scheme}: by close()`,
    async () => {
      const proxy = await startTarget();
      const WebSocket = await createWebSocket(
        `socks5h://127.0.0.1:${proxy.addr.port}`,
        { timeout: 0 },
      );
      const socket = new WebSocket(`${scheme}://one.test/`);
      await until(() => proxy.conns.length === 1);
      const end = proxy.conns[0].read();
      const closed = next(socket, "close");
      socket.close();
      await closed;
      assert(await end !== null); // the greeting
      assertEquals(await proxy.conns[0].read().catch(() => null), null);
      await WebSocket.close();
      await proxy.close();
    },
    runtime === "deno" ? undefined : "the attempt goes on until the timeout",
  );
}

test("createWebSocket() returns a class whose close() ends attempts", async () => {
  const proxy = await startTarget();
  const WebSocket = await createWebSocket(
    `socks5h://127.0.0.1:${proxy.addr.port}`,
    { timeout: 1_000 },
  );
  const sockets = ["ws", "wss"].map((it) => new WebSocket(`${it}://one.test/`));
  const failed = sockets.map((it) => next(it, "error", "close"));
  await until(() => proxy.conns.length === 2);
  await WebSocket.close();
  await Promise.all(failed);
  await proxy.close();
});

test("createWebSocket() returns a class whose close() ends its sockets", () =>
  withWebSocket(async ({ WebSocket, url }) => {
    const socket = new WebSocket(url);
    await next(socket, "open", "error");
    const closed = next(socket, "close");
    await WebSocket.close();
    await closed;
    assertEquals(socket.readyState, WebSocket.CLOSED);
  }));

test("createWebSocket() returns a class that can be extended", () =>
  withWebSocket(async ({ WebSocket, url }) => {
    class Mine extends WebSocket {
      name = "mine";
    }
    const socket = new Mine(url);
    assert(socket instanceof Mine);
    assertEquals(socket.name, "mine");
    await assertEchoes(socket);
  }));

/** A row: the fault, the proxy, the code and the phase of the failure. */
const FAULTS: readonly [
  name: string,
  open: () => Promise<[proxy: string, close: () => Promise<void>]>,
  code: SocksErrorCode,
][] = [
  ["the target refuses", async () => {
    const proxy = await startProxy({
      dial: () => Promise.reject({ reply: 5 }),
    });
    return [urlOf(proxy), () => proxy.close()];
  }, "rejected"],
  ["the login is wrong", async () => {
    const proxy = await startProxy();
    return [urlOf(proxy, "socks5h", "al:secret"), () => proxy.close()];
  }, "login-failed"],
  ["the proxy is down", async () => [
    `socks5h://al:secret@127.0.0.1:${await closedPort()}`,
    () => Promise.resolve(),
  ], "proxy-unreachable"],
  ["the proxy hangs", async () => {
    const proxy = await startTarget();
    return [
      `socks5h://al:secret@127.0.0.1:${proxy.addr.port}`,
      () => proxy.close(),
    ];
  }, "timeout"],
];

for (const [name, open, code] of FAULTS) {
  for (const scheme of ["ws", "wss"]) {
    test(`createWebSocket() reports a SocksError for ${scheme}: if ${name}`, async () => {
      const web = await startWeb();
      const [url, close] = await open();
      const WebSocket = await createWebSocket(url, {
        timeout: code === "timeout" ? 2_000 : undefined,
      });
      const failure = await failureOf(
        new WebSocket(`${scheme}://127.0.0.1:${web.port}/`),
      );
      assertEquals(failure?.code, code);
      assert(!inspect(failure).includes("secret"), inspect(failure));
      assertEquals(web.connections, 0);
      await WebSocket.close();
      await close();
      await web.close();
    });
  }
}

/** Runs `use` with a proxy that denies everything, and passes if it was not bypassed. */
function assertNoBypass(
  use: (WebSocket: ProxiedWebSocketClass, url: string) => Promise<void>,
): Promise<void> {
  return withWebSocket(async ({ WebSocket, web }) => {
    await use(WebSocket, `ws://localhost:${web.port}/`);
    assertEquals(web.connections, 0);
  }, { policy: () => false });
}

for (const name of ["NO_PROXY", "no_proxy"]) {
  test(`createWebSocket() ignores ${name}`, async () => {
    const before = process.env[name];
    process.env[name] = "*,localhost,127.0.0.1";
    try {
      await assertNoBypass(async (WebSocket, url) => {
        const failure = await failureOf(new WebSocket(url));
        assertEquals(failure?.code, "rejected");
        const ip = url.replace("localhost", "127.0.0.1");
        assertEquals((await failureOf(new WebSocket(ip)))?.code, "rejected");
      });
      assertEquals(process.env[name], "*,localhost,127.0.0.1");
    } finally {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    }
  });
}

test("createWebSocket() returns a class that refuses other ways and unknown options", () =>
  assertNoBypass((WebSocket, url) => {
    for (const key of ["dispatcher", "client", "proxy", "agent", "tls"]) {
      for (const value of [{}, "", null]) {
        const options = { [key]: value } as WebSocketOptions;
        const { message } = assertThrows(
          () => new WebSocket(url, options),
          TypeError,
        );
        assert(message.includes(key), message);
      }
    }
    return Promise.resolve();
  }));

test("createWebSocket() returns a class that refuses other schemes", () =>
  assertNoBypass((WebSocket) => {
    const urls = ["ws+unix:///run/x", "file:///x", "", "/x", " ws+unix://x"];
    for (const url of urls) {
      assertThrows(() => new WebSocket(url), SyntaxError);
    }
    return Promise.resolve();
  }));

test("createWebSocket() returns a class whose instances lead to no other constructor", () =>
  assertNoBypass(async (WebSocket, url) => {
    const socket = new WebSocket(url);
    await failureOf(socket);
    const { constructor } = socket as unknown as {
      constructor: typeof WebSocket;
    };
    const failure = await failureOf(new constructor(url));
    assertEquals(failure?.code, "rejected");
  }));

test("createWebSocket() refuses a global WebSocket that is not the runtime's own", async () => {
  const own = globalThis.WebSocket;
  const proxy = await startProxy();
  class Other extends EventTarget {
    onerror: unknown;
    constructor() {
      super();
      setTimeout(() => (this.onerror as () => void)(), 1);
    }
  }
  globalThis.WebSocket = Other as never;
  try {
    const { message } = await assertRejects(
      () => createWebSocket(urlOf(proxy)),
      Error,
    );
    assert(message.includes("replaced"), message);
  } finally {
    globalThis.WebSocket = own;
  }
  await proxy.close();
});

test("createWebSocket() returns a class that creates nothing after close()", () =>
  withWebSocket(async ({ WebSocket, web, url }) => {
    await WebSocket.close();
    await WebSocket[Symbol.asyncDispose]();
    assertThrows(() => new WebSocket(url), TypeError);
    assertEquals(web.connections, 0);
  }));

const INVALID: readonly [name: string, hops: unknown, options: unknown][] = [
  ["no hops", [], {}],
  ["an unknown scheme", "ftp://al:secret@127.0.0.1", {}],
  ["an unknown option", "socks5h://127.0.0.1", { proxy: "secret" }],
  ["an invalid timeout", "socks5h://127.0.0.1", { timeout: -1 }],
];

for (const [name, hops, options] of INVALID) {
  test(`createWebSocket() rejects ${name}`, async () => {
    const { message } = await assertRejects(
      () => createWebSocket(hops as string, options as FetchOptions),
      TypeError,
    );
    assert(!message.includes("secret"), message);
  });
}
