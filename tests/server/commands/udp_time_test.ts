/** UDP ASSOCIATE: timeouts, and changes of options while an association is open. */

import { assertEquals } from "@std/assert";
import { detectTransport } from "../../../src/transport/detect.ts";
import { NetError } from "../../../src/transport/errors.ts";
import { test } from "../../support/harness.ts";
import { withClock } from "../../support/skipping_clock.ts";
import { readAll, settled, until } from "../../transport/contract.ts";
import { port, udp, udpEcho } from "../../support/raw.ts";
import {
  assertOver,
  FROM_NAME,
  got,
  start,
  timed,
  to,
  type World,
} from "../../support/world.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A transport on which every name has these addresses, and the names that were resolved. */
async function withAddresses(addresses: () => Promise<string[]>) {
  const asked: string[] = [];
  const lookup = (name: string) => {
    asked.push(name);
    return addresses();
  };
  return { asked, transport: { ...await detectTransport(), lookup } };
}

/** Sends a datagram to the target by its name. */
function sendByName({ own, relay, target }: World, payload: string): void {
  own.send(
    `00 00 00 ${FROM_NAME} ${port(target.addr.port)} ${payload}`,
    relay,
  );
}

async function echoByName(world: World, payload: string): Promise<void> {
  sendByName(world, payload);
  assertEquals(await got(world.own), to(world.target.addr, payload));
}

// Names

test("serve() resolves a name once in 30 seconds", () =>
  withClock(async (clock) => {
    const { asked, transport } = await withAddresses(() =>
      Promise.resolve(["127.0.0.1"])
    );
    const world = await start({ transport: { ...transport, clock } });
    for (const payload of ["01", "02", "03"]) {
      await echoByName(world, payload);
      await world.echo();
    }
    clock.skip(29 * SECOND);
    await echoByName(world, "04");
    assertEquals(asked, ["target.test"]);
    clock.skip(2 * SECOND);
    await echoByName(world, "05");
    await echoByName(world, "06");
    assertEquals(asked, ["target.test", "target.test"]);
    await world.close();
  }));

test("serve() resolves a name without an address again after 3 seconds", () =>
  withClock(async (clock) => {
    let known = false;
    const { asked, transport } = await withAddresses(() =>
      known
        ? Promise.resolve(["127.0.0.1"])
        : Promise.reject(new NetError("dns", "no such name"))
    );
    const world = await start({ transport: { ...transport, clock } });
    sendByName(world, "01");
    await until(() => world.counts().dropped === 1);
    known = true;
    clock.skip(2 * SECOND);
    sendByName(world, "02");
    await until(() => world.counts().dropped === 2);
    assertEquals(asked.length, 1);
    clock.skip(2 * SECOND);
    await echoByName(world, "03");
    assertEquals(asked.length, 2);
    await world.close();
  }));

test("serve() keeps the address of a name while the name resolves to it", () =>
  withClock(async (clock) => {
    let addresses = ["127.0.0.1", "127.0.0.2", "::1"];
    const { transport } = await withAddresses(() => Promise.resolve(addresses));
    const world = await start({ transport: { ...transport, clock } });
    const other = await udp("127.0.0.2", () => {}, world.target.addr.port);
    for (let i = 0; i < 3; i++) {
      await echoByName(world, "AA");
      addresses = [...addresses.slice(1), addresses[0]];
      clock.skip(MINUTE);
    }
    addresses = ["127.0.0.2"];
    sendByName(world, "BB");
    assertEquals((await other.next()).payload, Uint8Array.of(0xbb));
    assertEquals(world.target.arrivals.length, 3);
    other.close();
    await world.close();
  }));

// Fragments

/** Resolves when the server has received all datagrams that the client has sent. */
async function arrived({ own, relay, counts }: World): Promise<void> {
  const { dropped } = counts();
  own.send("00 00 80", relay); // malformed, which does not abandon fragments
  await until(() => counts().dropped > dropped);
}

test("serve() waits more than 5 seconds for each fragment, but less than a minute", () =>
  withClock(async (clock) => {
    const world = await start(await timed(clock));
    const { own, relay, target, counts } = world;
    const send = (fragment: string, payload: string) =>
      own.send(to(target.addr, payload, `00 00 ${fragment}`), relay);
    send("01", "AA");
    for (const [fragment, payload] of [["02", "BB"], ["83", "CC"]]) {
      await arrived(world);
      clock.skip(6 * SECOND);
      send(fragment, payload);
    }
    assertEquals(await got(own), to(target.addr, "AA BB CC"));

    const { dropped } = counts();
    send("01", "AA");
    await arrived(world);
    clock.skip(MINUTE);
    send("82", "BB");
    await until(() => counts().dropped === dropped + 2);
    await world.echo();
    assertEquals(target.arrivals.length, 2);

    send("01", "AA"); // its timeout is cancelled with the association
    await arrived(world);
    await world.close();
  }));

// The end

test("serve() ends an association when no datagram passes for timeouts.association", () =>
  withClock(async (clock) => {
    for (const minutes of [2, 10]) {
      const association = minutes * MINUTE;
      const world = await start({
        ...await timed(clock),
        timeouts: { association, idle: SECOND },
      });
      await world.echo();
      clock.skip(association - SECOND);
      await world.echo();
      clock.skip(1.5 * association); // detected up to a quarter late
      await assertOver(world, "idle");
      await readAll(world.control).catch(() => {});
      await world.close();
    }
  }));

test("serve() keeps an association that relays empty datagrams only", () =>
  withClock(async (clock) => {
    const world = await start(await timed(clock));
    for (let i = 0; i < 10; i++) {
      await world.echo("");
      clock.skip(4 * MINUTE);
    }
    assertEquals(world.server.server.sessions.length, 1);
    clock.skip(4 * MINUTE);
    await assertOver(world, "idle");
    await world.close();
  }));

test("serve() ends an association that only drops datagrams", () =>
  withClock(async (clock) => {
    const world = await start(await timed(clock));
    await world.echo();
    const foreign = await udp("127.0.0.2");
    for (let i = 0; i < 4; i++) {
      const { dropped } = world.counts();
      foreign.send(to(world.target.addr, "AA"), world.relay);
      await until(() => world.counts().dropped > dropped);
      clock.skip(1.6 * MINUTE);
    }
    await assertOver(world, "idle");
    foreign.close();
    await world.close();
  }));

// The policy

test("serve() asks the policy again after 30 seconds", () =>
  withClock(async (clock) => {
    let allowed = true;
    let asked = 0;
    const policy = () => {
      asked++;
      return allowed;
    };
    const world = await start({ ...await timed(clock), policy });
    for (const _ of [1, 2, 3]) await world.echo();
    allowed = false;
    clock.skip(29 * SECOND);
    await world.echo();
    assertEquals(asked, 1);
    clock.skip(2 * SECOND);
    world.own.send(to(world.target.addr, "AA"), world.relay);
    await until(() => world.counts().dropped === 1);
    assertEquals(asked, 2);
    // Its datagrams are dropped as well.
    const { port } = world.target.arrivals[0].from;
    world.target.send("BB", { hostname: "127.0.0.1", port });
    await until(() => world.counts().dropped === 2);
    assertEquals(world.target.arrivals.length, 4);
    assertEquals(world.own.arrivals.length, 4);
    await world.close();
  }));

test("serve() applies a new policy to an association at once", async () => {
  const world = await start();
  const { own, relay, target, server, counts } = world;
  const other = await udpEcho("127.0.0.2"); // needs no new socket
  const send = (payload: string) => {
    for (const { addr } of [target, other]) own.send(to(addr, payload), relay);
  };
  const answers = async () => [await got(own), await got(own)].sort();
  const expected = (payload: string) =>
    [target, other].map(({ addr }) => to(addr, payload)).sort();
  send("01");
  assertEquals(await answers(), expected("01"));
  send("02");
  assertEquals(await answers(), expected("02"));
  await server.server.update({ policy: () => false });
  send("03");
  await until(() => counts().dropped === 2);
  await server.server.update({ policy: undefined });
  send("04");
  assertEquals(await answers(), expected("04"));
  assertEquals(counts(), { sent: 6, received: 6, dropped: 2 });
  assertEquals(target.arrivals.length, 3);
  other.close();
  await world.close();
});

test("serve() applies a new policy to datagrams that wait for the old one", async () => {
  for (
    const [policy, expected] of [[undefined, 2], [() => false, 0]] as const
  ) {
    let answer!: (allowed: boolean) => void;
    const slow = new Promise<boolean>((resolve) => answer = resolve);
    const world = await start({
      policy: ({ address }) => address === "127.0.0.1" || slow,
    });
    await world.echo();
    const { own, relay, server, counts } = world;
    const other = await udp("127.0.0.2");
    own.send(to(other.addr, "AA"), relay);
    await arrived(world);
    await server.server.update({ policy });
    own.send(to(other.addr, "BB"), relay);
    await arrived(world);
    if (expected === 0) await until(() => counts().dropped === 4);
    else await until(() => other.arrivals.length === expected);
    answer(expected === 0); // too late
    await settled();
    await arrived(world);
    assertEquals(other.arrivals.length, expected);
    other.close();
    await world.close();
  }
});

test("serve() does not use an expired address while too many names are being resolved", () =>
  withClock(async (clock) => {
    let addresses = Promise.resolve(["127.0.0.1"]);
    const { asked, transport } = await withAddresses(() => addresses);
    const world = await start({ transport: { ...transport, clock } });
    const { own, relay, counts } = world;
    await echoByName(world, "AA");
    addresses = new Promise(() => {});
    for (let i = 100; i < 164; i++) {
      own.send(`00 00 00 03 04 "n${i}" 00 35 AA`, relay);
      await until(() => asked.length === i - 98);
    }
    clock.skip(MINUTE);
    sendByName(world, "BB");
    await until(() => counts().dropped === 1);
    assertEquals(world.target.arrivals.length, 1);
    await world.close();
  }));
