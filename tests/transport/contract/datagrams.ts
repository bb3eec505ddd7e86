/**
 * The contract of UDP sockets.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type {
  Address,
  DatagramSocket,
  Transport,
} from "../../../src/transport/transport.ts";
import {
  assertKind,
  assertSameOctets,
  pattern,
  settled,
  until,
} from "../../support/conns.ts";
import type { Check } from "./check.ts";

/** A UDP socket and the datagrams that it has received. */
interface Receiver {
  readonly socket: DatagramSocket;
  readonly got: { payload: Uint8Array; from: Address }[];
  /** Waits for this many datagrams in all. */
  has(count: number): Promise<void>;
}

async function receiver(
  transport: Transport,
  hostname = "127.0.0.1",
): Promise<Receiver> {
  const got: Receiver["got"] = [];
  const socket = await transport.datagrams(
    { hostname, port: 0 },
    (payload, hostname, port) =>
      got.push({ payload, from: { hostname, port } }),
  );
  return { socket, got, has: (count) => until(() => got.length >= count) };
}

/** Passes if a receiver gets one more datagram, which shows that both sockets still work. */
async function assertDelivers(
  from: DatagramSocket,
  to: Receiver,
  seed = 77,
): Promise<void> {
  const { hostname, port } = to.socket.addr;
  from.send(pattern(20, seed), hostname, port);
  const arrived = () => to.got.some(({ payload }) => same(payload, seed));
  await until(arrived);
}

function same(payload: Uint8Array, seed: number): boolean {
  const expected = pattern(20, seed);
  return payload.length === 20 && payload.every((it, i) => it === expected[i]);
}

/** Returns the port of a UDP socket that is closed. */
async function closedPort(transport: Transport, hostname = "127.0.0.1") {
  const { socket } = await receiver(transport, hostname);
  socket.close();
  await settled();
  return socket.addr.port;
}

/** The tests of UDP sockets. */
export function datagrams(check: Check): void {
  for (const hostname of ["127.0.0.1", "::1"]) {
    const named = `over ${hostname.includes(":") ? "IPv6" : "IPv4"}`;
    check(
      `datagrams() sends payloads of 0 to 65507 bytes whole ${named}`,
      async (transport) => {
        const a = await receiver(transport, hostname);
        const b = await receiver(transport, hostname);
        assertEquals(a.socket.addr.hostname, hostname);
        assert(a.socket.addr.port > 0);
        const sizes = [0, 1, 512, 1472, 9000, 65_507];
        for (const [i, size] of sizes.entries()) {
          a.socket.send(pattern(size, i), hostname, b.socket.addr.port);
          await b.has(i + 1);
        }
        assertEquals(b.got.map(({ payload }) => payload.length), sizes);
        for (const [i, { payload, from }] of b.got.entries()) {
          assertSameOctets(payload, pattern(sizes[i], i));
          assertEquals(from, a.socket.addr);
        }
        b.socket.send(pattern(30), hostname, a.socket.addr.port);
        await a.has(1);
        assertEquals(a.got[0], { payload: pattern(30), from: b.socket.addr });
        a.socket.close();
        b.socket.close();
      },
    );

    check(
      `datagrams() loses only what cannot be sent ${named}`,
      async (transport) => {
        const a = await receiver(transport, hostname);
        const b = await receiver(transport, hostname);
        const { port } = b.socket.addr;
        const other = hostname === "::1" ? "127.0.0.1" : "::1";
        const lost: [number, string, number][] = [
          [65_508, hostname, port],
          [100_000, hostname, port],
          [1, hostname, 0],
          [1, other, port],
        ];
        // Not over IPv6, where the kernel accepts it and drops it later.
        if (hostname !== "::1") lost.push([1, "192.0.2.1", port]);
        for (const [i, [size, hostname, port]] of lost.entries()) {
          a.socket.send(pattern(size), hostname, port);
          a.socket.send(pattern(20, i), b.socket.addr.hostname, port || 1);
          await assertDelivers(a.socket, b, 100 + i);
        }
        const unexpected = b.got.filter(({ payload }) => payload.length !== 20);
        assertEquals(unexpected, []);
        a.socket.close();
        b.socket.close();
      },
    );

    check(
      `datagrams() loses no other datagram when a port is closed ${named}`,
      async (transport) => {
        const a = await receiver(transport, hostname);
        const b = await receiver(transport, hostname);
        const dead = await closedPort(transport, hostname);
        const { port } = b.socket.addr;
        for (let i = 0; i < 5; i++) {
          a.socket.send(pattern(1), hostname, dead);
          a.socket.send(pattern(2), hostname, port);
          a.socket.send(pattern(1), hostname, dead);
          a.socket.send(pattern(1), hostname, dead);
          a.socket.send(pattern(2), hostname, port);
          await settled(); // until the ICMP errors have arrived
          a.socket.send(pattern(2), hostname, port);
          await b.has(3 * i + 3);
        }
        b.socket.send(pattern(9), hostname, a.socket.addr.port);
        await a.has(1);
        assertEquals(a.got.length, 1);
        assertEquals(b.got.length, 15);
        a.socket.close();
        b.socket.close();
      },
    );
  }

  check("datagrams() sends in the order of the calls", async (transport) => {
    const a = await receiver(transport);
    const b = await receiver(transport);
    const { hostname, port } = b.socket.addr;
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 20; i++) {
        a.socket.send(Uint8Array.of(round, i), hostname, port);
      }
      await b.has(20 * round + 20);
    }
    assertEquals(
      b.got.map(({ payload }) => payload[0] * 20 + payload[1]),
      Array.from({ length: 100 }, (_, i) => i),
    );
    a.socket.close();
    b.socket.close();
  });

  check(
    "datagrams() passes on payloads that the callee owns",
    async (transport) => {
      const a = await receiver(transport);
      const b = await receiver(transport);
      const { hostname, port } = b.socket.addr;
      for (let i = 0; i < 20; i++) {
        a.socket.send(pattern(100 + i, i), hostname, port);
        await b.has(i + 1);
      }
      for (const [i, { payload }] of b.got.entries()) {
        assertEquals(payload, pattern(100 + i, i));
      }
      b.got[0].payload.fill(0); // changes no other payload
      assertEquals(b.got[1].payload, pattern(101, 1));
      a.socket.close();
      b.socket.close();
    },
  );

  check("datagrams() sends a burst", async (transport) => {
    const a = await receiver(transport);
    const b = await receiver(transport);
    const { hostname, port } = b.socket.addr;
    for (let i = 0; i < 20; i++) {
      a.socket.send(pattern(1000, i), hostname, port);
    }
    await b.has(20);
    for (const [i, { payload }] of b.got.entries()) {
      assertEquals(payload, pattern(1000, i));
    }
    a.socket.close();
    b.socket.close();
  });

  check(
    "datagrams() stays in its address family on :: and on an IPv4-mapped address",
    async (transport) => {
      const six = await receiver(transport, "::");
      const mapped = await receiver(transport, "::ffff:127.0.0.1");
      const four = await receiver(transport);
      assertEquals(six.socket.addr.hostname, "::");
      assertEquals(mapped.socket.addr.hostname, "127.0.0.1");
      four.socket.send(pattern(4), "127.0.0.1", six.socket.addr.port);
      six.socket.send(pattern(6), "127.0.0.1", four.socket.addr.port);
      six.socket.send(pattern(6), "::ffff:127.0.0.1", four.socket.addr.port);
      await assertDelivers(mapped.socket, four);
      const to = four.socket.addr.port;
      mapped.socket.send(pattern(1), "::ffff:127.0.0.1", to);
      await four.has(2);
      for (const { from } of four.got) assertEquals(from, mapped.socket.addr);
      const other = await receiver(transport, "::1");
      other.socket.send(pattern(3), "::1", six.socket.addr.port);
      await six.has(1);
      assertEquals(six.got, [{ payload: pattern(3), from: other.socket.addr }]);
      for (const it of [six, mapped, four, other]) it.socket.close();
    },
  );

  check("datagrams() accepts brackets and reports none", async (transport) => {
    const a = await receiver(transport, "[::1]");
    assertEquals(a.socket.addr.hostname, "::1");
    a.socket.send(pattern(5), "[::1]", a.socket.addr.port);
    await a.has(1);
    assertEquals(a.got[0].from, a.socket.addr);
    a.socket.close();
  });

  check(
    "datagrams() rejects with addr-in-use and addr-not-available",
    async (transport) => {
      const { socket } = await receiver(transport);
      await assertKind(
        transport.datagrams(socket.addr, () => {}),
        "addr-in-use",
      );
      socket.close();
      await settled();
      const again = await transport.datagrams(socket.addr, () => {});
      assertEquals(again.addr, socket.addr);
      again.close();
      await assertKind(
        transport.datagrams({ hostname: "198.51.100.1", port: 0 }, () => {}),
        "addr-not-available",
      );
    },
  );

  check(
    "datagrams() neither sends nor receives when it is closed",
    async (transport) => {
      const a = await receiver(transport);
      const b = await receiver(transport);
      const { hostname, port } = a.socket.addr;
      b.socket.send(pattern(1), hostname, port);
      await a.has(1);
      b.socket.send(pattern(2), hostname, port);
      b.socket.send(pattern(3), hostname, port);
      a.socket.close();
      a.socket.close();
      a.socket.send(pattern(4), hostname, b.socket.addr.port);
      a.socket.send(pattern(70_000), hostname, 0);
      await settled();
      assertEquals([a.got.length, b.got.length], [1, 0]);
      b.socket.close();
    },
  );

  check(
    "datagrams() may be closed by its own callback",
    async (transport) => {
      const b = await receiver(transport);
      let count = 0;
      const closed = new Promise<void>((resolve) => {
        transport.datagrams({ hostname: "127.0.0.1", port: 0 }, () => {
          count++;
          a.socket.close();
          resolve();
        }).then((socket) => {
          a.socket = socket;
          const { hostname, port } = socket.addr;
          for (let i = 0; i < 5; i++) b.socket.send(pattern(i), hostname, port);
        });
      });
      const a = {} as { socket: DatagramSocket };
      await closed;
      await settled();
      assertEquals(count, 1);
      b.socket.close();
    },
  );

  check(
    "datagrams() sends earlier datagrams when it is closed",
    async (transport) => {
      const a = await receiver(transport);
      const b = await receiver(transport);
      a.socket.send(pattern(8), b.socket.addr.hostname, b.socket.addr.port);
      a.socket.close();
      await b.has(1);
      assertEquals(b.got[0].payload, pattern(8));
      b.socket.close();
    },
  );
}
