/** UDP ASSOCIATE as clients and targets see it: RFC 1928 sections 4, 6 and 7. */

import process from "node:process";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type PolicyRequest, rules } from "../../../src/server/mod.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { openSockets, test } from "../../support/harness.ts";
import { join, octets } from "../../support/table.ts";
import { closedPort, startServer } from "../../support/server.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../../transport/contract.ts";
import { timerOf } from "../../support/tcp_timer.ts";
import {
  ask,
  askFrom,
  ERROR,
  hex,
  OK,
  port,
  REFUSED4,
  udp,
  udpEcho,
} from "../../support/raw.ts";
import {
  assertOver,
  deferred,
  FROM_NAME,
  got,
  rebound,
  start,
  texts,
  to,
  withNames,
  ZEROS,
} from "../../support/world.ts";

/** The number of simultaneous associations; five times as many are opened one after the other. */
const MANY = Number(process.env.TEST_ASSOCIATIONS ?? 200);

// The request

/** Name, DST of the request; PP is the client's port. */
const DESTINATIONS: readonly [string, string][] = [
  ["U1 zeros", ZEROS],
  ["U1 zeros of IPv6", "04 16*00 00 00"],
  ["U3 the client's own address and port", "01 7F 00 00 01 PP"],
  ["U3 its own address, IPv4-mapped", "04 10*00 FF FF 7F 00 00 01 PP"],
  ["U3 its own address without a port", "01 7F 00 00 01 00 00"],
  ["zeros and another port", "01 00 00 00 00 00 09"],
  ["the target", "01 7F 00 00 02 00 35"],
  ["a name", `${FROM_NAME} 00 35`],
];

for (const [name, destination] of DESTINATIONS) {
  test(`serve() opens an association for ${name}`, async () => {
    const server = await startServer();
    const target = await udpEcho();
    const own = await udp();
    const destined = destination.replace("PP", port(own.addr.port));
    const { conn, reply, bound } = await ask(server, `03 00 ${destined}`);
    assertEquals(reply, `${OK} 01 7f 00 00 01 ${port(bound.port)}`);
    assertNotEquals(bound.port, 0);
    assertNotEquals(bound.port, server.server.addr.port);

    const ping = to(target.addr, '"ping"');
    own.send(ping, bound);
    const { payload, from } = await own.next();
    assertEquals(hex(payload), ping);
    assertEquals(from, bound);

    const [session] = server.server.sessions;
    assertEquals(session.command, "udp-associate");
    assertEquals(session.phase, "relay");
    assertEquals(session.boundAddr, bound);
    assertEquals(session.reply, 0);
    conn.close();
    const end = await server.ended();
    assertEquals(end.reason, "finished");
    assertEquals(end.session.sent, 4);
    assertEquals(end.session.received, 4);
    const counts = { sent: 1, received: 1, dropped: 0 };
    assertEquals(end.session.datagrams, counts);
    own.close();
    target.close();
    await server.close();
  });
}

test("serve() replies with the address that the client used, IPv6 too", async () => {
  const own = await udp("::1");
  const target = await udpEcho();
  const server = await startServer({ hostname: "::1" });
  const { conn, reply, bound } = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(reply, hex(octets(`${OK} 04 15*00 01 ${port(bound.port)}`)));
  const ping = to(target.addr, '"ping"');
  own.send(ping, bound);
  assertEquals(await got(own), ping);
  conn.close();
  await server.close();
  own.close();
  target.close();
});

test("serve() replies with the address that the client used when it listens on all addresses", async () => {
  const server = await startServer({ hostname: "0.0.0.0", openProxy: true });
  const { conn, bound } = await ask(server, `03 00 ${ZEROS}`, "127.0.0.2");
  assertEquals(bound.hostname, "127.0.0.2");
  conn.close();
  await server.close();
});

test("serve() replies with the advertised address of the client's IP version", async () => {
  const advertise = ["192.0.2.77", "2001:db8::77"];
  const server = await startServer({ advertise });
  const { conn, reply, bound } = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(reply, `${OK} 01 c0 00 02 4d ${port(bound.port)}`);
  assertEquals(server.server.sessions[0].boundAddr, bound);
  // The relay itself is the same.
  const [own, target] = [await udp(), await udpEcho()];
  const ping = to(target.addr, '"ping"');
  own.send(ping, { hostname: "127.0.0.1", port: bound.port });
  assertEquals(await got(own), ping);
  conn.close();
  await server.close();
  own.close();
  target.close();

  const six = await startServer({ hostname: "::1", advertise });
  const client = await ask(six, `03 00 ${ZEROS}`);
  const told = "04 20 01 0d b8 11*00 77";
  const expected = `${OK} ${told} ${port(client.bound.port)}`;
  assertEquals(client.reply, hex(octets(expected)));
  client.conn.close();
  await six.close();
});

test("serve() answers REP 7 to UDP ASSOCIATE when the dialer has none", async () => {
  const server = await startServer({
    dial: () => Promise.reject(new Error("nothing may be dialled")),
  });
  const client = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(client.reply, ERROR("07"));
  assertEquals(hex(await readAll(client.conn)), "");
  client.conn.close();
  assertEquals((await server.ended()).reason, "refused");
  await server.close();
});

test("serve() has no UDP for SOCKS4 (S13)", async () => {
  const server = await startServer();
  const client = await server.client();
  await client.write(octets("04 03 00 00 00 00 00 00 00"));
  assertEquals(hex(await readAll(client)), REFUSED4);
  client.close();
  assertEquals((await server.ended()).reason, "refused");
  await server.close();
});

test("serve() opens associations on relayPorts only, and answers REP 1 when all are in use", async () => {
  const port = await closedPort(); // of TCP, since Deno takes a while to free one of UDP
  const server = await startServer({ relayPorts: { first: port, last: port } });
  const first = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(first.bound.port, port);
  const second = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(second.reply, ERROR("01"));
  second.conn.close();
  assertEquals((await server.ended()).reason, "refused");
  first.conn.close();
  assertEquals((await server.ended()).reason, "finished");
  const third = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(third.bound.port, port);
  third.conn.close();
  await server.close();
});

test("serve() gives each client address at most limits.associationsPerClient", async () => {
  const server = await startServer({
    hostname: "0.0.0.0",
    openProxy: true,
    limits: { associationsPerClient: 2 },
  });
  const loopback = () => ask(server, `03 00 ${ZEROS}`, "127.0.0.1");
  const [first, second] = [await loopback(), await loopback()];
  const third = await loopback();
  assertEquals(third.reply, ERROR("01"));
  third.conn.close();
  assertEquals((await server.ended()).reason, "refused");
  first.conn.close();
  await server.ended();
  const fourth = await loopback();
  assertEquals(fourth.rep, 0);
  const other = await askFrom("127.0.0.2", server, `03 00 ${ZEROS}`);
  assertEquals(other.rep, 0);
  other.socket.destroy();
  second.conn.close();
  fourth.conn.close();
  await server.close();
});

// Senders

test("serve() drops datagrams from another port than DST.PORT when one has come from that (U4)", async () => {
  const own = await udp();
  const world = await start({}, `01 7F 00 00 01 ${port(own.addr.port)}`);
  const { relay, target, counts } = world;
  own.send(to(target.addr, "BB"), relay);
  assertEquals(await got(own), to(target.addr, "BB"));
  world.own.send(to(target.addr, "AA"), relay);
  await until(() => counts().dropped === 1);
  assertEquals(texts(target), ["bb"]);
  assertEquals(texts(world.own), []);
  assertEquals(counts(), { sent: 1, received: 1, dropped: 1 });
  own.close();
  await world.close();
});

test("serve() relays for a client that puts a target on its own machine into DST (U4)", async () => {
  const target = await udpEcho();
  const world = await start({}, `01 7F 00 00 01 ${port(target.addr.port)}`);
  const { own, relay, counts } = world;
  for (const payload of ["AA", "BB"]) {
    own.send(to(target.addr, payload), relay);
    assertEquals(await got(own), to(target.addr, payload));
  }
  const second = await udp();
  second.send(to(target.addr, "CC"), relay);
  await until(() => counts().dropped === 1);
  assertEquals(texts(target), ["aa", "bb"]);
  second.close();
  target.close();
  await world.close();
});

test("serve() lets the port in DST take the association over from the port that was first (U4)", async () => {
  const own = await udp();
  const world = await start({}, `01 7F 00 00 01 ${port(own.addr.port)}`);
  const { own: first, relay, target, counts } = world;
  await world.echo("AA");
  for (const payload of ["BB", "CC"]) {
    own.send(to(target.addr, payload), relay);
    assertEquals(await got(own), to(target.addr, payload));
    first.send(to(target.addr, "DD"), relay);
    await until(() => counts().dropped > 0);
  }
  await until(() => counts().dropped === 2);
  assertEquals(texts(target), ["aa", "bb", "cc"]);
  assertEquals(first.arrivals.length, 1);
  own.close();
  await world.close();
});

test("serve() drops datagrams from another address than the client's (U5)", async () => {
  const world = await start();
  const { own, relay, target, counts } = world;
  // It has the same port, so that only the address differs.
  const foreign = await udp("127.0.0.2", () => {}, own.addr.port);
  foreign.send(to(target.addr, "AA"), relay);
  await until(() => counts().dropped === 1);
  own.send(to(target.addr, "BB"), relay);
  assertEquals(await got(own), to(target.addr, "BB"));
  foreign.send(to(target.addr, "CC"), relay);
  await until(() => counts().dropped === 2);
  own.send(to(target.addr, "DD"), relay);
  assertEquals(await got(own), to(target.addr, "DD"));
  assertEquals(texts(target), ["bb", "dd"]);
  assertEquals(texts(foreign), []);
  assertEquals(counts(), { sent: 2, received: 2, dropped: 2 });
  foreign.close();
  await world.close();
});

test("serve() does not learn the client's port from another address (U5)", async () => {
  const world = await start();
  const { relay, target, counts } = world;
  const foreign = await udp("127.0.0.2");
  foreign.send(to(target.addr, "AA"), relay);
  await until(() => counts().dropped === 1);
  await world.echo("BB");
  assertEquals(texts(target), ["bb"]);
  foreign.close();
  await world.close();
});

test("serve() drops datagrams from a second port of the client's (U6)", async () => {
  const world = await start();
  const { own, relay, target, counts } = world;
  const second = await udp();
  second.send("00 00 00 09", relay); // malformed, so that no port is learned
  await until(() => counts().dropped === 1);
  await world.echo("AA");
  second.send(to(target.addr, "BB"), relay);
  await until(() => counts().dropped === 2);
  await world.echo("CC");
  assertEquals(texts(target), ["aa", "cc"]);
  assertEquals(texts(second), []);
  assertEquals(own.arrivals.length, 2);
  assertEquals(counts(), { sent: 2, received: 2, dropped: 2 });
  second.close();
  await world.close();
});

test("serve() drops datagrams from a host that the client has not sent to (U20)", async () => {
  const outside = await udp("127.0.0.2");
  const world = await start();
  const { own, target, counts } = world;
  await world.echo("AA");
  const { port } = target.arrivals[0].from;
  outside.send("BB", { hostname: "127.0.0.1", port });
  await until(() => counts().dropped === 1);
  // Another port of a known host is accepted.
  const other = await udp();
  other.send("CC", { hostname: "127.0.0.1", port });
  assertEquals(await got(own), to(other.addr, "CC"));
  await world.echo("DD");
  assertEquals(own.arrivals.length, 3);
  assertEquals(counts(), { sent: 2, received: 3, dropped: 1 });
  other.close();
  outside.close();
  await world.close();
});

test("serve() forgets the least recently used target beyond limits.targetsPerAssociation", async () => {
  const [a, b] = [await udp("127.0.0.2"), await udp("127.0.0.3")];
  const world = await start({ limits: { targetsPerAssociation: 2 } });
  const { own, relay, counts } = world;
  own.send(to(a.addr, "AA"), relay);
  const { from } = await a.next();
  own.send(to(b.addr, "AA"), relay);
  await b.next();
  own.send(to(a.addr, "BB"), relay);
  await a.next();
  await world.echo(); // a third target, which replaces b
  const back = { hostname: "127.0.0.1", port: from.port };
  b.send("11", back);
  await until(() => counts().dropped === 1);
  a.send("22", back);
  assertEquals(await got(own), to(a.addr, "22"));
  own.send(to(b.addr, "CC"), relay);
  await b.next();
  b.send("33", back);
  assertEquals(await got(own), to(b.addr, "33"));
  a.close();
  b.close();
  await world.close();
});

test("serve() forgets targets of an association when limits.targetsPerAssociation becomes lower", async () => {
  const hosts = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
  const targets = await Promise.all(hosts.map((it) => udp(it)));
  const world = await start();
  const { own, relay, counts, server: { server } } = world;
  const back = { hostname: "127.0.0.1", port: 0 };
  for (const target of targets) {
    own.send(to(target.addr, "AA"), relay);
    back.port = (await target.next()).from.port;
  }
  await server.update({ limits: { targetsPerAssociation: 2 } });
  await world.echo(); // besides it only the last target is kept
  for (const target of targets.slice(0, 3)) target.send("11", back);
  await until(() => counts().dropped === 3);
  targets[3].send("22", back);
  assertEquals(await got(own), to(targets[3].addr, "22"));
  // The same for known targets.
  await server.update({ limits: { targetsPerAssociation: 1 } });
  await world.echo();
  targets[3].send("33", back);
  await until(() => counts().dropped === 4);
  await world.echo();
  for (const target of targets) target.close();
  await world.close();
});

// Targets

test("serve() sends the real source of each datagram (U2)", async () => {
  const second = await udp("127.0.0.2");
  const target = await udp("127.0.0.2", ({ from }) => {
    target.send("AA", from);
    second.send("BB", from);
  });
  const world = await start();
  world.own.send(to(target.addr, "00"), world.relay);
  const answers = [await got(world.own), await got(world.own)].sort();
  const expected = [to(target.addr, "AA"), to(second.addr, "BB")].sort();
  assertEquals(answers, expected);
  second.close();
  target.close();
  await world.close();
});

/** Name, the target's address, ATYP and ADDR for the client to send. */
const TARGETS: readonly [string, string, string][] = [
  ["U7 a name", "127.0.0.1", FROM_NAME],
  ["U7 a name with an IPv6 address", "::1", '03 08 "six.test"'],
  ["an IPv4 address as a name", "127.0.0.1", '03 09 "127.0.0.1"'],
  ["an IPv6 address as a name", "::1", '03 07 "0:0::01"'],
  ["an IPv4-mapped address", "127.0.0.1", "04 10*00 FF FF 7F 00 00 01"],
  ["U8 an IPv6 address", "::1", "04 15*00 01"],
  ["0.0.0.0, this machine", "127.0.0.1", "01 00 00 00 00"],
];

for (
  const [others, [name, hostname, sent]] of ["before", "after"].flatMap((it) =>
    TARGETS.map((row) => [it, row] as const)
  )
) {
  test(`serve() relays datagrams to ${name}, ${others} others`, async () => {
    const names = { "target.test": ["127.0.0.1"], "six.test": ["::1"] };
    const world = await start(await withNames(names));
    const target = await udpEcho(hostname);
    const other = await udpEcho("127.0.0.2");
    if (others === "after") {
      world.own.send(to(other.addr, "AA"), world.relay);
      assertEquals(await got(world.own), to(other.addr, "AA"));
    }
    for (const payload of ["aa", "bb"]) {
      world.own.send(
        `00 00 00 ${sent} ${port(target.addr.port)} ${payload}`,
        world.relay,
      );
      assertEquals(await got(world.own), to(target.addr, payload));
    }
    await world.echo();
    target.close();
    other.close();
    await world.close();
  });
}

test("serve() relays to several targets in one association (U19)", async () => {
  const world = await start();
  const targets = await Promise.all(
    ["127.0.0.1", "127.0.0.2", "::1", "127.0.0.1"].map(udpEcho),
  );
  for (let round = 0; round < 3; round++) {
    const expected: string[] = [];
    for (const [i, target] of targets.entries()) {
      const datagram = to(target.addr, hex(Uint8Array.of(round, i)));
      expected.push(datagram);
      world.own.send(datagram, world.relay);
    }
    const answers: string[] = [];
    for (const _ of targets) answers.push(await got(world.own));
    assertEquals(answers.sort(), expected.sort());
  }
  for (const target of targets) {
    assertEquals(target.arrivals.length, 3);
    target.close();
  }
  await world.close();
});

test("serve() delays only the datagrams to a name while it resolves the name", async () => {
  const { promise, resolve } = deferred<string[]>();
  const world = await start(await withNames({ "target.test": promise }));
  const { own, relay, counts } = world;
  const slow = await udpEcho();
  const named = `00 00 00 ${FROM_NAME} ${port(slow.addr.port)}`;
  for (const payload of ["01", "02", "03"]) {
    own.send(`${named} ${payload}`, relay);
  }
  await world.echo("AA");
  await world.echo("BB");
  assertEquals(slow.arrivals.length, 0);
  resolve(["127.0.0.1"]);
  for (const payload of ["01", "02", "03"]) {
    assertEquals(await got(own), to(slow.addr, payload));
  }
  assertEquals(counts(), { sent: 5, received: 5, dropped: 0 });
  slow.close();
  await world.close();
});

test("serve() queues 64 KiB while it resolves names, and counts 64 bytes more for each datagram", async () => {
  const { promise, resolve } = deferred<string[]>();
  const world = await start(await withNames({ "target.test": promise }));
  const { own, relay, counts } = world;
  const slow = await udpEcho();
  const named = octets(`00 00 00 ${FROM_NAME} ${port(slow.addr.port)}`);
  for (let i = 0; i < 40; i++) {
    own.send(join(named, pattern(2_000, i)), relay);
    await world.echo(); // so that no socket buffer overflows
  }
  const waiting = Math.floor(64 * 1024 / (2_000 + 64));
  assertEquals(counts(), { sent: 40, received: 40, dropped: 40 - waiting });
  resolve(["127.0.0.1"]);
  const header = octets(to(slow.addr, ""));
  for (let i = 0; i < waiting; i++) {
    const { payload } = await own.next();
    assertSameOctets(payload, join(header, pattern(2_000, i)));
  }
  own.send(join(named, pattern(2_000)), relay); // the queue is empty again
  await own.next();
  assertEquals(counts().dropped, 40 - waiting);
  slow.close();
  await world.close();
});

test("serve() drops datagrams to a name that has no address", async () => {
  const world = await start(await withNames({}));
  const { own, relay, counts } = world;
  own.send(`00 00 00 ${FROM_NAME} 00 35 AA`, relay);
  own.send(`00 00 00 ${FROM_NAME} 00 35 BB`, relay);
  await until(() => counts().dropped === 2);
  await world.echo();
  await world.close();
});

test("serve() bounds the number of names that one association resolves at a time", async () => {
  const asked: string[] = [];
  const world = await start({
    transport: {
      ...await detectTransport(),
      lookup(name) {
        asked.push(name);
        return new Promise(() => {});
      },
    },
  });
  const { own, relay, counts } = world;
  for (let i = 100; i < 200; i++) {
    own.send(`00 00 00 03 04 "n${i}" 00 35 AA`, relay);
    await settled(); // so that no socket buffer overflows
  }
  await world.echo();
  assertEquals(counts().dropped, 36);
  assertEquals(asked.length, 64);
  await world.close();
});

test("serve() ends an association while it resolves a name", async () => {
  const never = new Promise<string[]>(() => {});
  const world = await start(await withNames({ "target.test": never }));
  const { own, relay } = world;
  own.send(`00 00 00 ${FROM_NAME} 00 35 AA`, relay);
  await world.echo();
  world.control.close();
  assertEquals((await world.server.ended()).reason, "finished");
  await world.close();
});

test("serve() drops datagrams to port 0, and continues to relay when a target does not exist", async () => {
  const gone = await udp();
  gone.close();
  const world = await start();
  const { own, relay, counts } = world;
  own.send(to({ hostname: "127.0.0.1", port: 0 }, "AA"), relay);
  await until(() => counts().dropped === 1);
  for (let i = 0; i < 5; i++) {
    own.send(to(gone.addr, "AA"), relay); // answered by ICMP
    await world.echo();
  }
  assertEquals(counts(), { sent: 10, received: 5, dropped: 1 });
  await world.close();
});

test("serve() continues to relay when the client's socket was closed for a while", async () => {
  const world = await start();
  const { relay, target, counts } = world;
  await world.echo();
  const { from } = target.arrivals[0];
  world.own.close();
  for (let i = 0; i < 3; i++) {
    target.send("AA", { hostname: "127.0.0.1", port: from.port });
    await until(() => counts().received === 2 + i);
    await settled(); // the ICMP error is there
  }
  const own = await rebound(world.own.addr);
  own.send(to(target.addr, "BB"), relay);
  assertEquals(await got(own), to(target.addr, "BB"));
  own.close();
  await world.close();
});

// Datagrams

/** A datagram of the client to the target: the octets before the address, and the payload. */
type Sent = readonly [head: string, payload: string];
const frag = (number: string, payload: string): Sent => [
  `00 00 ${number}`,
  payload,
];

/**
 * The datagrams that the client sends, the payloads that arrive at the target,
 * and the same with `dropFragments`.
 */
const SEQUENCES: readonly [
  name: string,
  sent: Sent[],
  relayed: string[],
  unfragmented: string[],
][] = [
  ["U9 two fragments", [frag("01", "AA"), frag("82", "BB")], ["aa bb"], []],
  [
    "U9 twice two fragments",
    [frag("01", "AA"), frag("82", "BB"), frag("01", "CC"), frag("82", "DD")],
    ["aa bb", "cc dd"],
    [],
  ],
  ["U10 a lone last fragment", [frag("81", "AA")], ["aa"], []],
  [
    "U11 a lower number",
    [frag("01", "AA"), frag("02", "BB"), frag("01", "CC"), frag("82", "DD")],
    ["cc dd"],
    [],
  ],
  [
    "U12 a stand-alone datagram between fragments",
    [frag("01", "AA"), frag("00", "55"), frag("82", "DD")],
    ["55"],
    ["55"],
  ],
  ["fragments with a gap", [frag("01", "AA"), frag("83", "CC")], [], []],
  ["a last fragment without a first", [frag("82", "BB")], [], []],
  [
    "127 fragments",
    Array.from({ length: 127 }, (_, i) => {
      const number = hex(Uint8Array.of(i < 126 ? i + 1 : 0xff));
      return frag(number, number);
    }),
    [[
      ...Array.from({ length: 126 }, (_, i) => hex(Uint8Array.of(i + 1))),
      "ff",
    ].join(" ")],
    [],
  ],
  [
    "U13 RSV that is not zero",
    [["55 AA 00", "AA"], ["FF FF 00", "BB"]],
    ["aa", "bb"],
    ["aa", "bb"],
  ],
];

for (const [name, sent, relayed, unfragmented] of SEQUENCES) {
  for (const dropFragments of [false, true]) {
    const how = dropFragments ? " with dropFragments" : "";
    test(`serve() relays complete datagrams of ${name}${how}`, async () => {
      const world = await start({ dropFragments });
      const { own, relay, target } = world;
      for (const _round of [1, 2]) {
        for (const [i, [head, payload]] of sent.entries()) {
          own.send(to(target.addr, payload, head), relay);
          // A burst would overflow the socket buffers.
          if (i % 16 === 15) await new Promise((next) => setTimeout(next, 1));
        }
        own.send(to(target.addr, "EE"), relay); // abandons fragments
        const expected = dropFragments ? unfragmented : relayed;
        for (const payload of [...expected, "ee"]) {
          assertEquals(await got(own), to(target.addr, payload));
          assertEquals(await got(target), payload);
        }
      }
      if (dropFragments) {
        const { dropped } = world.counts();
        assertEquals(dropped, 2 * (sent.length - unfragmented.length));
      }
      await world.close();
    });
  }
}

const MALFORMED: readonly [string, string][] = [
  ["U14 an empty datagram", ""],
  ["U14b one octet", "00"],
  ["U14b RSV and FRAG only", "00 00 00"],
  ["U14b a header without an address", "00 00 00 01"],
  ["U14b an IPv4 address without a port", "00 00 00 01 7F 00 00 01"],
  ["U14b half a port", "00 00 00 01 7F 00 00 01 00"],
  ["U14b a cut IPv6 address", "00 00 00 04 15*00"],
  ["U14b a name that is cut", '00 00 00 03 0B "tar"'],
  ["U14b a name without a port", "00 00 00 03 01 61"],
  ["U14b address type 2", "00 00 00 02 7F 00 00 01 00 35 AA"],
  ["U14b address type FF", "00 00 00 FF 300*01"],
  ["an empty name", "00 00 00 03 00 00 35 AA"],
  ["a name with a NUL", '00 00 00 03 03 "a" 00 "b" 00 35 AA'],
  ["a name in brackets", '00 00 00 03 05 "[::1]" 00 35 AA'],
  ["a last fragment with number 0", "00 00 80 01 7F 00 00 01 00 35 AA"],
];

for (const [name, sent] of MALFORMED) {
  test(`serve() survives ${name}`, async () => {
    const world = await start();
    const { own, relay, target, counts } = world;
    for (let times = 0; times < 3; times++) {
      own.send(sent, relay);
      await world.echo();
    }
    assertEquals(counts(), { sent: 3, received: 3, dropped: 3 });
    assertEquals(target.arrivals.length, 3);
    await world.close();
  });
}

test("serve() relays empty datagrams both ways (U15)", async () => {
  const world = await start();
  await world.echo("");
  await world.echo("AA");
  await world.echo("");
  assertEquals(texts(world.target), ["", "aa", ""]);
  assertEquals(world.counts(), { sent: 3, received: 3, dropped: 0 });
  await world.close();
});

for (
  const [name, size] of [
    ["U16 8 KiB", 8192],
    ["U17 60,000 bytes", 60_000],
    ["the most that fits", 65_497],
  ] as const
) {
  test(`serve() relays ${name} completely`, async () => {
    const world = await start();
    const { own, relay, target } = world;
    await world.echo();
    const payload = pattern(size);
    const header = octets(to(target.addr, ""));
    const datagram = new Uint8Array(header.length + size);
    datagram.set(header);
    datagram.set(payload, header.length);
    own.send(datagram, relay);
    assertSameOctets((await own.next()).payload, datagram);
    assertSameOctets(target.arrivals[1].payload, payload);
    await world.close();
  });
}

test("serve() drops an answer that does not fit with its header", async () => {
  const target = await udp("127.0.0.1", ({ from }) => {
    target.send(pattern(65_507), from);
  });
  const world = await start();
  world.own.send(to(target.addr, "AA"), world.relay);
  await until(() => world.counts().dropped === 1);
  await world.echo();
  assertEquals(world.own.arrivals.length, 1);
  target.close();
  await world.close();
});

// The end of an association

test("serve() ends an association with its TCP connection's FIN (U18)", async () => {
  const world = await start();
  await world.echo();
  await world.control.closeWrite();
  assertEquals(hex(await readAll(world.control)), "");
  await assertOver(world, "finished");
  await world.close();
});

test("serve() ends an association with its TCP connection's reset (U18)", async () => {
  const world = await start();
  await world.echo();
  world.control.reset(); // where there is none, a FIN
  await assertOver(world, "client-gone", "finished");
  await world.close();
});

test(
  "serve() enables TCP keepalive on the connection of an association",
  async () => {
    const world = await start();
    const local = world.server.server.addr;
    const remote = world.control.localAddr;
    assertEquals(timerOf({ localAddr: local, remoteAddr: remote }), "02");
    await world.close();
  },
  { skip: process.platform === "linux" ? undefined : "only Linux reports it" },
);

test("serve() ends an association that was never used", async () => {
  const world = await start();
  world.control.close();
  assertEquals((await world.server.ended()).reason, "finished");
  await world.close();
});

test("serve() ends associations when it is shut down", async () => {
  const world = await start();
  await world.echo();
  await world.server.server.shutdown({ grace: 0 });
  await assertOver(world, "closed");
  await world.close();
});

test("serve() ends an association when session.close() is called", async () => {
  const world = await start();
  await world.echo();
  world.server.server.sessions[0].close();
  await assertOver(world, "closed");
  await world.close();
});

test("serve() ignores junk on an association's TCP connection (U21)", async () => {
  const world = await start();
  await world.control.write(octets('"junk" 05 01 00 05 01 00'));
  await world.echo();
  await world.control.write(pattern(200_000));
  await world.echo();
  const { sent, received } = world.server.server.sessions[0];
  assertEquals([sent, received], [8, 8]); // datagrams only
  await world.control.closeWrite();
  assertEquals(hex(await readAll(world.control)), "");
  await assertOver(world, "finished");
  await world.close();
});

test("serve() ignores junk in the segment of the request", async () => {
  const server = await startServer();
  const conn = await server.client();
  await conn.write(octets(`05 01 00 05 03 00 ${ZEROS} "junk"`));
  const answer = await readExactly(conn, 12);
  assertEquals(hex(answer.subarray(0, 5)), "05 00 05 00 00");
  conn.close();
  assertEquals((await server.ended()).reason, "finished");
  await server.close();
});

// The policy

test("serve() asks the policy about each target, and drops datagrams to denied ones", async () => {
  const asked: string[] = [];
  const policy = (request: PolicyRequest) => {
    const { session, command, hostname, port, address } = request;
    assertEquals(session.client.hostname, "127.0.0.1");
    assertEquals(command, "udp-associate");
    assert(port > 0);
    asked.push(`${hostname} ${address}`);
    const denied = hostname === "bad.test" || address === "127.0.0.2";
    return asked.length % 2 ? !denied : Promise.resolve(!denied);
  };
  const names = {
    "bad.test": ["127.0.0.1"],
    "worse.test": ["127.0.0.2"],
    "mixed.test": ["127.0.0.2", "127.0.0.1"],
  };
  const world = await start({ ...await withNames(names), policy });
  const { own, relay, target, counts } = world;
  const forbidden = await udp("127.0.0.2");
  const pp = port(target.addr.port);
  const send = (host: string, payload: string) =>
    own.send(`00 00 00 ${host} ${payload}`, relay);

  send(`01 7F 00 00 02 ${port(forbidden.addr.port)}`, "11");
  send(`04 10*00 FF FF 7F 00 00 02 ${port(forbidden.addr.port)}`, "22");
  send(`03 08 "bad.test" ${pp}`, "33");
  send(`03 0A "worse.test" ${port(forbidden.addr.port)}`, "44");
  await until(() => counts().dropped === 4);
  send(`03 0A "mixed.test" ${pp}`, "55");
  assertEquals(await got(own), to(target.addr, "55"));
  await world.echo("66");
  assertEquals(counts(), { sent: 2, received: 2, dropped: 4 });
  assertEquals(texts(target), ["55", "66"]);
  assertEquals(texts(forbidden), []);
  assertEquals(asked.sort(), [
    "127.0.0.1 127.0.0.1",
    "127.0.0.2 127.0.0.2",
    "::ffff:127.0.0.2 127.0.0.2",
    "bad.test undefined",
    "mixed.test 127.0.0.1",
    "mixed.test 127.0.0.2",
    "mixed.test undefined",
    "worse.test 127.0.0.2",
    "worse.test undefined",
  ]);
  forbidden.close();
  await world.close();
});

test("serve() sends from the address that the policy names", async () => {
  const ways: Record<string, string> = {
    "127.0.0.1": "127.0.0.2",
    "127.0.0.2": "127.0.0.3",
    "127.0.0.3": "198.51.100.1", // not of this machine
    "::1": "127.0.0.2", // of the other version
  };
  const policy = ({ address }: PolicyRequest) => ({
    verdict: "allow" as const,
    localAddress: ways[address!],
  });
  const world = await start({ policy });
  const { own, relay, target, counts } = world;
  const others = await Promise.all(
    ["127.0.0.2", "127.0.0.3", "::1"].map(udpEcho),
  );
  for (const { addr } of others) own.send(to(addr, "AA"), relay);
  await until(() => counts().dropped === 2);
  assertEquals(await got(own), to(others[0].addr, "AA"));
  for (const _ of [1, 2]) await world.echo();
  const sources = [target, ...others].map((it) =>
    it.arrivals.map(({ from }) => from.hostname)
  );
  assertEquals(sources, [["127.0.0.2", "127.0.0.2"], ["127.0.0.3"], [], []]);
  const ports = new Set(target.arrivals.map(({ from }) => from.port));
  assertEquals(ports.size, 1);
  for (const other of others) other.close();
  await world.close();
});

test("serve() drops datagrams when the policy throws", async () => {
  const policy = ({ hostname }: PolicyRequest) => {
    if (hostname === "127.0.0.1") return true;
    throw new Error("what now?");
  };
  const world = await start({ policy });
  world.own.send(to({ hostname: "127.0.0.2", port: 9 }, "AA"), world.relay);
  await until(() => world.counts().dropped === 1);
  await world.echo();
  await world.close();
});

test("serve() asks a new policy about targets that were allowed before", async () => {
  const world = await start();
  const { own, relay, target, counts, server: { server } } = world;
  const send = () => own.send(to(target.addr, "AA"), relay);
  for (const before of [undefined, () => true]) {
    await server.update({ policy: before });
    await world.echo();
    await world.echo();
    await server.update({ policy: rules(["deny 127.0.0.1"]) });
    const { dropped } = counts();
    send();
    send();
    await until(() => counts().dropped === dropped + 2);
  }
  await server.update({ policy: undefined });
  await world.echo();
  await world.close();
});

test("serve() keeps no verdict of an old policy when too many names are being resolved", async () => {
  const transport = {
    ...await detectTransport(),
    lookup: (name: string): Promise<string[]> =>
      name === "target.test"
        ? Promise.resolve(["127.0.0.1"])
        : new Promise(() => {}),
  };
  const world = await start({ transport });
  const { own, relay, target, counts, server: { server } } = world;
  const named = `00 00 00 ${FROM_NAME} ${port(target.addr.port)} AA`;
  own.send(named, relay);
  assertEquals(await got(own), to(target.addr, "AA"));
  for (let i = 100; i < 164; i++) {
    own.send(`00 00 00 03 04 "n${i}" 00 35 AA`, relay);
    await settled(); // so that no socket buffer overflows
  }
  await server.update({ policy: rules(["deny target.test"]) });
  own.send(named, relay);
  await until(() => counts().dropped === 1);
  assertEquals(target.arrivals.length, 1);
  await world.close();
});

test("serve() delays only the datagrams that a slow policy judges", async () => {
  const { promise, resolve } = deferred<boolean>();
  const policy = ({ hostname }: PolicyRequest) =>
    hostname === "127.0.0.1" || promise;
  const world = await start({ policy });
  const slow = await udpEcho("127.0.0.2");
  world.own.send(to(slow.addr, "AA"), world.relay);
  await world.echo();
  resolve(true);
  assertEquals(await got(world.own), to(slow.addr, "AA"));
  slow.close();
  await world.close();
});

test("serve() bounds the number of targets that wait for a slow policy", async () => {
  let asked = 0;
  const never = new Promise<boolean>(() => {});
  const world = await start({
    limits: { targetsPerAssociation: 0 },
    policy: ({ hostname }) => hostname === "127.0.0.1" || (asked++, never),
  });
  await world.echo();
  for (let sent = 0; sent < 1_100;) {
    for (let i = 0; i < 20; i++) {
      const target = { hostname: "127.0.0.2", port: ++sent };
      world.own.send(to(target, "AA"), world.relay);
    }
    await until(() => asked === Math.min(sent, 1_024));
  }
  await world.echo(); // after all of them
  assertEquals(asked, 1_024);
  await world.close();
});

// Floods and load

const ROUNDS = 30;
const FLOOD = 20;

for (
  const [name, hostname, datagram] of [
    ["datagrams from another address", "127.0.0.2", "good"],
    ["datagrams from another port", "127.0.0.1", "good"],
    ["empty datagrams", "own", ""],
    ["cut headers", "own", "00 00 00 01 7F 00"],
    ["unknown address types", "own", "00 00 00 05 100*00"],
    ["invalid names", "own", '00 00 00 03 05 "[::1]" 00 35 100*AA'],
  ]
) {
  test(`serve() answers every ping in a flood of ${name}`, async () => {
    const world = await start();
    const { relay, target, counts } = world;
    await world.echo();
    const { port } = world.own.addr;
    const flooder = hostname === "own"
      ? world.own
      : await udp(hostname, () => {}, hostname === "127.0.0.2" ? port : 0);
    const flood = datagram === "good" ? to(target.addr, "FF") : datagram;
    const sent = octets(flood);
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < FLOOD; i++) flooder.send(sent, relay);
      await world.echo();
    }
    await until(() => counts().dropped === ROUNDS * FLOOD);
    assertEquals(target.arrivals.length, ROUNDS + 1);
    if (flooder !== world.own) {
      assertEquals(flooder.arrivals.length, 0);
      flooder.close();
    }
    await world.close();
  });
}

test(`serve() serves ${MANY} associations at once and closes them all`, async () => {
  const server = await startServer();
  const target = await udpEcho();
  const own = await udp();
  const before = openSockets() ?? 0;
  const clients = await Promise.all(
    Array.from({ length: MANY }, () => ask(server, `03 00 ${ZEROS}`)),
  );
  const ports = new Set(clients.map((it) => it.bound.port));
  assertEquals(ports.size, MANY);
  for (const { bound } of clients) {
    const ping = to(target.addr, port(bound.port));
    own.send(ping, bound);
    const { payload, from } = await own.next();
    assertEquals([hex(payload), from], [ping, bound]);
  }
  assertEquals(server.server.sessions.length, MANY);
  for (const [i, { conn }] of clients.entries()) {
    if (i % 2) conn.close();
    else conn.reset();
  }
  for (const _ of clients) await server.ended();
  await until(() => (openSockets() ?? 0) <= before);
  own.close();
  target.close();
  await server.close();
});

test(`serve() serves ${5 * MANY} associations one after the other`, async () => {
  const server = await startServer();
  const target = await udpEcho();
  const own = await udp();
  const before = openSockets() ?? 0;
  for (let i = 0; i < 5 * MANY; i++) {
    const { conn, bound } = await ask(server, `03 00 ${ZEROS}`);
    const ping = to(target.addr, port(bound.port));
    own.send(ping, bound);
    assertEquals(await got(own), ping);
    conn.close();
    assertEquals((await server.ended()).reason, "finished");
  }
  await until(() => (openSockets() ?? 0) <= before);
  own.close();
  target.close();
  await server.close();
});
