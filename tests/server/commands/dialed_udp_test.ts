/** UDP ASSOCIATE through a dialer. */

import { assert, assertEquals } from "@std/assert";
import {
  type PolicyRequest,
  rules,
  type ServeOptions,
} from "../../../src/server/mod.ts";
import { NetError } from "../../../src/transport/errors.ts";
import { test } from "../../support/harness.ts";
import { hex, port, udp, udpEcho } from "../../support/raw.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { withClock } from "../../support/skipping_clock.ts";
import { join, octets } from "../../support/table.ts";
import {
  dialer,
  ScriptedAssociation,
  through,
} from "../../support/upstream.ts";
import {
  assertOver,
  deferred,
  FROM_NAME,
  got,
  start,
  texts,
  timed,
  to,
  withNames,
  type World,
} from "../../support/world.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  settled,
  until,
} from "../../transport/contract.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A world whose server reaches targets through another one. */
interface Chain extends World {
  readonly upstream: TestServer;
}

async function startChain(
  options: ServeOptions = {},
  upstreamOptions: ServeOptions = {},
): Promise<Chain> {
  const upstream = await startServer(upstreamOptions);
  const world = await start({ dial: through(upstream), ...options });
  return {
    ...world,
    upstream,
    async close() {
      await world.close();
      await upstream.close();
    },
  };
}

const NAMES = { "target.test": ["127.0.0.1"], "six.test": ["::1"] };

// Through a real proxy

/** Name, the target's address, ATYP and ADDR for the client to send. */
const TARGETS: readonly [string, string, string][] = [
  ["an IPv4 address", "127.0.0.1", "01 7F 00 00 01"],
  ["an IPv6 address", "::1", "04 15*00 01"],
  ["an IPv4-mapped address", "127.0.0.1", "04 10*00 FF FF 7F 00 00 01"],
  ["0.0.0.0", "127.0.0.1", "01 00 00 00 00"],
  ["a name", "127.0.0.1", FROM_NAME],
  ["a name with an IPv6 address", "::1", '03 08 "six.test"'],
];

for (const [name, hostname, sent] of TARGETS) {
  for (const policy of [undefined, () => true]) {
    const how = policy ? " with a policy" : "";
    test(`serve() relays datagrams to ${name} through an upstream proxy${how}`, async () => {
      const world = await startChain({ policy }, await withNames(NAMES));
      const { own, relay, upstream } = world;
      const target = await udpEcho(hostname);
      for (const payload of ["aa", "bb", ""]) {
        own.send(
          `00 00 00 ${sent} ${port(target.addr.port)} ${payload}`,
          relay,
        );
        assertEquals(await got(own), to(target.addr, payload));
      }
      assertEquals(world.counts(), { sent: 3, received: 3, dropped: 0 });
      const [behind] = upstream.server.sessions;
      assertEquals(behind.command, "udp-associate");
      assertEquals(behind.datagrams, { sent: 3, received: 3, dropped: 0 });
      assert(target.arrivals[0].from.port !== relay.port);
      world.control.close();
      const { reason, session } = await world.server.ended();
      assertEquals(reason, "finished");
      assertEquals([session.sent, session.received], [2, 2]);
      assertEquals((await upstream.ended()).reason, "finished");
      target.close();
      await world.close();
    });
  }
}

test("serve() relays to several targets through one upstream association", async () => {
  const world = await startChain({}, await withNames(NAMES));
  const { own, relay, upstream } = world;
  const targets = await Promise.all(
    ["127.0.0.1", "127.0.0.2", "::1", "127.0.0.1"].map(udpEcho),
  );
  for (let round = 0; round < 3; round++) {
    const expected: string[] = [];
    for (const [i, target] of targets.entries()) {
      const payload = hex(Uint8Array.of(round, i));
      expected.push(to(target.addr, payload));
      if (i < 3) own.send(to(target.addr, payload), relay);
      else {own.send(
          `00 00 00 ${FROM_NAME} ${port(target.addr.port)} ${payload}`,
          relay,
        );}
    }
    const answers: string[] = [];
    for (const _ of targets) answers.push(await got(own));
    assertEquals(answers.sort(), expected.sort());
  }
  assertEquals(upstream.server.sessions.length, 1);
  for (const target of targets) target.close();
  await world.close();
});

test("serve() reassembles fragments before they go through a dialer", async () => {
  const world = await startChain();
  const { own, relay, target, upstream } = world;
  own.send(to(target.addr, "AA", "00 00 01"), relay);
  own.send(to(target.addr, "BB", "00 00 82"), relay);
  assertEquals(await got(own), to(target.addr, "AA BB"));
  assertEquals(upstream.server.sessions[0].datagrams?.sent, 1);
  await world.close();
});

test("serve() relays the largest datagrams through an upstream proxy", async () => {
  const world = await startChain();
  const { own, relay, target } = world;
  await world.echo(); // so that nothing has to wait
  const sent = join(octets(to(target.addr, "")), pattern(65_497));
  own.send(sent, relay);
  assertSameOctets((await own.next()).payload, sent);
  await world.close();
});

test("serve() asks the policy about targets of a dialer, and sends nothing to denied ones", async () => {
  const asked: string[] = [];
  const policy = ({ command, hostname, address }: PolicyRequest) => {
    assertEquals(command, "udp-associate");
    asked.push(`${hostname} ${address}`);
    return hostname !== "bad.test" && address !== "127.0.0.2";
  };
  const world = await startChain({ policy }, await withNames(NAMES));
  const { own, relay, target, counts, upstream } = world;
  const forbidden = await udp("127.0.0.2");
  const pp = port(forbidden.addr.port);
  for (
    const host of [
      "01 7F 00 00 02",
      "04 10*00 FF FF 7F 00 00 02",
      '03 09 "127.0.0.2"',
      '03 08 "bad.test"',
    ]
  ) own.send(`00 00 00 ${host} ${pp} AA`, relay);
  await until(() => counts().dropped === 4);
  await world.echo();
  own.send(`00 00 00 ${FROM_NAME} ${port(target.addr.port)} BB`, relay);
  assertEquals(await got(own), to(target.addr, "BB"));
  assertEquals(upstream.server.sessions[0].datagrams?.sent, 2);
  assertEquals(texts(forbidden), []);
  assertEquals(asked.sort(), [
    "127.0.0.1 127.0.0.1",
    "127.0.0.2 127.0.0.2",
    "::ffff:127.0.0.2 127.0.0.2",
    "bad.test undefined",
    "target.test undefined",
  ]);
  assertEquals(
    world.server.events.filter(({ type }) => type === "denied").length,
    3,
  );
  forbidden.close();
  await world.close();
});

test("serve() judges the targets of a dialer by a new policy at once", async () => {
  const world = await startChain();
  const { own, relay, target, counts, server: { server } } = world;
  await world.echo();
  await server.update({ policy: rules(["deny 127.0.0.1"]) });
  own.send(to(target.addr, "AA"), relay);
  await until(() => counts().dropped === 1);
  const { from } = target.arrivals[0];
  target.send("BB", from); // its datagrams are dropped, too
  await until(() => counts().dropped === 2);
  await server.update({ policy: undefined });
  await world.echo();
  assertEquals(texts(target).length, 2);
  await world.close();
});

test("serve() keeps the dialer of an association when the option changes", async () => {
  const world = await startChain();
  const { server, upstream } = world;
  await world.echo();
  const other = () => Promise.reject(new Error("not for this one"));
  await server.server.update({ dial: other });
  await world.echo();
  assertEquals(upstream.server.sessions[0].datagrams?.sent, 2);
  await world.close();
});

test("serve() ends an association when its upstream proxy ends it", async () => {
  for (const how of ["close()", "shutdown()"]) {
    const world = await startChain();
    const { upstream } = world;
    await world.echo();
    if (how === "close()") upstream.server.sessions[0].close();
    else await upstream.server.shutdown({ grace: 0 });
    await assertOver(world, "target-gone", "finished");
    await readAll(world.control).catch(() => {});
    await world.close();
  }
});

test("serve() ends an upstream association with the client's", async () => {
  for (const how of ["close", "reset", "session.close()"]) {
    const world = await startChain();
    const { control, server, upstream } = world;
    await world.echo();
    if (how === "close") control.close();
    else if (how === "reset") control.reset();
    else server.server.sessions[0].close();
    const reasons = how === "session.close()"
      ? ["closed"]
      : ["finished", "client-gone"];
    await assertOver(world, ...reasons);
    assertEquals((await upstream.ended()).reason, "finished");
    await readAll(control).catch(() => {});
    await world.close();
  }
});

test("serve() ends an association through a dialer when no datagram passes for timeouts.association", () =>
  withClock(async (clock) => {
    const world = await startChain(await timed(clock));
    await world.echo();
    clock.skip(3 * MINUTE);
    await world.echo("");
    clock.skip(4 * MINUTE);
    assertEquals(world.server.server.sessions.length, 1);
    clock.skip(4 * MINUTE);
    assertEquals((await world.server.ended()).reason, "idle");
    await world.upstream.ended();
    await readAll(world.control).catch(() => {});
    await world.close();
  }));

test("serve() limits the rate of datagrams through a dialer, both ways", async () => {
  const limits = { bytesPerSecondPerSession: 1_000 };
  for (const direction of ["sent", "received"] as const) {
    const world = await startChain({ limits });
    const { own, relay, target, counts } = world;
    await world.echo();
    const before = counts();
    const { from } = target.arrivals[0];
    let sent = 0;
    while (counts().dropped < 10) {
      if (direction === "received") target.send(pattern(1_000), from);
      else own.send(join(octets(to(target.addr, "")), pattern(1_000)), relay);
      sent++;
      await settled();
    }
    assert(counts()[direction] > before[direction]);
    assert(sent >= 10);
    await world.close();
  }
});

test("serve() counts associations through a dialer", async () => {
  const world = await startChain({ limits: { associationsPerClient: 1 } });
  const { server, upstream } = world;
  const refused = await server.client();
  await refused.write(octets("05 01 00 05 03 00 01 00 00 00 00 00 00"));
  assertEquals(
    hex(await readAll(refused)),
    "05 00 05 01 00 01 00 00 00 00 00 00",
  );
  assertEquals(upstream.server.sessions.length, 1);
  refused.close();
  await server.ended();
  world.control.close();
  await server.ended();
  await upstream.ended();
  // The slot is free again, even if the dialer fails.
  for (const _ of [1, 2]) {
    await server.server.update({
      dial: dialer({}),
      limits: { associationsPerClient: 1 },
    });
    const failing = await server.client();
    await failing.write(octets("05 01 00 05 03 00 01 00 00 00 00 00 00"));
    assertEquals(
      hex(await readAll(failing)),
      "05 00 05 01 00 01 00 00 00 00 00 00",
    );
    failing.close();
    assertEquals((await server.ended()).error?.message, "an unexpected call");
  }
  await world.close();
});

// A custom association

const NINE = { hostname: "192.0.2.9", port: 9 };

/** A world whose association belongs to the test. */
async function startScripted(
  options: ServeOptions = {},
  association: ScriptedAssociation = new ScriptedAssociation(),
): Promise<World & { readonly association: ScriptedAssociation }> {
  const udpAssociate = () => Promise.resolve(association);
  const world = await start({ dial: dialer({ udpAssociate }), ...options });
  return { ...world, association };
}

test("serve() sends to the names and addresses that the client named", async () => {
  const { association, own, relay, ...world } = await startScripted();
  for (
    const host of [
      "01 C0 00 02 09",
      "04 10*00 FF FF C0 00 02 09",
      "01 00 00 00 00",
      '03 0C "Peer.Example"',
    ]
  ) own.send(`00 00 00 ${host} 00 35 AA BB`, relay);
  await until(() => association.sent.length === 4);
  assertEquals(association.sent.map(({ to }) => [to.hostname, to.port]), [
    ["192.0.2.9", 53],
    ["::ffff:192.0.2.9", 53],
    ["0.0.0.0", 53],
    ["peer.example", 53],
  ]);
  for (const { payload } of association.sent) {
    assertEquals(payload, Uint8Array.of(0xaa, 0xbb));
    assertEquals(payload.buffer.byteLength, 2); // nothing else of our memory
  }
  own.send("00 00 00 01 C0 00 02 09 00 00 AA", relay);
  await until(() => world.counts().dropped === 1); // port 0
  await world.close();
  assertEquals(association.closed, 1);
});

test("serve() sends no datagram to a special-purpose address through a dialer beyond loopback", async () => {
  const exposed = { hostname: "0.0.0.0", openProxy: true };
  const { association, own, relay, counts, ...world } = await startScripted(
    exposed,
  );
  own.send("00 00 00 01 0A 00 00 01 00 35 AA", relay);
  own.send("00 00 00 01 7F 00 00 01 00 35 AA", relay);
  await until(() => counts().dropped === 2);
  own.send("00 00 00 01 08 08 08 08 00 35 AA", relay);
  own.send('00 00 00 03 09 "peer.test" 00 35 AA', relay);
  await until(() => association.sent.length === 2);
  assertEquals(association.sent.map(({ to }) => to.hostname), [
    "8.8.8.8",
    "peer.test",
  ]);
  await world.close();
});

/**
 * What the client has sent to, the sender of the answer, ATYP, ADDR and PORT in
 * its header; `""` if it is dropped.
 */
const SENDERS: readonly [string, string, number, string][] = [
  ["01 C0 00 02 09", "192.0.2.9", 9, "01 c0 00 02 09 00 09"],
  ["01 C0 00 02 09", "192.0.2.9", 10, "01 c0 00 02 09 00 0a"],
  ["01 C0 00 02 09", "::ffff:192.0.2.9", 9, "01 c0 00 02 09 00 09"],
  ["04 10*00 FF FF C0 00 02 09", "192.0.2.9", 9, "01 c0 00 02 09 00 09"],
  ["01 00 00 00 00", "127.0.0.1", 9, "01 7f 00 00 01 00 09"],
  ["01 C0 00 02 09", "192.0.2.8", 9, ""],
  ["01 C0 00 02 09", "peer.test", 9, ""],
  ['03 09 "peer.test"', "192.0.2.9", 9, "01 c0 00 02 09 00 09"],
  ['03 09 "peer.test"', "2001:DB8::1", 9, "04 20 01 0d b8 11*00 01 00 09"],
  ['03 09 "peer.test"', "Peer.Test.", 9, '03 09 "peer.test" 00 09'],
  ['03 09 "peer.test"', "fe80::1%eth0", 9, ""],
  ['03 09 "peer.test"', "no host", 9, ""],
  ['03 09 "peer.test"', "", 9, ""],
  ['03 09 "peer.test"', "*", 9, ""],
  ['03 09 "peer.test"', "192.0.2.9", -1, ""],
  ["01 C0 00 02 09", "192.0.2.9", 70_000, ""],
  ["01 C0 00 02 09", "192.0.2.9", NaN, ""],
];

for (const [asked, hostname, senderPort, expected] of SENDERS) {
  const outcome = expected ? "relays" : "drops";
  test(`serve() ${outcome} a dialer's datagram from ${hostname}:${senderPort} when the client has sent to ${asked}`, async () => {
    const { association, own, relay, counts, ...world } = await startScripted();
    own.send(`00 00 00 ${asked} 00 09 AA`, relay);
    await until(() => association.sent.length === 1);
    for (const payload of [1, 2]) {
      const from = { hostname, port: senderPort };
      association.receive(Uint8Array.of(payload), from);
      if (!expected) await until(() => counts().dropped === payload);
      else {
        const datagram = hex(octets(`00 00 00 ${expected} 0${payload}`));
        assertEquals(await got(own), datagram);
      }
    }
    // The association has survived all of it.
    own.send(`00 00 00 ${asked} 00 09 BB`, relay);
    await until(() => association.sent.length === 2);
    await world.close();
  });
}

test("serve() distinguishes the senders of a dialer's datagrams", async () => {
  const { association, own, relay, ...world } = await startScripted();
  own.send('00 00 00 03 09 "peer.test" 00 09 AA', relay);
  await until(() => association.sent.length === 1);
  for (const last of [1, 2, 2, 1]) {
    for (const port of [9, 9, 10]) {
      const from = { hostname: `192.0.2.${last}`, port };
      association.receive(Uint8Array.of(last), from);
      assertEquals(await got(own), to(from, `0${last}`));
    }
  }
  await world.close();
});

test("serve() no longer accepts any sender when a dialer's names are forgotten or denied", async () => {
  for (const how of ["forgotten", "denied"]) {
    const { association, own, relay, counts, server, ...world } =
      await startScripted({ limits: { targetsPerAssociation: 1 } });
    own.send('00 00 00 03 09 "peer.test" 00 09 AA', relay);
    await until(() => association.sent.length === 1);
    association.receive(Uint8Array.of(1), NINE);
    assertEquals(await got(own), to(NINE, "01"));
    if (how === "denied") {
      await server.server.update({ policy: rules(["deny peer.test"]) });
      own.send('00 00 00 03 09 "peer.test" 00 09 AA', relay);
      await until(() => counts().dropped === 1);
    } else {
      own.send("00 00 00 01 C0 00 02 08 00 09 AA", relay);
      await until(() => association.sent.length === 2);
    }
    const { dropped } = counts();
    association.receive(Uint8Array.of(2), NINE);
    await until(() => counts().dropped === dropped + 1);
    await world.close();
  }
});

test("serve() forgets the least recently used target of a dialer beyond limits.targetsPerAssociation", async () => {
  const { association, own, relay, counts, ...world } = await startScripted({
    limits: { targetsPerAssociation: 2 },
  });
  for (const last of ["01", "02", "01", "03"]) {
    own.send(`00 00 00 01 C0 00 02 ${last} 00 09 AA`, relay);
    await settled();
  }
  await until(() => association.sent.length === 4);
  association.receive(Uint8Array.of(2), { hostname: "192.0.2.2", port: 9 });
  await until(() => counts().dropped === 1);
  for (const hostname of ["192.0.2.1", "192.0.2.3"]) {
    const from = { hostname, port: 9 };
    association.receive(Uint8Array.of(9), from);
    assertEquals(await got(own), to(from, "09"));
  }
  await world.close();
});

test("serve() queues 64 KiB for a slow policy with a dialer, too", async () => {
  const { promise, resolve } = deferred<boolean>();
  const { association, own, relay, counts, ...world } = await startScripted({
    policy: ({ hostname }) => hostname === "192.0.2.9" || promise,
  });
  const slow = octets('00 00 00 03 09 "peer.test" 00 09');
  for (let i = 1; i <= 40; i++) {
    own.send(join(slow, pattern(2_000, i)), relay);
    own.send(to(NINE, "AA"), relay); // after it
    await until(() => association.sent.length === i);
  }
  const waiting = Math.floor(64 * 1024 / (2_000 + 64));
  assertEquals(counts(), { sent: 40, received: 0, dropped: 40 - waiting });
  resolve(true);
  await until(() => association.sent.length === 40 + waiting);
  assertEquals(association.sent[40].payload, pattern(2_000, 1));
  await world.close();
});

test("serve() asks the policy about a dialer's name again after half a minute", () =>
  withClock(async (clock) => {
    let asked = 0;
    const { association, own, relay, counts, ...world } = await startScripted({
      ...await timed(clock),
      policy: () => ++asked < 2,
    });
    const send = () => own.send('00 00 00 03 09 "peer.test" 00 09 AA', relay);
    send();
    await until(() => association.sent.length === 1);
    clock.skip(29 * SECOND);
    send();
    await until(() => association.sent.length === 2);
    clock.skip(2 * SECOND);
    send();
    await until(() => counts().dropped === 1);
    assertEquals(asked, 2);
    await world.close();
  }));

test("serve() keeps a bounded number of datagrams that a dialer does not take", async () => {
  class StuckAssociation extends ScriptedAssociation {
    readonly release = deferred<void>();
    override send(...args: Parameters<ScriptedAssociation["send"]>) {
      super.send(...args);
      return this.release.promise;
    }
  }
  const stuck = new StuckAssociation();
  const { own, relay, counts, ...world } = await startScripted({}, stuck);
  for (let i = 1; i <= 300; i++) {
    own.send(join(octets(to(NINE, "")), pattern(2_000)), relay);
    await until(() => counts().sent === i);
  }
  const most = Math.floor(256 * 1024 / (2_000 + 256));
  assertEquals(stuck.sent.length, most);
  stuck.release.resolve();
  await settled();
  own.send(to(NINE, "AA"), relay);
  await until(() => stuck.sent.length === most + 1);
  await world.close();
});

test("serve() loses a datagram that a dialer cannot send, and nothing else", async () => {
  class PickyAssociation extends ScriptedAssociation {
    override send(...args: Parameters<ScriptedAssociation["send"]>) {
      super.send(...args);
      if (this.sent.length === 1) throw new Error("at once");
      return Promise.reject(new Error("later"));
    }
  }
  const picky = new PickyAssociation();
  const { own, relay, counts, ...world } = await startScripted({}, picky);
  for (let i = 1; i <= 200; i++) { // more than would fit at a time
    own.send(join(octets(to(NINE, "")), pattern(2_000)), relay);
    await until(() => picky.sent.length === i);
  }
  picky.receive(Uint8Array.of(1), NINE);
  assertEquals(await got(own), to(NINE, "01"));
  assertEquals(counts(), { sent: 200, received: 1, dropped: 0 });
  await world.close();
});

test("serve() ends an association as its dialer does", async () => {
  const broken = new NetError("reset", "the upstream is gone");
  const plain = new TypeError("the upstream has a bug");
  for (const error of [undefined, broken, plain, "a text"]) {
    const { association, control, server, ...world } = await startScripted();
    if (error) association.fail(error);
    else association.end();
    const end = await server.ended();
    assertEquals(end.reason, error ? "target-gone" : "finished");
    if (error === broken) assertEquals(end.error, broken);
    else if (error) assertEquals(end.error?.cause, error);
    assertEquals(association.closed, 1);
    await readAll(control).catch(() => {});
    await world.close();
  }
});

test("serve() ends an association that ended before the reply, after the reply", async () => {
  const association = new ScriptedAssociation();
  association.end();
  const { control, server, ...world } = await startScripted({}, association);
  assertEquals(hex(await readAll(control)), "");
  assertEquals((await server.ended()).reason, "finished");
  await world.close();
});

test("serve() ends an association whose dialer yields no datagrams", async () => {
  for (
    const [payload, from] of [["text", NINE], [new ArrayBuffer(1), NINE], [
      Uint8Array.of(1),
      undefined,
    ]]
  ) {
    const limits = { bytesPerSecondPerSession: 1_000 };
    const { association, control, server, ...world } = await startScripted({
      limits,
    });
    association.receive(payload as Uint8Array, from as typeof NINE);
    const end = await server.ended();
    assertEquals(end.reason, "target-gone");
    assert(end.error?.cause instanceof TypeError);
    assertEquals(association.closed, 1);
    await readAll(control).catch(() => {});
    await world.close();
  }
});

test("serve() survives an association that cannot be closed", async () => {
  class StubbornAssociation extends ScriptedAssociation {
    override close() {
      super.close();
      throw new Error("no way");
    }
  }
  const stubborn = new StubbornAssociation();
  const { control, server, ...world } = await startScripted({}, stubborn);
  control.close();
  assertEquals((await server.ended()).reason, "finished");
  assertEquals(stubborn.closed, 1);
  await world.close();
});
