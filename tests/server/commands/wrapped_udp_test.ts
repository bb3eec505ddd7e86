/** UDP ASSOCIATE when the authentication method protects the datagrams. */

import { assertEquals } from "@std/assert";
import type { DatagramWrapper } from "../../../src/protocol/datagram.ts";
import type { AuthMethod } from "../../../src/server/mod.ts";
import type { Address, Conn } from "../../../src/transport/transport.ts";
import { test } from "../../support/harness.ts";
import { hex, readReply, type Udp, udp, udpEcho } from "../../support/raw.ts";
import { startServer } from "../../support/server.ts";
import { join, octets } from "../../support/table.ts";
import { dialer, ScriptedAssociation } from "../../support/upstream.ts";
import { to } from "../../support/world.ts";
import {
  ACCEPTED,
  TOKEN,
  WrappedConn,
  WRAPPING,
  wrappingMethod,
  xorDatagrams,
} from "../../support/wrapped_conn.ts";
import {
  assertSameOctets,
  pattern,
  readExactly,
  until,
} from "../../transport/contract.ts";
import type { ServeOptions } from "../../../src/server/mod.ts";

const REQUEST = "05 03 00 01 00 00 00 00 00 00";

interface World {
  readonly control: Conn;
  readonly relay: Address;
  readonly own: Udp;
  readonly target: Udp;
  counts(): { sent: number; received: number; dropped: number };
  /** Sends a wrapped datagram. */
  send(datagram: string | Uint8Array): void;
  /** The next datagram, unwrapped. */
  got(): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/** A client whose method wraps, and has an association. */
async function start(
  method: AuthMethod = wrappingMethod(),
  options: ServeOptions = {},
): Promise<World> {
  const server = await startServer({ auth: [method], ...options });
  const target = await udpEcho();
  const own = await udp();
  const conn = await server.client();
  await conn.write(Uint8Array.of(5, 1, WRAPPING));
  await conn.write(Uint8Array.of(TOKEN));
  assertEquals(
    await readExactly(conn, 3),
    Uint8Array.of(5, WRAPPING, ACCEPTED),
  );
  const control = new WrappedConn(conn);
  await control.write(octets(REQUEST));
  const { rep, bound: relay } = await readReply(control);
  assertEquals(rep, 0);
  const [session] = server.server.sessions;
  return {
    control,
    relay,
    own,
    target,
    counts: () => ({ ...session.datagrams! }),
    send(datagram) {
      const plain = typeof datagram === "string" ? octets(datagram) : datagram;
      own.send(xorDatagrams.wrap(plain), relay);
    },
    got: async () => xorDatagrams.unwrap((await own.next()).payload),
    async close() {
      control.close();
      own.close();
      target.close();
      await server.close();
    },
  };
}

test("serve() wraps and unwraps datagrams as the authentication method does", async () => {
  const world = await start();
  const { counts, got, own, send, target } = world;
  for (const payload of ["AA", "", "BB CC"]) {
    const datagram = to(target.addr, payload);
    send(datagram);
    const answer = await got();
    assertEquals(answer && hex(answer), datagram);
  }
  assertEquals(target.arrivals.map(({ payload }) => hex(payload)), [
    "aa",
    "",
    "bb cc",
  ]);
  assertEquals(
    own.arrivals[0].payload,
    xorDatagrams.wrap(octets(to(target.addr, "AA"))),
  );
  assertEquals(counts(), { sent: 3, received: 3, dropped: 0 });
  await world.close();
});

test("serve() puts wrapped fragments together", async () => {
  const world = await start();
  const { got, send, target } = world;
  send(to(target.addr, "AA", "00 00 01"));
  send(to(target.addr, "BB", "00 00 82"));
  const answer = await got();
  assertEquals(answer && hex(answer), to(target.addr, "AA BB"));
  await world.close();
});

test("serve() drops datagrams that do not unwrap, and learns no port from them", async () => {
  const world = await start();
  const { counts, got, own, relay, send, target } = world;
  const plain = to(target.addr, "AA");
  const wrapped = xorDatagrams.wrap(octets(plain));
  const broken = wrapped.with(-1, wrapped.at(-1)! ^ 1);
  const other = await udp();
  const bad = [octets(plain), broken, wrapped.subarray(1), octets("")];
  for (const [i, datagram] of bad.entries()) {
    other.send(datagram, relay);
    await until(() => counts().dropped === i + 1);
  }
  send(plain);
  assertEquals(await got(), octets(plain));
  other.send(wrapped, relay); // the second port
  await until(() => counts().dropped === bad.length + 1);
  assertEquals(counts(), { sent: 1, received: 1, dropped: 5 });
  assertEquals(own.arrivals.length, 1);
  other.close();
  await world.close();
});

test("serve() drops an answer that does not fit when it is wrapped", async () => {
  const world = await start();
  const { counts, got, send } = world;
  let size = 65_507 - 10 - xorDatagrams.overhead;
  const target = await udp("127.0.0.1", ({ from }) => {
    target.send(pattern(size), from);
  });
  send(to(target.addr, "AA"));
  const answer = await got();
  const header = octets(to(target.addr, ""));
  assertSameOctets(answer!, join(header, pattern(size)));
  size++;
  send(to(target.addr, "BB"));
  await until(() => counts().dropped === 1);
  target.close();
  await world.close();
});

test("serve() survives a method whose datagram wrapper throws", async () => {
  for (const broken of ["wrap", "unwrap"] as const) {
    let isBroken = true;
    const throwing: DatagramWrapper = {
      ...xorDatagrams,
      [broken](datagram: Uint8Array) {
        if (isBroken) throw new Error("a bug");
        return xorDatagrams[broken](datagram);
      },
    };
    const method = wrappingMethod();
    const world = await start({
      ...method,
      async negotiate(exchange) {
        const result = await method.negotiate!(exchange);
        return { ...result, datagrams: throwing };
      },
    });
    const { counts, got, send, target } = world;
    send(to(target.addr, "AA"));
    await until(() => counts().dropped === 1);
    isBroken = false;
    send(to(target.addr, "BB"));
    assertEquals(await got(), octets(to(target.addr, "BB")));
    await world.close();
  }
});

test("serve() unwraps datagrams before they go through a dialer", async () => {
  const association = new ScriptedAssociation();
  const udpAssociate = () => Promise.resolve(association);
  const dial = dialer({ udpAssociate });
  const world = await start(wrappingMethod(), { dial });
  const { got, send } = world;
  send('00 00 00 03 09 "peer.test" 00 09 AA');
  await until(() => association.sent.length === 1);
  assertEquals(association.sent[0].payload, Uint8Array.of(0xaa));
  const from = { hostname: "192.0.2.9", port: 9 };
  association.receive(Uint8Array.of(0xbb), from);
  assertEquals(await got(), octets(to(from, "BB")));
  await world.close();
});
