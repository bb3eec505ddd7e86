/** `forwardUdp()`: datagrams of local clients through a proxy. */

import { assert, assertEquals } from "@std/assert";
import { createDialer, type HopDialer } from "../../src/client/mod.ts";
import {
  forwardUdp,
  type UdpForward,
} from "../../src/tool/commands/forward_udp.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Address } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { hex, type Udp, udp, udpEcho } from "../support/raw.ts";
import { closedPort, startServer, type TestServer } from "../support/server.ts";
import { FakeClock } from "../support/fake_clock.ts";

interface World {
  readonly server: TestServer;
  readonly dialer: HopDialer;
  readonly place: Address;
  readonly errors: unknown[];
  open(
    target: Address,
    dialer?: Pick<HopDialer, "udpAssociate">,
  ): Promise<UdpForward>;
}

async function withWorld(
  use: (world: World) => Promise<void>,
  clock?: FakeClock,
): Promise<void> {
  const server = await startServer();
  const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
  const dialer = createDialer(url);
  const native = await detectTransport();
  const transport = clock ? { ...native, clock } : native;
  const place = { hostname: "127.0.0.1", port: 0 };
  const errors: unknown[] = [];
  const running: UdpForward[] = [];
  try {
    await use({
      server,
      dialer,
      place,
      errors,
      async open(target, through = dialer) {
        const onError = (error: unknown) => void errors.push(error);
        const parts = { transport, dialer: through, target, place, onError };
        const forward = await forwardUdp(parts);
        running.push(forward);
        return forward;
      },
    });
  } finally {
    for (const it of running) await it.close();
    await server.close();
  }
}

test("forwardUdp() gives each client its own answers", async () => {
  const target = await udpEcho();
  const clients = [await udp(), await udp()];
  try {
    await withWorld(async ({ open, server }) => {
      const { addr } = await open(target.addr);
      for (const [i, client] of clients.entries()) {
        client.send(Uint8Array.of(i, 1), addr);
      }
      for (const [i, client] of clients.entries()) {
        const { payload, from } = await client.next();
        assertEquals([hex(payload), from], [hex(Uint8Array.of(i, 1)), addr]);
      }
      assertEquals(server.server.sessions.length, 2);
      clients[0].send(Uint8Array.of(7), addr);
      assertEquals(hex((await clients[0].next()).payload), "07");
      assertEquals(server.server.sessions.length, 2);
    });
  } finally {
    for (const it of [...clients, target]) it.close();
  }
});

test("forwardUdp() keeps datagrams that come before the association, in order", async () => {
  const target = await udpEcho();
  const client = await udp();
  try {
    await withWorld(async ({ open }) => {
      const { addr } = await open(target.addr);
      for (let i = 0; i < 10; i++) client.send(Uint8Array.of(i), addr);
      for (let i = 0; i < 10; i++) {
        assertEquals((await client.next()).payload[0], i);
      }
    });
  } finally {
    for (const it of [client, target]) it.close();
  }
});

test("forwardUdp() passes on only what the target sends", async () => {
  const stranger = await udp();
  const client = await udp();
  let relayed: Address | undefined;
  const target = await udp("127.0.0.1", ({ payload, from }, self) => {
    relayed = from;
    self.send(payload, from);
  });
  try {
    await withWorld(async ({ open }) => {
      const { addr } = await open(target.addr);
      client.send("01", addr);
      await client.next();
      stranger.send("66", relayed!);
      client.send("02", addr);
      assertEquals(hex((await client.next()).payload), "02");
      assertEquals(client.arrivals.length, 2);
    });
  } finally {
    for (const it of [client, stranger, target]) it.close();
  }
});

test("forwardUdp() reports a proxy that is down, once for a client in a while", async () => {
  const port = await closedPort();
  const [client, other] = [await udp(), await udp()];
  const clock = new FakeClock();
  try {
    await withWorld(async ({ open, errors }) => {
      const dialer = createDialer(`socks5h://127.0.0.1:${port}`);
      const { addr } = await open({ hostname: "127.0.0.1", port: 9 }, dialer);
      const reported = async (count: number) => {
        while (errors.length < count) await new Promise((it) => setTimeout(it));
        assertEquals(errors.length, count);
      };
      client.send("01", addr);
      await reported(1);
      client.send("02", addr); // in vain, and not tried
      other.send("03", addr);
      await reported(2);
      clock.advance(1_001);
      client.send("04", addr);
      await reported(3);
    }, clock);
  } finally {
    for (const it of [client, other]) it.close();
  }
});

test("forwardUdp() ends an association that is silent", async () => {
  const target = await udpEcho();
  const client = await udp();
  const clock = new FakeClock();
  try {
    await withWorld(async ({ open, server }) => {
      const { addr } = await open(target.addr);
      client.send("01", addr);
      await client.next();
      clock.advance(119_000);
      client.send("02", addr);
      await client.next();
      clock.advance(119_000);
      assertEquals(server.server.sessions.length, 1);
      clock.advance(2_000);
      await server.ended();
      client.send("03", addr); // gets another association
      assertEquals(hex((await client.next()).payload), "03");
      assertEquals(server.server.sessions.length, 1);
    }, clock);
  } finally {
    for (const it of [client, target]) it.close();
  }
});

test("forwardUdp() serves 256 clients at a time; the oldest silent one gives way", async () => {
  const target = await udpEcho();
  const opened: number[] = [];
  const closed: number[] = [];
  const sent: string[] = [];
  // Associations of the test: so many through a server would take long.
  const dialer = {
    udpAssociate() {
      const id = opened.length;
      opened.push(id);
      let end = () => {};
      const over = new Promise<void>((resolve) => end = resolve);
      return Promise.resolve({
        send: (payload: Uint8Array) => {
          sent.push(`${id}:${payload[0]}`);
          return Promise.resolve();
        },
        close() {
          closed.push(id);
          end();
        },
        [Symbol.asyncIterator]: () => ({
          next: () => over.then(() => ({ done: true, value: undefined })),
        }),
      });
    },
  } as unknown as Pick<HopDialer, "udpAssociate">;
  const clients: Udp[] = [];
  try {
    for (let i = 0; i < 257; i++) clients.push(await udp());
    await withWorld(async ({ open }) => {
      const { addr } = await open(target.addr, dialer);
      const arrived = async (client: number, payload: number) => {
        clients[client].send(Uint8Array.of(payload), addr);
        const wanted = sent.length + 1;
        while (sent.length < wanted) await new Promise((it) => setTimeout(it));
      };
      for (let i = 0; i < 256; i++) await arrived(i, 1);
      await arrived(0, 2); // active again
      assertEquals(closed, []);
      await arrived(256, 1);
      assertEquals([opened.length, closed], [257, [1]]);
      assert(sent.includes("0:2"));
    });
    assertEquals(closed.length, 257);
  } finally {
    for (const it of [...clients, target]) it.close();
  }
});
