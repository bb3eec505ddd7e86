/** Bridges: proxies on loopback in front of other proxies. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Bridge,
  bridge,
  type BridgeOptions,
} from "../../src/doors/bridge/mod.ts";
import {
  connect as connectThrough,
  type ProxyConfig,
  type ProxyProtocol,
  socks,
  SocksError,
  type SocksErrorCode,
} from "../../src/client/mod.ts";
import {
  type Endpoint,
  type ServeOptions,
  userPass,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";
import { assertSocksError } from "../support/scripted.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { octets } from "../support/table.ts";
import { readAll, readExactly, until } from "../transport/contract.ts";

const LOGIN: ServeOptions = { auth: [userPass({ al: "p@ss word" })] };

/** The URL of a server of this library, with the right login. */
function urlOf({ server }: TestServer, scheme = "socks5h"): string {
  return `${scheme}://al:p%40ss%20word@127.0.0.1:${server.addr.port}`;
}

/** A client of a bridge. */
function clientOf(
  { addr }: Bridge,
  protocol: ProxyProtocol,
  login: Partial<ProxyConfig> = {},
): ProxyConfig {
  return { protocol, ...addr, ...login };
}

interface World {
  readonly upstream: TestServer;
  readonly target: Target;
  readonly bridge: Bridge;
}

/** Runs `use` with a bridge to a proxy with a login, and a target that echoes. */
async function withBridge(
  options: BridgeOptions,
  use: (world: World) => Promise<void>,
  scheme = "socks5h",
): Promise<void> {
  const target = await startTarget(echo);
  const upstream = await startServer({ ...LOGIN, http: true });
  const opened = await bridge(urlOf(upstream, scheme), options);
  try {
    await use({ upstream, target, bridge: opened });
  } finally {
    await opened.close();
    await upstream.close();
    await target.close();
  }
}

/** Passes if a client gets its bytes back from the target. */
async function assertEchoes(
  proxy: ProxyConfig,
  target: string | Endpoint,
): Promise<void> {
  const conn = await connectThrough(proxy, target);
  await conn.write(octets("01 02 03"));
  assertEquals(await readExactly(conn, 3), octets("01 02 03"));
  await conn.closeWrite();
  assertEquals(await conn.read(), null);
  conn.close();
}

const PROTOCOLS: ProxyProtocol[] = ["socks4a", "socks5", "socks5h", "http"];

for (const protocol of PROTOCOLS) {
  test(`bridge() serves ${protocol} clients through a proxy with a login`, () =>
    withBridge({}, async ({ bridge, target, upstream }) => {
      await assertEchoes(clientOf(bridge, protocol), target.addr);
      const { session, reason } = await upstream.ended();
      assertEquals([session.user, reason], ["al", "finished"]);
    }));
}

const LAST_HOPS = ["socks4a", "socks5", "socks5h", "http"];

for (const scheme of LAST_HOPS) {
  test(`bridge() leaves names to the last hop with ${scheme}:`, async () => {
    const target = await startTarget(echo);
    // Only the proxy knows the name.
    const upstream = await startServer({
      http: true,
      transport: {
        ...await detectTransport(),
        lookup: (name) =>
          name === "target.test"
            ? Promise.resolve(["127.0.0.1"])
            : Promise.reject(new NetError("dns")),
      },
    });
    const url = `${scheme}://127.0.0.1:${upstream.server.addr.port}`;
    const opened = await bridge(url);
    const { port } = target.addr;
    for (const protocol of ["socks5h", "socks4a", "http"] as const) {
      const client = clientOf(opened, protocol);
      await assertEchoes(client, { hostname: "target.test", port });
      const { session } = await upstream.ended();
      assertEquals(session.target, { hostname: "target.test", port });
    }
    await opened.close();
    await upstream.close();
    await target.close();
  });
}

test("bridge() goes through all hops of a chain", async () => {
  const target = await startTarget(echo);
  const first = await startServer({ ...LOGIN, http: true });
  const second = await startServer(LOGIN);
  const opened = await bridge([urlOf(first, "http"), urlOf(second)]);
  await assertEchoes(clientOf(opened, "http"), target.addr);
  assertEquals((await first.ended()).session.target, second.server.addr);
  assertEquals((await second.ended()).session.target, target.addr);
  await opened.close();
  await second.close();
  await first.close();
  await target.close();
});

/** A row: why the upstream fails, its hop, the client's reply, and the status. */
const FAILURES: readonly [
  name: string,
  dial: () => Promise<never>,
  reply: number,
  status: number,
][] = [
  ["its policy", () => Promise.reject({ reply: 2 }), 2, 403],
  ["no route to the network", () => Promise.reject({ reply: 3 }), 3, 502],
  ["no route to the host", () => Promise.reject({ reply: 4 }), 4, 504],
  ["a target that refuses", () => Promise.reject({ reply: 5 }), 5, 502],
  ["a failure", () => Promise.reject({ reply: 1 }), 1, 502],
];

for (const [name, dial, reply, status] of FAILURES) {
  test(`bridge() passes on the reply of a hop that fails because of ${name}`, async () => {
    const upstream = await startServer({ dial });
    const errors: unknown[] = [];
    const url = `socks5h://127.0.0.1:${upstream.server.addr.port}`;
    const onError = (error: unknown, target: Endpoint) => {
      errors.push((error as SocksError).reply, target.hostname);
      throw new Error("ignored");
    };
    const opened = await bridge(url, { onError });
    for (const protocol of ["socks5h", "socks4a", "http"] as const) {
      const error = await assertRejected(clientOf(opened, protocol));
      const expected = { socks5h: reply, socks4a: 0x5b, http: status };
      assertEquals(error.reply, expected[protocol]);
      assertEquals(errors.splice(0), [reply, "target.test"]);
    }
    await opened.close();
    await upstream.close();
  });
}

async function assertRejected(client: ProxyConfig): Promise<SocksError> {
  const attempt = connectThrough(client, "target.test:80");
  return await assertSocksError(attempt, "rejected", "request");
}

/** A row: the fault of the hop, the code of the error, the client's reply, the status. */
const FAULTS: readonly [
  name: string,
  url: () => Promise<[url: string, close: () => Promise<void>]>,
  code: SocksErrorCode,
  reply: number,
  status: number,
][] = [
  [
    "is down",
    async () => [
      `socks5h://127.0.0.1:${await closedPort()}`,
      () => Promise.resolve(),
    ],
    "proxy-unreachable",
    1,
    502,
  ],
  [
    "refuses the login",
    async () => {
      const upstream = await startServer(LOGIN);
      const { port } = upstream.server.addr;
      return [`socks5h://al:secret@127.0.0.1:${port}`, () => upstream.close()];
    },
    "login-failed",
    1,
    502,
  ],
  [
    "hangs",
    async () => {
      const target = await startTarget();
      const { port } = target.addr;
      return [`socks5h://127.0.0.1:${port}`, () => target.close()];
    },
    "timeout",
    4,
    504,
  ],
  [
    "hangs up",
    async () => {
      const target = await startTarget((conn) => conn.close());
      const { port } = target.addr;
      return [`socks5h://127.0.0.1:${port}`, () => target.close()];
    },
    "proxy-closed",
    1,
    502,
  ],
];

for (const [name, open, code, reply, status] of FAULTS) {
  test(`bridge() answers with a failure if a hop ${name}`, async () => {
    const [url, close] = await open();
    const errors: unknown[] = [];
    const onError = (error: unknown) => errors.push(error);
    const timeout = code === "timeout" ? 2_000 : undefined;
    const opened = await bridge(url, { onError, timeout });
    const viaSocks = await assertRejected(clientOf(opened, "socks5h"));
    const viaHttp = await assertRejected(clientOf(opened, "http"));
    assertEquals([viaSocks.reply, viaHttp.reply], [reply, status]);
    for (const error of errors) {
      assert(error instanceof SocksError, String(error));
      assertEquals(error.code, code);
      assert(!/secret/.test(`${error.message} ${error.stack}`));
    }
    assertEquals(errors.length, 2);
    await opened.close();
    await close();
  });
}

test("bridge() serves only HTTP with socks: false", () =>
  withBridge({ socks: false }, async ({ bridge, target }) => {
    assertEquals(bridge.url, `http://127.0.0.1:${bridge.addr.port}`);
    await assertEchoes(clientOf(bridge, "http"), target.addr);
    for (const protocol of ["socks5h", "socks4a"] as const) {
      const attempt = connectThrough(clientOf(bridge, protocol), target.addr);
      const phase = protocol === "socks5h" ? "method" : "request";
      await assertSocksError(attempt, "proxy-closed", phase);
    }
    assertEquals(target.conns.length, 1);
  }));

test("bridge() serves only SOCKS with http: false", () =>
  withBridge({ http: false }, async ({ bridge, target }) => {
    assertEquals(bridge.url, `socks5h://127.0.0.1:${bridge.addr.port}`);
    await assertEchoes(clientOf(bridge, "socks4a"), target.addr);
    await assertEchoes(clientOf(bridge, "socks5h"), target.addr);
    const attempt = connectThrough(clientOf(bridge, "http"), target.addr);
    const { reply } = await assertSocksError(attempt, "rejected", "request");
    assertEquals(reply, 400);
    assertEquals(target.conns.length, 2);
  }));

test("bridge() asks its clients for the login of auth, and locks nobody out", () => {
  const right = { username: "b", password: "right" };
  return withBridge({ auth: right }, async ({ bridge, target, upstream }) => {
    const wrong = { username: "b", password: "wrong" };
    const refused = Array.from({ length: 12 }, (_, i) => {
      const protocol = i % 2 ? "socks5h" : "http";
      const client = clientOf(bridge, protocol, wrong);
      return assertRejects(
        () => connectThrough(client, target.addr),
        SocksError,
      );
    });
    for (const { code } of await Promise.all(refused)) {
      assertEquals(code, "login-failed");
    }
    for (const protocol of ["socks5h", "socks4a", "http"] as const) {
      const client = clientOf(bridge, protocol);
      await assertRejects(
        () => connectThrough(client, target.addr),
        SocksError,
      );
    }
    assertEquals(target.conns.length, 0);
    for (const protocol of ["socks5h", "http"] as const) {
      await assertEchoes(clientOf(bridge, protocol, right), target.addr);
      assertEquals((await upstream.ended()).session.user, "al");
    }
  });
});

test("bridge() does not end connections that are idle", () =>
  withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    await withBridge({ transport }, async ({ bridge, target }) => {
      const conn = await connectThrough(
        clientOf(bridge, "socks5h"),
        target.addr,
      );
      clock.skip(24 * 3_600_000);
      await conn.write(octets("01"));
      assertEquals(await readExactly(conn, 1), octets("01"));
      conn.close();
    });
  }));

test("bridge() takes a dialer, with the commands that it has", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer();
  const url = `socks5h://127.0.0.1:${upstream.server.addr.port}`;
  const full = await bridge(socks(url));
  await assertEchoes(clientOf(full, "http"), target.addr);
  const listener = await socks(clientOf(full, "socks5h")).bind("127.0.0.1");
  const udp = await socks(clientOf(full, "socks5h")).udpAssociate();
  udp.close();
  listener.close();
  await full.close();
  const only = await bridge({
    connect: (target) => connectThrough(url, target),
  });
  await assertEchoes(clientOf(only, "socks5h"), target.addr);
  const bound = socks(clientOf(only, "socks5h")).bind();
  const { reply } = await assertSocksError(bound, "rejected", "request");
  assertEquals(reply, 7);
  await only.close();
  await upstream.close();
  await target.close();
});

test("bridge() closes its connections and its port", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer();
  const url = `socks5h://127.0.0.1:${upstream.server.addr.port}`;
  const opened = await bridge(url);
  const conn = await connectThrough(
    clientOf(opened, "socks5h"),
    target.addr,
  );
  await opened[Symbol.asyncDispose]();
  await readAll(conn).catch((error) => assertEquals(error.kind, "reset"));
  conn.close();
  await assertSocksError(
    connectThrough(clientOf(opened, "socks5h"), target.addr),
    "proxy-unreachable",
    "dial",
  );
  await until(() => upstream.server.sessions.length === 0);
  await upstream.close();
  await target.close();
});

const URL_ = "socks5h://al:secret@127.0.0.1:1";

/** A row: the arguments, and a word of the message. */
const INVALID: readonly [name: string, hops: unknown, options: unknown][] = [
  ["no hops", "", {}],
  ["an empty list of hops", [], {}],
  ["an unknown scheme", "ftp://al:secret@127.0.0.1", {}],
  ["an unknown option", URL_, { https: true }],
  ["neither protocol", URL_, { http: false, socks: false }],
  ["an option http that is no boolean", URL_, { http: "yes" }],
  ["an option socks that is no boolean", URL_, { socks: "no" }],
  ["a login without a password", URL_, { auth: { username: "a" } }],
  ["an empty login", URL_, { auth: { username: "", password: "" } }],
  ["a login as a text", URL_, { auth: "a:secret" }],
  ["another key of the login", URL_, {
    auth: { username: "a", password: "b", pass: "secret" },
  }],
  ["an invalid port", URL_, { port: 65_536 }],
  ["a name to listen on", URL_, { hostname: "proxy.test" }],
  ["no loopback and no login", URL_, { hostname: "0.0.0.0" }],
  ["all interfaces and no login", URL_, { hostname: "::" }],
  ["an invalid timeout", URL_, { timeout: -1 }],
  ["a timeout beside a dialer", { connect() {} }, { timeout: 1 }],
  ["TLS for hops without it", URL_, { tls: { serverName: "secret" } }],
];

for (const [name, hops, options] of INVALID) {
  test(`bridge() rejects ${name}`, async () => {
    const call = () => bridge(hops as string, options as BridgeOptions);
    const { message } = await assertRejects(call, TypeError);
    assert(!message.includes("secret"), message);
  });
}

test("bridge() says that auth is missing beyond loopback", async () => {
  const { message } = await assertRejects(
    () => bridge(URL_, { hostname: "0.0.0.0" }),
    TypeError,
  );
  assert(message.includes("auth: { username, password }"), message);
});

test("bridge() rejects if its port is in use", () =>
  withBridge({}, async ({ bridge: { addr: { port } } }) => {
    const error = await assertRejects(() => bridge(URL_, { port }), NetError);
    assertEquals(error.kind, "addr-in-use");
  }));
