/** Connections of load balancers, which begin with a header of the PROXY protocol. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  encodeProxyHeader,
  type ProxyHeader,
} from "../../src/protocol/proxy_header.ts";
import { rules, serve, userPass } from "../../src/server/mod.ts";
import type { ServeOptions } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { hex, port } from "../support/raw.ts";
import {
  echo,
  reasonOf,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { join, octets } from "../support/table.ts";
import {
  connectedPair,
  readAll,
  readExactly,
  until,
} from "../transport/contract.ts";

const SOURCE = { hostname: "203.0.113.9", port: 40_000 };
const DESTINATION = { hostname: "8.8.4.1", port: 1080 };
const CLIENT: ProxyHeader = { source: SOURCE, destination: DESTINATION };
const V1 = octets('"PROXY TCP4 203.0.113.9 8.8.4.1 40000 1080" 0D 0A');
const UNKNOWN = octets('"PROXY UNKNOWN" 0D 0A');
const LOGIN = octets('05 01 02 01 05 "alice" 06 "secret"');
const AUTH = [userPass({ alice: "secret" })];

/** A server whose balancer is this machine, and which opens loopback to alice. */
function behindBalancer(options: ServeOptions = {}): Promise<TestServer> {
  return startServer({
    proxyFrom: ["127.0.0.0/8"],
    auth: AUTH,
    policy: rules(["allow user alice 127.0.0.0/8"]),
    ...options,
  });
}

function request(target: number): Uint8Array {
  return octets(`05 01 00 01 7F 00 00 01 ${port(target)}`);
}

async function closed(client: Conn): Promise<void> {
  await readAll(client).catch(() => {}); // a reset, if the runtime can send one
}

const HEADERS: readonly [name: string, header: Uint8Array, client: string][] = [
  ["version 1", V1, SOURCE.hostname],
  ["version 1 without a client", UNKNOWN, "127.0.0.1"],
  ["version 2", encodeProxyHeader(CLIENT), SOURCE.hostname],
  [
    "version 2 over IPv6",
    encodeProxyHeader({
      source: { hostname: "2001:db8::9", port: 1 },
      destination: { hostname: "2001:db8::1", port: 2 },
    }),
    "2001:db8::9",
  ],
  [
    "version 2 with an IPv4-mapped client",
    encodeProxyHeader({
      source: { hostname: "::ffff:203.0.113.9", port: 1 },
      destination: { hostname: "::ffff:192.0.2.1", port: 2 },
    }),
    SOURCE.hostname,
  ],
  ["version 2 without a client", encodeProxyHeader({}), "127.0.0.1"],
];

for (const [name, header, expected] of HEADERS) {
  for (const split of [false, true]) {
    const how = split ? "octet by octet" : "together with the handshake";
    test(`serve() takes the client from a PROXY header of ${name}, ${how}`, async () => {
      const target = await startTarget(echo);
      const server = await behindBalancer();
      const client = await server.client();
      const all = join(header, LOGIN, request(target.addr.port));
      if (split) {
        for (const it of all) await client.write(Uint8Array.of(it));
      } else await client.write(all);
      assertEquals(hex(await readExactly(client, 6)), "05 02 01 00 05 00");
      await readExactly(client, 8);
      await client.write(octets("2A"));
      await client.closeWrite();
      assertEquals([...await readAll(client)], [0x2a]);
      const { session, reason } = await server.ended();
      assertEquals([session.client.hostname, reason], [expected, "finished"]);
      await server.close();
      await target.close();
    });
  }
}

const INVALID: readonly [name: string, sent: Uint8Array][] = [
  ["SOCKS5 without a header", LOGIN],
  ["HTTP", octets('"POST / HTTP/1.1" 0D 0A 0D 0A')],
  ["a malformed line", octets('"PROXY TCP4 1.2.3.4 1.2.3.4 0 99999" 0D 0A')],
  ["a line without an end", octets('"PROXY UNKNOWN " 200*61')],
];

for (const [name, sent] of INVALID) {
  test(`serve() rejects a balancer's connection that begins with ${name}`, async () => {
    const server = await behindBalancer();
    const client = await server.client();
    await client.write(sent);
    await closed(client);
    await until(() => server.events.length === 2);
    const [, event] = server.events;
    assert(event.type === "session-rejected", event.type);
    assertEquals(event.reason, "no valid PROXY header");
    assert(
      event.error?.message.startsWith("the PROXY header "),
      `${event.error}`,
    );
    await server.close();
  });
}

test("serve() reports a balancer's connection without a byte as a probe", async () => {
  const server = await behindBalancer();
  for (const sent of [undefined, encodeProxyHeader({}), V1]) {
    const client = await server.client();
    if (sent) await client.write(sent);
    await client.closeWrite();
    await closed(client);
  }
  await until(() => server.events.length === 4);
  assertEquals(server.events.slice(1).map((it) => it.type), [
    "probe",
    "probe",
    "probe",
  ]);
  await server.close();
});

test("serve() rejects a balancer's connection that ends within its header", async () => {
  const server = await behindBalancer();
  const client = await server.client();
  await client.write(V1.subarray(0, 10));
  await client.closeWrite();
  await closed(client);
  await until(() => server.events.length === 2);
  assertEquals(server.events[1].type, "session-rejected");
  await server.close();
});

test("serve() serves connections of other addresses without a header, and takes none from them", async () => {
  const proxyFrom = ["192.0.2.0/24", "::1"];
  const server = await behindBalancer({ proxyFrom });
  const plain = await server.client();
  await plain.write(LOGIN);
  assertEquals(hex(await readExactly(plain, 4)), "05 02 01 00");
  plain.close();
  assertEquals(await reasonOf(server), "client-gone");
  const liar = await server.client();
  await liar.write(join(V1, LOGIN));
  await closed(liar);
  const { session, reason } = await server.ended();
  assertEquals([session.client.hostname, reason], [
    "127.0.0.1",
    "protocol-error",
  ]);
  await server.close();
});

test("serve() closes special-purpose addresses and the balancer's own to clients behind a header", async () => {
  const server = await behindBalancer({ policy: undefined });
  for (
    const [target, header] of [
      ["01 7F 00 00 01", V1],
      ["01 7F 00 00 01", UNKNOWN],
      ["01 08 08 04 01", V1],
      ["01 08 08 04 01", encodeProxyHeader(CLIENT)],
      ["04 00 64 FF 9B 8*00 08 08 04 01", V1], // by NAT64
    ] as const
  ) {
    const client = await server.client();
    const denied = octets(`05 01 00 ${target} 00 50`);
    await client.write(join(header, LOGIN, denied));
    assertEquals(hex(await readExactly(client, 6)), "05 02 01 00 05 02");
    client.close();
    await server.ended();
  }
  await server.close();
});

test("serve() refuses to be an open proxy behind a balancer, also on loopback", async () => {
  const proxyFrom = ["127.0.0.1"];
  const error = await assertRejects(
    () => serve({ port: 0, proxyFrom }),
    TypeError,
    "behind a balancer",
  );
  assertEquals((error as { code?: string }).code, "open-proxy");
  const server = await serve({ port: 0, proxyFrom, openProxy: true });
  await server.shutdown();
});

test("serve() limits each client behind a balancer, not the balancer", async () => {
  const limits = { sessionsPerClient: 1 };
  const server = await behindBalancer({ limits });
  const open = async (hostname: string) => {
    const source = { hostname, port: 1 };
    const client = await server.client();
    await client.write(encodeProxyHeader({ source, destination: DESTINATION }));
    await client.write(LOGIN);
    return client;
  };
  for (const hostname of ["203.0.113.1", "203.0.113.2"]) {
    const client = await open(hostname);
    assertEquals(hex(await readExactly(client, 4)), "05 02 01 00");
  }
  const second = await open("203.0.113.1");
  await closed(second);
  const rejected = server.events.find((it) => it.type === "session-rejected");
  assertEquals(rejected?.reason, "too many sessions from this address");
  assertEquals(rejected?.client.hostname, "203.0.113.1");
  await server.close();
});

test("serve() ends a balancer's connection whose header does not come in time", () =>
  withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    const timeouts = { handshake: 10_000 };
    const server = await behindBalancer({ transport, timeouts });
    const client = await server.client();
    await client.write(V1.subarray(0, 5));
    await until(() => clock.waiting > 0);
    clock.skip(10_000);
    await closed(client);
    await until(() => server.events.length === 2);
    const [, event] = server.events;
    assert(event.type === "session-rejected", event.type);
    assertEquals(event.error?.message, "the PROXY header took too long");
    await server.close();
  }));

test("serve() runs the accept hook after the PROXY header", async () => {
  const server = await behindBalancer({
    async accept(conn) {
      const chunk = await conn.read();
      assertEquals(chunk?.[0], 0x2a);
      conn.unread(chunk!.subarray(1));
      return { conn };
    },
  });
  const client = await server.client();
  await client.write(join(V1, octets("2A"), LOGIN));
  assertEquals(hex(await readExactly(client, 4)), "05 02 01 00");
  assertEquals(server.server.sessions[0].client, SOURCE);
  client.close();
  await server.ended();
  await server.close();
});

test("serve() does not count a balancer's connections against limits.handshakesPerClient while their headers are missing", async () => {
  const server = await behindBalancer({ limits: { handshakesPerClient: 1 } });
  const clients = [await server.client(), await server.client()];
  for (const [i, client] of clients.entries()) {
    const source = { hostname: `203.0.113.${i}`, port: 1 };
    const header = encodeProxyHeader({ source, destination: DESTINATION });
    await client.write(join(header, LOGIN));
    assertEquals(hex(await readExactly(client, 4)), "05 02 01 00");
  }
  await server.close();
});

test("accept() counts the client behind a balancer against limits.handshakesPerClient, not the balancer", async () => {
  let hooks = 0;
  const server = await behindBalancer({
    limits: { handshakesPerClient: 1 },
    accept() {
      hooks++;
      return new Promise(() => {});
    },
  });
  const open = async (hostname: string) => {
    const source = { hostname, port: 1 };
    const client = await server.client();
    await client.write(encodeProxyHeader({ source, destination: DESTINATION }));
    return client;
  };
  const rejected = () =>
    server.events.flatMap((it) => it.type === "session-rejected" ? [it] : []);
  await open("203.0.113.1");
  await until(() => hooks === 1);
  await open("203.0.113.2");
  await until(() => hooks === 2 || rejected().length > 0);
  assertEquals(hooks, 2);
  await closed(await open("203.0.113.1"));
  await until(() => rejected().length > 0);
  const [{ client, reason }] = rejected();
  assertEquals([client.hostname, reason], [
    "203.0.113.1",
    "too many unfinished handshakes from this address",
  ]);
  await server.close();
});

test("server.handle() reads no PROXY header when the client is given", async () => {
  const server = await behindBalancer({ listen: false });
  const { near, far, close } = await connectedPair(await detectTransport());
  server.server.handle(far, { client: SOURCE, destination: DESTINATION });
  await near.write(join(LOGIN, octets("05 01 00 01 08 08 04 01 00 50")));
  assertEquals(hex(await readExactly(near, 6)), "05 02 01 00 05 02");
  const { session } = await server.ended();
  assertEquals(session.client, SOURCE);
  await close();
  await server.close();
});

test("server.update() changes the addresses of balancers", async () => {
  const server = await behindBalancer({ proxyFrom: [] });
  await server.server.update({ proxyFrom: ["127.0.0.1"] });
  const client = await server.client();
  await client.write(join(V1, LOGIN));
  assertEquals(hex(await readExactly(client, 4)), "05 02 01 00");
  client.close();
  const { session } = await server.ended();
  assertEquals(session.client, SOURCE);
  await assertRejects(
    () => server.server.update({ auth: undefined }),
    TypeError,
    "behind a balancer",
  );
  await server.close();
});

test("serve() rejects proxyFrom that is no list of addresses", async () => {
  for (const it of ["10.0.0.0/8", ["a.example"], ["10.0.0.1/8"], [5], {}]) {
    await assertRejects(
      () => serve({ port: 0, proxyFrom: it as never, auth: AUTH }),
      TypeError,
      "proxyFrom",
    );
  }
});
