import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, type TlsOptions } from "../../src/client/mod.ts";
import {
  noAuth,
  OptionError,
  rules,
  serve,
  type ServeOptions,
  userPass,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { certificates, issue } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { pattern, readExactly, until } from "../transport/contract.ts";

const { ca, server, other, alice } = certificates();
const trusting: TlsOptions = { ca: ca.cert };
const certified = { ...server, clientCa: ca.cert };

function urlOf({ server: { addr } }: TestServer, scheme = "socks5h+tls") {
  return `${scheme}://localhost:${addr.port}`;
}

/** Connects to the target through the server, and exchanges a few bytes. */
async function use(
  proxy: TestServer,
  target: { hostname: string; port: number },
  tls: TlsOptions = trusting,
  credentials = "",
): Promise<Conn> {
  const url = urlOf(proxy).replace("://", `://${credentials}`);
  const conn = await connect(url, target, { tls });
  await conn.write(pattern(10));
  assertEquals(await readExactly(conn, 10), pattern(10));
  return conn;
}

test("serve() serves TLS and plain clients at once", async () => {
  const target = await startTarget(echo);
  const proxy = await startServer({ tls: server, plainPort: 0 });
  const { plainAddr, sessions } = proxy.server;
  assertEquals(sessions, []);
  const secure = await use(proxy, target.addr);
  const plain = await connect(
    `socks5://127.0.0.1:${plainAddr!.port}`,
    target.addr,
  );
  assertEquals(
    proxy.server.sessions.map(({ tls }) => tls?.version),
    ["TLSv1.3", undefined],
  );
  assertEquals(
    proxy.events.flatMap((it) => it.type === "listening" ? [it.tls] : []),
    [true, false],
  );
  secure.close();
  plain.close();
  await proxy.close();
  await target.close();
});

test("serve() takes the common name of a client's certificate for the user", async () => {
  const target = await startTarget(echo);
  const seen: (string | undefined)[] = [];
  const policy = rules(["allow user alice"]);
  const proxy = await startServer({
    tls: certified,
    policy: (request) => {
      seen.push(request.session.user);
      return policy(request);
    },
  });
  const conn = await use(proxy, target.addr, { ...trusting, ...alice });
  const [session] = proxy.server.sessions;
  assertEquals([session.user, session.tls?.clientName], ["alice", "alice"]);
  assert(seen.length > 0 && seen.every((it) => it === "alice"), seen.join());
  conn.close();
  await proxy.close();
  await target.close();
});

const unusable: [who: string, own: TlsOptions][] = [
  ["no certificate", {}],
  ["a self-signed certificate", issue({ subject: "/CN=alice" })],
  ["an expired certificate", issue({ subject: "/CN=alice", by: ca, days: -1 })],
  [
    "a certificate for servers",
    issue({
      subject: "/CN=alice",
      by: ca,
      extensions: ["extendedKeyUsage=serverAuth"],
    }),
  ],
  ["a certificate without a name", issue({ subject: "/O=Example", by: ca })],
  [
    "a certificate with two names",
    issue({ subject: "/CN=alice/CN=bob", by: ca }),
  ],
];

for (const [who, own] of unusable) {
  test(`serve() ends the session with tls-failed when the client has ${who}`, async () => {
    const proxy = await startServer({ tls: certified });
    const tls = { ...trusting, ...own };
    await assertRejects(() => connect(urlOf(proxy), "h:1", { tls }));
    const { reason, session } = await proxy.ended();
    assertEquals(reason, "tls-failed");
    assertEquals([session.user, session.tls], [undefined, undefined]);
    await proxy.close();
  });
}

test("serve() requires both a certificate and a login, and prefers the login's name", async () => {
  const target = await startTarget(echo);
  const auth = [userPass({ bob: "pw" })];
  const proxy = await startServer({ tls: certified, auth });
  const tls = { ...trusting, ...alice };
  const conn = await use(proxy, target.addr, tls, "bob:pw@");
  const [session] = proxy.server.sessions;
  assertEquals([session.user, session.tls?.clientName], ["bob", "alice"]);
  conn.close();
  await proxy.ended();
  await assertRejects(() => use(proxy, target.addr, tls, "bob:wrong@"));
  assertEquals((await proxy.ended()).reason, "login-failed");
  await assertRejects(() => use(proxy, target.addr, tls));
  assertEquals((await proxy.ended()).reason, "no-method");
  await assertRejects(() => use(proxy, target.addr, trusting, "bob:pw@"));
  assertEquals((await proxy.ended()).reason, "tls-failed");
  await proxy.close();
  await target.close();
});

test("serve() does not let a SOCKS4 user id replace the certificate's name", async () => {
  const target = await startTarget(echo);
  const proxy = await startServer({
    tls: certified,
    socks4: { userIds: ["bob"] },
  });
  const url = urlOf(proxy, "socks4a+tls").replace("://", "://bob@");
  const tls = { ...trusting, ...alice };
  const conn = await connect(url, target.addr, { tls });
  const [session] = proxy.server.sessions;
  assertEquals([session.user, session.userId], ["alice", "bob"]);
  conn.close();
  await proxy.close();
  await target.close();
});

const doors: [what: string, options: ServeOptions, option?: string][] = [
  ["TLS alone", { tls: server }, "openProxy"],
  ["TLS and a login", { tls: server, auth: [userPass({ al: "pw" })] }],
  ["client certificates", { tls: certified }],
  ["client certificates, and claimed user ids", {
    tls: certified,
    socks4: { userIds: ["al"] },
  }],
  ["client certificates, and a plain port", {
    tls: certified,
    plainPort: 0,
  }, "plainPort"],
  ["client certificates, a plain port, and a login", {
    tls: certified,
    plainPort: 0,
    auth: [userPass({ al: "pw" })],
  }],
  ["client certificates, a plain port, and an optional login", {
    tls: certified,
    plainPort: 0,
    auth: [userPass({ al: "pw" }), noAuth()],
  }, "plainPort"],
];

for (const [what, options, option] of doors) {
  const verb = option ? "refuses" : "allows";
  test(`serve() ${verb} to listen beyond loopback with ${what}`, async () => {
    const start = serve({ hostname: "0.0.0.0", port: 0, ...options });
    if (!option) return await (await start).shutdown({ grace: 0 });
    const error = await assertRejects(() => start, OptionError);
    assertEquals([error.option, error.code], [option, "open-proxy"]);
  });
}

test("handle() does not count the listener's certificates for other connections", async () => {
  const proxy = await startServer({ tls: certified });
  const target = await startTarget();
  const transport = await detectTransport();
  const near = await transport.connect(target.addr);
  proxy.server.handle(near, { client: { hostname: "192.0.2.1", port: 1 } });
  await until(() => proxy.events.some((it) => it.type === "session-rejected"));
  await proxy.close();
  await target.close();
});

const invalid: [why: string, options: unknown, option: string][] = [
  [
    "the certificate is a key",
    { tls: { ...server, cert: server.key } },
    "cert",
  ],
  ["the key is a certificate", { tls: { ...server, key: server.cert } }, "key"],
  ["the key is another one", { tls: { ...server, key: alice.key } }, "key"],
  ["the certificate is missing", { tls: { key: server.key } }, "cert"],
  ["the certificate is no text", { tls: { ...server, cert: 1 } }, "cert"],
  ["the authority is empty", { tls: { ...server, clientCa: "" } }, "clientCa"],
  ["the authority is null", { tls: { ...server, clientCa: null } }, "clientCa"],
  ["the authority is a key", {
    tls: { ...server, clientCa: ca.key },
  }, "clientCa"],
  ["the certificate is broken", {
    tls: { ...server, cert: server.cert.replace(/M/g, "N") },
  }, "cert"],
  ["there is a plain port without tls", { plainPort: 0 }, "plainPort"],
  ["it does not listen", { tls: server, listen: false }, "tls"],
];

for (const [why, options, option] of invalid) {
  test(`serve() throws an OptionError when ${why}`, async () => {
    const start = () => serve({ port: 0, ...options as ServeOptions });
    const error = await assertRejects(start, OptionError);
    assert(error.option.endsWith(option), error.option);
  });
}

test("serve() refuses a transport that ignores tls", async () => {
  const native = await detectTransport();
  const transport = {
    ...native,
    listen: (
      { hostname, port }: { hostname: string; port: number },
      onConn: (conn: Conn) => void,
    ) => native.listen({ hostname, port }, onConn),
  };
  await assertRejects(() => serve({ port: 0, tls: server, transport }));
});

test("update() replaces the certificates, and no session ends", async () => {
  const target = await startTarget(echo);
  const proxy = await startServer({ tls: server });
  const before = await use(proxy, target.addr);
  await proxy.server.update({ tls: other });
  await assertRejects(() => use(proxy, target.addr));
  const name = { ...trusting, serverName: "other.test" };
  const after = await use(proxy, target.addr, name);
  await before.write(pattern(5));
  assertEquals(await readExactly(before, 5), pattern(5));

  const broken = { ...other, key: server.key };
  await assertRejects(() => proxy.server.update({ tls: broken }), OptionError);
  for (const tls of [undefined, server]) {
    if (tls) await proxy.server.update({ tls });
    else await assertRejects(() => proxy.server.update({ tls }), OptionError);
  }
  const last = await use(proxy, target.addr);
  for (const it of [before, after, last]) it.close();
  await proxy.close();
  await target.close();
});

test("update() asks later clients for certificates of the new authority", async () => {
  const target = await startTarget(echo);
  const newCa = issue({
    subject: "/CN=New authority",
    extensions: ["basicConstraints=critical,CA:TRUE"],
  });
  const bob = issue({ subject: "/CN=bob", by: newCa });
  const proxy = await startServer({ tls: certified });
  await proxy.server.update({ tls: { ...server, clientCa: newCa.cert } });
  const asBob = { ...trusting, ...bob };
  (await use(proxy, target.addr, asBob)).close();
  assertEquals((await proxy.ended()).session.user, "bob");
  const asAlice = { ...trusting, ...alice };
  await assertRejects(() => use(proxy, target.addr, asAlice));
  assertEquals((await proxy.ended()).reason, "tls-failed");
  await proxy.close();
  await target.close();
});

test("update() cannot add tls", async () => {
  const proxy = await startServer();
  const update = () => proxy.server.update({ tls: server });
  await assertRejects(update, OptionError);
  await proxy.close();
});

test("update() loses no connection when the certificates change under load", async () => {
  const target = await startTarget(echo);
  const renewed = issue({
    subject: "/CN=server",
    by: ca,
    extensions: ["subjectAltName=DNS:localhost"],
  });
  const proxy = await startServer({ tls: server });
  let isOver = false;
  let count = 0;
  const client = async () => {
    while (!isOver) {
      (await use(proxy, target.addr)).close();
      count++;
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (let i = 0; i < 20; i++) {
    const seen = count;
    await until(() => count > seen + 2);
    await proxy.server.update({ tls: i % 2 ? server : renewed });
  }
  isOver = true;
  await Promise.all(clients);
  await proxy.close();
  await target.close();
});

test("serve() reports a client that does not speak TLS", async () => {
  const proxy = await startServer({ tls: server });
  const conn = await proxy.client();
  await conn.write(Uint8Array.of(5, 4, 0, 1, 2, 3)); // no TLS record has such a head
  const { reason, error } = await proxy.ended();
  assertEquals([reason, error?.name], ["tls-failed", "NetError"]);
  await proxy.close();
});

test("serve() names TLS when the greeting of a client without it expires", async () => {
  const timeouts = { handshake: 100 };
  const proxy = await startServer({ tls: server, timeouts });
  const conn = await proxy.client();
  await conn.write(Uint8Array.of(5, 1, 0));
  const { reason, error } = await proxy.ended();
  // Deno refuses the first byte; the others wait for a whole record.
  const expected = runtime === "deno" ? "tls-failed" : "handshake-timeout";
  assertEquals(reason, expected);
  assert(/TLS/.test(error?.message ?? ""), error?.message);
  await proxy.close();
});

test("serve() accepts a file with both the certificate and the key", async () => {
  const target = await startTarget(echo);
  for (const pem of [server.cert + server.key, server.key + server.cert]) {
    const proxy = await startServer({ tls: { cert: pem, key: pem } });
    (await use(proxy, target.addr)).close();
    await proxy.close();
  }
  await target.close();
});

test("serve() takes a connection without a byte for a probe", async () => {
  const proxy = await startServer({ tls: server });
  (await proxy.client()).close();
  await until(() => proxy.events.some((it) => it.type === "probe"));
  await proxy.close();
});
