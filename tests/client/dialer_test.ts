/** Dialers: everything through one proxy or a chain of them. */

import { inspect } from "node:util";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  connect,
  createDialer,
  type DialerOptions,
  type HopDialer,
  type Hops,
  passwordLogin,
  SocksError,
} from "../../src/client/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { issue } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import {
  assertClosesConnection,
  assertSocksError,
  countListeners,
  invalidTimeouts,
  type Script,
  startProxy,
  withNames,
} from "../support/scripted.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type TestServer,
  urlOf,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { CHOSEN, OK, TARGET } from "../support/socks5_wire.ts";
import { octets } from "../support/table.ts";
import { pattern, readExactly, settled, until } from "../transport/contract.ts";
import { assertEchoed, startEcho } from "./associated.ts";

const LOGIN = { auth: [userPass({ al: "pw" })] };

/** The octets of a request for CONNECT to a port below 16 of 127.0.0.1. */
function askedFor(port: number): string {
  return `05 01 00 01 7F 00 00 01 00 0${port}`;
}

/** Sends octets to a target that echoes them, and back. */
async function assertReaches(
  dialer: HopDialer,
  target: Parameters<HopDialer["connect"]>[0],
): Promise<void> {
  const conn = await dialer.connect(target);
  await conn.write(pattern(1000));
  assertEquals(await readExactly(conn, 1000), pattern(1000));
  conn.close();
}

test("createDialer() throws a TypeError for invalid arguments at once, without credentials", () => {
  const url = "socks5://al:hunter2@127.0.0.1";
  const chain = [url, "http://127.0.0.1:3128"];
  const rows: [Hops, DialerOptions?][] = [
    [[]],
    [""],
    [[url, "socks6://al:hunter2@127.0.0.1"]],
    [`${url} direct`],
    [[url, undefined as never]],
    [Array(17).fill(url)],
    [url, { timout: 1 } as DialerOptions],
    [url, { conn: {} } as DialerOptions],
    [url, { signal: new AbortController() as never }],
    [url, { auth: [] }],
    [chain, { auth: [passwordLogin()] }],
    [chain, { tls: {} }],
    [chain, { tls: [undefined] }],
    [chain, { tls: [undefined, {}] }],
    ["socks5+tls://127.0.0.1", { tls: [{ ca: "" }] }],
    ...invalidTimeouts.map((timeout): [Hops, DialerOptions] => [url, {
      timeout,
    }]),
  ];
  for (const [hops, options] of rows) {
    const error = assertThrows(() => createDialer(hops, options), TypeError);
    const shown = inspect(error, { depth: 9, showHidden: true });
    assert(!shown.includes("hunter2"), shown);
  }
});

test("createDialer() shows the hops without credentials", () => {
  const rows: [Hops, string][] = [
    ["socks5h://al:hunter2@proxy.example", "socks5h://proxy.example:1080"],
    [
      " socks4a://al@[::1]:9 \n http://al:hunter2@h.example:3128 ",
      "socks4a://[::1]:9 http://h.example:3128",
    ],
    [
      [new URL("socks5+tls://al:hunter2@a.example"), {
        protocol: "socks5",
        hostname: "b.example",
        username: "al",
        password: "hunter2",
      }],
      "socks5+tls://a.example:1080 socks5://b.example:1080",
    ],
  ];
  for (const [hops, expected] of rows) {
    const dialer = createDialer(hops);
    assertEquals(`${dialer}`, expected);
    const shown = inspect(dialer, { depth: 9, showHidden: true }) +
      JSON.stringify(dialer);
    assert(!shown.includes("hunter2") && !shown.includes("al@"), shown);
  }
});

test("connect() of a dialer goes through every hop, of any kind and in their order", async () => {
  const target = await startTarget(echo);
  const first = await startServer(LOGIN);
  const second = await startServer({ ...LOGIN, http: true });
  const third = await startServer();
  const { port } = target.addr;
  const dialer = createDialer([
    urlOf(first, "socks5h://al:pw@"),
    urlOf(second, "http://al:pw@"),
    urlOf(third, "socks4a"),
  ]);
  for (let round = 0; round < 2; round++) {
    await assertReaches(dialer, `localhost:${port}`);
    const sessions = [];
    for (const server of [first, second, third]) {
      const { session: { protocol, user, target } } = await server.ended();
      sessions.push([protocol, user, target]);
    }
    assertEquals(sessions, [
      ["socks5", "al", second.server.addr],
      ["http", "al", third.server.addr],
      ["socks4", undefined, { hostname: "localhost", port }],
    ]);
  }
  for (const it of [first, second, third, target]) await it.close();
});

test("connect() of a dialer goes through hops with TLS, the first one and a later one", async () => {
  const certificate = issue({
    subject: "/CN=proxy",
    extensions: ["subjectAltName=IP:127.0.0.1"],
  });
  const target = await startTarget(echo);
  const plain = await startServer();
  const first = await startServer({ tls: certificate });
  const second = await startServer({ tls: certificate, http: true });
  const tls = { ca: certificate.cert };
  const urls = [
    urlOf(first, "socks5h+tls"),
    urlOf(plain),
    urlOf(second, "https"),
  ];
  await assertReaches(createDialer(urls, { tls }), target.addr);
  const list = [tls, undefined, tls];
  await assertReaches(createDialer(urls, { tls: list }), target.addr);
  const error = await assertSocksError(
    createDialer(urls, { tls: [tls, undefined, undefined] }).connect(TARGET),
    "tls-untrusted",
    "dial",
  );
  const address = `127.0.0.1:${second.server.addr.port}`;
  assertEquals(error.hop, { number: 3, address });
  for (const it of [first, second, plain, target]) await it.close();
});

test("connect() of a dialer speaks TLS to the target, and refuses wrong options before it connects", async () => {
  const certificate = issue({
    subject: "/CN=target",
    extensions: ["subjectAltName=DNS:target.example"],
  });
  const target = await startServer({ tls: certificate });
  const first = await startServer();
  const dialer = createDialer([urlOf(first), urlOf(first)]);
  const { port } = target.server.addr;
  const targetTls = { ca: certificate.cert, serverName: "target.example" };
  const conn = await dialer.connect(`127.0.0.1:${port}`, { targetTls });
  await conn.write(octets("05 01 00"));
  assertEquals(await readExactly(conn, 2), octets("05 00"));
  conn.close();
  for (let i = 0; i < 2; i++) await first.ended();
  const untrusted = dialer.connect(`127.0.0.1:${port}`, { targetTls: true });
  const error = await assertSocksError(
    untrusted,
    "tls-untrusted",
    "target-tls",
  );
  assertEquals(error.hop?.number, 2);
  for (let i = 0; i < 2; i++) await first.ended();
  const wrong = { targetTls: { servername: "a" } as never };
  await assertRejects(() => dialer.connect(TARGET, wrong), TypeError);
  await settled();
  assertEquals(first.server.sessions.length, 0);
  await first.close();
  await target.close();
});

test("connect() of a dialer lets each hop resolve the next one's name where its scheme says", async () => {
  const target = await startTarget(echo);
  const first = await startServer();
  const second = await startServer();
  const { port } = second.server.addr;
  const options = await withNames();
  for (
    const [protocol, name, seen] of [
      ["socks5h", "localhost", "localhost"],
      ["socks4a", "localhost", "localhost"],
      ["socks5", "xn--bcher-kva.example", "127.0.0.2"],
      ["socks4", "v6first", "127.0.0.1"],
    ]
  ) {
    const hops = [urlOf(first, protocol), `socks5://${name}:${port}`];
    const connecting = createDialer(hops, options).connect(target.addr);
    await connecting.then((conn) => conn.close(), () => {});
    const { session } = await first.ended();
    assertEquals(session.target, { hostname: seen, port });
  }
  const lost = createDialer([urlOf(first, "socks5"), "socks5://no.example"], {
    ...options,
  });
  const error = await assertSocksError(lost.connect(TARGET), "dns", "request");
  assertEquals(error.hop?.number, 1);
  for (const it of [first, second, target]) await it.close();
});

test("resolvesNames of a dialer is that of the last hop", () => {
  const rows: [string, boolean][] = [
    ["socks5h://a", true],
    ["socks5://a", false],
    ["socks5h://a socks4://b", false],
    ["socks5://a socks4a://b", true],
    ["socks4://a http://b", true],
  ];
  for (const [hops, expected] of rows) {
    assertEquals(createDialer(hops).resolvesNames, expected, hops);
  }
});

test("a dialer of one hop has all commands", async () => {
  const server = await startServer({ ...LOGIN, resolve: true });
  const target = await startTarget(echo);
  const udpTarget = await startEcho("127.0.0.1");
  const dialer = createDialer(urlOf(server, "socks5h://al:pw@"));
  await assertReaches(dialer, target.addr);

  const listener = await dialer.bind("127.0.0.1");
  const peer = await (await detectTransport()).connect(listener.addr);
  const inbound = await listener.accept();
  assertEquals(inbound.peerAddr, peer.localAddr);
  inbound.close();
  peer.close();

  const udp = await dialer.udpAssociate();
  await assertEchoed(udp, udpTarget.addr, udpTarget.addr);
  udp.close();

  assertEquals(await dialer.resolve("127.0.0.1"), "127.0.0.1");
  assertEquals(typeof await dialer.reverse("127.0.0.1"), "string");
  udpTarget.close();
  await target.close();
  await server.close();
});

test("bind() and resolve() of a chain are done by the last hop", async () => {
  const first = await startServer();
  const last = await startServer({ resolve: true });
  const dialer = createDialer([urlOf(first, "socks4"), urlOf(last)]);
  const listener = await dialer.bind();
  const peer = await (await detectTransport()).connect(listener.addr);
  const conn = await listener.accept();
  assertEquals(conn.peerAddr, peer.localAddr);
  await peer.write(octets("01 02 03"));
  assertEquals(await readExactly(conn, 3), octets("01 02 03"));
  conn.close();
  peer.close();
  assertEquals((await last.ended()).session.command, "bind");
  assertEquals((await first.ended()).session.command, "connect");
  assertEquals(await dialer.resolve("127.0.0.1"), "127.0.0.1");
  await first.close();
  await last.close();
});

test("accept() after bind() of a chain names the hop", async () => {
  const first = await startServer();
  const last = await startServer({ timeouts: { bind: 50 } });
  const dialer = createDialer([urlOf(first), urlOf(last)]);
  const listener = await dialer.bind("127.0.0.1");
  const error = await assertSocksError(listener.accept(), "rejected", "bind");
  const address = `127.0.0.1:${last.server.addr.port}`;
  assertEquals(error.hop, { number: 2, address });
  await first.close();
  await last.close();
});

test("a dialer rejects commands that the last hop or a chain cannot have, before it connects", async () => {
  const server = await startServer();
  const url = urlOf(server);
  const rows: [string, (dialer: HopDialer) => Promise<unknown>][] = [
    [`${url} ${url}`, (it) => it.udpAssociate()],
    [`${url} http://a`, (it) => it.udpAssociate()],
    [`${url} http://a`, (it) => it.bind()],
    [`${url} http://a`, (it) => it.resolve("a")],
    [`${url} socks4a://a`, (it) => it.reverse("127.0.0.1")],
    ["http://a", (it) => it.bind()],
    ["http://a", (it) => it.udpAssociate()],
  ];
  for (const [hops, run] of rows) {
    const error = await assertRejects(
      () => run(createDialer(hops)),
      SocksError,
    );
    assertEquals(error.code, "unsupported", hops);
    assertEquals(error.hop?.number, hops.split(" ").length, hops);
  }
  for (const target of ["no-port", "http://a/", "a:65536"]) {
    await assertRejects(
      () => createDialer(`${url} ${url}`).connect(target),
      TypeError,
    );
  }
  for (const options of [{ timeot: 1 }, { conn: {} }]) {
    await assertRejects(
      () => createDialer(url).connect(TARGET, options as never),
      TypeError,
    );
  }
  await settled();
  assertEquals(server.events.map(({ type }) => type), ["listening"]);
  await server.close();
});

test("errors of a dialer have the hop that failed, and name it if there are several", async () => {
  const down = await closedPort();
  const open = await startServer();
  const closed = await startServer(LOGIN);
  const up = urlOf(open);
  const nobody = `socks5h://127.0.0.1:${down}`;
  const at = ({ server: { addr } }: TestServer) => `127.0.0.1:${addr.port}`;
  const target = { hostname: "127.0.0.1", port: down };
  const rows: [string, number, string, string, string, number?][] = [
    [nobody, 1, "proxy-unreachable", "dial", "the proxy cannot be reached ("],
    [
      `${nobody} ${up}`,
      ...[1, "proxy-unreachable", "dial"] as const,
      `hop 1 of 2 (127.0.0.1:${down}): the proxy cannot be reached (`,
    ],
    [
      `${up} ${nobody} ${up}`,
      ...[1, "rejected", "request"] as const,
      `hop 1 of 3 (${at(open)}) could not reach hop 2 (127.0.0.1:${down}): ` +
      "the proxy rejected the request: ",
      5,
    ],
    [
      `${up} ${up} ${nobody}`,
      ...[2, "rejected", "request"] as const,
      `hop 2 of 3 (${at(open)}) could not reach hop 3 (127.0.0.1:${down}): `,
      5,
    ],
    [
      `${up} ${urlOf(closed)} ${up}`,
      ...[2, "no-method", "method"] as const,
      `hop 2 of 3 (${at(closed)}): `,
    ],
    [
      `${up} ${up} ${urlOf(closed, "socks5://al:hunter2@")}`,
      ...[3, "login-failed", "auth"] as const,
      `hop 3 of 3 (${at(closed)}): `,
    ],
    [up, 1, "rejected", "request", "the proxy rejected the request: ", 5],
    [
      `${up} ${up}`,
      ...[2, "rejected", "request"] as const,
      `hop 2 of 2 (${at(open)}): the proxy rejected the request: `,
      5,
    ],
  ];
  for (const [hops, number, code, phase, message, reply] of rows) {
    const dialer = createDialer(hops);
    const error = await assertRejects(() => dialer.connect(target), SocksError);
    const found = [error.code, error.phase, error.reply, error.hop?.number];
    assertEquals(found, [code, phase, reply, number], hops);
    const address = hops.split(" ")[number - 1].replace(/.*[@/]/, "");
    assertEquals(error.hop?.address, address);
    assert(error.message.startsWith(message), error.message);
    assert(!inspect(error, { depth: 9 }).includes("hunter2"));
  }
  await open.close();
  await closed.close();
});

test("the message of a dialer with one hop is that of connect()", async () => {
  const url = `socks5://127.0.0.1:${await closedPort()}`;
  const [one, other] = [
    await assertRejects(() => connect(url, TARGET), SocksError),
    await assertRejects(() => createDialer(url).connect(TARGET), SocksError),
  ];
  assertEquals(other.message, one.message);
});

/** Starts two proxies; the second one stalls after the first message. */
async function startStalling() {
  const stalling: Script = [["05 01 00", ""]];
  const second = await startProxy(stalling);
  const first = await startServer();
  return {
    second,
    hops: [urlOf(first), `socks5://127.0.0.1:${second.addr.port}`],
    async close() {
      await second.close();
      await first.close();
    },
  };
}

test("the timeout of a dialer is for all hops together", async () => {
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    for (const timeout of [undefined, 8_000]) {
      const { hops, second, close } = await startStalling();
      const dialer = createDialer(hops, { timeout: 5_000, transport });
      const connecting = dialer.connect(TARGET, { timeout });
      connecting.catch(() => {});
      clock.skip(4_000); // before the second hop is reached
      await second.played;
      assertEquals(clock.waiting, 1);
      clock.skip(timeout ? 4_100 : 1_100);
      const error = await assertSocksError(connecting, "timeout", "method");
      const address = `127.0.0.1:${second.addr.port}`;
      assertEquals(error.hop, { number: 2, address });
      assert(error.message.includes(`within ${timeout ?? 5_000} ms`));
      await assertClosesConnection(second.rest);
      await close();
    }
  });
});

test("the signals of a dialer and of a call end an attempt at any hop, and leave no listener", async () => {
  for (const which of ["default", "call", "default first", "call first"]) {
    const defaults = new AbortController();
    const call = new AbortController();
    const counts = [defaults, call].map(({ signal }) => countListeners(signal));
    const { hops, second, close } = await startStalling();
    const aborted = which.startsWith("default") ? defaults : call;
    const isFirst = which.endsWith("first");
    if (isFirst) aborted.abort();
    const dialer = createDialer(hops, { signal: defaults.signal, timeout: 0 });
    const connecting = dialer.connect(TARGET, { signal: call.signal });
    connecting.catch(() => {});
    if (!isFirst) {
      await second.played;
      aborted.abort();
    }
    const phase = isFirst ? "dial" : "method";
    const error = await assertSocksError(connecting, "aborted", phase);
    assertEquals(error.hop?.number, isFirst ? 1 : 2);
    assertEquals(counts.map((count) => count()), [0, 0]);
    if (!isFirst) await assertClosesConnection(second.rest);
    await close();
  }
});

test("a signal that fires after the attempt ends no connection", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const controller = new AbortController();
  const { signal } = controller;
  const dialer = createDialer([urlOf(server), urlOf(server)], { signal });
  const conn = await dialer.connect(target.addr);
  controller.abort();
  await settled();
  await conn.write(pattern(100));
  assertEquals(await readExactly(conn, 100), pattern(100));
  conn.close();
  await server.close();
  await target.close();
});

test("connect() of a dialer keeps what follows the reply of the last hop", async () => {
  for (const split of [false, true]) {
    // One connection plays all three hops and the target, which speaks first.
    const script: Script = [
      CHOSEN,
      [askedFor(2), OK],
      CHOSEN,
      [askedFor(3), OK],
      CHOSEN,
      [askedFor(4), `${OK} "220 ready"`],
    ];
    const proxy = await startProxy(script, split);
    const url = `socks5://127.0.0.1:${proxy.addr.port}`;
    const hops = [url, "socks5://127.0.0.1:2", "socks5://127.0.0.1:3"];
    const conn = await createDialer(hops).connect("127.0.0.1:4");
    await settled();
    assertEquals(await readExactly(conn, 9), octets('"220 ready"'));
    conn.close();
    await proxy.close();
  }
});

test("serve() goes through a chain, and passes on the reply of its last hop", async () => {
  const target = await startTarget(echo);
  const first = await startServer(LOGIN);
  const last = await startServer();
  const dial = createDialer([urlOf(first, "socks5h://al:pw@"), urlOf(last)]);
  const server = await startServer({ dial });
  const proxy = createDialer(urlOf(server));
  await assertReaches(proxy, `localhost:${target.addr.port}`);
  assertEquals((await last.ended()).session.target?.hostname, "localhost");

  const listener = await proxy.bind("127.0.0.1");
  const peer = await (await detectTransport()).connect(listener.addr);
  (await listener.accept()).close();
  peer.close();

  const refused = `127.0.0.1:${await closedPort()}`;
  const rows: [() => Promise<unknown>, number][] = [
    [() => proxy.connect(refused), 5],
    [() => proxy.udpAssociate(), 7],
  ];
  for (const [failing, reply] of rows) {
    const error = await assertRejects(failing, SocksError);
    assertEquals([error.code, error.reply], ["rejected", reply]);
  }
  for (const it of [server, first, last, target]) await it.close();
});

test(
  "1,000 attempts through a chain, aborted at random moments, leave nothing open",
  async () => {
    const certificate = issue({
      subject: "/CN=proxy",
      extensions: ["subjectAltName=IP:127.0.0.1"],
    });
    const target = await startTarget(echo);
    const servers = [
      await startServer(LOGIN),
      await startServer({ tls: certificate, timeouts: { handshake: 0 } }),
      await startServer({ http: true }),
    ];
    const [first, second, third] = servers;
    const defaults = new AbortController();
    const listeners = countListeners(defaults.signal);
    const dialer = createDialer([
      urlOf(first, "socks5h://al:pw@"),
      urlOf(second, "socks5h+tls"),
      urlOf(third, "http"),
    ], { tls: { ca: certificate.cert }, signal: defaults.signal });
    let left = 1_000;
    const outcomes = { connected: 0, aborted: 0 };
    const attempt = async () => {
      while (left-- > 0) {
        const call = new AbortController();
        // About half of the attempts take longer.
        const timer = setTimeout(() => call.abort(), Math.random() * 40);
        const { signal } = call;
        try {
          (await dialer.connect(target.addr, { signal })).close();
          outcomes.connected++;
        } catch (error) {
          if (!(error instanceof SocksError)) throw error;
          assertEquals(error.code, "aborted", error.message);
          outcomes.aborted++;
        }
        clearTimeout(timer);
      }
    };
    await Promise.all(Array.from({ length: 10 }, attempt));
    assertEquals(outcomes.connected + outcomes.aborted, 1_000);
    assert(outcomes.aborted > 0, "no attempt was aborted");
    assertEquals(listeners(), 0);
    await until(() =>
      servers.every(({ server }) => server.sessions.length === 0)
    );
    for (const it of [...servers, target]) await it.close();
  },
  { timeout: 240_000 },
);
