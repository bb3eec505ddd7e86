/** TLS to the target, inside a tunnel. */

import { once } from "node:events";
import type net from "node:net";
import tls from "node:tls";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  bind,
  type ClientConnectOptions,
  connect,
  socks,
  type SocksConn,
  SocksError,
  type SocksErrorCode,
  type TargetTlsOptions,
  udpAssociate,
} from "../../src/client/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { certificates, fingerprint, issue } from "../support/certificates.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { openSockets, test } from "../support/harness.ts";
import { waysToGiveUp } from "../support/scripted.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../transport/contract.ts";

const { ca, server, other, alice } = certificates();
const trusting: TargetTlsOptions = { ca: ca.cert };
const MIB = 1024 * 1024;

/** Starts a target that speaks TLS. */
async function startTls(
  onConn: (conn: Conn) => unknown = echo,
  certificate: { cert: string; key: string; clientCa?: string } = server,
) {
  const conns: Conn[] = [];
  const transport = await detectTransport();
  const listener = await transport.listen(
    { hostname: "127.0.0.1", port: 0, tls: certificate },
    (conn) => {
      conns.push(conn);
      onConn(conn);
    },
  );
  return {
    conns,
    name: `localhost:${listener.addr.port}`,
    async close() {
      for (const conn of conns) conn.close();
      await listener.close();
      await settled();
    },
  };
}

const schemes = [
  "socks4a",
  "socks5",
  "socks5h",
  "socks5h+tls",
  "http",
  "https",
];

for (const scheme of schemes) {
  test(`connect() speaks TLS with the target through ${scheme}:, with half-close`, async () => {
    const isTls = scheme === "https" || scheme.endsWith("+tls");
    const options = isTls ? { tls: server } : {};
    const proxy = await startServer({ http: true, ...options });
    const target = await startTls();
    const url = `${scheme}://localhost:${proxy.server.addr.port}`;
    const conn = await connect(url, target.name, {
      targetTls: trusting,
      ...isTls && { tls: { ca: ca.cert } },
    });
    assertEquals(conn.tls?.version, "TLSv1.3");
    assertEquals(conn.alpn, undefined);
    const sent = pattern(3 * MIB);
    const writing = conn.write(sent).then(() => conn.closeWrite());
    assertSameOctets(await readExactly(conn, sent.length), sent);
    await writing;
    assertEquals(await conn.read(), null);
    conn.close();
    await target.close();
    await proxy.close();
  });
}

test("connect() loses nothing that a target sends first, however late it is read", async () => {
  const sent = pattern(300_000);
  const proxy = await startServer();
  const target = await startTls(async (conn) => {
    await conn.write(sent);
    await conn.closeWrite();
  });
  const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
  for (const delay of [0, 60]) {
    const conn = await connect(url, target.name, { targetTls: trusting });
    await new Promise((resolve) => setTimeout(resolve, delay));
    assertSameOctets(await readAll(conn), sent);
    conn.close();
    const streams = await connect(url, target.name, { targetTls: trusting });
    await new Promise((resolve) => setTimeout(resolve, delay));
    const bytes = await new Response(streams.readable).bytes();
    assertSameOctets(bytes, sent);
    streams.close();
  }
  await target.close();
  await proxy.close();
});

test("connect() offers the protocols of targetTls.alpn, and reports the chosen one", async () => {
  const proxy = await startServer();
  const options = { ...server, ALPNProtocols: ["h2", "http/1.1"] };
  const sockets = new Set<tls.TLSSocket>();
  const target = tls.createServer(options, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  const { port } = target.address() as net.AddressInfo;
  const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
  const rows: [string[], string][] = [
    [["http/1.1"], "http/1.1"],
    [["http/1.1", "h2"], "h2"], // the server's preference
    [["h2"], "h2"],
  ];
  for (const [alpn, chosen] of rows) {
    const targetTls = { ...trusting, alpn };
    const conn = await connect(url, `localhost:${port}`, { targetTls });
    assertEquals([conn.alpn, conn.tls?.alpn], [chosen, chosen]);
    conn.close();
  }
  for (const socket of sockets) socket.destroy();
  target.close();
  await proxy.close();
});

const expired = issue({
  subject: "/CN=server",
  by: ca,
  days: -1,
  extensions: ["subjectAltName=DNS:localhost"],
});

const refusals: [
  why: string,
  code: SocksErrorCode,
  certificate: { cert: string; key: string },
  targetTls: true | TargetTlsOptions,
][] = [
  ["is for another name", "tls-name", other, trusting],
  ["is not for serverName", "tls-name", server, {
    ...trusting,
    serverName: "other.test",
  }],
  ["has an unknown authority", "tls-untrusted", server, true],
  ["is expired", "tls-untrusted", expired, trusting],
  ["is not the pinned one", "tls-pin", server, {
    fingerprint256: fingerprint(other.cert),
  }],
];

for (const [why, code, certificate, targetTls] of refusals) {
  test(`connect() rejects with ${code} when the target's certificate ${why}, and sends nothing`, async () => {
    const proxy = await startServer();
    let received = 0;
    const target = await startTls(async (conn) => {
      const bytes = await conn.read().catch(() => null);
      received += bytes?.length ?? 0;
      conn.close();
    }, certificate);
    const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
    const attempt = connect(url, target.name, { targetTls });
    const error = await assertRejects(() => attempt, SocksError);
    assertEquals([error.code, error.phase], [code, "target-tls"]);
    assert(error.message.includes(`the target's`), error.message);
    assert(error.message.includes(target.name), error.message);
    assertEquals(error.hop?.number, 1);
    await proxy.ended();
    assertEquals(received, 0);
    await target.close();
    await proxy.close();
  });
}

test("connect() accepts the pinned certificate of a target, and one for serverName", async () => {
  const proxy = await startServer();
  const target = await startTls(echo, other);
  const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
  const rows = [
    { fingerprint256: fingerprint(other.cert) },
    { ...trusting, serverName: "other.test" },
  ];
  for (const targetTls of rows) {
    (await connect(url, target.name, { targetTls })).close();
  }
  await target.close();
  await proxy.close();
});

test("connect() shows the target the client's certificate", async () => {
  const proxy = await startServer();
  const names: unknown[] = [];
  const target = await startTls(async (conn) => {
    await conn.read().catch(() => {});
    names.push(conn.tls?.clientName);
  }, { ...server, clientCa: ca.cert });
  const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
  const targetTls = { ...trusting, ...alice };
  const conn = await connect(url, target.name, { targetTls });
  await conn.write(pattern(1));
  await until(() => names.length > 0);
  assertEquals(names, ["alice"]);
  conn.close();
  await target.close();
  await proxy.close();
});

const answers: [what: string, answer: (conn: Conn) => unknown][] = [
  ["does not speak TLS", (conn) => conn.write(pattern(100))],
  ["ends the connection", (conn) => conn.close()],
  ["ends its direction", (conn) => conn.closeWrite()],
  ["resets the connection", (conn) => conn.reset()],
];

for (const [what, answer] of answers) {
  test(`connect() rejects with tls-failed when a target ${what}`, async () => {
    const proxy = await startServer();
    const target = await startTarget(async (conn) => {
      await conn.read();
      await answer(conn);
    });
    const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
    const attempt = connect(url, `localhost:${target.addr.port}`, {
      targetTls: trusting,
    });
    const error = await assertRejects(() => attempt, SocksError);
    assertEquals([error.code, error.phase], ["tls-failed", "target-tls"]);
    await target.close();
    await proxy.close();
  });
}

test("connect() can be ended while a target does not answer the TLS handshake", async () => {
  const proxy = await startServer();
  const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
  for (const way of waysToGiveUp) {
    for (let ms = 60;; ms *= 4) {
      const target = await startTarget();
      const { code, options, giveUp } = way(ms);
      const attempt = connect(url, target.addr, {
        ...options,
        targetTls: trusting,
      });
      const failing = attempt.catch((error) => error);
      const isTimed = options.timeout !== 0;
      // Its first message has come, so that the handshake is under way.
      if (!isTimed) await (await target.accepted()).read();
      giveUp();
      const error: SocksError = await failing;
      await target.close();
      assertEquals(error.code, code, error.message);
      if (error.phase !== "target-tls" && isTimed && ms < 10_000) continue;
      assertEquals(error.phase, "target-tls");
      break;
    }
  }
  await proxy.close();
});

test("connect() leaves nothing open when it is ended at any moment of the TLS handshake", async () => {
  const proxy = await startServer();
  const target = await startTls();
  const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
  const before = openSockets() ?? 0;
  for (let turns = 0; turns < 60; turns++) {
    const controller = new AbortController();
    const attempt = connect(url, target.name, {
      targetTls: trusting,
      signal: controller.signal,
    }).then((conn) => conn.close(), (error) => error);
    for (let i = 0; i < turns; i++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    controller.abort();
    const error = await attempt;
    if (error) assertEquals(error.code, "aborted", error.message);
  }
  for (const conn of target.conns) conn.close();
  await until(() => (openSockets() ?? 0) <= before);
  await target.close();
  await proxy.close();
});

/** Passes on that many bytes of the server, and then calls back. */
async function passOn(
  peer: Conn,
  server: { hostname: string; port: number },
  limit: number,
  then: (peer: Conn) => unknown,
): Promise<void> {
  const near = await (await detectTransport()).connect(server);
  const forward = async () => {
    for (let it = await peer.read(); it; it = await peer.read()) {
      await near.write(it);
    }
  };
  forward().catch(() => {}).finally(() => near.close());
  for (let left = limit; left > 0;) {
    const chunk = await near.read();
    if (!chunk) break;
    await peer.write(chunk.slice(0, left));
    left -= chunk.length;
  }
  await then(peer);
}

const cuts: [what: string, then: (peer: Conn) => unknown][] = [
  ["ends", (peer) => peer.closeWrite()],
  ["is reset", (peer) => peer.reset()],
  ["stalls", () => {}],
];

for (const [what, then] of cuts) {
  const code = what === "stalls" ? "timeout" : "tls-failed";
  test(`connect() rejects with ${code} when a target ${what} in the TLS handshake`, async () => {
    const proxy = await startServer();
    const target = await startTls();
    const addr = { hostname: "127.0.0.1", port: Number(target.name.slice(10)) };
    let limit = 0;
    const middle = await startTarget((peer) =>
      passOn(peer, addr, limit, then).catch(() => {})
    );
    const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
    for (limit of [0, 1, 5, 6, 60, 127, 128, 300]) {
      const clock = new FakeClock();
      const transport = { ...await detectTransport(), clock };
      const name = `localhost:${middle.addr.port}`;
      const options = { transport, targetTls: trusting };
      const attempt = connect(url, name, options).catch((error) => error);
      if (what === "stalls") {
        const peer = await middle.accepted();
        await until(() => clock.timers > 0 && peer.remoteAddr.port > 0);
        clock.advance(30_000);
      }
      const error: SocksError = await attempt;
      assertEquals(error.code, code, `after ${limit}: ${error.message}`);
      assertEquals(clock.timers, 0);
    }
    await middle.close();
    await target.close();
    await proxy.close();
  });
}

test("connect() speaks TLS through a chain of two proxies", async () => {
  const [first, second] = [await startServer(), await startServer()];
  const target = await startTls();
  const [one, two] = [first, second].map(({ server }) =>
    `socks5h://127.0.0.1:${server.addr.port}`
  );
  const conn: SocksConn = await connect(one, second.server.addr);
  const tunnel = await connect(two, target.name, { conn, targetTls: trusting });
  await tunnel.write(pattern(1000));
  assertEquals(await readExactly(tunnel, 1000), pattern(1000));
  tunnel.close();
  await target.close();
  for (const it of [first, second]) await it.close();
});

const invalid: [why: string, targetTls: unknown, message: string][] = [
  ["a key is unknown", { caa: "x" }, '"caa"'],
  ["a text is empty", { ca: "" }, "targetTls.ca"],
  ["it is a text", "yes", "targetTls must be an object"],
  ["it is null", null, "targetTls must be an object"],
  ["a certificate has no key", { cert: "x" }, "together"],
  ["a fingerprint is too short", { fingerprint256: "00" }, "fingerprint256"],
  ["alpn is a text", { alpn: "h2" }, "targetTls.alpn"],
  ["alpn is empty", { alpn: [] }, "targetTls.alpn"],
  ["alpn has an empty name", { alpn: [""] }, "targetTls.alpn"],
];

for (const [why, targetTls, message] of invalid) {
  test(`connect() throws a TypeError before it dials when ${why} in targetTls`, async () => {
    const proxy = await startTarget();
    const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
    const options = { targetTls } as ClientConnectOptions;
    await assertRejects(() => connect(url, "h:1", options), TypeError, message);
    const attempt = socks(url).connect("h:1", options);
    await assertRejects(() => attempt, TypeError, message);
    assertEquals(proxy.conns.length, 0);
    await proxy.close();
  });
}

test("only connect() takes targetTls", async () => {
  const options = { targetTls: true } as ClientConnectOptions;
  const url = "socks5h://127.0.0.1:1";
  await assertRejects(() => bind(url, "h", options), TypeError, "targetTls");
  await assertRejects(() => udpAssociate(url, options), TypeError, "targetTls");
});

test("connect() does not speak TLS when targetTls is false", async () => {
  const proxy = await startServer();
  const target = await startTarget(echo);
  const url = `socks5h://127.0.0.1:${proxy.server.addr.port}`;
  const conn = await connect(url, target.addr, { targetTls: false });
  await conn.write(pattern(5));
  assertEquals(await readExactly(conn, 5), pattern(5));
  assertEquals(conn.tls, undefined);
  conn.close();
  await target.close();
  await proxy.close();
});
