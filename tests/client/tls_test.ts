import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  bind,
  connect,
  type ProxyProtocol,
  socks,
  SocksError,
  type SocksErrorCode,
  type TlsOptions,
  udpAssociate,
} from "../../src/client/mod.ts";
import type { ServeOptions } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { certificates, fingerprint, issue } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { pattern, readExactly } from "../transport/contract.ts";

const { ca, server, other, alice } = certificates();
const trusting: TlsOptions = { ca: ca.cert };

async function withServer(
  options: ServeOptions,
  use: (url: (scheme?: string) => string) => Promise<void>,
): Promise<void> {
  const proxy = await startServer(options);
  const { port } = proxy.server.addr;
  try {
    await use((scheme = "socks5h+tls") => `${scheme}://localhost:${port}`);
  } finally {
    await proxy.close();
  }
}

async function assertCode(
  attempt: Promise<unknown>,
  code: SocksErrorCode,
): Promise<SocksError> {
  const error = await assertRejects(() => attempt, SocksError);
  assertEquals(error.code, code, error.message);
  return error;
}

const schemes: [scheme: string, protocol: ProxyProtocol][] = [
  ["socks4+tls", "socks4+tls"],
  ["socks4a+tls", "socks4a+tls"],
  ["socks5+tls", "socks5+tls"],
  ["socks5h+tls", "socks5h+tls"],
  ["socks4s", "socks4+tls"],
  ["socks4as", "socks4a+tls"],
  ["socks5s", "socks5+tls"],
  ["socks5hs", "socks5h+tls"],
  ["https", "https"],
];

for (const [scheme, protocol] of schemes) {
  test(`connect() goes through TLS when the scheme is ${scheme}:`, async () => {
    const target = await startTarget(echo);
    await withServer({ tls: server, http: true }, async (url) => {
      const proxy = socks(url(scheme), { tls: trusting });
      assertEquals(proxy.protocol, protocol);
      assert(`${proxy}`.startsWith(`${protocol}://`), `${proxy}`);
      const conn = await proxy.connect(target.addr);
      await conn.write(pattern(1000));
      await conn.closeWrite();
      assertEquals(await readExactly(conn, 1000), pattern(1000));
      assertEquals(await conn.read(), null);
      conn.close();
    });
    await target.close();
  });
}

test("bind() goes through TLS", async () => {
  await withServer({ tls: server }, async (url) => {
    const listener = await bind(url(), "127.0.0.1", { tls: trusting });
    const peer = await (await detectTransport()).connect({
      hostname: "127.0.0.1",
      port: listener.addr.port,
    });
    const conn = await listener.accept();
    await peer.write(pattern(10));
    assertEquals(await readExactly(conn, 10), pattern(10));
    for (const it of [conn, peer]) it.close();
    listener.close();
  });
});

const TARGET = "example.com:80";
const expired = issue({
  subject: "/CN=server",
  by: ca,
  days: -1,
  extensions: ["subjectAltName=DNS:localhost"],
});
const refusals: [
  why: string,
  code: SocksErrorCode,
  options: ServeOptions,
  tls: TlsOptions | undefined,
][] = [
  ["is for another name", "tls-name", { tls: other }, trusting],
  ["is for a name other than serverName", "tls-name", { tls: server }, {
    ...trusting,
    serverName: "other.test",
  }],
  ["is for no such address", "tls-name", { tls: server }, {
    ...trusting,
    serverName: "127.0.0.2",
  }],
  ["has an unknown authority", "tls-untrusted", { tls: server }, undefined],
  ["is self-signed", "tls-untrusted", {
    tls: issue({
      subject: "/CN=localhost",
      extensions: ["subjectAltName=DNS:localhost"],
    }),
  }, trusting],
  ["is expired", "tls-untrusted", { tls: expired }, trusting],
  ["is not the pinned one", "tls-pin", { tls: server }, {
    fingerprint256: fingerprint(other.cert),
  }],
];

for (const [why, code, options, tls] of refusals) {
  test(`connect() rejects with ${code} when the certificate ${why}`, async () => {
    await withServer(options, async (url) => {
      const error = await assertCode(connect(url(), TARGET, { tls }), code);
      assertEquals(error.phase, "dial");
    });
  });
}

test("connect() accepts the pinned certificate, whoever issued it and for any name", async () => {
  const target = await startTarget(echo);
  const pin = fingerprint(other.cert);
  const colons = pin.toUpperCase().replace(/..(?!$)/g, "$&:");
  await withServer({ tls: other }, async (url) => {
    for (const fingerprint256 of [pin, colons]) {
      const tls = { fingerprint256 };
      (await connect(url(), target.addr, { tls })).close();
    }
  });
  await target.close();
});

test("connect() accepts a certificate for an address and for serverName", async () => {
  const target = await startTarget(echo);
  await withServer({ tls: server }, async (url) => {
    const byAddress = url().replace("localhost", "127.0.0.1");
    (await connect(byAddress, target.addr, { tls: trusting })).close();
  });
  await withServer({ tls: other }, async (url) => {
    const tls = { ...trusting, serverName: "other.test" };
    (await connect(url(), target.addr, { tls })).close();
  });
  await target.close();
});

test("connect() rejects with tls-failed when the proxy does not speak TLS", async () => {
  await withServer({}, async (url) => {
    await assertCode(connect(url(), TARGET, { tls: trusting }), "tls-failed");
  });
});

test("connect() rejects with tls-refused when the proxy refuses the client's certificate", async () => {
  const self = issue({ subject: "/CN=alice" });
  const late = issue({ subject: "/CN=alice", by: ca, days: -1 });
  const tls = { ...server, clientCa: ca.cert };
  await withServer({ tls }, async (url) => {
    for (const own of [{}, self, late]) {
      const options = { tls: { ...trusting, ...own } };
      await assertCode(connect(url(), TARGET, options), "tls-refused");
    }
  });
});

test("connect() shows the client's certificate", async () => {
  const target = await startTarget(echo);
  const tls = { ...server, clientCa: ca.cert };
  await withServer({ tls }, async (url) => {
    const options = { tls: { ...trusting, ...alice } };
    (await connect(url(), target.addr, options)).close();
  });
  await target.close();
});

test("connect() and serve() read certificates and keys in one text, among comments", async () => {
  const both = ({ cert, key }: typeof alice) => {
    const text = `\uFEFF${cert}\nBag Attributes\n friendlyName: -x-\n${key}`;
    return { cert: text, key: text };
  };
  const target = await startTarget(echo);
  const tls = { ...both(server), clientCa: ca.cert };
  await withServer({ tls }, async (url) => {
    const options = { tls: { ...trusting, ...both(alice) } };
    (await connect(url(), target.addr, options)).close();
  });
  await target.close();
});

test("connect() rejects with timeout when the proxy does not answer the handshake", async () => {
  const silent = await startTarget();
  const url = `socks5h+tls://127.0.0.1:${silent.addr.port}`;
  await assertCode(connect(url, TARGET, { timeout: 50 }), "timeout");
  await silent.close();
});

test("connect() sends nothing when the transport ignores TLS", async () => {
  const target = await startTarget();
  const native = await detectTransport();
  const transport = {
    ...native,
    connect: ({ hostname, port }: { hostname: string; port: number }) =>
      native.connect({ hostname, port }),
  };
  const url = `socks5h+tls://127.0.0.1:${target.addr.port}`;
  await assertCode(connect(url, TARGET, { transport }), "tls-failed");
  assertEquals(await (await target.accepted()).read(), null);
  await target.close();
});

test("udpAssociate() rejects with unsupported when datagrams would not be encrypted", async () => {
  await withServer({ tls: server }, async (url) => {
    const refused = udpAssociate(url(), { tls: trusting });
    const error = await assertCode(refused, "unsupported");
    assert(error.message.includes("plainDatagrams"), error.message);
    const tls = { ...trusting, plainDatagrams: true };
    (await udpAssociate(url(), { tls })).close();
  });
});

const invalid: [why: string, url: string, tls: unknown][] = [
  ["the proxy does not speak TLS", "socks5://h", {}],
  ["a key is unknown", "socks5+tls://h", { caa: ca.cert }],
  ["a text is empty", "socks5+tls://h", { ca: "" }],
  ["a text is none", "socks5+tls://h", { ca: [ca.cert] }],
  ["there is a certificate without a key", "socks5s://h", { cert: alice.cert }],
  ["there is a key without a certificate", "socks5s://h", { key: alice.key }],
  ["a fingerprint is too short", "socks5s://h", { fingerprint256: "00:11" }],
  ["a fingerprint makes authorities useless", "socks5s://h", {
    ...trusting,
    fingerprint256: fingerprint(other.cert),
  }],
];

for (const [why, url, tls] of invalid) {
  test(`socks() and connect() throw a TypeError when ${why}`, async () => {
    const options = { tls: tls as TlsOptions };
    assertEquals(catchError(() => socks(url, options)).name, "TypeError");
    await assertRejects(() => connect(url, TARGET, options), TypeError);
  });
}

function catchError(call: () => unknown): Error {
  try {
    call();
  } catch (error) {
    return error as Error;
  }
  throw new Error("it does not throw");
}

test("connect() starts TLS over a given connection without it, and checks the proxy", async () => {
  const target = await startTarget(echo);
  await withServer({ tls: server }, async (url) => {
    const { port } = new URL(url().replace("socks5h+tls", "http"));
    const addr = { hostname: "127.0.0.1", port: Number(port) };
    const transport = await detectTransport();
    for (const tls of [trusting, undefined, { ...trusting, serverName: "x" }]) {
      const conn = await transport.connect(addr);
      const connecting = connect(url(), target.addr, { conn, tls });
      if (tls === trusting) {
        const tunnel = await connecting;
        await tunnel.write(pattern(10));
        assertEquals(await readExactly(tunnel, 10), pattern(10));
        tunnel.close();
        continue;
      }
      await assertCode(connecting, tls ? "tls-name" : "tls-untrusted");
      await assertRejects(() => conn.read());
    }
  });
  await target.close();
});

test("connect() starts TLS over a tunnel through a proxy with TLS", async () => {
  const target = await startTarget(echo);
  await withServer({ tls: server }, async (first) => {
    await withServer({ tls: server }, async (second) => {
      const { port } = new URL(second().replace("socks5h+tls", "http"));
      const next = `127.0.0.1:${port}`;
      const conn = await connect(first(), next, { tls: trusting });
      assertEquals(conn.tls, undefined);
      const options = { conn, tls: trusting };
      const tunnel = await connect(second(), target.addr, options);
      await tunnel.write(pattern(100_000));
      await tunnel.closeWrite();
      assertEquals(await readExactly(tunnel, 100_000), pattern(100_000));
      assertEquals(await tunnel.read(), null);
      tunnel.close();
    });
  });
  await target.close();
});

test("connect() rejects with tls-failed when a given connection does not answer TLS", async () => {
  await withServer({}, async (url) => {
    const { port } = new URL(url().replace("socks5h+tls", "http"));
    const addr = { hostname: "127.0.0.1", port: Number(port) };
    const conn = await (await detectTransport()).connect(addr);
    const error = await assertCode(
      connect(url(), TARGET, { conn, tls: trusting }),
      "tls-failed",
    );
    assertEquals(error.phase, "dial");
  });
});

for (const command of ["bind", "udpAssociate"] as const) {
  test(`${command}() starts TLS over a given connection`, async () => {
    await withServer({ tls: server }, async (url) => {
      const { port } = new URL(url().replace("socks5h+tls", "http"));
      const addr = { hostname: "127.0.0.1", port: Number(port) };
      const conn = await (await detectTransport()).connect(addr);
      const tls = { ...trusting, plainDatagrams: true };
      const opened = command === "bind"
        ? await bind(url(), "127.0.0.1", { conn, tls })
        : await udpAssociate(url(), { conn, tls });
      opened.close();
    });
  });
}

test("connect() refuses checks of a given connection that is already made", async () => {
  const proxy = await startServer({ tls: server });
  const transport = await detectTransport();
  const tls = { serverName: "localhost", ca: ca.cert };
  const conn = await transport.connect({ ...proxy.server.addr, tls });
  const pin = { fingerprint256: fingerprint(other.cert) };
  await assertRejects(
    () => connect("socks5s://h", TARGET, { conn, tls: pin }),
    TypeError,
    "tls.fingerprint256 has no effect",
  );
  await proxy.close();
});

const unreadable: [what: string, tls: TlsOptions][] = [
  ["an authority is no certificate", { ca: "ca.pem" }],
  ["one of two authorities is broken", {
    ca: ca.cert + other.cert.replace(/M/g, "N"),
  }],
  ["the client's certificate is none", {
    ...trusting,
    cert: "alice.pem",
    key: alice.key,
  }],
  ["the client's key is another one", {
    ...trusting,
    cert: alice.cert,
    key: other.key,
  }],
];

for (const [what, tls] of unreadable) {
  test(`connect() rejects with tls-failed when ${what}`, async () => {
    await withServer({ tls: server }, async (url) => {
      const error = await assertCode(
        connect(url(), TARGET, { tls }),
        "tls-failed",
      );
      assertMatch(error.message, /tls\.(ca|cert|key) /);
    });
  });
}

test("connect() uses a given connection that speaks TLS", async () => {
  const target = await startTarget(echo);
  const proxy = await startServer({ tls: server });
  const tls = { serverName: "localhost", ca: ca.cert };
  const transport = await detectTransport();
  const conn = await transport.connect({ ...proxy.server.addr, tls });
  (await connect("socks5s://h", target.addr, { conn })).close();
  await proxy.close();
  await target.close();
});
