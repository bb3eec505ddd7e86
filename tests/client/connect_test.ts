/** The command CONNECT. */

import process from "node:process";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
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
import { toStreams } from "../../src/transport/streams.ts";
import { test } from "../support/harness.ts";
import { ASKED, CHOSEN, OK as OK5, TARGET } from "../support/socks5_wire.ts";
import { octets } from "../support/table.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  settled,
} from "../transport/contract.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
} from "../support/server.ts";
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

const OK4 = "00 5A 12 34 0A 00 00 01";

type Wire = readonly [
  name: string,
  proxy: Omit<ProxyConfig, "hostname" | "port">,
  target: Endpoint,
  script: Script,
];

const login = { username: "al", password: "pw" };
const wires: Wire[] = [
  ["SOCKS5 to an IPv4 address", { protocol: "socks5" }, TARGET, [
    ["05 01 00", "05 00"],
    ["05 01 00 01 C0 00 02 01 00 50", OK5],
  ]],
  ["SOCKS5 to an IPv6 address", { protocol: "socks5" }, {
    hostname: "2001:db8::1",
    port: 443,
  }, [
    ["05 01 00", "05 00"],
    ["05 01 00 04 20 01 0D B8 11*00 01 01 BB", OK5],
  ]],
  ["SOCKS5 to a bracketed IPv6 address", { protocol: "socks5h" }, {
    hostname: "[::1]",
    port: 443,
  }, [
    ["05 01 00", "05 00"],
    ["05 01 00 04 15*00 01 01 BB", OK5],
  ]],
  ["SOCKS5 to an IPv4-mapped address", { protocol: "socks5" }, {
    hostname: "::ffff:192.0.2.1",
    port: 80,
  }, [
    ["05 01 00", "05 00"],
    ["05 01 00 01 C0 00 02 01 00 50", OK5],
  ]],
  ["SOCKS5h to a name", { protocol: "socks5h" }, {
    hostname: "example.com",
    port: 80,
  }, [
    ["05 01 00", "05 00"],
    ['05 01 00 03 0B "example.com" 00 50', OK5],
  ]],
  ["SOCKS5 to a name that the client resolves", { protocol: "socks5" }, {
    hostname: "v6first",
    port: 80,
  }, [
    ["05 01 00", "05 00"],
    ["05 01 00 04 15*00 01 00 50", OK5],
  ]],
  ["SOCKS5 to a name whose first address has a zone", { protocol: "socks5" }, {
    hostname: "zoned",
    port: 80,
  }, [
    ["05 01 00", "05 00"],
    ["05 01 00 04 15*00 01 00 50", OK5],
  ]],
  ["SOCKS5 with a login", { protocol: "socks5", ...login }, TARGET, [
    ["05 02 00 02", "05 02"],
    ['01 02 "al" 02 "pw"', "01 00"],
    ["05 01 00 01 C0 00 02 01 00 50", OK5],
  ]],
  [
    "SOCKS5 with a login that the proxy does not require",
    { protocol: "socks5", ...login },
    TARGET,
    [
      ["05 02 00 02", "05 00"],
      ["05 01 00 01 C0 00 02 01 00 50", OK5],
    ],
  ],
  [
    "SOCKS5 with a user name alone",
    { protocol: "socks5", username: "al" },
    TARGET,
    [
      ["05 02 00 02", "05 02"],
      ['01 02 "al" 00', "01 00"],
      ["05 01 00 01 C0 00 02 01 00 50", OK5],
    ],
  ],
  [
    "SOCKS5 with a password alone",
    { protocol: "socks5", password: "pw" },
    TARGET,
    [
      ["05 02 00 02", "05 02"],
      ['01 00 02 "pw"', "01 00"],
      ["05 01 00 01 C0 00 02 01 00 50", OK5],
    ],
  ],
  [
    "SOCKS5 with an empty login",
    {
      protocol: "socks5",
      username: "",
      password: "",
    },
    TARGET,
    [
      ["05 02 00 02", "05 02"],
      ["01 00 00", "01 00"],
      ["05 01 00 01 C0 00 02 01 00 50", OK5],
    ],
  ],
  ...["05 00", "00 00"].map((status): Wire => [
    `SOCKS5 with a login whose status is ${status}`,
    { protocol: "socks5", ...login },
    TARGET,
    [
      ["05 02 00 02", "05 02"],
      ['01 02 "al" 02 "pw"', status],
      ["05 01 00 01 C0 00 02 01 00 50", OK5],
    ],
  ]),
  ["SOCKS5h to a name that is not ASCII", { protocol: "socks5h" }, {
    hostname: "München.example",
    port: 80,
  }, [
    ["05 01 00", "05 00"],
    ['05 01 00 03 16 "xn--mnchen-3ya.example" 00 50', OK5],
  ]],
  ["SOCKS4a to a name that is not ASCII", { protocol: "socks4a" }, {
    hostname: "München.example",
    port: 80,
  }, [
    ['04 01 00 50 00 00 00 01 00 "xn--mnchen-3ya.example" 00', OK4],
  ]],
  [
    "SOCKS5 to a name that is not ASCII and that the client resolves",
    {
      protocol: "socks5",
    },
    { hostname: "Bücher.example", port: 80 },
    [
      ["05 01 00", "05 00"],
      ["05 01 00 01 7F 00 00 02 00 50", OK5],
    ],
  ],
  ["SOCKS4 with VN 4 in the reply", { protocol: "socks4" }, TARGET, [
    ["04 01 00 50 C0 00 02 01 00", "04 5A 12 34 0A 00 00 01"],
  ]],
  ["SOCKS4", { protocol: "socks4" }, TARGET, [
    ["04 01 00 50 C0 00 02 01 00", OK4],
  ]],
  ["SOCKS4 to an IPv4-mapped address", { protocol: "socks4" }, {
    hostname: "[::ffff:192.0.2.1]",
    port: 80,
  }, [
    ["04 01 00 50 C0 00 02 01 00", OK4],
  ]],
  ["SOCKS4 with a user id", { protocol: "socks4", username: "al" }, TARGET, [
    ['04 01 00 50 C0 00 02 01 "al" 00', OK4],
  ]],
  ["SOCKS4 to a name that the client resolves", { protocol: "socks4" }, {
    hostname: "v6first",
    port: 80,
  }, [
    ["04 01 00 50 7F 00 00 01 00", OK4],
  ]],
  ["SOCKS4a to a name", { protocol: "socks4a" }, {
    hostname: "example.com",
    port: 80,
  }, [
    ['04 01 00 50 00 00 00 01 00 "example.com" 00', OK4],
  ]],
];

for (const [name, proxy, target, script] of wires) {
  test(`connect() speaks ${name}`, async () => {
    for (const split of [false, true]) {
      // The target sends first, and its bytes arrive with the reply.
      const [asked, reply] = script.at(-1)!;
      const eager: Script = [...script.slice(0, -1), [
        asked,
        `${reply} "hello"`,
      ]];
      const server = await startProxy(eager, split);
      const conn = await connect(
        { ...proxy, ...server.addr },
        target,
        await withNames(),
      );
      assertEquals(conn.boundAddr, { hostname: "10.0.0.1", port: 0x1234 });
      assertEquals(await readExactly(conn, 5), octets('"hello"'));
      await conn.write(octets('"bye"'));
      await conn.closeWrite();
      assertEquals(await server.rest, octets('"bye"'));
      conn.close();
      await server.close();
    }
  });
}

const unusable = [
  "00",
  "01 00",
  '03 "a" 00 "b"',
  '05 "web.1"',
  '09 "1.2.3.4:5"',
  "02 C3 A4",
  '05 "[::1]"',
];

test("connect() accepts a success whose bound address has an unusable name", async () => {
  for (const name of unusable) {
    for (const split of [false, true]) {
      const reply = `05 00 00 03 ${name} 1D 49 "hi"`;
      const server = await startProxy([CHOSEN, [ASKED, reply]], split);
      const conn = await connect({ ...plain, ...server.addr }, TARGET);
      assertEquals(conn.boundAddr, { hostname: "0.0.0.0", port: 7497 });
      assertEquals(await readExactly(conn, 2), octets('"hi"'));
      conn.close();
      await server.close();
    }
  }
});

test("connect() takes a target as text whose name is not ASCII", async () => {
  const server = await startProxy([
    CHOSEN,
    ['05 01 00 03 16 "xn--mnchen-3ya.example" 00 50', OK5],
  ]);
  const proxy = { protocol: "socks5h", ...server.addr } as const;
  const conn = await connect(proxy, "München.example:80");
  conn.close();
  await server.close();
});

test("connect() explains a reply of Tor", async () => {
  const server = await startProxy([CHOSEN, [ASKED, "05 F4 00 01 6*00"]]);
  const attempt = connect({ ...plain, ...server.addr }, TARGET);
  const { message } = await assertSocksError(attempt, "rejected", "request");
  assert(message.includes("client authorization"), message);
  await server.close();
});

type Hostile = readonly [
  name: string,
  proxy: Omit<ProxyConfig, "hostname" | "port">,
  script: Script,
  code: SocksErrorCode,
  phase: SocksPhase,
  reply?: number,
];

const plain = { protocol: "socks5" } as const;
const old = { protocol: "socks4" } as const;
const ASKED4 = "04 01 00 50 C0 00 02 01 00";

const hostiles: Hostile[] = [
  [
    "speaks HTTP",
    plain,
    [["05 01 00", '"HTTP/1.1 400 Bad Request"']],
    "protocol",
    "method",
  ],
  ["answers SOCKS4", plain, [["05 01 00", "00 5B 6*00"]], "protocol", "method"],
  ["accepts no method", plain, [["05 01 00", "05 FF"]], "no-method", "method"],
  [
    "chooses a login that was not offered",
    plain,
    [["05 01 00", "05 02"]],
    "protocol",
    "method",
  ],
  ["chooses method 0x80", plain, [["05 01 00", "05 80"]], "protocol", "method"],
  [
    "refuses the login",
    { ...plain, ...login },
    [
      ["05 02 00 02", "05 02"],
      ['01 02 "al" 02 "pw"', "01 01"],
    ],
    "login-failed",
    "auth",
  ],
  [
    "refuses the login with version 5",
    { ...plain, ...login },
    [
      ["05 02 00 02", "05 02"],
      ['01 02 "al" 02 "pw"', "05 01"],
    ],
    "login-failed",
    "auth",
  ],
  [
    "replies with version 4",
    plain,
    [CHOSEN, [ASKED, "04 00 00 01 6*00"]],
    "protocol",
    "request",
  ],
  [
    "replies with address type 9",
    plain,
    [CHOSEN, [ASKED, "05 00 00 09 6*00"]],
    "protocol",
    "request",
  ],
  [
    "refuses",
    plain,
    [CHOSEN, [ASKED, "05 05 00 01 6*00"]],
    "rejected",
    "request",
    5,
  ],
  [
    "refuses with an unknown code",
    plain,
    [CHOSEN, [ASKED, "05 99 00 01 6*00"]],
    "rejected",
    "request",
    0x99,
  ],
  [
    "refuses in two bytes",
    plain,
    [CHOSEN, [ASKED, "05 05"]],
    "rejected",
    "request",
    5,
  ],
  [
    "refuses with address type 0",
    plain,
    [CHOSEN, [ASKED, "05 05 8*00"]],
    "rejected",
    "request",
    5,
  ],
  [
    "refuses with an empty name",
    plain,
    [CHOSEN, [ASKED, "05 02 00 03 00 00 00"]],
    "rejected",
    "request",
    2,
  ],
  [
    "refuses SOCKS4",
    old,
    [[ASKED4, "00 5B 6*00"]],
    "rejected",
    "request",
    0x5b,
  ],
  [
    "refuses SOCKS4 with version 4",
    old,
    [[ASKED4, "04 5B 6*00"]],
    "rejected",
    "request",
    0x5b,
  ],
  [
    "answers SOCKS4 with an unknown code",
    old,
    [[ASKED4, "00 00 6*00"]],
    "protocol",
    "request",
  ],
  [
    "refuses as Tor does for an unknown onion service",
    plain,
    [CHOSEN, [ASKED, "05 F0 00 01 6*00"]],
    "rejected",
    "request",
    0xf0,
  ],
  [
    "answers SOCKS4 with SOCKS5",
    old,
    [[ASKED4, "05 FF"]],
    "protocol",
    "request",
  ],
];

for (const [name, proxy, script, code, phase, reply] of hostiles) {
  test(`connect() rejects with ${code} when the proxy ${name}`, async () => {
    const server = await startProxy(script);
    const attempt = connect({ ...proxy, ...server.addr }, TARGET);
    const error = await assertSocksError(attempt, code, phase);
    assertEquals(error.reply, reply);
    assertEquals((await server.rest).length, 0); // and closes the connection
    await server.close();
  });
}

test("connect() rejects with rejected when a refusal arrives in pieces, and closes the connection", async () => {
  const script: Script = [CHOSEN, [ASKED, "05 05 00 01 6*00"]];
  const server = await startProxy(script, true);
  const attempt = connect({ ...plain, ...server.addr }, TARGET);
  const error = await assertSocksError(attempt, "rejected", "request");
  assertEquals(error.reply, 5);
  await assertClosesConnection(server.rest);
  await server.close();
});

test("connect() rejects with rejected when the proxy refuses in two bytes and closes the connection", async () => {
  const server = await startTarget(async (conn) => {
    await readExactly(conn, 3);
    await conn.write(octets("05 00"));
    await readExactly(conn, 10);
    await conn.write(octets("05 02"));
    await conn.closeWrite();
  });
  const attempt = connect({ ...plain, ...server.addr }, TARGET);
  const error = await assertSocksError(attempt, "rejected", "request");
  assertEquals(error.reply, 2);
  await server.close();
});

const phases: [Script, SocksPhase][] = [
  [[["05 02 00 02", ""]], "method"],
  [[["05 02 00 02", "05"]], "method"],
  [[["05 02 00 02", "05 02"], ['01 02 "al" 02 "pw"', ""]], "auth"],
  [[["05 02 00 02", "05 00"], [ASKED, "05 00 00 01 00"]], "request"],
];

for (const [script, phase] of phases) {
  const when = `in phase ${phase} after ${script.at(-1)![1] || "nothing"}`;

  test(`connect() rejects with timeout or aborted ${when}, and closes the connection`, async () => {
    await assertGivesUp(phase, async ({ options, giveUp }) => {
      const listeners = countListeners(options.signal);
      const server = await startProxy(script);
      const proxy = { ...plain, ...login, ...server.addr };
      const attempt = connect(proxy, TARGET, options);
      server.played.then(settled).then(giveUp);
      const error = await assertRejects(() => attempt, SocksError);
      if (error.phase === phase) await assertClosesConnection(server.rest);
      assertEquals(listeners(), 0);
      await server.close();
      return error;
    });
  });

  test(`connect() rejects with proxy-closed ${when}`, async () => {
    const server = await startTarget(async (conn) => {
      for (const [expects, sends] of script) {
        await readExactly(conn, octets(expects).length);
        await conn.write(octets(sends));
      }
      await conn.closeWrite();
    });
    const attempt = connect({ ...plain, ...login, ...server.addr }, TARGET);
    await assertSocksError(attempt, "proxy-closed", phase);
    await server.close();
  });
}

test("the signal of connect() has no effect after connect() has resolved", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = countListeners(signal);
  const proxy = { ...plain, ...server.server.addr };
  const conn = await connect(proxy, target.addr, { signal });
  assertEquals(listeners(), 0);
  controller.abort();
  await conn.write(pattern(10));
  assertEquals(await readExactly(conn, 10), pattern(10));
  conn.close();
  await server.close();
  await target.close();
});

test("connect() rejects with aborted while it dials, and closes a connection that is made too late", async () => {
  const server = await startTarget();
  const transport = await detectTransport();
  const controller = new AbortController();
  const { signal } = controller;
  const attempt = connect({ ...plain, ...server.addr }, TARGET, {
    signal,
    transport: {
      ...transport,
      async connect({ signal: _, ...options }) {
        const conn = await transport.connect(options);
        controller.abort(); // too late for the transport
        return conn;
      },
    },
  });
  await assertSocksError(attempt, "aborted", "dial");
  const far = await server.accepted();
  assertEquals(await far.read(), null);
  await server.close();
});

test("connect() causes no warning when many attempts run under one signal", async () => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => warnings.push(name);
  process.on("warning", onWarning);
  const server = await startTarget();
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = countListeners(signal);
  const attempts = Array.from({ length: 20 }, () =>
    assertRejects(
      () => connect({ ...plain, ...server.addr }, TARGET, { signal }),
      SocksError,
    ));
  for (let i = 0; i < 20; i++) await server.accepted();
  await settled();
  controller.abort();
  for (const error of await Promise.all(attempts)) {
    assertEquals(error.code, "aborted");
  }
  process.off("warning", onWarning);
  assertEquals(warnings, []);
  assertEquals(listeners(), 0);
  await server.close();
});

test("connect() rejects at once when its signal has fired", async () => {
  const server = await startTarget();
  const options = { signal: AbortSignal.abort() };
  await assertSocksError(
    connect({ ...plain, ...server.addr }, TARGET, options),
    "aborted",
    "dial",
  );
  await server.close();
});

test("connect() rejects with timeout when AbortSignal.timeout() fires", async () => {
  const server = await startTarget();
  const signal = AbortSignal.timeout(30);
  const attempt = connect({ ...plain, ...server.addr }, TARGET, { signal });
  const error = await assertRejects(() => attempt, SocksError);
  assertEquals(error.code, "timeout"); // the phase depends on the machine
  await server.close();
});

test("connect() rejects when the proxy cannot be reached", async () => {
  const port = await closedPort();
  const attempt = connect(`socks5://127.0.0.1:${port}`, TARGET);
  const error = await assertSocksError(attempt, "proxy-unreachable", "dial");
  assertEquals((error.cause as NetError).kind, "refused");
  const nowhere = connect("socks5://nowhere", TARGET, await withNames());
  await assertSocksError(nowhere, "proxy-unreachable", "dial");
});

test("connect() rejects when the client cannot resolve the target's name", async () => {
  const server = await startTarget();
  const proxy = { ...plain, ...server.addr };
  const target = { hostname: "nowhere", port: 80 };
  await assertSocksError(
    connect(proxy, target, await withNames()),
    "dns",
    "request",
  );
  await server.close();
});

test("connect() rejects with address-type for IPv6 through SOCKS4", async () => {
  const proxy = { protocol: "socks4", hostname: "127.0.0.1" } as const;
  const target = { hostname: "::1", port: 80 };
  await assertSocksError(connect(proxy, target), "address-type", "request");
});

test("connect() rejects with address-type when all addresses of a name have a zone", async () => {
  const proxy = { ...plain, hostname: "127.0.0.1" };
  const target = { hostname: "only-zoned", port: 80 };
  const attempt = connect(proxy, target, await withNames());
  const error = await assertSocksError(attempt, "address-type", "request");
  assert(error.message.includes("fe80::1%2"), error.message);
});

test("connect() throws a TypeError for an invalid timeout, before it dials", async () => {
  const server = await startTarget();
  for (const timeout of invalidTimeouts) {
    const attempt = connect({ ...plain, ...server.addr }, TARGET, { timeout });
    const error = await assertRejects(() => attempt, TypeError);
    assert(error.message.includes("timeout"), error.message);
  }
  assertEquals(server.conns.length, 0);
  await server.close();
});

test("connect() throws a TypeError for an invalid target, before it dials", async () => {
  const server = await startTarget(echo);
  const proxy = { protocol: "socks5h", ...server.addr } as const;
  for (const target of ["example.com", "example.com:0x50", "a b:80", ":80"]) {
    await assertRejects(() => connect(proxy, target), TypeError);
  }
  const bad = [
    { hostname: "a\0b", port: 80 },
    { hostname: "x".repeat(256), port: 80 },
    { hostname: "example.com", port: 65536 },
    { hostname: "example.com", port: NaN },
  ];
  for (const target of bad) {
    await assertRejects(() => connect(proxy, target), TypeError);
  }
  await server.close();
});

test("connect() goes through serve() in every protocol, with Web streams and half-close", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const locked = await startServer({ auth: [userPass({ al: "p:w" })] });
  const urls = ["socks4", "socks4a", "socks5", "socks5h"].map((it) =>
    `${it}://127.0.0.1:${server.server.addr.port}`
  );
  urls.push(`socks5://al:p%3Aw@127.0.0.1:${locked.server.addr.port}`);
  const sent = pattern(300_000);
  for (const url of urls) {
    const conn = await connect(url, `localhost:${target.addr.port}`);
    assert(conn.boundAddr.port > 0);
    const writer = conn.writable.getWriter();
    const writing = writer.write(sent).then(() => writer.close());
    const got = new Uint8Array(await new Response(conn.readable).arrayBuffer());
    assertSameOctets(got, sent);
    await writing;
  }
  await server.close();
  await locked.close();
  await target.close();
});

test("connect() uses a given connection: a chain of two proxies", async () => {
  const target = await startTarget(echo);
  const [first, second] = [await startServer(), await startServer()];
  for (const streams of [false, true]) {
    const hop = await connect(
      { ...plain, ...first.server.addr },
      second.server.addr,
    );
    const conn = await connect({ ...plain, hostname: "unused" }, target.addr, {
      conn: streams ? { readable: hop.readable, writable: hop.writable } : hop,
    });
    await conn.write(pattern(1000));
    assertEquals(await readExactly(conn, 1000), pattern(1000));
    await conn.closeWrite();
    assertEquals(await conn.read(), null);
    conn.close();
  }
  await first.close();
  await second.close();
  await target.close();
});

test("connect() closes the given connection when it fails", async () => {
  const server = await startTarget(async (conn) => {
    await readExactly(conn, 3);
    await conn.write(octets("05 FF"));
  });
  const conn = await (await detectTransport()).connect(server.addr);
  const attempt = connect({ ...plain, hostname: "unused" }, TARGET, { conn });
  await assertSocksError(attempt, "no-method", "method");
  const error = await assertRejects(() => conn.read(), NetError);
  assertEquals(error.kind, "closed");
  await server.close();
});

test("connect() closes the given connection when an argument is invalid", async () => {
  const proxy = { ...plain, hostname: "unused" };
  await assertClosesGiven([
    (conn) => connect("socks6://unused", TARGET, { conn }),
    (conn) => connect({ ...proxy, port: 0 }, TARGET, { conn }),
    (conn) => connect(proxy, "example.com", { conn }),
    (conn) => connect(proxy, TARGET, { conn, timeout: NaN }),
    (conn) => connect(proxy, "a b:80", { conn: toStreams(conn) }),
  ]);
});

test("a connection is closed when both of its streams have ended", async () => {
  const target = await startTarget();
  const server = await startServer();
  const conn = await connect({ ...plain, ...server.server.addr }, target.addr);
  const far = await target.accepted();
  await far.write(pattern(10));
  await far.closeWrite();
  const reader = conn.readable.getReader();
  let got = 0;
  for (let r = await reader.read(); !r.done; r = await reader.read()) {
    got += r.value.length;
  }
  assertEquals(got, 10);
  const writer = conn.writable.getWriter();
  await writer.write(pattern(20));
  await writer.close();
  assertEquals(await readAll(far), pattern(20));
  assertEquals((await server.ended()).reason, "finished");
  const error = await assertRejects(() => conn.read(), NetError);
  assertEquals(error.kind, "closed");
  await server.close();
  await target.close();
});

test("asyncDispose of a connection closes it", async () => {
  const target = await startTarget();
  const server = await startServer();
  const conn = await connect({ ...plain, ...server.server.addr }, target.addr);
  await conn[Symbol.asyncDispose]();
  assertEquals(await (await target.accepted()).read(), null);
  await server.close();
  await target.close();
});
