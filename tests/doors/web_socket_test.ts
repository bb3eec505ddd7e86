/** The runtimes' own `WebSocket` through proxies. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import process from "node:process";
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
import { test as register } from "../support/harness.ts";
import {
  closedPort,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import {
  assertNoBypassOf,
  opened,
  requests,
  startProxy,
  startWeb,
  urlOf,
  type Web,
} from "./web.ts";

const skip = typeof WebSocket === "function"
  ? undefined
  : "Node.js 20 has no WebSocket";

function test(name: string, run: () => Promise<void>): void {
  register(name, run, { skip });
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
