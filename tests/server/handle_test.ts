/** Connections of any origin: `server.handle()`, exposure, and servers that do not listen. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Origin,
  rules,
  type ServeOptions,
  type ServerEvent,
  userPass,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { fromStreams, toStreams } from "../../src/transport/streams.ts";
import type { Address, Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { hex, port, udp } from "../support/raw.ts";
import {
  echo,
  reasonOf,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { octets } from "../support/table.ts";
import {
  connectedPair,
  type Pair,
  readAll,
  readExactly,
  until,
} from "../transport/contract.ts";

/** A client on another machine: TEST-NET-3 (RFC 5737). */
const REMOTE: Address = { hostname: "203.0.113.9", port: 40_000 };
const LOOPBACK: Address = { hostname: "127.0.0.1", port: 40_000 };
const UNKNOWN: Address = { hostname: "", port: 0 };

const LOGIN: ServeOptions = { auth: [userPass({ alice: "secret" })] };
/** The greeting, the login of alice, and a request for a port of 127.0.0.1. */
const asAlice = (target: number) =>
  `05 01 02 01 05 "alice" 06 "secret" 05 01 00 01 7F 00 00 01 ${port(target)}`;
/** The same without a login. */
const asAnyone = (target: number) =>
  `05 01 00 05 01 00 01 7F 00 00 01 ${port(target)}`;

/** Lets the server handle a connection, and runs `use` with the other end. */
async function handled(
  server: TestServer,
  remoteAddr: Address | undefined,
  origin: Origin | undefined,
  use: (client: Conn, pair: Pair) => Promise<void>,
): Promise<void> {
  const pair = await connectedPair(await detectTransport());
  const { near, far, close } = pair;
  if (remoteAddr) {
    Object.defineProperty(far, "remoteAddr", { value: remoteAddr });
  }
  try {
    server.server.handle(far, origin);
    await use(near, pair);
  } finally {
    await close();
  }
}

type Rejected = Extract<ServerEvent, { type: "session-rejected" }>;

function rejections({ events }: TestServer): Rejected[] {
  return events.filter((it) => it.type === "session-rejected");
}

/** Asserts that the server closes the connection without sending a byte. */
async function assertRefused(client: Conn): Promise<void> {
  assertEquals((await readAll(client)).length, 0);
}

const exposedOrigins: [remoteAddr: Address | undefined, origin?: Origin][] = [
  [REMOTE],
  [UNKNOWN],
  [undefined, { client: REMOTE }],
  [undefined, { exposed: true }],
  [LOOPBACK, { client: REMOTE }],
  [LOOPBACK, { client: LOOPBACK, exposed: true }],
];

test("server.handle() rejects a client beyond loopback when not everyone needs a login", async () => {
  for (const options of [{}, { listen: false }, { socks4: { ident: true } }]) {
    const server = await startServer(options);
    for (const [remoteAddr, origin] of exposedOrigins) {
      await handled(server, remoteAddr, origin, assertRefused);
    }
    assertEquals(server.server.sessions, []);
    assertEquals(rejections(server).length, exposedOrigins.length);
    for (const { reason } of rejections(server)) {
      assert(reason.includes("openProxy"), reason);
    }
    assertEquals(rejections(server)[0].client, REMOTE);
    assertEquals(rejections(server)[2].client, REMOTE);
    await server.close();
  }
});

test("server.handle() denies special-purpose addresses to a client beyond loopback", async () => {
  const target = await startTarget(echo);
  const server = await startServer(LOGIN);
  for (const [remoteAddr, origin] of exposedOrigins) {
    await handled(server, remoteAddr, origin, async (client) => {
      await client.write(octets(asAlice(target.addr.port)));
      assertEquals(hex(await readExactly(client, 6)), "05 02 01 00 05 02");
      client.close();
      assertEquals(await reasonOf(server), "refused");
    });
  }
  const denied = server.events.filter((it) => it.type === "denied");
  assertEquals(denied.map((it) => it.rule), [
    ...exposedOrigins.map(() => "special-purpose address 127.0.0.1"),
  ]);
  assertEquals(target.conns.length, 0);
  await server.close();
  await target.close();
});

test("server.handle() allows a special-purpose address to a client beyond loopback by a rule", async () => {
  const target = await startTarget(echo);
  const policy = rules([`allow user alice 127.0.0.1:${target.addr.port}`]);
  const server = await startServer({ ...LOGIN, policy });
  await handled(server, REMOTE, undefined, async (client) => {
    await client.write(octets(asAlice(target.addr.port)));
    assertEquals(hex(await readExactly(client, 6)), "05 02 01 00 05 00");
    assertEquals(server.server.sessions[0].client, REMOTE);
    client.close();
    await server.ended();
  });
  await server.close();
  await target.close();
});

test("server.handle() serves a client beyond loopback without a login when openProxy is true", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ openProxy: true });
  await handled(server, REMOTE, undefined, async (client) => {
    await client.write(octets(asAnyone(target.addr.port)));
    assertEquals(hex(await readExactly(client, 4)), "05 00 05 02");
    client.close();
    assertEquals(await reasonOf(server), "refused");
  });
  await server.close();
  await target.close();
});

const localOrigins: [remoteAddr: Address | undefined, origin?: Origin][] = [
  [undefined],
  [LOOPBACK],
  [{ hostname: "::1", port: 1 }],
  [REMOTE, { client: LOOPBACK }],
  [REMOTE, { exposed: false }],
  [UNKNOWN, { exposed: false }],
];

test("server.handle() serves a client on loopback as the listener does", async () => {
  const target = await startTarget(echo);
  for (const options of [{}, { listen: false }]) {
    const server = await startServer(options);
    for (const [remoteAddr, origin] of localOrigins) {
      await handled(server, remoteAddr, origin, async (client) => {
        await client.write(octets(asAnyone(target.addr.port)));
        assertEquals(hex(await readExactly(client, 4)), "05 00 05 00");
        client.close();
        await server.ended();
      });
    }
    assertEquals(rejections(server), []);
    await server.close();
  }
  await target.close();
});

test("server.handle() counts a session under the given client", async () => {
  const limits = { sessionsPerClient: 1 };
  const server = await startServer({ ...LOGIN, limits, listen: false });
  const other = { ...REMOTE, hostname: "203.0.113.10" };
  await handled(server, undefined, { client: REMOTE }, async (first) => {
    await handled(server, undefined, { client: REMOTE }, assertRefused);
    await handled(server, undefined, { client: other }, async (second) => {
      for (const client of [first, second]) {
        await client.write(octets("05 01 02"));
        assertEquals(hex(await readExactly(client, 2)), "05 02");
      }
    });
    await server.ended();
  });
  await server.ended();
  assertEquals(rejections(server).map(({ client }) => client), [REMOTE]);
  await server.close();
});

test("server.handle() accepts datagrams only from the given client", async () => {
  const target = await udp();
  const server = await startServer({ listen: false });
  const address = { hostname: "127.0.0.2", port: 40_000 };
  const own = await udp("127.0.0.2");
  const foreign = await udp("127.0.0.3");
  await handled(server, undefined, { client: address }, async (client) => {
    await client.write(octets("05 01 00 05 03 00 01 00 00 00 00 00 00"));
    const reply = await readExactly(client, 12);
    assertEquals(hex(reply.subarray(0, 4)), "05 00 05 00");
    const relay = { hostname: "127.0.0.1", port: reply[10] << 8 | reply[11] };
    const datagram = (text: string) =>
      `00 00 00 01 7F 00 00 01 ${port(target.addr.port)} "${text}"`;
    foreign.send(datagram("no"), relay);
    own.send(datagram("yes"), relay);
    assertEquals((await target.next()).payload, octets('"yes"'));
    client.close();
  });
  const { session } = await server.ended();
  assertEquals(session.datagrams, { sent: 1, received: 0, dropped: 1 });
  for (const it of [target, own, foreign]) it.close();
  await server.close();
});

test("server.handle() serves Web streams when their client is given, and rejects them otherwise", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ listen: false });
  const pair = await connectedPair(await detectTransport());
  server.server.handle(toStreams(pair.far), { client: LOOPBACK });
  await pair.near.write(octets(asAnyone(target.addr.port)));
  assertEquals(hex(await readExactly(pair.near, 4)), "05 00 05 00");
  await readExactly(pair.near, 8);
  await pair.near.write(octets("2A 2B"));
  await pair.near.closeWrite();
  assertEquals([...await readAll(pair.near)], [0x2a, 0x2b]);
  assertEquals(await reasonOf(server), "finished");
  const unknown = await connectedPair(await detectTransport());
  server.server.handle(fromStreams(toStreams(unknown.far)));
  await assertRefused(unknown.near);
  await pair.close();
  await unknown.close();
  await server.close();
  await target.close();
});

test("server.handle() throws when its argument is not a connection", async () => {
  const server = await startServer({ listen: false });
  for (const bad of [undefined, null, {}, "conn", 5, { readable: 1 }]) {
    assertThrows(() => server.server.handle(bad as never), TypeError);
  }
  assertEquals(server.server.sessions, []);
  await server.close();
});

test("serve() has no address and ends by shutdown() when listen is false", async () => {
  const server = await startServer({ listen: false, port: 1080 });
  assertEquals(server.server.addr, { hostname: "0.0.0.0", port: 0 });
  await handled(server, undefined, undefined, async (client) => {
    await client.write(octets("05 01 00"));
    assertEquals(hex(await readExactly(client, 2)), "05 00");
    await server.server.shutdown({ grace: 0 });
    await server.server.finished;
  });
  assertEquals(server.events.map(({ type }) => type), [
    "session-start",
    "auth",
    "shutdown",
    "session-end",
  ]);
});

test("server.update() rejects exposed clients when it removes the login, and serves them when it adds one", async () => {
  const server = await startServer(LOGIN);
  await server.server.update({ auth: undefined });
  await handled(server, REMOTE, undefined, assertRefused);
  await server.server.update(LOGIN);
  await handled(server, REMOTE, undefined, async (client) => {
    await client.write(octets("05 01 02"));
    assertEquals(hex(await readExactly(client, 2)), "05 02");
  });
  await server.ended();
  await server.close();
});

test("server.handle() drops datagrams of an exposed client to a special-purpose address", async () => {
  const target = await udp();
  const server = await startServer(LOGIN);
  const own = await udp("127.0.0.2");
  const origin = { client: own.addr, exposed: true };
  await handled(server, undefined, origin, async (client) => {
    const login = '05 01 02 01 05 "alice" 06 "secret"';
    await client.write(octets(`${login} 05 03 00 01 00 00 00 00 00 00`));
    const reply = await readExactly(client, 14);
    assertEquals(hex(reply.subarray(4, 6)), "05 00");
    const relay = { hostname: "127.0.0.1", port: reply[12] << 8 | reply[13] };
    const [session] = server.server.sessions;
    own.send(`00 00 00 01 7F 00 00 01 ${port(target.addr.port)} "no"`, relay);
    await until(() => session.datagrams?.dropped === 1);
    client.close();
    await server.ended();
  });
  assertEquals(target.arrivals, []);
  for (const it of [target, own]) it.close();
  await server.close();
});

test("server.update() ends the handshake of exposed clients when no longer everyone needs a login", async () => {
  const server = await startServer(LOGIN);
  await handled(server, REMOTE, undefined, async (client) => {
    await until(() => server.server.sessions.length === 1);
    await server.server.update({ auth: undefined });
    await client.write(octets("05 01 00"));
    await assertRefused(client);
    assertEquals(await reasonOf(server), "no-method");
  });
  await server.close();
});

test("server.handle() throws for a client that is not an address", async () => {
  const server = await startServer({ listen: false });
  const { far, close } = await connectedPair(await detectTransport());
  for (const client of [null, "127.0.0.1", { host: "127.0.0.1" }, {}]) {
    assertThrows(
      () => server.server.handle(far, { client: client as never }),
      TypeError,
      "client",
    );
  }
  await close();
  await server.close();
});

test("server.shutdown() ends sessions at once for a grace time that is not a number", async () => {
  for (const grace of [-1, NaN]) {
    const server = await startServer({ listen: false });
    await handled(server, LOOPBACK, undefined, async (client) => {
      await client.write(octets("05 01 00"));
      await readExactly(client, 2);
      await server.server.shutdown({ grace });
    });
    await server.close();
  }
});

test("server.handle() denies everything to a client without an address where a policy decides", async () => {
  let asked = 0;
  const policy = () => {
    asked++;
    return true;
  };
  const server = await startServer({ listen: false, policy });
  const pair = await connectedPair(await detectTransport());
  server.server.handle(toStreams(pair.far), { exposed: false });
  await pair.near.write(octets(asAnyone(80)));
  assertEquals(hex(await readExactly(pair.near, 4)), "05 00 05 02");
  pair.near.close();
  const { error } = await server.ended();
  assertEquals(error?.message, "the client's address is not known");
  assertEquals(asked, 0);
  await pair.close();
  await server.close();
});
