/** Authentication methods of the client, against scripted proxies. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  anonymous,
  bind,
  type ClientAuth,
  type ClientAuthExchange,
  type ClientAuthResult,
  connect,
  NetError,
  passwordLogin,
  SocksError,
  udpAssociate,
} from "../../src/client/mod.ts";
import { ProtocolError } from "../../src/protocol/decode.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { shutGate } from "../support/gate.ts";
import { test } from "../support/harness.ts";
import {
  assertClosesConnection,
  assertClosesGiven,
  assertGivesUp,
  assertSocksError,
  type Script,
  startProxy,
} from "../support/scripted.ts";
import { startTarget } from "../support/server.ts";
import { ASKED, OK, TARGET } from "../support/socks5_wire.ts";
import { octets } from "../support/table.ts";
import { BROKEN_FRAME } from "../support/wrapped_conn.ts";
import { readExactly, settled, until } from "../transport/contract.ts";
import { framed, ObservedConn, wrapping } from "./wrapping.ts";

const REFUSED = "05 05 00 01 6*00";

const plain = { protocol: "socks5" } as const;
const login = { username: "al", password: "pw" };

/** The steps of a proxy that accepts a wrapping client. */
const ADMITTED: Script = [["05 01 80", "05 80"], ["2A", "00"]];

/** A private method that negotiates like this. */
function method(
  negotiate?: (
    exchange: ClientAuthExchange,
  ) => Promise<ClientAuthResult | void>,
  number = 0x80,
): ClientAuth {
  return { number, name: "private", negotiate };
}

const offers: [string, ClientAuth[], Script][] = [
  ["a method without a negotiation", [method(undefined, 0x81), anonymous()], [
    ["05 02 81 00", "05 81"],
    [ASKED, OK],
  ]],
  ["the login before none", [passwordLogin(), anonymous()], [
    ["05 02 02 00", "05 02"],
    ['01 02 "al" 02 "pw"', "01 00"],
    [ASKED, OK],
  ]],
  ["the login alone", [passwordLogin()], [
    ["05 01 02", "05 02"],
    ['01 02 "al" 02 "pw"', "01 00"],
    [ASKED, OK],
  ]],
  ["none, though the proxy has a login", [anonymous()], [
    ["05 01 00", "05 00"],
    [ASKED, OK],
  ]],
  ["the highest number", [method(undefined, 254)], [
    ["05 01 FE", "05 FE"],
    [ASKED, OK],
  ]],
  ["a method that reads and writes", [
    method(async ({ read, write, proxy }) => {
      await write(octets(`"${proxy.username}"`));
      await read((bytes) =>
        bytes.length < 2 ? undefined : { value: true, size: 2 }
      );
    }),
  ], [
    ["05 01 80", "05 80"],
    ['"al"', '"ok"'],
    [ASKED, OK],
  ]],
];

for (const [name, auth, script] of offers) {
  test(`connect() offers exactly the given methods, in their order: ${name}`, async () => {
    for (const split of [false, true]) {
      const server = await startProxy(script, split);
      const proxy = { ...plain, ...login, ...server.addr };
      const conn = await connect(proxy, TARGET, { auth });
      conn.close();
      await assertClosesConnection(server.rest);
      await server.close();
    }
  });
}

test("connect() uses SOCKS4 when anonymous() is among the methods", async () => {
  const script: Script = [[
    "04 01 00 50 C0 00 02 01 00",
    "00 5A 12 34 0A 00 00 01",
  ]];
  const server = await startProxy(script);
  const auth = [method(), anonymous()];
  const proxy = { protocol: "socks4", ...server.addr } as const;
  const conn = await connect(proxy, TARGET, { auth });
  conn.close();
  await server.close();
});

test("connect() rejects with no-method when the proxy accepts none of the given methods", async () => {
  const server = await startProxy([["05 01 80", "05 FF"]]);
  const attempt = connect({ ...plain, ...server.addr }, TARGET, {
    auth: [method()],
  });
  await assertSocksError(attempt, "no-method", "method");
  await server.close();
});

test("connect() rejects when it offers the login alone and the proxy chooses none", async () => {
  const server = await startProxy([["05 01 02", "05 00"]]);
  const proxy = { ...plain, ...login, ...server.addr };
  const attempt = connect(proxy, TARGET, { auth: [passwordLogin()] });
  await assertSocksError(attempt, "protocol", "method");
  await assertClosesConnection(server.rest);
  await server.close();
});

test("connect() throws a TypeError for methods that cannot be offered, and closes the given connection", async () => {
  const numbers = [-1, 255, 256, 1.5, NaN, "1" as unknown as number];
  const invalid: ClientAuth[][] = [
    [],
    ...numbers.map((it) => [method(undefined, it)]),
    [method(), method()],
    [anonymous(), passwordLogin(), anonymous()],
    [passwordLogin()], // the proxy has no login
  ];
  const proxy = { ...plain, hostname: "unused" };
  await assertClosesGiven([
    ...invalid.map((auth) => (conn: Conn) =>
      connect(proxy, TARGET, { auth, conn })
    ),
    (conn) =>
      connect({ ...proxy, protocol: "socks4" }, TARGET, {
        auth: [method()],
        conn,
      }),
    (conn) => bind(proxy, undefined, { auth: [], conn }),
    (conn) => udpAssociate(proxy, { auth: [], conn }),
  ]);
});

test("a method gets the proxy with its login, and a signal that has not fired", async () => {
  const server = await startProxy([["05 01 80", "05 80"], [ASKED, OK]]);
  const seen: ClientAuthExchange[] = [];
  const auth = [method((exchange) => {
    seen.push(exchange);
    assert(exchange.signal instanceof AbortSignal);
    assert(!exchange.signal.aborted);
    return Promise.resolve();
  })];
  const proxy = { ...plain, ...login, ...server.addr };
  const conn = await connect(proxy, TARGET, { auth });
  assertEquals(seen.map((it) => it.proxy), [proxy]);
  assert(!seen[0].signal.aborted);
  conn.close();
  await server.close();
});

for (const split of [false, true]) {
  const how = split ? "in single bytes" : "in one segment";

  test(`connect() goes on through the connection that the method has wrapped; bytes arrive ${how}`, async () => {
    const reply = `${framed(OK)} ${framed('"hel"')} ${framed('"lo"')}`;
    const server = await startProxy(
      [...ADMITTED, [framed(ASKED), reply]],
      split,
    );
    const { auth, conns } = wrapping();
    const proxy = { ...plain, ...server.addr };
    const conn = await connect(proxy, TARGET, { auth: [auth] });
    assertEquals(conn.inner, conns[0]);
    assertEquals(conn.boundAddr, { hostname: "10.0.0.1", port: 0x1234 });
    assertEquals(conn.remoteAddr, server.addr);
    assertEquals(await readExactly(conn, 5), octets('"hello"'));
    await conn.write(octets('"bye"'));
    await conn.closeWrite();
    assertEquals(await server.rest, octets(framed('"bye"')));
    assert(!conns[0].closed);
    conn.close();
    assert(conns[0].closed);
    await server.close();
  });
}

test("connect() keeps the bytes that arrive together with the last message of the method", async () => {
  // A reply before the request is unusual, but none of its bytes may be lost.
  const server = await startProxy([
    ["05 01 80", "05 80"],
    ["2A", `00 ${framed(OK)} ${framed('"hello"')}`],
  ]);
  const { auth } = wrapping();
  const proxy = { ...plain, ...server.addr };
  const conn = await connect(proxy, TARGET, { auth: [auth] });
  assertEquals(await readExactly(conn, 5), octets('"hello"'));
  await conn.closeWrite();
  assertEquals(await server.rest, octets(framed(ASKED)));
  conn.close();
  await server.close();
});

test("connect() rejects with rejected when the proxy refuses the target, and closes the wrapper", async () => {
  const server = await startProxy([...ADMITTED, [
    framed(ASKED),
    framed(REFUSED),
  ]]);
  const { auth, conns } = wrapping();
  const attempt = connect({ ...plain, ...server.addr }, TARGET, {
    auth: [auth],
  });
  const error = await assertSocksError(attempt, "rejected", "request");
  assertEquals(error.reply, 5);
  assert(conns[0].closed);
  await assertClosesConnection(server.rest);
  await server.close();
});

test("bind() waits for both replies through the wrapped connection, and closes the wrapper", async () => {
  const asked = "05 02 00 01 6*00";
  const script: Script = [...ADMITTED, [framed(asked), framed(OK)]];
  for (const accepts of [true, false]) {
    const server = await startProxy(script);
    const { auth, conns } = wrapping();
    const proxy = { ...plain, ...server.addr };
    const listener = await bind(proxy, undefined, { auth: [auth] });
    if (accepts) {
      const second = `${framed("05 00 00 01 C0 00 02 07 56 78")} ${
        framed('"hello"')
      }`;
      await server.conns[0].write(octets(second));
      const conn = await listener.accept();
      assertEquals(conn.peerAddr, { hostname: "192.0.2.7", port: 0x5678 });
      assertEquals(await readExactly(conn, 5), octets('"hello"'));
      listener.close();
      assert(!conns[0].closed);
      conn.close();
    } else listener.close();
    assert(conns[0].closed);
    await assertClosesConnection(server.rest);
    await server.close();
  }
});

test("connect() rejects with protocol when a wrapped message is broken", async () => {
  const broken = [...BROKEN_FRAME].map((it) => `0${it}`).join(" ");
  const answers = [broken, framed("04 00 00 01 6*00"), `${framed("05")} 00 00`];
  for (const answer of answers) {
    const server = await startProxy([...ADMITTED, [framed(ASKED), answer]]);
    const { auth, conns } = wrapping();
    const attempt = connect({ ...plain, ...server.addr }, TARGET, {
      auth: [auth],
    });
    await assertSocksError(attempt, "protocol", "request");
    assert(conns[0].closed);
    await assertClosesConnection(server.rest);
    await server.close();
  }
});

test("connect() rejects with protocol when the wrapper reports a broken message as the cause", async () => {
  const cause = new ProtocolError("message", "broken");
  class Failing extends ObservedConn {
    override read(): Promise<never> {
      return Promise.reject(new NetError("other", "broken", cause));
    }
  }
  const server = await startProxy([["05 01 80", "05 80"]]);
  const auth = method((exchange) =>
    Promise.resolve({ conn: new Failing(exchange.take()) })
  );
  const attempt = connect({ ...plain, ...server.addr }, TARGET, {
    auth: [auth],
  });
  await assertSocksError(attempt, "protocol", "request");
  await server.close();
});

const why = new RangeError("no ticket");
const refusals: [string, ClientAuth["negotiate"], unknown][] = [
  ["rejects", () => Promise.reject(why), why],
  ["throws synchronously", () => {
    throw why;
  }, why],
  [
    "rejects with a TypeError",
    () => Promise.reject(new TypeError("no")),
    undefined,
  ],
  ["rejects with a text", () => Promise.reject("no ticket"), "no ticket"],
  ["rejects with another SocksError", () => {
    const phase = "dial";
    const error = new SocksError("timeout", "the KDC is slow", { phase });
    return Promise.reject(error);
  }, undefined],
];

for (const [name, negotiate, cause] of refusals) {
  test(`connect() rejects with login-failed when the method ${name}, and closes the connection`, async () => {
    const server = await startProxy([["05 01 80", "05 80"]]);
    const auth = [method(negotiate)];
    const attempt = connect({ ...plain, ...server.addr }, TARGET, { auth });
    const error = await assertSocksError(attempt, "login-failed", "auth");
    assert(error.cause !== undefined);
    if (cause) assertEquals(error.cause, cause);
    assert(error.message.includes("private"), error.message);
    await assertClosesConnection(server.rest);
    await server.close();
  });
}

test("connect() rejects with login-failed when the proxy refuses the token", async () => {
  const server = await startProxy([["05 01 80", "05 80"], ["2B", "01"]]);
  const { auth, conns } = wrapping(0x2b);
  const attempt = connect({ ...plain, ...server.addr }, TARGET, {
    auth: [auth],
  });
  await assertSocksError(attempt, "login-failed", "auth");
  assertEquals(conns.length, 0);
  await assertClosesConnection(server.rest);
  await server.close();
});

test("connect() rejects with login-failed with the method's own SocksError", async () => {
  const server = await startProxy([["05 01 80", "05 80"]]);
  const own = new SocksError("login-failed", "no", { phase: "auth" });
  const auth = [method(() => Promise.reject(own))];
  const attempt = connect({ ...plain, ...server.addr }, TARGET, { auth });
  const error = await assertRejects(() => attempt, SocksError);
  assertEquals(error, own);
  await server.close();
});

test("connect() rejects with proxy-closed when the proxy closes the connection during the negotiation", async () => {
  const server = await startTarget(async (conn) => {
    await readExactly(conn, 3);
    await conn.write(octets("05 80"));
    await readExactly(conn, 1);
    await conn.closeWrite();
  });
  const attempt = connect({ ...plain, ...server.addr }, TARGET, {
    auth: [wrapping().auth],
  });
  await assertSocksError(attempt, "proxy-closed", "auth");
  await server.close();
});

test("connect() rejects with protocol when a message of the method is broken", async () => {
  const server = await startProxy([["05 01 80", "05 80 00"]]);
  const auth = [method(({ read }) =>
    read(() => {
      throw new ProtocolError("message", "broken");
    })
  )];
  const attempt = connect({ ...plain, ...server.addr }, TARGET, { auth });
  await assertSocksError(attempt, "protocol", "auth");
  await server.close();
});

test("connect() rejects with timeout or aborted while a method never settles, and fires its signal", async () => {
  await assertGivesUp("auth", async ({ options, giveUp }) => {
    const server = await startProxy([["05 01 80", "05 80"]]);
    const fired = shutGate();
    const auth = [method(({ signal }) => {
      signal.addEventListener("abort", fired.open);
      settled().then(giveUp);
      return new Promise<never>(() => {});
    })];
    const proxy = { ...plain, ...server.addr };
    const attempt = connect(proxy, TARGET, { ...options, auth });
    const error = await assertRejects(() => attempt, SocksError);
    if (error.phase === "auth") {
      await fired.opened;
      await assertClosesConnection(server.rest);
    }
    await server.close();
    return error;
  });
});

test("connect() rejects with timeout or aborted while a method reads, and closes the connection", async () => {
  await assertGivesUp("auth", async ({ options, giveUp }) => {
    const server = await startProxy([["05 01 80", "05 80"], ["2A", ""]]);
    const proxy = { ...plain, ...server.addr };
    const auth = [wrapping().auth];
    const attempt = connect(proxy, TARGET, { ...options, auth });
    server.played.then(settled).then(giveUp);
    const error = await assertRejects(() => attempt, SocksError);
    if (error.phase === "auth") await assertClosesConnection(server.rest);
    await server.close();
    return error;
  });
});

test("connect() closes the connection of a method that settles after the end of the attempt", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const server = await startProxy([["05 01 80", "05 80"]]);
  const asked = shutGate();
  const late = shutGate();
  let wrapped: ObservedConn | undefined;
  const auth = [method(async (exchange) => {
    asked.open();
    await late.opened;
    wrapped = new ObservedConn(exchange.take());
    return { conn: wrapped };
  })];
  const proxy = { ...plain, ...server.addr };
  const attempt = connect(proxy, TARGET, { auth, signal });
  await asked.opened;
  controller.abort();
  await assertSocksError(attempt, "aborted", "auth");
  late.open();
  await until(() => wrapped?.closed === true);
  await server.close();
});

test("connect() closes the connection of a method that settles at the moment of the abort", async () => {
  // However many microtasks lie between the method's end and the abort.
  for (let ticks = 0; ticks < 12; ticks++) {
    const controller = new AbortController();
    const { signal } = controller;
    const server = await startProxy([["05 01 80", "05 80"]]);
    let wrapped: ObservedConn | undefined;
    const auth = [method((exchange) => {
      let turn = Promise.resolve();
      for (let i = 0; i < ticks; i++) turn = turn.then(() => {});
      turn.then(() => controller.abort());
      wrapped = new ObservedConn(exchange.take());
      return Promise.resolve({ conn: wrapped });
    })];
    const proxy = { ...plain, ...server.addr };
    const attempt = connect(proxy, TARGET, { auth, signal });
    const error = await assertRejects(() => attempt, SocksError);
    assertEquals(error.code, "aborted");
    await until(() => wrapped?.closed === true);
    await server.close();
  }
});

test("connect() ignores the rejection of a method after the end of the attempt", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const server = await startProxy([["05 01 80", "05 80"]]);
  const asked = shutGate();
  const late = shutGate();
  const auth = [method(async () => {
    asked.open();
    await late.opened;
    throw new Error("too late");
  })];
  const proxy = { ...plain, ...server.addr };
  const attempt = connect(proxy, TARGET, { auth, signal });
  await asked.opened;
  controller.abort();
  await assertSocksError(attempt, "aborted", "auth");
  late.open();
  await settled(); // an unhandled rejection would fail the test
  await server.close();
});

test("connect() rejects with timeout or aborted after the negotiation, and closes the wrapper", async () => {
  await assertGivesUp("request", async ({ options, giveUp }) => {
    const server = await startProxy([...ADMITTED, [framed(ASKED), "00"]]);
    const { auth, conns } = wrapping();
    const proxy = { ...plain, ...server.addr };
    const attempt = connect(proxy, TARGET, { ...options, auth: [auth] });
    server.played.then(settled).then(giveUp);
    const error = await assertRejects(() => attempt, SocksError);
    if (error.phase === "request") {
      assert(conns[0].closed);
      await assertClosesConnection(server.rest);
    }
    await server.close();
    return error;
  });
});
