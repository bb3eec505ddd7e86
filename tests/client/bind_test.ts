/** The command BIND. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  bind,
  type Conn,
  connect,
  type Endpoint,
  NetError,
  type ProxyConfig,
  SocksError,
  type SocksErrorCode,
  type SocksPhase,
} from "../../src/client/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { test } from "../support/harness.ts";
import { withClock } from "../support/skipping_clock.ts";
import { CHOSEN } from "../support/socks5_wire.ts";
import { octets } from "../support/table.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  settled,
} from "../transport/contract.ts";
import {
  assertClosesConnection,
  assertClosesGiven,
  assertGivesUp,
  assertSocksError,
  countListeners,
  invalidTimeouts,
  type Script,
  startProxy,
  withNames,
} from "../support/scripted.ts";

const LISTENS5 = "05 00 00 01 0A 00 00 01 12 34";
const CAME5 = "05 00 00 01 C0 00 02 07 56 78";
const LISTENS4 = "00 5A 12 34 0A 00 00 01";
const CAME4 = "00 5A 56 78 C0 00 02 07";

const ANYONE5 = "05 02 00 01 6*00";
const ANYONE4 = "04 02 6*00 00";

const plain = { protocol: "socks5" } as const;
const old = { protocol: "socks4" } as const;

type Wire = readonly [
  name: string,
  proxy: Omit<ProxyConfig, "hostname" | "port">,
  peer: string | Endpoint | undefined,
  script: Script,
];

const wires: Wire[] = [
  ["SOCKS5 for any peer", plain, undefined, [
    CHOSEN,
    [ANYONE5, LISTENS5],
  ]],
  ["SOCKS5 for an IPv4 address without a port", plain, "192.0.2.7", [
    CHOSEN,
    ["05 02 00 01 C0 00 02 07 00 00", LISTENS5],
  ]],
  ["SOCKS5 for an IPv6 address", plain, "[2001:db8::1]:443", [
    CHOSEN,
    ["05 02 00 04 20 01 0D B8 11*00 01 01 BB", LISTENS5],
  ]],
  ["SOCKS5 for a name that the client resolves", plain, {
    hostname: "v6first",
    port: 5,
  }, [
    CHOSEN,
    ["05 02 00 04 15*00 01 00 05", LISTENS5],
  ]],
  ["SOCKS5h for a name", { protocol: "socks5h" }, "example.com:21", [
    CHOSEN,
    ['05 02 00 03 0B "example.com" 00 15', LISTENS5],
  ]],
  [
    "SOCKS5 with a login",
    { ...plain, username: "al", password: "pw" },
    undefined,
    [
      ["05 02 00 02", "05 02"],
      ['01 02 "al" 02 "pw"', "01 00"],
      [ANYONE5, LISTENS5],
    ],
  ],
  ["SOCKS4 for any peer", old, undefined, [[ANYONE4, LISTENS4]]],
  ["SOCKS4 with a user id", { ...old, username: "al" }, "192.0.2.7:21", [
    ['04 02 00 15 C0 00 02 07 "al" 00', LISTENS4],
  ]],
  ["SOCKS4 for a name that the client resolves", old, "v6first", [
    ["04 02 00 00 7F 00 00 01 00", LISTENS4],
  ]],
  ["SOCKS4a for a name", { protocol: "socks4a" }, "example.com", [
    ['04 02 00 00 00 00 00 01 00 "example.com" 00', LISTENS4],
  ]],
];

for (const [name, proxy, peer, script] of wires) {
  const [asked, reply] = script.at(-1)!;
  const came = reply === LISTENS4 ? CAME4 : CAME5;

  for (const split of [false, true]) {
    const how = split ? "in single bytes" : "in one segment";

    test(`bind() speaks ${name}; both replies and the peer's first bytes arrive ${how}`, async () => {
      const eager: Script = [...script.slice(0, -1), [
        asked,
        `${reply} ${came} "hello"`,
      ]];
      const server = await startProxy(eager, split);
      const options = await withNames();
      const through = { ...proxy, ...server.addr };
      const listener = await bind(through, peer, options);
      assertEquals(listener.addr, { hostname: "10.0.0.1", port: 0x1234 });
      const conn = await listener.accept();
      assertEquals(conn.peerAddr, { hostname: "192.0.2.7", port: 0x5678 });
      assertEquals(conn.boundAddr, listener.addr);
      assertEquals(await readExactly(conn, 5), octets('"hello"'));
      await conn.write(octets('"bye"'));
      await conn.closeWrite();
      assertEquals(await server.rest, octets('"bye"'));
      conn.close();
      await server.close();
    });
  }
}

test("the addr of a listener is the proxy's own address when the proxy reports zeros", async () => {
  const zeros: [ProxyConfig["protocol"], Script][] = [
    ["socks5", [CHOSEN, [ANYONE5, "05 00 00 01 4*00 12 34"]]],
    ["socks5", [CHOSEN, [ANYONE5, "05 00 00 04 16*00 12 34"]]],
    ["socks5", [CHOSEN, [
      ANYONE5,
      "05 00 00 04 10*00 FF FF 7F 00 00 01 12 34",
    ]]],
    ["socks4", [[ANYONE4, "00 5A 12 34 4*00"]]],
  ];
  for (const [protocol, script] of zeros) {
    const server = await startProxy(script);
    const listener = await bind({ protocol, ...server.addr });
    assertEquals(listener.addr, { hostname: "127.0.0.1", port: 0x1234 });
    listener.close();
    await server.close();
  }
});

test("the addr of a listener is the proxy's hostname when the proxy reports zeros over a given connection", async () => {
  const server = await startProxy([CHOSEN, [
    ANYONE5,
    "05 00 00 01 4*00 12 34",
  ]]);
  const conn = await (await detectTransport()).connect(server.addr);
  const proxy = { ...plain, hostname: "proxy.example" };
  const listener = await bind(proxy, undefined, { conn });
  assertEquals(listener.addr, { hostname: "proxy.example", port: 0x1234 });
  listener.close();
  await server.close();
});

test("bind() uses the proxy's own address when the proxy reports an unusable name, and accepts a peer with one", async () => {
  for (const name of ["00", "01 00", '05 "web.1"', '09 "1.2.3.4:5"']) {
    const server = await startProxy([CHOSEN, [
      ANYONE5,
      `05 00 00 03 ${name} 12 34 05 00 00 03 ${name} 56 78 "hi"`,
    ]]);
    const listener = await bind({ ...plain, ...server.addr });
    assertEquals(listener.addr, { hostname: "127.0.0.1", port: 0x1234 });
    const conn = await listener.accept();
    assertEquals(conn.peerAddr, { hostname: "0.0.0.0", port: 0x5678 });
    assertEquals(await readExactly(conn, 2), octets('"hi"'));
    conn.close();
    await server.close();
  }
});

test("the addr of a listener is a name when the proxy reports one", async () => {
  const reply = '05 00 00 03 09 "a.example" 12 34';
  const server = await startProxy([CHOSEN, [ANYONE5, reply]]);
  const listener = await bind({ ...plain, ...server.addr });
  assertEquals(listener.addr, { hostname: "a.example", port: 0x1234 });
  listener.close();
  assertEquals((await server.rest).length, 0);
  await server.close();
});

test("accept() resolves when the peer connected before the call", async () => {
  const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
  const listener = await bind({ ...plain, ...server.addr });
  const [far] = server.conns;
  await far.write(octets(`${CAME5} "hello"`));
  await far.closeWrite();
  await settled();
  const conn = await listener.accept();
  assertEquals(await readAll(conn), octets('"hello"'));
  conn.close();
  await server.close();
});

type Failing = readonly [
  name: string,
  sends: string,
  code: SocksErrorCode,
  phase: SocksPhase,
  reply?: number,
];

const firsts: Failing[] = [
  ["refuses", "05 07 00 01 6*00", "rejected", "request", 7],
  ["replies with version 4", "04 00 00 01 6*00", "protocol", "request"],
  ["replies with address type 9", "05 00 00 09 6*00", "protocol", "request"],
];

for (const [name, sends, code, phase, reply] of firsts) {
  test(`bind() rejects with ${code} when the proxy ${name}`, async () => {
    const server = await startProxy([CHOSEN, [ANYONE5, sends]]);
    const attempt = bind({ ...plain, ...server.addr });
    const error = await assertSocksError(attempt, code, phase);
    assertEquals(error.reply, reply);
    assertEquals((await server.rest).length, 0); // and closes the connection
    await server.close();
  });
}

const seconds: Failing[] = [
  ["reports that no peer came", "05 06 00 01 6*00", "rejected", "bind", 6],
  ["reports in two bytes that no peer came", "05 06", "rejected", "bind", 6],
  ["sends HTTP", '"HTTP/1.1"', "protocol", "bind"],
  ["sends address type 9", "05 00 00 09 6*00", "protocol", "bind"],
];

for (const [name, sends, code, phase, reply] of seconds) {
  test(`accept() rejects with ${code} when the proxy ${name}`, async () => {
    // With the first reply, and later.
    for (const first of [`${LISTENS5} ${sends}`, LISTENS5]) {
      const server = await startProxy([CHOSEN, [ANYONE5, first]]);
      const listener = await bind({ ...plain, ...server.addr });
      const accepting = listener.accept();
      if (first === LISTENS5) await server.conns[0].write(octets(sends));
      const error = await assertSocksError(accepting, code, phase);
      assertEquals(error.reply, reply);
      assertEquals((await server.rest).length, 0);
      await assertSocksError(listener.accept(), "closed", "bind");
      await server.close();
    }
  });
}

test("accept() rejects with rejected when a SOCKS4 proxy reports that no peer came", async () => {
  const script: Script = [[ANYONE4, `${LISTENS4} 00 5B 6*00`]];
  const server = await startProxy(script);
  const listener = await bind({ ...old, ...server.addr });
  const attempt = listener.accept();
  const error = await assertSocksError(attempt, "rejected", "bind");
  assertEquals(error.reply, 0x5b);
  assertEquals((await server.rest).length, 0);
  await server.close();
});

const hangUps: [string, string, (conn: Conn) => unknown][] = [
  ["closes the connection", "", (conn) => conn.closeWrite()],
  [
    "closes the connection in the middle of a reply",
    "05 00 00 01 C0",
    (conn) => conn.closeWrite(),
  ],
  ["resets the connection", "", (conn) => conn.reset()],
];

for (const [name, sends, end] of hangUps) {
  test(`accept() rejects with proxy-closed when the proxy ${name}`, async () => {
    const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
    const listener = await bind({ ...plain, ...server.addr });
    const [far] = server.conns;
    await far.write(octets(sends));
    await end(far);
    await assertSocksError(listener.accept(), "proxy-closed", "bind");
    await server.close();
  });
}

const silences: [Script, SocksPhase][] = [
  [[["05 02 00 02", ""]], "method"],
  [[["05 02 00 02", "05 02"], ['01 02 "al" 02 "pw"', "01"]], "auth"],
  [[["05 02 00 02", "05 00"], [ANYONE5, "05 00 00 01"]], "request"],
];

for (const [script, phase] of silences) {
  test(`bind() rejects with timeout or aborted in phase ${phase}, and closes the connection`, async () => {
    await assertGivesUp(phase, async ({ options, giveUp }) => {
      const listeners = countListeners(options.signal);
      const server = await startProxy(script);
      const login = { username: "al", password: "pw" };
      const through = { ...plain, ...login, ...server.addr };
      const attempt = bind(through, undefined, options);
      server.played.then(settled).then(giveUp);
      const error = await assertRejects(() => attempt, SocksError);
      if (error.phase === phase) await assertClosesConnection(server.rest);
      assertEquals(listeners(), 0);
      await server.close();
      return error;
    });
  });
}

test("bind() and accept() reject at once when their signal has fired", async () => {
  const signal = AbortSignal.abort();
  const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
  const through = { ...plain, ...server.addr };
  await assertSocksError(
    bind(through, undefined, { signal }),
    "aborted",
    "dial",
  );
  const listener = await bind(through);
  await assertSocksError(listener.accept({ signal }), "aborted", "bind");
  assertEquals((await server.rest).length, 0);
  await server.close();
});

test("accept() rejects with timeout or aborted when no peer comes, and closes the connection", async () => {
  for (const sent of ["", "05 00 00 01"]) {
    await assertGivesUp("bind", async ({ options, giveUp }) => {
      const { timeout, signal } = options;
      const listeners = countListeners(signal);
      const script: Script = [CHOSEN, [ANYONE5, `${LISTENS5} ${sent}`]];
      const server = await startProxy(script);
      const listener = await bind({ ...plain, ...server.addr });
      const accepting = listener.accept({ timeout, signal });
      settled().then(giveUp);
      const error = await assertRejects(() => accepting, SocksError);
      await assertClosesConnection(server.rest);
      assertEquals(listeners(), 0);
      await server.close();
      return error;
    });
  }
});

test("bind() and accept() wait by the transport's clock, for 30 and 120 seconds", async () => {
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    const silent = await startProxy([CHOSEN, [ANYONE5, ""]]);
    const through = { ...plain, ...silent.addr };
    const binding = bind(through, undefined, { transport });
    binding.catch(() => {});
    await silent.played;
    clock.skip(30_000);
    await assertSocksError(binding, "timeout", "request");
    await silent.close();

    const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
    const proxy = { ...plain, ...server.addr };
    const listener = await bind(proxy, undefined, { transport });
    const accepting = listener.accept();
    accepting.catch(() => {});
    clock.skip(119_000);
    assertEquals(clock.waiting, 1);
    clock.skip(1_000);
    await assertSocksError(accepting, "timeout", "bind");
    await server.close();
  });
});

test("the signal and the timeout of bind() have no effect after bind() has resolved", async () => {
  const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = countListeners(signal);
  const through = { ...plain, ...server.addr };
  const listener = await bind(through, undefined, { signal });
  assertEquals(listeners(), 0);
  controller.abort();
  const accepting = listener.accept();
  await server.conns[0].write(octets(CAME5));
  (await accepting).close();
  await server.close();
});

test("accept() rejects with closed when it was called before", async () => {
  const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
  const listener = await bind({ ...plain, ...server.addr });
  const accepting = listener.accept();
  await assertSocksError(listener.accept(), "closed", "bind");
  await server.conns[0].write(octets(CAME5));
  const conn = await accepting;
  await assertSocksError(listener.accept(), "closed", "bind");
  conn.close();
  await server.close();
});

test("close() of a listener closes the connection and makes accept() reject with closed", async () => {
  for (const waiting of [true, false]) {
    const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
    const listener = await bind({ ...plain, ...server.addr });
    const accepting = waiting ? listener.accept() : undefined;
    listener.close();
    listener.close();
    await assertSocksError(accepting ?? listener.accept(), "closed", "bind");
    assertEquals((await server.rest).length, 0);
    await server.close();
  }
});

test("asyncDispose of a listener closes the connection", async () => {
  const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
  const listener = await bind({ ...plain, ...server.addr });
  await listener[Symbol.asyncDispose]();
  assertEquals((await server.rest).length, 0);
  await server.close();
});

test("close() of a listener does not close the accepted connection", async () => {
  const script: Script = [CHOSEN, [ANYONE5, `${LISTENS5} ${CAME5}`]];
  const server = await startProxy(script);
  const listener = await bind({ ...plain, ...server.addr });
  const conn = await listener.accept();
  await listener[Symbol.asyncDispose]();
  await conn.write(octets('"still here"'));
  await conn.closeWrite();
  assertEquals(await server.rest, octets('"still here"'));
  conn.close();
  await server.close();
});

test("bind() closes the given connection when it fails", async () => {
  const server = await startProxy([["05 01 00", "05 FF"]]);
  const conn = await (await detectTransport()).connect(server.addr);
  const proxy = { ...plain, hostname: "unused" };
  const attempt = bind(proxy, undefined, { conn });
  await assertSocksError(attempt, "no-method", "method");
  const error = await assertRejects(() => conn.read(), NetError);
  assertEquals(error.kind, "closed");
  await server.close();
});

test("bind() closes the given connection when an argument is invalid", async () => {
  const proxy = { ...plain, hostname: "unused" };
  await assertClosesGiven([
    (conn) => bind("socks6://unused", undefined, { conn }),
    (conn) => bind(proxy, "a b", { conn }),
    (conn) => bind(proxy, undefined, { conn, timeout: -1 }),
  ]);
});

test("accept() throws a TypeError for an invalid timeout, and closes the listener", async () => {
  for (const timeout of invalidTimeouts) {
    const server = await startProxy([CHOSEN, [ANYONE5, LISTENS5]]);
    const listener = await bind({ ...plain, ...server.addr });
    await assertRejects(() => listener.accept({ timeout }), TypeError);
    assertEquals((await server.rest).length, 0);
    await assertSocksError(listener.accept(), "closed", "bind");
    await server.close();
  }
});

test("bind() rejects when the peer's name is invalid or cannot be resolved", async () => {
  const server = await startTarget();
  const through = { ...plain, ...server.addr };
  const names = await withNames();
  await assertSocksError(bind(through, "nowhere", names), "dns", "request");
  const v6 = bind({ ...old, ...server.addr }, "[::1]");
  await assertSocksError(v6, "address-type", "request");
  for (const peer of ["a b", "example.com:65536", "::1", ""]) {
    await assertRejects(() => bind(through, peer), TypeError);
  }
  assertEquals(server.conns.length, 0);
  await server.close();
});

const protocols = ["socks4", "socks4a", "socks5", "socks5h", "login"];

for (const protocol of protocols) {
  test(`bind() goes through serve() with ${protocol}, both ways and with half-close`, async () => {
    const isLogin = protocol === "login";
    const auth = isLogin ? [userPass({ al: "pw" })] : undefined;
    const server = await startServer({ auth });
    const { port } = server.server.addr;
    const url = isLogin
      ? `socks5://al:pw@127.0.0.1:${port}`
      : `${protocol}://127.0.0.1:${port}`;
    const listener = await bind(url, "127.0.0.1");
    assert(listener.addr.port > 0 && listener.addr.port !== port);

    const transport = await detectTransport();
    const far = await transport.connect(listener.addr);
    const echoing = echo(far);
    const conn = await listener.accept();
    assertEquals(conn.peerAddr, far.localAddr);

    const sent = pattern(300_000);
    const writer = conn.writable.getWriter();
    const writing = writer.write(sent).then(() => writer.close());
    const got = new Uint8Array(await new Response(conn.readable).arrayBuffer());
    assertSameOctets(got, sent);
    await writing;
    await echoing;
    far.close();
    assertEquals((await server.ended()).reason, "finished");
    await server.close();
  });
}

test("bind() goes through serve() over IPv6", async () => {
  const server = await startServer({ hostname: "::1" });
  const proxy = { ...plain, ...server.server.addr };
  const listener = await bind(proxy, "[::1]");
  assertEquals(listener.addr.hostname, "::1");
  const far = await (await detectTransport()).connect(listener.addr);
  await far.write(octets('"hello"'));
  const conn = await listener.accept();
  assertEquals(conn.peerAddr, far.localAddr);
  assertEquals(await readExactly(conn, 5), octets('"hello"'));
  conn.close();
  far.close();
  await server.close();
});

test("bind() uses a given connection through another proxy", async () => {
  const [first, second] = [await startServer(), await startServer()];
  const hop = await connect(
    { ...plain, ...first.server.addr },
    second.server.addr,
  );
  const proxy = { ...plain, ...second.server.addr };
  const listener = await bind(proxy, undefined, { conn: hop });
  const far = await (await detectTransport()).connect(listener.addr);
  const conn = await listener.accept();
  await conn.write(octets('"hello"'));
  assertEquals(await readExactly(far, 5), octets('"hello"'));
  conn.close();
  far.close();
  await first.close();
  await second.close();
});
