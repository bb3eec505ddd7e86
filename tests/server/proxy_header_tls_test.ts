/** Balancers in front of a port that speaks TLS: their header is in clear, before TLS. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import * as net from "node:net";
import { connect } from "../../src/client/mod.ts";
import { encodeProxyHeader } from "../../src/protocol/proxy_header.ts";
import {
  rules,
  serve,
  type ServeOptions,
  userPass,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { openSockets, test } from "../support/harness.ts";
import { port } from "../support/raw.ts";
import {
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { join, octets } from "../support/table.ts";
import { withTlsVersion } from "../support/tls_version.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  until,
} from "../transport/contract.ts";

const { ca, server: own, other, alice } = certificates();
const tls = { ca: ca.cert };
const SOURCE = { hostname: "203.0.113.9", port: 40_000 };
const DESTINATION = { hostname: "8.8.4.1", port: 1080 };
const V1 = octets('"PROXY TCP4 203.0.113.9 8.8.4.1 40000 1080" 0D 0A');
const V2 = encodeProxyHeader({ source: SOURCE, destination: DESTINATION });
const LOCAL = encodeProxyHeader({});
const SOCKS = octets('05 01 02 01 05 "alice" 06 "secret"');

/** A server with TLS whose balancer is this machine. */
function behindBalancer(options: ServeOptions = {}): Promise<TestServer> {
  return startServer({
    tls: own,
    proxyFrom: ["127.0.0.0/8"],
    auth: [userPass({ alice: "secret" })],
    policy: rules(["allow user alice 127.0.0.0/8"]),
    ...options,
  });
}

/** Sends the first bytes of a client, the header before them, to the server. */
type Opening = (
  server: net.Socket,
  header: Uint8Array,
  first: Uint8Array,
) => Promise<void>;

const write = (socket: net.Socket, bytes: Uint8Array) =>
  new Promise((resolve) => socket.write(bytes, resolve));

/** Passes on in two parts, the second one when the server has had time to read the first. */
async function inTwo(
  server: net.Socket,
  all: Uint8Array,
  at: number,
): Promise<void> {
  await write(server, all.subarray(0, at));
  await new Promise((resolve) => setImmediate(resolve));
  await write(server, all.subarray(at));
}

/** A balancer for one connection at a time that sends this header. */
async function withBalancer(
  to: number,
  header: Uint8Array,
  open: Opening,
  use: (port: number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<net.Socket>();
  const balancer = net.createServer({ allowHalfOpen: true }, async (client) => {
    client.pause();
    const server = net.connect({
      host: "127.0.0.1",
      port: to,
      allowHalfOpen: true,
      noDelay: true,
    });
    for (const it of [client, server]) {
      sockets.add(it);
      it.on("error", () => {});
      it.on("close", () => sockets.delete(it));
    }
    await once(server, "connect");
    server.pipe(client);
    client.once("data", async (first: Uint8Array) => {
      client.pause();
      await open(server, header, first);
      client.pipe(server);
    });
    client.resume();
  });
  balancer.listen(0, "127.0.0.1");
  await once(balancer, "listening");
  try {
    await use((balancer.address() as net.AddressInfo).port);
  } finally {
    for (const it of sockets) it.destroy();
    balancer.close();
    await once(balancer, "close");
  }
}

/** Relays through the balancer and the server, in both directions and with half-close. */
async function relays(balancer: number, target: Target): Promise<void> {
  const url = `socks5h+tls://alice:secret@localhost:${balancer}`;
  const conn = await connect(url, target.addr, { tls });
  const sent = pattern(300_000);
  const writing = conn.write(sent).then(() => conn.closeWrite());
  assertSameOctets(await readAll(conn), sent);
  await writing;
  conn.close();
}

const openings: readonly [how: string, open: Opening][] = [
  ["together with the ClientHello", async (server, header, first) => {
    await write(server, join(header, first));
  }],
  ["before the ClientHello", async (server, header, first) => {
    await inTwo(server, join(header, first), header.length);
  }],
  ["octet by octet, as the ClientHello is", async (server, header, first) => {
    for (const it of join(header, first)) {
      await write(server, Uint8Array.of(it));
    }
  }],
];

for (const [version, header] of [["1", V1], ["2", V2]] as const) {
  for (const [how, open] of openings) {
    test(`serve() starts TLS after a header of version ${version} that comes ${how}`, async () => {
      const target = await startTarget(echo);
      const server = await behindBalancer();
      await withBalancer(
        server.server.addr.port,
        header,
        open,
        async (port) => {
          for (const version of ["TLSv1.3", "TLSv1.2"] as const) {
            await withTlsVersion(version, () => relays(port, target));
            const { session, reason, error } = await server.ended();
            assertEquals(reason, "finished", error?.message);
            assertEquals(session.client, SOURCE);
            assert(session.tls);
          }
        },
      );
      await server.close();
      await target.close();
    });
  }
}

test("serve() starts TLS at every split of a header and a ClientHello", async () => {
  const target = await startTarget(echo);
  const server = await behindBalancer();
  // Around each border of a field, and some inside the ClientHello.
  const border = V2.length;
  const places = [1, 12, 13, 16, 20, border - 1, border, border + 1];
  for (const at of [...places, border + 5, border + 6, border + 100]) {
    const open: Opening = (server, header, first) =>
      inTwo(server, join(header, first), at);
    await withBalancer(server.server.addr.port, V2, open, async (port) => {
      await relays(port, target);
      const { session, reason } = await server.ended();
      assertEquals([session.client, reason], [SOURCE, "finished"], `${at}`);
    });
  }
  await server.close();
  await target.close();
});

const [[, together]] = openings;

test("serve() checks the certificates of clients behind a balancer", async () => {
  const target = await startTarget(echo);
  const server = await behindBalancer({
    tls: { ...own, clientCa: ca.cert },
    auth: undefined,
    policy: rules(["allow user alice 127.0.0.0/8"]),
  });
  await withBalancer(server.server.addr.port, V2, together, async (port) => {
    const url = `socks5h+tls://localhost:${port}`;
    const certified = { ...tls, ...alice };
    (await connect(url, target.addr, { tls: certified })).close();
    const { session } = await server.ended();
    assertEquals([session.user, session.client], ["alice", SOURCE]);
    await assertRejects(() => connect(url, target.addr, { tls }));
    const { reason, session: refused } = await server.ended();
    assertEquals([reason, refused.user], ["tls-failed", undefined]);
  });
  await server.close();
  await target.close();
});

async function closed(client: Conn): Promise<Uint8Array> {
  const nothing = new Uint8Array();
  return await readAll(client).catch(() => nothing); // a reset, if the runtime can send one
}

/** Why connections were rejected, and sessions ended. */
function reasonsOf({ events }: TestServer): string[] {
  return events.flatMap((it) => "reason" in it ? [it.reason] : []);
}

/** What may not become a session: the octets, and the event that reports their end. */
const refused: readonly [name: string, sent: Uint8Array, event: string][] = [
  ["SOCKS in clear after the header", join(V2, SOCKS), "tls-failed"],
  ["garbage after the header", join(V1, pattern(1_000)), "tls-failed"],
  ["a second header", join(V2, V2), "tls-failed"],
  ["SOCKS in clear without a header", SOCKS, "no valid PROXY header"],
  [
    "a ClientHello without a header",
    octets("16 03 01 02 00 01 00 01 FC 03 03"),
    "no valid PROXY header",
  ],
  ["garbage", pattern(1_000, 200), "no valid PROXY header"],
];

for (const [name, sent, expected] of refused) {
  for (const ends of [false, true]) {
    const how = ends ? " and FIN" : "";
    test(`serve() answers nothing in clear to a balancer that sends ${name}${how}`, async () => {
      const server = await behindBalancer();
      const before = openSockets();
      const client = await server.client();
      await client.write(sent);
      if (ends) await client.closeWrite().catch(() => {});
      const answer = await closed(client);
      // At most a fatal alert of TLS (RFC 8446 section 6).
      assert(answer.length === 0 || answer[0] === 0x15, String(answer));
      client.close();
      await until(() => reasonsOf(server).length > 0);
      const [reason] = reasonsOf(server);
      const whenEnded = ["TLS could not start", "client-gone"];
      const isFine = reason === expected || ends && whenEnded.includes(reason);
      assert(isFine, reason);
      assertEquals(server.server.sessions, []);
      await until(() => [before, before && before - 1].includes(openSockets()));
      await server.close();
    });
  }
}

test("serve() reports a balancer's connection that ends before TLS as a probe", async () => {
  const server = await behindBalancer();
  for (const sent of [undefined, LOCAL, V1, V2]) {
    const client = await server.client();
    if (sent) await client.write(sent);
    await client.closeWrite();
    assertEquals(await closed(client), new Uint8Array());
    client.close();
  }
  await until(() => server.events.length === 5);
  const types = server.events.slice(1).map((it) => it.type);
  assertEquals(types, ["probe", "probe", "probe", "probe"]);
  await server.close();
});

for (
  const [where, sent] of [
    ["before its header", new Uint8Array()],
    ["in its header", V2.subarray(0, 20)],
    ["after its header", V2],
    ["in its ClientHello", join(V2, octets("16 03 01 02 00 01"))],
  ] as const
) {
  test(`serve() ends a balancer's connection that is silent ${where}`, () =>
    withClock(async (clock) => {
      const transport = { ...await detectTransport(), clock };
      const timeouts = { handshake: 10_000 };
      const server = await behindBalancer({ transport, timeouts });
      const client = await server.client();
      if (sent.length > 0) await client.write(sent);
      await until(() => clock.waiting > 0);
      const isWaiting = () =>
        sent.length < V2.length || server.server.sessions.length === 1;
      await until(isWaiting);
      clock.skip(10_000);
      await closed(client);
      client.close();
      await until(() => reasonsOf(server).length > 0);
      const expected = sent.length < V2.length
        ? "no valid PROXY header"
        : "handshake-timeout";
      assertEquals(reasonsOf(server), [expected]);
      await server.close();
    }));
}

test("serve() starts TLS at once for clients that are no balancers", async () => {
  const target = await startTarget(echo);
  const server = await behindBalancer({ proxyFrom: ["192.0.2.1"] });
  await relays(server.server.addr.port, target);
  const { session } = await server.ended();
  assertEquals([session.client.hostname, !!session.tls], ["127.0.0.1", true]);
  const liar = await server.client();
  await liar.write(join(V2, SOCKS));
  await closed(liar);
  liar.close();
  assertEquals((await server.ended()).reason, "tls-failed");
  await server.close();
  await target.close();
});

test("serve() reads the header on both the TLS and the plain port", async () => {
  const target = await startTarget(echo);
  const server = await behindBalancer({ plainPort: 0 });
  const { addr, plainAddr } = server.server;
  await withBalancer(addr.port, V2, together, (port) => relays(port, target));
  const secure = (await server.ended()).session;
  assertEquals([secure.client, !!secure.tls], [SOURCE, true]);
  const client = await (await detectTransport()).connect(plainAddr!);
  const request = octets(`05 01 00 01 7F 00 00 01 ${port(target.addr.port)}`);
  await client.write(join(V1, SOCKS, request));
  assertEquals([...await readExactly(client, 6)], [5, 2, 1, 0, 5, 0]);
  client.close();
  const plain = (await server.ended()).session;
  assertEquals([plain.client, plain.tls], [SOURCE, undefined]);
  await server.close();
  await target.close();
});

test("server.update() adds balancers to, and removes them from, a server with TLS", async () => {
  const target = await startTarget(echo);
  const server = await behindBalancer({ proxyFrom: [] });
  const direct = server.server.addr.port;
  await relays(direct, target);
  assertEquals((await server.ended()).session.client.hostname, "127.0.0.1");
  await server.server.update({ proxyFrom: ["127.0.0.1"] });
  await withBalancer(direct, V2, together, (port) => relays(port, target));
  assertEquals((await server.ended()).session.client, SOURCE);
  await server.server.update({ proxyFrom: [], tls: other });
  await assertRejects(() => relays(direct, target));
  await server.close();
  await target.close();
});

test("serve() runs the accept hook on decrypted bytes, after the header", async () => {
  const target = await startTarget(echo);
  const first: number[] = [];
  const server = await behindBalancer({
    async accept(conn) {
      const chunk = await conn.read();
      first.push(chunk![0]);
      conn.unread(chunk!);
      return { conn };
    },
  });
  const { port } = server.server.addr;
  await withBalancer(port, V2, together, (port) => relays(port, target));
  const { session } = await server.ended();
  assertEquals([first, session.client], [[5], SOURCE]);
  await server.close();
  await target.close();
});

test("serve() refuses proxyFrom with a transport that starts TLS at once", async () => {
  const native = await detectTransport();
  const transport: Transport = {
    ...native,
    listen: ({ startsInClear: _, ...options }, ...rest) =>
      native.listen(options, ...rest),
  };
  const proxy = { tls: own, port: 0, transport, openProxy: true };
  await assertRejects(
    () => serve({ ...proxy, proxyFrom: ["127.0.0.1"] }),
    Error,
    "does not support TLS after a PROXY header",
  );
  const server = await serve(proxy);
  await assertRejects(
    () => server.update({ proxyFrom: ["127.0.0.1"] }),
    Error,
    "does not support TLS after a PROXY header",
  );
  await server.shutdown();
});
