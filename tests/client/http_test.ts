/** The client through HTTP proxies. */

import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  anonymous,
  bind,
  type ClientAuth,
  connect,
  passwordLogin,
  type ProxyConfig,
  type ProxyOptions,
  socks,
  SocksError,
  type SocksErrorCode,
  type SocksPhase,
  udpAssociate,
} from "../../src/client/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { test } from "../support/harness.ts";
import {
  assertClosesConnection,
  assertGivesUp,
  assertSocksError,
  startProxy,
} from "../support/scripted.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
} from "../support/server.ts";
import { hex, readReply } from "../support/raw.ts";
import { octets } from "../support/table.ts";
import { readAll, readExactly } from "../transport/contract.ts";

const TARGET = { hostname: "target.test", port: 80 };
const ASKED =
  '"CONNECT target.test:80 HTTP/1.1" 0D 0A "Host: target.test:80" 0D 0A';
const END = " 0D 0A";
const LOGIN = ` "Proxy-Authorization: Basic ${btoa("al:pw")}" 0D 0A`;
const GRANTED = '"HTTP/1.1 200 OK" 0D 0A 0D 0A';

/** Rows: name, the expected request, the answer, and what the target sends with it. */
const successes: [name: string, answer: string, early: string][] = [
  ["200", GRANTED, ""],
  ["another 2xx", '"HTTP/1.0 299" 0A 0A', ""],
  ["bytes of the target behind the answer", GRANTED, '"SSH-2.0-x" 0D 0A'],
  ["an empty line of the target", GRANTED, "0D 0A 0D 0A"],
  [
    "a length, which has no meaning",
    '"HTTP/1.1 200 OK" 0D 0A "Content-Length: 4" 0D 0A 0D 0A',
    '"data"',
  ],
  [
    "an interim answer first",
    '"HTTP/1.1 103 Early" 0D 0A "A: b" 0D 0A 0D 0A "HTTP/1.1 200 OK" 0D 0A 0D 0A',
    '"data"',
  ],
];

for (const [name, answer, early] of successes) {
  test(`connect() through an HTTP proxy succeeds with ${name}`, async () => {
    for (const split of [false, true]) {
      const proxy = await startProxy(
        [[ASKED + END, `${answer} ${early}`]],
        split,
      );
      const conn = await connect(
        `http://127.0.0.1:${proxy.addr.port}`,
        TARGET,
      );
      const expected = octets(early);
      assertEquals(await readExactly(conn, expected.length), expected);
      assertEquals(conn.boundAddr, { hostname: "0.0.0.0", port: 0 });
      await conn.write(octets("01 02"));
      await conn.closeWrite();
      assertEquals(await proxy.rest, octets("01 02"));
      conn.close();
      await proxy.close();
    }
  });
}

/** Rows: name, the proxy's login, the option `auth`, and whether the login is sent. */
const logins: [string, Partial<ProxyConfig>, ProxyOptions["auth"], boolean][] =
  [
    ["no login", {}, undefined, false],
    ["a login", { username: "al", password: "pw" }, undefined, true],
    [
      "a login and passwordLogin() alone",
      { username: "al", password: "pw" },
      [passwordLogin()],
      true,
    ],
    [
      "a login, but only anonymous()",
      { username: "al", password: "pw" },
      [anonymous()],
      false,
    ],
  ];

for (const [name, login, auth, isSent] of logins) {
  test(`connect() ${isSent ? "sends" : "does not send"} Basic to an HTTP proxy with ${name}`, async () => {
    const proxy = await startProxy([
      [ASKED + (isSent ? LOGIN : "") + END, GRANTED],
    ]);
    const { hostname, port } = proxy.addr;
    const config: ProxyConfig = { protocol: "http", hostname, port, ...login };
    const conn = await connect(config, TARGET, { auth });
    conn.close();
    await proxy.rest;
    await proxy.close();
  });
}

/** Rows: the status line, the code, the phase, the reply, the message. */
const failures: [
  string,
  SocksErrorCode,
  SocksPhase,
  number | undefined,
  RegExp,
][] = [
  ["HTTP/1.1 403 Nope", "rejected", "request", 403, /request: 403 Forbidden$/],
  ["HTTP/1.1 503 X", "rejected", "request", 503, /: 503 Service Unavailable$/],
  ["HTTP/1.1 301 Moved", "rejected", "request", 301, /: 301$/],
  ["HTTP/1.1 101 Upgrade", "rejected", "request", 101, /: 101$/],
  [
    "HTTP/1.1 407 Login",
    "login-failed",
    "auth",
    undefined,
    /requires a login$/,
  ],
  [
    "HTTP/1.1 401 Login",
    "login-failed",
    "auth",
    undefined,
    /requires a login$/,
  ],
  ["HTTP/2 200 OK", "protocol", "request", undefined, /does not speak HTTP/],
  ["SSH-2.0-OpenSSH", "protocol", "request", undefined, /does not speak HTTP/],
];

for (const [line, code, phase, reply, message] of failures) {
  test(`connect() rejects when an HTTP proxy answers ${line}`, async () => {
    const proxy = await startProxy([[ASKED + END, `"${line}" 0D 0A 0D 0A`]]);
    const url = `http://127.0.0.1:${proxy.addr.port}`;
    const error = await assertSocksError(connect(url, TARGET), code, phase);
    assertEquals(error.reply, reply);
    assertMatch(error.message, message);
    await assertClosesConnection(proxy.rest);
    await proxy.close();
  });
}

test("connect() says that an HTTP proxy refused the login, if one was sent", async () => {
  const refused = '"HTTP/1.1 407 Login" 0D 0A 0D 0A';
  const proxy = await startProxy([[ASKED + LOGIN + END, refused]]);
  const url = `http://al:pw@127.0.0.1:${proxy.addr.port}`;
  const error = await assertSocksError(
    connect(url, TARGET),
    "login-failed",
    "auth",
  );
  assertMatch(error.message, /refused the login/);
  await proxy.close();
});

test("connect() rejects when an HTTP header is too large, or ends early", async () => {
  const rows: [string, SocksErrorCode][] = [
    [`"HTTP/1.1 200 OK" 0D 0A "A: " 17000*62`, "protocol"],
    ['"HTTP/1.1 200 OK" 0D 0A', "proxy-closed"],
    ["", "proxy-closed"],
  ];
  for (const [answer, code] of rows) {
    const target = await startTarget(async (conn) => {
      await readExactly(conn, octets(ASKED + END).length);
      await conn.write(octets(answer));
      await conn.closeWrite();
    });
    const url = `http://127.0.0.1:${target.addr.port}`;
    await assertSocksError(connect(url, TARGET), code, "request");
    await target.close();
  }
});

test("connect() gives up waiting for the answer of an HTTP proxy", async () => {
  await assertGivesUp("request", async ({ options, giveUp }) => {
    const proxy = await startProxy([[ASKED + END, '"HTTP/1.1 200 OK" 0D 0A']]);
    const url = `http://127.0.0.1:${proxy.addr.port}`;
    const connecting = connect(url, TARGET, options);
    proxy.played.then(giveUp, () => {});
    const error = await assertRejects(() => connecting, SocksError);
    await proxy.close();
    return error;
  });
});

test("bind() and udpAssociate() reject for HTTP proxies, without any connection", async () => {
  const proxy = await startTarget();
  const url = `http://127.0.0.1:${proxy.addr.port}`;
  const rows: [Promise<unknown>, SocksPhase, RegExp][] = [
    [bind(url), "bind", /^HTTP has no BIND/],
    [udpAssociate(url), "udp", /^HTTP has no datagrams/],
    [socks(url).bind(), "bind", /^HTTP has no BIND/],
    [socks(url).udpAssociate(), "udp", /^HTTP has no datagrams/],
  ];
  for (const [promise, phase, message] of rows) {
    const error = await assertSocksError(promise, "unsupported", phase);
    assertMatch(error.message, message);
  }
  assertEquals(proxy.conns.length, 0);
  await proxy.close();
});

test("the commands throw a TypeError for what an HTTP request cannot carry", async () => {
  const proxy = { protocol: "http", hostname: "127.0.0.1", port: 1 } as const;
  const logins: Partial<ProxyConfig>[] = [
    { username: "a:b" },
    { username: "a\r\nHost: b" },
    { password: "a\nb" },
    { username: "\0" },
  ];
  for (const login of logins) {
    assertThrows(() => socks({ ...proxy, ...login }), TypeError);
  }
  assertThrows(() => socks("http://a%0D%0AX:b@h"), TypeError);
  const token: ClientAuth = { number: 0x80, name: "token" };
  const fake: ClientAuth = { number: 2, name: "no passwordLogin()" };
  for (const auth of [[token], [fake]]) {
    assertThrows(() => socks(proxy, { auth }), TypeError, "anonymous()");
  }
  for (const hostname of ["a\r\nHost: b", "a b", "a/b", "a@b", "[::1"]) {
    await assertRejects(() => connect(proxy, { hostname, port: 1 }), TypeError);
  }
  const password = "p".repeat(12_000);
  assertThrows(() => socks({ ...proxy, username: "al", password }), TypeError);
  socks({ ...proxy, username: "al", password: password.slice(2_000) });
});

test("connect() goes through the HTTP front end of the server, names unresolved", async () => {
  const target = await startTarget(echo);
  const server = await startServer({
    http: true,
    auth: [userPass({ "ä b": "p:%w" })],
  });
  const { port } = server.server.addr;
  const proxy = socks(
    `http://${encodeURIComponent("ä b")}:p%3A%25w@127.0.0.1:${port}`,
  );
  assertEquals(`${proxy}`, `http://127.0.0.1:${port}`);
  const conn = await proxy.connect(`localhost:${target.addr.port}`);
  const [session] = server.server.sessions;
  assertEquals(
    [session.protocol, session.user, session.target?.hostname],
    ["http", "ä b", "localhost"],
  );
  await conn.write(octets("01 02"));
  await conn.closeWrite();
  assertEquals(await readAll(conn), octets("01 02"));
  conn.close();

  const wrong = `http://al:pw@127.0.0.1:${port}`;
  await assertSocksError(connect(wrong, target.addr), "login-failed", "auth");
  const none = `http://127.0.0.1:${port}`;
  await assertSocksError(connect(none, target.addr), "login-failed", "auth");
  await server.close();
  await target.close();
});

test("connect() resolves nothing itself for an HTTP proxy", async () => {
  const proxy = await startProxy([[ASKED + END, GRANTED]]);
  const transport = {
    ...await detectTransport(),
    lookup: () => Promise.reject(new Error("a look-up")),
  };
  const url = `http://127.0.0.1:${proxy.addr.port}`;
  const conn = await connect(url, TARGET, { transport });
  conn.close();
  await proxy.rest;
  await proxy.close();
});

/** Rows: the status of the upstream, and the SOCKS5 reply of the server that dials through it. */
const replies: [status: number, reply: number][] = [
  [403, 2],
  [404, 1],
  [405, 7],
  [407, 1],
  [500, 1],
  [502, 4],
  [503, 1],
  [504, 4],
  [301, 1],
  [101, 1],
];

for (const [status, reply] of replies) {
  test(`serve() replies ${reply} when the HTTP proxy that it dials through answers ${status}`, async () => {
    const proxy = await startProxy([
      [ASKED + END, `"HTTP/1.1 ${status} X" 0D 0A 0D 0A`],
    ]);
    const dial = socks(`http://127.0.0.1:${proxy.addr.port}`);
    const server = await startServer({ dial });
    const client = await server.client();
    await client.write(octets('05 01 00 05 01 00 03 0B "target.test" 00 50'));
    assertEquals(hex(await readExactly(client, 2)), "05 00");
    assertEquals((await readReply(client)).rep, reply);
    await server.close();
    await proxy.close();
  });
}

test("serve() does not support BIND and UDP when it dials through an HTTP proxy", async () => {
  const dial = socks(`http://127.0.0.1:${await closedPort()}`);
  const server = await startServer({ dial });
  for (const command of ["02", "03"]) {
    const client = await server.client();
    await client.write(
      octets(`05 01 00 05 ${command} 00 01 7F 00 00 01 00 50`),
    );
    assertEquals(hex(await readExactly(client, 2)), "05 00");
    assertEquals((await readReply(client)).rep, 7);
  }
  await server.close();
});

test("serve() carries an HTTP CONNECT through an upstream HTTP proxy", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer({ http: true });
  const dial = socks(`http://127.0.0.1:${upstream.server.addr.port}`);
  const server = await startServer({ http: true, dial });
  const url = `http://127.0.0.1:${server.server.addr.port}`;
  const conn = await connect(url, target.addr);
  await conn.write(octets("01 02 03"));
  assertEquals(await readExactly(conn, 3), octets("01 02 03"));
  conn.close();
  const refused = connect(url, `127.0.0.1:${await closedPort()}`);
  const error = await assertSocksError(refused, "rejected", "request");
  assertEquals(error.reply, 504); // 502 of the upstream is "host unreachable"
  await server.close();
  await upstream.close();
  await target.close();
});
