/** BIND as clients and peers see it: RFC 1928 sections 4 and 6, and SOCKS4. */

import { once } from "node:events";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { PolicyRequest, ServeOptions } from "../../../src/server/mod.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import type { Conn, Transport } from "../../../src/transport/transport.ts";
import { NetError, type NetErrorKind } from "../../../src/transport/errors.ts";
import { openSockets, test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";
import { withClock } from "../../support/skipping_clock.ts";
import { timed } from "../../support/world.ts";
import {
  ANYONE,
  assertClosed,
  assertStream,
  bind,
  LOOPBACK,
} from "../../support/bind.ts";
import { startServer, startTarget } from "../../support/server.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../../transport/contract.ts";
import {
  ask,
  assertTurnedAway,
  block,
  connect,
  connectFrom,
  ERROR,
  hex,
  hungUp,
  OK,
  port,
  readReply,
  REFUSED4,
} from "../../support/raw.ts";

/** The number of simultaneous BINDs. */
const MANY = 100;

const NAME = '03 0B "target.test" 00 00';

async function withNames(
  names: Record<string, string[]>,
): Promise<ServeOptions> {
  const lookup = (name: string) =>
    names[name]
      ? Promise.resolve(names[name])
      : Promise.reject(new NetError("dns", `no such name: ${name}`));
  return { transport: { ...await detectTransport(), lookup } };
}

// The expected peer connects

/** Name, DST of the request, the address of BND. */
const PEERS: readonly [string, string, string][] = [
  ["an address", LOOPBACK, "127.0.0.1"],
  [
    "an address and a port, which means nothing",
    "01 7F 00 00 01 00 15",
    "127.0.0.1",
  ],
  ["an IPv4-mapped address", "04 10*00 FF FF 7F 00 00 01 00 00", "127.0.0.1"],
  ["an IPv6 address", "04 15*00 01 00 00", "::1"],
  ["a name", NAME, "127.0.0.1"],
  ["a name with an IPv6 address", '03 08 "six.test" 00 00', "::1"],
  ["an address as a name", '03 09 "127.0.0.1" 00 00', "127.0.0.1"],
  ["B5 anyone", ANYONE, "127.0.0.1"],
  ["B5 anyone, with a port", "01 00 00 00 00 00 15", "127.0.0.1"],
  ["B5 anyone, of IPv6", "04 16*00 00 00", "127.0.0.1"],
];

for (const [name, dst, hostname] of PEERS) {
  test(`serve() accepts the peer of a BIND for B1 B2 ${name}`, async () => {
    const names = { "target.test": ["127.0.0.1"], "six.test": ["::1"] };
    const server = await startServer(await withNames(names));
    const { conn, reply, bound } = await bind(server, dst);
    assertEquals(bound.hostname, hostname);
    assertEquals(reply, `${OK} ${block(bound)}`);
    const [session] = server.server.sessions;
    assertEquals(session.command, "bind");
    assertEquals(session.phase, "bind");
    assertEquals(session.boundAddr, bound);

    const peer = await connect(bound);
    const second = await readReply(conn);
    assertEquals(second.reply, `${OK} ${block(peer.localAddr)}`);
    assertEquals(session.phase, "relay");
    assertEquals(session.targetAddr, peer.localAddr);
    await assertClosed(bound);
    await assertStream(conn, peer);
    const end = await server.ended();
    assertEquals(end.reason, "finished");
    assertEquals([end.session.sent, end.session.received], [11, 23]);
    const replies = server.events.filter((it) => it.type === "reply");
    assertEquals(replies.length, 2);
    await server.close();
  });
}

test("serve() listens at the address that the client used when any peer may connect (B5)", async () => {
  const server = await startServer({
    hostname: "0.0.0.0",
    openProxy: true,
    policy: () => true, // otherwise no peer from loopback may connect
  });
  const { conn, bound } = await bind(server, ANYONE, "127.0.0.2");
  assertEquals(bound.hostname, "127.0.0.2");
  await assertClosed({ hostname: "127.0.0.1", port: bound.port });
  const peer = await connectFrom("127.0.0.3", bound);
  const second = await readReply(conn);
  const expected = { hostname: "127.0.0.3", port: peer.localPort! };
  assertEquals(second.bound, expected);
  peer.destroy();
  conn.close();
  await server.close();
});

test("serve() listens at the address from which the peer is reached", async () => {
  const transport = {
    ...await detectTransport(),
    sourceAddress(hostname: string) {
      assertEquals(hostname, "127.0.0.3");
      return Promise.resolve("127.0.0.2");
    },
  };
  const server = await startServer({ transport });
  const { conn, bound } = await bind(server, "01 7F 00 00 03 00 00");
  assertEquals(bound.hostname, "127.0.0.2");
  const peer = await connectFrom("127.0.0.3", bound);
  assertEquals((await readReply(conn)).bound.hostname, "127.0.0.3");
  peer.destroy();
  conn.close();
  await server.close();
});

test("serve() sends the second reply before the data of the peer (B6)", async () => {
  const server = await startServer();
  const { conn, bound } = await bind(server);
  const peer = await connect(bound);
  await peer.write(octets('"220 hello"'));
  await peer.closeWrite();
  assertEquals((await readReply(conn)).reply, `${OK} ${block(peer.localAddr)}`);
  assertEquals(await readAll(conn), octets('"220 hello"'));
  await conn.write(octets('"bye"'));
  await conn.closeWrite();
  assertEquals(await readAll(peer), octets('"bye"'));
  assertEquals((await server.ended()).reason, "finished");
  conn.close();
  peer.close();
  await server.close();
});

test("serve() sends the peer the data that the client sent before it connected", async () => {
  const server = await startServer();
  const conn = await server.client();
  await conn.write(octets(`05 01 00 05 02 00 ${LOOPBACK} "early "`));
  assertEquals(hex(await readExactly(conn, 2)), "05 00");
  const { bound } = await readReply(conn);
  await conn.write(octets('"and waiting "'));
  const peer = await connect(bound);
  await readReply(conn);
  await conn.write(octets('"and late"'));
  await conn.closeWrite();
  assertEquals(await readAll(peer), octets('"early and waiting and late"'));
  await peer.closeWrite();
  assertEquals(hex(await readAll(conn)), "");
  assertEquals((await server.ended()).session.sent, 26);
  conn.close();
  peer.close();
  await server.close();
});

test("serve() sends the peer all of 1 MB that the client sent before it connected", async () => {
  const server = await startServer();
  const { conn, bound } = await bind(server);
  const early = pattern(1_000_000);
  const writing = conn.write(early).then(() => conn.closeWrite());
  await settled();
  const peer = await connect(bound);
  const reading = readAll(peer);
  await readReply(conn);
  await writing;
  assertSameOctets(await reading, early);
  await peer.closeWrite();
  assertEquals(hex(await readAll(conn)), "");
  assertEquals((await server.ended()).reason, "finished");
  conn.close();
  peer.close();
  await server.close();
});

test("serve() replies with the advertised address, and with the real one of the peer", async () => {
  const advertise = ["192.0.2.77"];
  const server = await startServer({ advertise });
  const { conn, bound } = await bind(server);
  assertEquals(bound.hostname, "192.0.2.77");
  assertEquals(server.server.sessions[0].boundAddr, bound);
  const peer = await connect({ ...bound, hostname: "127.0.0.1" });
  assertEquals((await readReply(conn)).bound, peer.localAddr);
  await assertStream(conn, peer);
  const six = await bind(server, "04 15*00 01 00 00"); // none of its version
  assertEquals(six.bound.hostname, "::1");
  six.conn.close();
  await server.close();
});

// Other peers connect

test("serve() resets other peers and keeps waiting for the expected one (B3, B4)", async () => {
  const server = await startServer();
  const { conn, bound } = await bind(server);
  for (let times = 0; times < 3; times++) {
    await assertTurnedAway("127.0.0.2", bound);
  }
  assertEquals(server.server.sessions[0].phase, "bind");
  const peer = await connect(bound);
  assertEquals((await readReply(conn)).bound, peer.localAddr);
  await assertStream(conn, peer);
  assertEquals((await server.ended()).reason, "finished");
  await server.close();
});

test("serve() accepts a peer from each address of the expected name, and from no other", async () => {
  const names = { "target.test": ["127.0.0.1", "127.0.0.2"] };
  const server = await startServer(await withNames(names));
  for (const address of ["127.0.0.1", "127.0.0.2"]) {
    const { conn, bound } = await bind(server, NAME);
    await assertTurnedAway("127.0.0.3", bound);
    const peer = await connectFrom(address, bound);
    const { bound: told } = await readReply(conn);
    assertEquals(told, { hostname: address, port: peer.localPort! });
    peer.destroy();
    conn.close();
    await server.ended();
  }
  await server.close();
});

test("serve() accepts one peer", async () => {
  const server = await startServer();
  const { conn, bound } = await bind(server);
  const sockets = await Promise.allSettled(
    Array.from({ length: 10 }, () => connectFrom("127.0.0.1", bound)),
  );
  const { bound: told } = await readReply(conn);
  const peers = sockets.flatMap((it) =>
    it.status === "fulfilled" ? [it.value] : []
  );
  const mine = peers.find((it) => it.localPort === told.port)!;
  await Promise.all(peers.filter((it) => it !== mine).map(hungUp));
  mine.write("hello");
  assertEquals(await readExactly(conn, 5), octets('"hello"'));
  await conn.write(octets('"and you"'));
  const [answer] = await once(mine, "data");
  assertEquals(new Uint8Array(answer), octets('"and you"'));
  await assertClosed(bound);
  mine.destroy();
  conn.close();
  await server.close();
});

test("serve() passes on the reset of an accepted peer", async () => {
  const server = await startServer();
  const { conn, bound } = await bind(server);
  const peer = await connect(bound);
  await readReply(conn);
  peer.reset(); // where there is none, a FIN
  await readAll(conn).catch(() => {});
  conn.close();
  const { reason } = await server.ended();
  assert(["target-gone", "finished", "client-gone"].includes(reason), reason);
  await server.close();
});

test("serve() keeps waiting when a peer has closed its connection before its address is read", async () => {
  const real = await detectTransport();
  let isGone = true;
  const transport: Transport = {
    ...real,
    listen: (options, onConn, onError) =>
      real.listen(options, (conn) => {
        const remote = { hostname: "", port: 0 }; // as a closed socket reports it
        onConn(
          isGone
            ? Object.defineProperty(conn, "remoteAddr", { value: remote })
            : conn,
        );
      }, onError),
  };
  const server = await startServer({ transport });
  const { conn, bound } = await bind(server, ANYONE);
  const ghost = await connect(bound).catch(() => undefined);
  await ghost?.read().catch(() => {});
  isGone = false;
  const peer = await connect(bound);
  assertEquals((await readReply(conn)).bound.port, peer.localAddr.port);
  await assertStream(conn, peer);
  assertEquals((await server.ended()).reason, "finished");
  ghost?.close();
  await server.close();
});

test("serve() bounds the number of peers that wait for a slow policy", async () => {
  const judged: (() => void)[] = [];
  const server = await startServer({
    policy: ({ address }) =>
      address === undefined ||
      new Promise((resolve) => judged.push(() => resolve(true))),
  });
  const { conn, bound } = await bind(server, ANYONE);
  const peers = await Promise.all(
    Array.from({ length: 40 }, () => connect(bound)),
  );
  let turnedAway = 0;
  for (const peer of peers) {
    peer.read().catch(() => null).then((it) => turnedAway += it ? 0 : 1);
  }
  await until(() => turnedAway + judged.length === 40);
  assertEquals(judged.length, 16);
  judged[3]();
  assertEquals((await readReply(conn)).bound.hostname, "127.0.0.1");
  for (const peer of peers) peer.close();
  conn.close();
  await server.ended();
  await server.close();
});

// No peer connects

/** The default of `timeouts.bind`. */
const MINUTE = 60_000;

for (const peer of [LOOPBACK, ANYONE]) {
  test(`serve() answers REP 6 when no peer of ${peer} connects in timeouts.bind`, () =>
    withClock(async (clock) => {
      for (const timeouts of [{}, { bind: 10 * MINUTE }]) {
        const server = await startServer({ ...await timed(clock), timeouts });
        const { conn, bound } = await bind(server, peer);
        clock.skip((timeouts.bind ?? MINUTE) - 5_000);
        assertEquals(server.server.sessions[0].phase, "bind");
        clock.skip(10_000);
        assertEquals(hex(await readAll(conn)), ERROR("06"));
        await assertClosed(bound);
        conn.close();
        const { reason, session } = await server.ended();
        assertEquals(reason, "refused");
        assertEquals(session.reply, 6);
        await server.close();
      }
    }));
}

test("serve() answers REP 6 when only other peers connect in timeouts.bind", () =>
  withClock(async (clock) => {
    const server = await startServer(await timed(clock));
    const { conn, bound } = await bind(server);
    for (let times = 0; times < 3; times++) {
      await assertTurnedAway("127.0.0.2", bound);
      clock.skip(MINUTE / 4);
    }
    assertEquals(server.server.sessions[0].phase, "bind");
    clock.skip(MINUTE);
    assertEquals(hex(await readAll(conn)), ERROR("06"));
    conn.close();
    assertEquals((await server.ended()).reason, "refused");
    await server.close();
  }));

test("serve() answers REP 6 to a client that has sent data", () =>
  withClock(async (clock) => {
    const server = await startServer(await timed(clock));
    const { conn } = await bind(server);
    await conn.write(pattern(20_000));
    await settled(); // the server has some of it
    clock.skip(MINUTE + 1);
    assertEquals(hex(await readAll(conn)), ERROR("06"));
    conn.close();
    assertEquals((await server.ended()).reason, "refused");
    await server.close();
  }));

test("serve() has no time limit after the peer has connected", () =>
  withClock(async (clock) => {
    const server = await startServer(await timed(clock));
    const { conn, bound } = await bind(server);
    const peer = await connect(bound);
    await readReply(conn);
    for (let times = 0; times < 3; times++) {
      clock.skip(2 * MINUTE);
      await conn.write(octets("AA"));
      await readExactly(peer, 1);
    }
    await assertStream(conn, peer);
    assertEquals((await server.ended()).reason, "finished");
    await server.close();
  }));

for (
  const [how, early] of [
    ["FIN", 0],
    ["close", 0],
    ["reset", 0],
    ["FIN", 1],
    ["close", 20_000],
  ] as const
) {
  const name = `${how} after ${early} bytes`;
  test(`serve() stops listening at the client's ${name}`, async () => {
    const server = await startServer();
    const { conn, bound } = await bind(server);
    if (early > 0) await conn.write(pattern(early));
    if (how === "FIN") await conn.closeWrite();
    else if (how === "close") conn.close();
    else conn.reset();
    assertEquals((await server.ended()).reason, "client-gone");
    await assertClosed(bound);
    if (how === "FIN") await readAll(conn).catch(() => {});
    conn.close();
    await server.close();
  });
}

for (const how of ["shutdown()", "session.close()"]) {
  test(`serve() stops listening at ${how}`, async () => {
    const server = await startServer();
    const { conn, bound } = await bind(server);
    if (how === "shutdown()") await server.server.shutdown({ grace: 0 });
    else server.server.sessions[0].close();
    assertEquals((await server.ended()).reason, "closed");
    await assertClosed(bound);
    await readAll(conn).catch(() => {});
    conn.close();
    await server.close();
  });
}

// Failures

test("serve() answers REP 7 to BIND when the dialer has none", async () => {
  const server = await startServer({
    dial: () => Promise.reject(new Error("nothing may be dialled")),
  });
  const { conn, reply } = await ask(server, `02 00 ${LOOPBACK}`);
  assertEquals(reply, ERROR("07"));
  assertEquals(hex(await readAll(conn)), "");
  conn.close();
  assertEquals((await server.ended()).reason, "refused");
  const old = await server.client();
  await old.write(octets("04 02 00 00 7F 00 00 01 00"));
  assertEquals(hex(await readAll(old)), REFUSED4);
  await server.close();
});

test("serve() answers REP 4 when the name of the expected peer has no address", async () => {
  const server = await startServer(await withNames({}));
  const { conn, reply } = await ask(server, `02 00 ${NAME}`);
  assertEquals(reply, ERROR("04"));
  assertEquals(hex(await readAll(conn)), "");
  conn.close();
  assertEquals((await server.ended()).reason, "refused");
  await server.close();
});

const NO_WAY: readonly [NetErrorKind, string][] = [
  ["net-unreachable", "03"],
  ["host-unreachable", "04"],
  ["denied", "02"],
];

for (const [kind, rep] of NO_WAY) {
  test(`serve() answers REP ${rep} when the route to the peer fails with ${kind}`, async () => {
    const server = await startServer({
      transport: {
        ...await detectTransport(),
        sourceAddress: () => Promise.reject(new NetError(kind)),
      },
    });
    const { conn, reply } = await ask(server, `02 00 ${LOOPBACK}`);
    assertEquals(reply, ERROR(rep));
    conn.close();
    await server.ended();
    await server.close();
  });
}

test("serve() answers REP 1 when all of relayPorts are in use", async () => {
  const free = await startTarget();
  const { port } = free.addr;
  await free.close();
  const server = await startServer({ relayPorts: { first: port, last: port } });
  const first = await bind(server);
  assertEquals(first.bound.port, port);
  const second = await ask(server, `02 00 ${LOOPBACK}`);
  assertEquals(second.reply, ERROR("01"));
  assertEquals(hex(await readAll(second.conn)), "");
  second.conn.close();
  assertEquals((await server.ended()).reason, "refused");
  const peer = await connect(first.bound);
  await readReply(first.conn);
  await assertStream(first.conn, peer);
  await server.close();
});

test("serve() ends a BIND whose client closes its connection while the name is resolved", async () => {
  let asked = () => {};
  const looking = new Promise<void>((resolve) => asked = resolve);
  const lookup = () => {
    asked();
    return new Promise<string[]>(() => {});
  };
  const transport = { ...await detectTransport(), lookup };
  const server = await startServer({ transport, timeouts: { bind: 200 } });
  const conn = await server.client();
  await conn.write(octets(`05 01 00 05 02 00 ${NAME}`));
  await looking;
  conn.close();
  await server.ended(); // when the timeout expires at the latest
  await server.close();
});

test("serve() replies with the address that the client used when no route is known", async () => {
  const transport = {
    ...await detectTransport(),
    sourceAddress: () => Promise.resolve("0.0.0.0"), // as on Deno
  };
  for (const told of ["192.0.2.9", "192.0.2.77"]) {
    const advertise = told === "192.0.2.77" ? [told] : undefined;
    const server = await startServer({ transport, advertise });
    const door = await startTarget((conn) =>
      server.server.handle(reachedAt("192.0.2.9", conn))
    );
    const conn = await connect(door.addr);
    await conn.write(octets(`05 01 00 05 02 00 ${LOOPBACK}`));
    assertEquals(hex(await readExactly(conn, 2)), "05 00");
    const { bound } = await readReply(conn);
    assertEquals(bound.hostname, told);
    await assertTurnedAway("127.0.0.2", { ...bound, hostname: "127.0.0.1" });
    // The peer may know another address of this machine.
    const peer = await connectFrom("127.0.0.1", {
      ...bound,
      hostname: "127.0.0.3",
    });
    const second = await readReply(conn);
    const expected = { hostname: "127.0.0.1", port: peer.localPort! };
    assertEquals(second.bound, expected);
    peer.destroy();
    conn.close();
    await server.ended();
    await door.close();
    await server.close();
  }
});

/** A connection with another local address. */
function reachedAt(hostname: string, conn: Conn): Conn {
  const local = { hostname, port: conn.localAddr.port };
  return new Proxy(conn, {
    get(target, key: keyof Conn) {
      if (key === "localAddr") return local;
      const value = target[key];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test("serve() replies without the zone of an address", async () => {
  const native = await detectTransport();
  let listeners = 0;
  let onConn = (_conn: Conn) => {};
  const transport: Transport = {
    ...native,
    listen(options, ...handlers) {
      if (listeners++ === 0) return native.listen(options, ...handlers);
      onConn = handlers[0];
      const addr = { hostname: "fe80::1%eth0", port: 0x1234 };
      return Promise.resolve({ addr, close: () => Promise.resolve() });
    },
  };
  const server = await startServer({ transport });
  const { conn, reply } = await ask(server, `02 00 ${LOOPBACK}`);
  const expected = `${OK} 04 FE 80 13*00 01 12 34`;
  assertEquals(reply, hex(octets(expected)));
  const peer = await startTarget(onConn);
  (await connect(peer.addr)).close();
  assertEquals((await readReply(conn)).rep, 0);
  conn.close();
  await server.ended();
  await peer.close();
  await server.close();
});

// The policy

test("serve() asks the policy about the peer, by its name and each address", async () => {
  const asked: string[] = [];
  const policy = ({ session, command, hostname, address }: PolicyRequest) => {
    assertEquals(session.client.hostname, "127.0.0.1");
    assertEquals(command, "bind");
    asked.push(`${hostname} ${address}`);
    return Promise.resolve(hostname !== "bad.test" && address !== "127.0.0.2");
  };
  const names = {
    "target.test": ["127.0.0.2", "127.0.0.1"],
    "bad.test": ["127.0.0.1"],
    "worse.test": ["127.0.0.2"],
  };
  const server = await startServer({ ...await withNames(names), policy });
  for (
    const denied of [
      '03 08 "bad.test" 00 00',
      '03 0A "worse.test" 00 00',
      "01 7F 00 00 02 00 00",
    ]
  ) {
    const { conn, reply } = await ask(server, `02 00 ${denied}`);
    assertEquals(reply, ERROR("02"));
    assertEquals(hex(await readAll(conn)), "");
    conn.close();
    assertEquals((await server.ended()).reason, "refused");
  }
  const { conn, bound } = await bind(server, NAME);
  await assertTurnedAway("127.0.0.2", bound);
  const peer = await connect(bound);
  await readReply(conn);
  await assertStream(conn, peer);
  assertEquals(asked, [
    "bad.test undefined",
    "worse.test undefined",
    "worse.test 127.0.0.2",
    "127.0.0.2 127.0.0.2",
    "target.test undefined",
    "target.test 127.0.0.2",
    "target.test 127.0.0.1",
  ]);
  await server.close();
});

test("serve() listens at the address that the policy names", async () => {
  const policy = () => ({
    verdict: "allow" as const,
    localAddress: "127.0.0.2",
  });
  const server = await startServer({ policy });
  for (const expected of [LOOPBACK, ANYONE]) {
    const { conn, bound } = await bind(server, expected);
    assertEquals(bound.hostname, "127.0.0.2");
    const peer = await connect(bound);
    assertEquals((await readReply(conn)).bound, peer.localAddr);
    await assertStream(conn, peer);
    await server.ended();
  }
  await server.close();
});

test("serve() asks the policy about each peer that connects when any may", async () => {
  const asked: string[] = [];
  const policy = ({ hostname, address }: PolicyRequest) => {
    asked.push(`${hostname} ${address}`);
    if (address === "127.0.0.3") throw new Error("what now?");
    return address !== "127.0.0.2";
  };
  const server = await startServer({ policy });
  const { conn, bound } = await bind(server, ANYONE);
  await assertTurnedAway("127.0.0.2", bound);
  await assertTurnedAway("127.0.0.3", bound);
  const peer = await connect(bound);
  assertEquals((await readReply(conn)).bound, peer.localAddr);
  await assertStream(conn, peer);
  assertEquals(asked, [
    "0.0.0.0 undefined",
    "0.0.0.0 127.0.0.2",
    "0.0.0.0 127.0.0.3",
    "0.0.0.0 127.0.0.1",
  ]);
  await server.close();
});

test("serve() resets the peers that the policy has not judged when the wait ends", async () => {
  const policy = ({ address }: PolicyRequest) =>
    address !== "127.0.0.2" || new Promise<boolean>(() => {});
  const server = await startServer({ policy });
  for (const over of ["the peer has come", "the client leaves"]) {
    const { conn, bound } = await bind(server, ANYONE);
    const other = await connectFrom("127.0.0.2", bound);
    if (over === "the client leaves") conn.close();
    else (await connect(bound)).close();
    await hungUp(other);
    conn.close();
    await server.ended();
  }
  await server.close();
});

test("serve() answers REP 2 when the policy denies a BIND for any peer", async () => {
  const policy = ({ hostname }: PolicyRequest) => hostname !== "0.0.0.0";
  const server = await startServer({ policy });
  const { conn, reply } = await ask(server, `02 00 ${ANYONE}`);
  assertEquals(reply, ERROR("02"));
  conn.close();
  assertEquals((await server.ended()).reason, "refused");
  await server.close();
});

// SOCKS4

async function readReply4(conn: Conn): Promise<string> {
  return hex(await readExactly(conn, 8));
}

function portOf(reply: string): number {
  const [, , high, low] = octets(reply);
  return high << 8 | low;
}

/**
 * Name, the request after CMD, the address in the first reply, the address that
 * the peer connects to.
 */
const PEERS4: readonly [string, string, string, string][] = [
  ["S14 an address", "00 00 7F 00 00 01 00", "7f 00 00 01", "127.0.0.1"],
  ["a port, too", '00 15 7F 00 00 01 "al" 00', "7f 00 00 01", "127.0.0.1"],
  ["S15 anyone", "00 00 00 00 00 00 00", "7f 00 00 01", "127.0.0.1"],
  [
    "S14 a name",
    '00 00 00 00 00 01 00 "target.test" 00',
    "7f 00 00 01",
    "127.0.0.1",
  ],
  [
    "a name with an IPv6 address before it",
    '00 00 00 00 00 01 00 "both.test" 00',
    "7f 00 00 01",
    "127.0.0.1",
  ],
];

/** Name, the request after CMD, the address at which the server listens. */
const UNNAMEABLE4: readonly [string, string, string][] = [
  ["an IPv6 address", '00 00 00 00 00 01 00 "::1" 00', "127.0.0.1"],
  ["a name without IPv4", '00 00 00 00 00 01 00 "six.test" 00', "127.0.0.1"],
  ["anyone, from a client over IPv6", "00 00 00 00 00 00 00", "::1"],
];

for (const [name, sent, hostname] of UNNAMEABLE4) {
  test(`serve() answers 5B to a SOCKS4 BIND for ${name}: no reply can carry the listener`, async () => {
    const names = { "six.test": ["::1"] };
    const server = await startServer({ ...await withNames(names), hostname });
    const conn = await server.client();
    await conn.write(octets(`04 02 ${sent}`));
    assertEquals(hex(await readAll(conn)), REFUSED4);
    conn.close();
    assertEquals((await server.ended()).reason, "refused");
    await server.close();
  });
}

for (const [reached, other] of [["127.0.0.1", "::1"], ["::1", "127.0.0.1"]]) {
  for (const addresses of [[reached, other], [other, reached]]) {
    test(`serve() listens at ${reached}, which the client has connected to, for a peer of ${addresses.join(" and ")}`, async () => {
      const names = { "target.test": addresses };
      const server = await startServer({
        ...await withNames(names),
        hostname: reached,
      });
      const { conn, bound } = await bind(server, NAME);
      assertEquals(bound.hostname, reached);
      const peer = await connect(bound);
      await readReply(conn);
      await assertStream(conn, peer);
      await server.ended();
      await server.close();
    });
  }
}

test("serve() listens by the IP version that the policy prefers, or that has a route", async () => {
  const names = { "target.test": ["::1", "127.0.0.1"] };
  const { transport } = await withNames(names);
  const noV4: Transport = {
    ...transport!,
    sourceAddress: (hostname) =>
      hostname === "127.0.0.1"
        ? Promise.reject(new NetError("net-unreachable"))
        : transport!.sourceAddress(hostname),
  };
  for (
    const options of [
      { transport, policy: () => ({ verdict: "allow", family: 6 }) as const },
      { transport: noV4 },
    ]
  ) {
    const server = await startServer(options);
    const { conn, bound } = await bind(server, NAME);
    assertEquals(bound.hostname, "::1");
    const peer = await connect(bound);
    await readReply(conn);
    await assertStream(conn, peer);
    await server.ended();
    await server.close();
  }
});

for (
  const [reached, other, zeros, dst] of [
    ["127.0.0.1", "::1", "::", "04 15*00 01 00 00"],
    ["::1", "127.0.0.1", "0.0.0.0", LOOPBACK],
  ]
) {
  test(`serve() refuses a BIND for ${other} from a client at ${reached} when no route is known, unless an address is advertised`, async () => {
    const transport = {
      ...await detectTransport(),
      sourceAddress: () => Promise.resolve(zeros), // as on Deno
    };
    const server = await startServer({ transport, hostname: reached });
    const { conn, reply } = await ask(server, `02 00 ${dst}`);
    assertEquals(reply, ERROR("01"));
    conn.close();
    await server.ended();
    await server.server.update({ advertise: [other] });
    const { bound, conn: client } = await bind(server, dst);
    assertEquals(bound.hostname, other);
    const peer = await connect(bound);
    await readReply(client);
    await assertStream(client, peer);
    await server.close();
  });
}

for (const [name, sent, told, hostname] of PEERS4) {
  test(`serve() accepts the peer of a SOCKS4 BIND for ${name}`, async () => {
    const names = {
      "target.test": ["127.0.0.1"],
      "both.test": ["::1", "127.0.0.1"],
    };
    const server = await startServer(await withNames(names));
    const conn = await server.client();
    await conn.write(octets(`04 02 ${sent} "early"`));
    const first = await readReply4(conn);
    const bound = { hostname, port: portOf(first) };
    assertEquals(first, `00 5a ${port(bound.port)} ${told}`);
    assertNotEquals(bound.port, 0);
    const peer = await connect(bound);
    await peer.write(octets('"hello"'));
    const second = await readReply4(conn);
    assertEquals(second, `00 5a ${port(peer.localAddr.port)} ${told}`);
    assertEquals(await readExactly(conn, 5), octets('"hello"'));
    assertEquals(await readExactly(peer, 5), octets('"early"'));
    await assertStream(conn, peer);
    assertEquals((await server.ended()).reason, "finished");
    await server.close();
  });
}

test("serve() answers 5B to SOCKS4 when no peer connects in timeouts.bind", () =>
  withClock(async (clock) => {
    const server = await startServer(await timed(clock));
    const conn = await server.client();
    await conn.write(octets("04 02 00 00 7F 00 00 01 00"));
    const first = await readReply4(conn);
    assertEquals(first.slice(0, 5), "00 5a");
    clock.skip(MINUTE + 1);
    assertEquals(hex(await readAll(conn)), REFUSED4);
    conn.close();
    const { reason, session } = await server.ended();
    assertEquals(reason, "refused");
    assertEquals(session.reply, 0x5b);
    await assertClosed({ hostname: "127.0.0.1", port: portOf(first) });
    await server.close();
  }));

test("serve() resets other peers of a SOCKS4 BIND", async () => {
  const server = await startServer();
  const conn = await server.client();
  await conn.write(octets("04 02 00 00 7F 00 00 01 00"));
  const bound = {
    hostname: "127.0.0.1",
    port: portOf(await readReply4(conn)),
  };
  await assertTurnedAway("127.0.0.2", bound);
  const peer = await connect(bound);
  await readReply4(conn);
  await assertStream(conn, peer);
  await server.close();
});

// Load

test(`serve() serves ${MANY} BINDs at once and closes them all`, async () => {
  const server = await startServer();
  const before = openSockets() ?? 0;
  const clients = await Promise.all(
    Array.from({ length: MANY }, () => bind(server)),
  );
  const ports = new Set(clients.map((it) => it.bound.port));
  assertEquals(ports.size, MANY);
  for (const [i, { conn, bound }] of clients.entries()) {
    if (i % 3 === 0) conn.close();
    if (i % 3 === 1) conn.reset();
    if (i % 3 === 2) {
      const peer = await connect(bound);
      assertEquals((await readReply(conn)).bound, peer.localAddr);
      await assertStream(conn, peer);
    }
    await server.ended();
  }
  await until(() => (openSockets() ?? 0) <= before);
  await server.close();
});
