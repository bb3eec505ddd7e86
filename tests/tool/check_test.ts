/** `checkProxy()` with our server, and with peers that break the protocol. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { chapLogin } from "../../src/client/mod.ts";
import { chap, type ServeOptions, userPass } from "../../src/server/mod.ts";
import {
  type CheckName,
  type CheckOptions,
  checkProxy,
  type CheckReport,
} from "../../src/tool/public.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type {
  Address,
  Conn,
  ConnectOptions,
  Transport,
} from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { certificates } from "../support/certificates.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";

/** The outcomes of a report, `y`, `n` or `-` each. */
function outcomes({ results }: CheckReport): Record<string, string> {
  return Object.fromEntries(
    results.map(({ name, outcome }) => [
      name,
      { yes: "y", no: "n", skipped: "-" }[outcome],
    ]),
  );
}

function detail({ results }: CheckReport, name: CheckName): string {
  return results.find((it) => it.name === name)!.detail ?? "";
}

async function withServer(
  options: ServeOptions,
  use: (host: string, server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await startServer(options);
  try {
    await use(`127.0.0.1:${server.server.addr.port}`, server);
  } finally {
    await server.close();
  }
}

/** Runs `use` with a peer that is no proxy. */
async function withPeer(
  onConn: (conn: Conn) => unknown,
  use: (host: string) => Promise<void>,
): Promise<void> {
  const peer = await startTarget(onConn);
  try {
    await use(`127.0.0.1:${peer.addr.port}`);
  } finally {
    await peer.close();
  }
}

/** A transport whose connections seem to lead beyond loopback. */
async function exposed(): Promise<Transport> {
  const native = await detectTransport();
  const connect = async (options: ConnectOptions) =>
    new Far(await native.connect(options));
  return { ...native, connect };
}

class Far implements Conn {
  readonly inner: Conn;
  readonly remoteAddr: Address = { hostname: "192.0.2.9", port: 1080 };

  constructor(inner: Conn) {
    this.inner = inner;
  }
  get localAddr() {
    return this.inner.localAddr;
  }
  get tls() {
    return this.inner.tls;
  }
  read = () => this.inner.read();
  unread = (chunk: Uint8Array) => this.inner.unread(chunk);
  peek = () => this.inner.peek();
  write = (chunk: Uint8Array) => this.inner.write(chunk);
  closeWrite = () => this.inner.closeWrite();
  close = () => this.inner.close();
  reset = () => this.inner.reset();
}

const EVERYTHING = {
  reach: "y",
  tls: "-",
  socks5: "y",
  login: "-",
  "wrong-login": "-",
  "login-required": "n",
  "connect-ipv4": "y",
  "connect-ipv6": "y",
  "connect-name": "y",
  "half-close": "y",
  bind: "y",
  udp: "y",
  "udp-fragments": "y",
  resolve: "y",
  reverse: "y",
  socks4: "y",
  socks4a: "y",
  http: "y",
};

test("checkProxy() finds everything that a server does", async () => {
  await withServer({ http: true, resolve: true }, async (host) => {
    const names: CheckName[] = [];
    const done: CheckName[] = [];
    const report = await checkProxy(
      `socks5h://al:pw@${host}`.replace("al:pw@", ""),
      {
        onStart: (name) => names.push(name),
        onResult: ({ name }) => done.push(name),
      },
    );
    assertEquals(outcomes(report), EVERYTHING);
    assertEquals(done, Object.keys(EVERYTHING) as CheckName[]);
    assertEquals(
      names,
      done.filter((it) => outcomes(report)[it] !== "-" && it !== "half-close"),
    );
    const { ok, isOpen, isExposed, proxies } = report;
    assertEquals({ ok, isOpen, isExposed, proxies }, {
      ok: true,
      isOpen: false,
      isExposed: false,
      proxies: [`socks5h://${host}`],
    });
    assertEquals([report.warnings, report.advice], [[], []]);
    assertEquals(detail(report, "socks5"), "no login");
    assertEquals(detail(report, "connect-ipv6"), "from ::1");
    assertEquals(detail(report, "udp-fragments"), "reassembled");
    for (const { outcome, time } of report.results) {
      assert(outcome !== "yes" || time! >= 0);
    }
  });
});

test("checkProxy() finds what a server does not do", async () => {
  const policy = ({ command }: { command: string }) => command === "connect";
  const options: ServeOptions = { policy };
  await withServer(options, async (host) => {
    const report = await checkProxy(`socks5://${host}`, { timeout: 3_000 });
    assertMatch(detail(report, "udp"), /^relay .* no datagram came back$/);
    assertEquals(outcomes(report), {
      ...EVERYTHING,
      bind: "n",
      udp: "n",
      "udp-fragments": "-",
      resolve: "n",
      reverse: "n",
      http: "n",
    });
    const bind = report.results.find(({ name }) => name === "bind")!;
    assertEquals([bind.code, bind.reply], ["rejected", 2]);
    assertEquals(report.ok, true);
  });
});

const PASSWORD = userPass({ al: "pw" });

test("checkProxy() checks a login, and gives a wrong one only once", async () => {
  await withServer({ auth: [PASSWORD], http: true }, async (host, server) => {
    const report = await checkProxy(`socks5h://al:pw@${host}`);
    assertEquals(outcomes(report), {
      ...EVERYTHING,
      login: "y",
      "wrong-login": "y",
      "login-required": "y",
      resolve: "n",
      reverse: "n",
      socks4: "n",
      socks4a: "n",
    });
    assertEquals(detail(report, "socks5"), "user/password");
    assertEquals([report.warnings, report.ok], [[], true]);
    assertEquals(failedLogins(server), 1);
  });
});

/** The number of logins that the server has refused. */
function failedLogins({ events }: TestServer): number {
  return events.filter((it) =>
    it.type === "session-end" && it.reason === "login-failed"
  ).length;
}

test("checkProxy() gives a login that is refused no second time", async () => {
  for (const scheme of ["socks5h", "http"]) {
    await withServer({ auth: [PASSWORD], http: true }, async (host, server) => {
      const report = await checkProxy(`${scheme}://al:secret@${host}`);
      const { login, "connect-ipv4": connect, http } = outcomes(report);
      assertEquals([login, connect, http, report.ok], ["n", "-", "n", false]);
      assertEquals(report.advice.length, 1);
      assertMatch(report.advice[0], /check name and password/);
      assertEquals(JSON.stringify(report).includes("secret"), false);
      // HTTP has no way to ask: a request without a login is refused as one with a wrong one.
      const asked = server.events.filter((it) =>
        it.type === "session-end" && it.reason === "login-failed" &&
        it.session.user !== undefined
      );
      assertEquals(asked.length <= 1, true);
    });
  }
});

test("checkProxy() advises a login where one is missing", async () => {
  await withServer({ auth: [PASSWORD] }, async (host) => {
    const report = await checkProxy(`socks5h://${host}`);
    assertEquals(report.ok, false);
    assertMatch(report.advice.join(), /wants a login/);
  });
});

test("checkProxy() logs in by CHAP where nothing else is offered", async () => {
  const auth = [chap({ al: "long secret" })];
  await withServer({ auth }, async (host) => {
    const url = `socks5h://al:long%20secret@${host}`;
    const report = await checkProxy(url, { transport: await exposed() });
    assertEquals([detail(report, "socks5"), report.ok], ["CHAP", true]);
    assertEquals(report.warnings, []); // the password does not travel
  });
});

test("checkProxy() says that an exposed proxy lets anyone through", async () => {
  const transport = await exposed();
  await withServer({}, async (host) => {
    const report = await checkProxy(`socks5h://${host}`, { transport });
    assertEquals([report.isExposed, report.isOpen], [true, true]);
    assertMatch(
      report.warnings.join(),
      /^the proxy lets anyone through: it asks/,
    );
  });
  await withServer({ auth: [PASSWORD] }, async (host) => {
    const url = `socks5h://al:pw@${host}`;
    const report = await checkProxy(url, { transport });
    assertEquals([report.isExposed, report.isOpen], [true, false]);
    assertMatch(report.warnings.join(), /^the login travels in clear/);
  });
});

test("checkProxy() says that SOCKS4 goes around the login", async () => {
  const transport = await exposed();
  const auth = [PASSWORD];
  const socks4 = { verifier: () => true };
  await withServer({ auth, socks4 }, async (host) => {
    const url = `socks5h://al:pw@${host}`;
    const report = await checkProxy(url, { transport });
    assertEquals(report.isOpen, true);
    assertMatch(
      report.warnings.join(),
      /lets anyone through: by SOCKS4 and SOCKS4a it asks for no login/,
    );
  });
});

test("checkProxy() says that a login is not needed", async () => {
  await withServer({}, async (host) => {
    const report = await checkProxy(`socks5h://al:pw@${host}`);
    assertEquals([report.ok, outcomes(report).login], [true, "-"]);
    assertMatch(report.warnings.join(), /the login is not needed/);
  });
});

test("checkProxy() uses the target that is given, and no own ones", async () => {
  const target = await startTarget(echo);
  const other = await startServer();
  try {
    await withServer({}, async (host) => {
      const options: CheckOptions = { target: target.addr };
      const report = await checkProxy(`socks5h://${host}`, options);
      const { results: _, ok } = report;
      assertEquals(ok, true);
      assertEquals(outcomes(report), {
        ...EVERYTHING,
        "connect-ipv6": "-",
        "connect-name": "-",
        "half-close": "-",
        "udp-fragments": "-",
        resolve: "n",
        reverse: "n",
        http: "n",
      });
      assert(target.conns.length >= 3);
    });
  } finally {
    await other.close();
    await target.close();
  }
});

test("checkProxy() with a target by name lets the proxy resolve it", async () => {
  const target = await startTarget(echo);
  try {
    await withServer({}, async (host) => {
      const report = await checkProxy(`socks5h://${host}`, {
        target: `localhost:${target.addr.port}`,
      });
      const found = outcomes(report);
      assertEquals(
        [found["connect-ipv4"], found["connect-name"], found.socks4a],
        ["-", "y", "y"],
      );
    });
  } finally {
    await target.close();
  }
});

test("checkProxy() says what to do if its targets are out of reach", async () => {
  const deny = { policy: () => false };
  await withServer(deny, async (host) => {
    const timeout = 2_000;
    const near = await checkProxy(`socks5h://${host}`, { timeout });
    assertEquals([near.ok, near.isOpen], [false, false]);
    assertMatch(near.advice.join(), /way out is another machine.*--target/);
    const transport = await exposed();
    const far = await checkProxy(`socks5h://${host}`, { transport, timeout });
    assertEquals([far.ok, far.isOpen], [false, false]);
    assertMatch(far.advice.join(), /may not reach this machine.*--target/);
  });
});

test("checkProxy() finds another protocol than that of the URL", async () => {
  await withServer({ http: true }, async (host) => {
    const onlyHttp = await startTarget((conn) => relayIfHttp(conn, host));
    try {
      const url = `socks5h://127.0.0.1:${onlyHttp.addr.port}`;
      const report = await checkProxy(url, { timeout: 4_000 });
      assertEquals([report.ok, outcomes(report).http], [false, "y"]);
      assertMatch(report.advice.join(), /write http:\/\/127\.0\.0\.1:\d+$/);
    } finally {
      await onlyHttp.close();
    }
  });
});

/** Passes a connection on to a proxy if it speaks HTTP. */
async function relayIfHttp(conn: Conn, host: string): Promise<void> {
  const chunk = await conn.read().catch(() => null);
  if (chunk?.[0] !== "C".charCodeAt(0)) return conn.close();
  conn.unread(chunk);
  const transport = await detectTransport();
  const [hostname, port] = host.split(":");
  const proxy = await transport.connect({ hostname, port: Number(port) });
  transport.relay(conn, proxy);
}

test("checkProxy() tells that a proxy cannot be reached", async () => {
  const port = await closedPort();
  const report = await checkProxy(`socks5h://127.0.0.1:${port}`);
  const found = outcomes(report);
  assertEquals(Object.values(found).filter((it) => it !== "-"), ["n"]);
  assertEquals([found.reach, report.ok], ["n", false]);
  assertEquals(detail(report, "reach"), "connection refused");
  assertMatch(report.advice.join(), /nothing listens there/);
});

test("checkProxy() ends in time if a proxy never answers", async () => {
  await withPeer(() => {}, async (host) => {
    const report = await checkProxy(`socks5h://${host}`, { timeout: 100 });
    assertEquals([report.ok, outcomes(report).socks5], [false, "n"]);
    assertMatch(report.advice.join(), /neither SOCKS nor HTTP CONNECT/);
    const { code } = report.results.find(({ name }) => name === "socks5")!;
    assertEquals(code, "timeout");
  });
});

const GARBAGE: readonly [string, (conn: Conn) => unknown][] = [
  ["closes at once", (conn) => conn.close()],
  ["resets", (conn) => conn.reset()],
  [
    "speaks first",
    (conn) => conn.write(new TextEncoder().encode("220 hi\r\n")),
  ],
  ["echoes", echo],
  ["floods", async (conn) => {
    try {
      for (;;) await conn.write(new Uint8Array(4096).fill(5));
    } catch {
      conn.close();
    }
  }],
  ["accepts everything, and is no proxy", async (conn) => {
    await conn.write(Uint8Array.of(5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
  }],
  ["accepts everything, and names no method that was offered", async (conn) => {
    await conn.write(Uint8Array.of(5, 7));
  }],
];

for (const [name, onConn] of GARBAGE) {
  test(`checkProxy() reports failures if a peer ${name}`, async () => {
    const answer = async (conn: Conn) => {
      try {
        await onConn(conn);
      } catch {
        conn.close();
      }
    };
    await withPeer(answer, async (host) => {
      const report = await checkProxy(`socks5h://${host}`, { timeout: 300 });
      const found = outcomes(report);
      assertEquals(report.ok, false, JSON.stringify(report, null, 1));
      for (const it of ["connect-ipv4", "udp", "bind", "socks4", "http"]) {
        assert(found[it] !== "y", `${it}: ${detail(report, it as CheckName)}`);
      }
    });
  });
}

test("checkProxy() follows TLS, and explains its failures", async () => {
  const { ca, server, other } = certificates();
  const cases: [ServeOptions["tls"], object | undefined, RegExp | undefined][] =
    [
      [server, { ca: ca.cert }, undefined],
      [
        server,
        undefined,
        /--tls-ca FILE.*--tls-pin SHA256.*-connect localhost:\d+/,
      ],
      [other, { ca: ca.cert }, /--tls-name NAME.*subjectAltName/],
      [server, { fingerprint256: "00".repeat(32) }, /was renewed/],
      [
        { ...server, clientCa: ca.cert },
        { ca: ca.cert },
        /--tls-cert FILE --tls-key FILE/,
      ],
    ];
  for (const [tls, client, advice] of cases) {
    await withServer({ tls }, async (host) => {
      const url = `socks5s://${host.replace("127.0.0.1", "localhost")}`;
      const report = await checkProxy(url, { tls: client });
      assertEquals(report.ok, advice === undefined, JSON.stringify(report));
      if (advice) {
        assertMatch(report.advice.join("\n").replaceAll("\n", " "), advice);
      } else {
        assertMatch(detail(report, "tls"), /^TLSv1\.\d$/);
        assertMatch(report.warnings.join(), /datagrams travel beside TLS/);
      }
    });
  }
});

test("checkProxy() finds TLS where the URL has none, and the other way around", async () => {
  const { server } = certificates();
  await withServer({ tls: server }, async (host) => {
    const options = { timeout: 2_000 };
    const report = await checkProxy(`socks5h://${host}`, options);
    assertMatch(report.advice.join(), /speaks TLS: write socks5s:/);
  });
  await withServer({}, async (host) => {
    const report = await checkProxy(`socks5s://${host}`);
    assertEquals(outcomes(report).tls, "n");
    assertMatch(report.advice.join(), /SOCKS5 without TLS: write socks5h:/);
  });
});

test("checkProxy() checks the last proxy of a chain", async () => {
  await withServer({ auth: [PASSWORD] }, async (last, server) => {
    await withServer({}, async (first, before) => {
      const chain = [`socks5h://${first}`, `socks5h://al:pw@${last}`];
      const report = await checkProxy(chain);
      const found = outcomes(report);
      assertEquals([found.login, found["connect-ipv4"], found.bind], [
        "y",
        "y",
        "y",
      ]);
      assertEquals([found.udp, report.ok], ["-", true]);
      assert(before.events.length > 0 && server.events.length > 0);
      assertEquals(report.proxies.join(" ").includes("pw"), false);
    });
  });
});

test("checkProxy() checks a proxy over TLS through others", async () => {
  const { ca, server: tls } = certificates();
  await withServer({ tls }, async (last) => {
    await withServer({}, async (first) => {
      const url = `socks5s://${last.replace("127.0.0.1", "localhost")}`;
      const chain = `socks5h://${first} ${url}`;
      const good = await checkProxy(chain, { tls: { ca: ca.cert } });
      assertEquals([good.ok, outcomes(good).bind], [true, "y"]);
      assertMatch(detail(good, "tls"), /^TLSv1\.\d$/);
      const bad = await checkProxy(chain);
      assertEquals([bad.ok, outcomes(bad).tls], [false, "n"]);
      assertMatch(bad.advice.join(), /--tls-ca FILE/);
    });
  });
});

test("checkProxy() checks a proxy through another one over TLS", async () => {
  const { ca, server: tls } = certificates();
  const options = { tls: { ca: ca.cert } };
  await withServer({ tls }, async (first) => {
    const over = `socks5hs://${first.replace("127.0.0.1", "localhost")}`;
    await withServer({}, async (last) => {
      const report = await checkProxy(`${over} socks5h://${last}`, options);
      assert(report.ok, detail(report, "reach"));
    });
    await withServer({ tls }, async (last) => {
      const name = last.replace("127.0.0.1", "localhost");
      const report = await checkProxy(`${over} socks5hs://${name}`, options);
      assert(report.ok, detail(report, "reach"));
    });
  });
});

test("checkProxy() refuses invalid arguments", async () => {
  const url = "socks5h://127.0.0.1:1";
  for (
    const [hops, options] of [
      ["", {}],
      ["sock5://x", {}],
      [url, { timeout: 0 }],
      [url, { timeout: NaN }],
      [url, { target: "x" }],
      [url, { targets: "x:1" } as CheckOptions],
      [url, { tls: { ca: "x" } }],
      ["socks5s://127.0.0.1:1", { tls: { fingerprint256: "x" } }],
      ["http://127.0.0.1:1", { auth: [chapLogin()] }],
    ] as [string, CheckOptions][]
  ) {
    await assertRejects(() => checkProxy(hops, options), TypeError);
  }
});
