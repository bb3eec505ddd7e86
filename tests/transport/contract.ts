/**
 * What every transport must do, as tests. It needs nothing but a
 * {@linkcode Transport}: run it on one of your own with
 *
 *     transportContract("mine", () => Promise.resolve(myTransport));
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import type {
  Conn,
  NetErrorKind,
  RelayOptions,
  Transport,
} from "../../src/transport/transport.ts";
import { NetError } from "../../src/transport/transport.ts";
import { test } from "../harness.ts";

/** Known gaps of a transport. */
export interface ContractOptions {
  /** The runtime has no way to send an RST: peers see the end of the stream instead. */
  readonly noReset?: boolean;
}

const MIB = 1024 * 1024;

/** `size` octets that differ from place to place. */
export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const octets = new Uint8Array(size);
  let x = seed >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    octets[i] = x >>> 24;
  }
  return octets;
}

/** Reads to the FIN. */
export async function readAll(conn: Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let c = await conn.read(); c; c = await conn.read()) chunks.push(c);
  return join(chunks);
}

/** Reads exactly this many octets; what is too much goes back. */
export async function readExactly(
  conn: Conn,
  size: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let have = 0;
  while (have < size) {
    const chunk = await conn.read();
    if (!chunk) throw new Error(`FIN after ${have} of ${size} octets`);
    chunks.push(chunk);
    have += chunk.length;
  }
  const all = join(chunks);
  conn.unread(all.slice(size));
  return all.slice(0, size);
}

function join(chunks: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, c) => sum + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Compares long octet strings without printing them. */
export function assertSameOctets(actual: Uint8Array, expected: Uint8Array) {
  assertEquals(actual.length, expected.length);
  const at = actual.findIndex((octet, i) => octet !== expected[i]);
  assertEquals(at, -1, `octets differ from place ${at} on`);
}

/** Rejects with a {@linkcode NetError} of one of these kinds. */
export async function assertKind(
  promise: Promise<unknown>,
  ...kinds: NetErrorKind[]
): Promise<void> {
  const error = await assertRejects(() => promise, NetError);
  assert(kinds.includes(error.kind), `kind ${error.kind}: ${error.message}`);
}

/** Two ends of one connection, and the way to end what made them. */
export interface Pair {
  readonly near: Conn;
  readonly far: Conn;
  close(): Promise<void>;
}

/** Connects to a listener of its own. */
export async function connectedPair(
  transport: Transport,
  hostname = "127.0.0.1",
): Promise<Pair> {
  let accepted!: (conn: Conn) => void;
  const far = new Promise<Conn>((resolve) => accepted = resolve);
  const listener = await transport.listen({ hostname, port: 0 }, accepted);
  const near = await transport.connect(listener.addr);
  const pair = { near, far: await far };
  await listener.close();
  return {
    ...pair,
    close() {
      pair.near.close();
      pair.far.close();
      return settled();
    },
  };
}

/** Lets the runtime finish what closing a socket began. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Resolves as soon as `holds` does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}

type RelayFunction = Transport["relay"];

/** Registers the tests; `load` is called by each of them. */
export function transportContract(
  name: string,
  load: () => Promise<Transport>,
  options: ContractOptions = {},
): void {
  const check = (what: string, fn: (transport: Transport) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      await fn(await load());
      await settled();
    });
  listenAndConnect(check);
  readAndWrite(check, options);
  relays(check, options, "relay()", (transport) => transport.relay);
}

type Check = (
  what: string,
  fn: (transport: Transport) => Promise<void>,
) => void;

function listenAndConnect(check: Check): void {
  check("listen() tells the port it was given", async (transport) => {
    const listener = await transport.listen(
      { hostname: "127.0.0.1", port: 0 },
      () => {},
    );
    assertEquals(listener.addr.hostname, "127.0.0.1");
    assert(listener.addr.port > 0);
    await listener.close();
  });

  check(
    "connect() and listen() agree about both addresses",
    async (transport) => {
      for (const hostname of ["127.0.0.1", "::1"]) {
        const pair = await connectedPair(transport, hostname);
        assertEquals(pair.near.remote, pair.far.local);
        assertEquals(pair.near.local, pair.far.remote);
        assertEquals(pair.near.remote.hostname, hostname);
        await pair.close();
      }
    },
  );

  check(
    "listen() and connect() take brackets and show none",
    async (transport) => {
      const pair = await connectedPair(transport, "[::1]");
      assertEquals(pair.near.remote.hostname, "::1");
      await pair.close();
    },
  );

  check(
    "an IPv4 peer of a listener on :: has an IPv4 address",
    async (transport) => {
      let accepted!: (conn: Conn) => void;
      const incoming = new Promise<Conn>((resolve) => accepted = resolve);
      const listener = await transport.listen(
        { hostname: "::", port: 0 },
        accepted,
      );
      assertEquals(listener.addr.hostname, "::");
      const near = await transport.connect({
        hostname: "127.0.0.1",
        port: listener.addr.port,
      });
      const far = await incoming;
      assertEquals(far.remote.hostname, "127.0.0.1");
      assertEquals(far.local.hostname, "127.0.0.1");
      near.close();
      far.close();
      await listener.close();
    },
  );

  check(
    "listen() rejects with addr-in-use and addr-not-available",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      await assertKind(
        transport.listen(listener.addr, () => {}),
        "addr-in-use",
      );
      await listener.close();
      await assertKind(
        transport.listen({ hostname: "192.0.2.1", port: 0 }, () => {}),
        "addr-not-available",
      );
    },
  );

  check(
    "a closed listener refuses, frees its port and keeps its connections",
    async (transport) => {
      let accepted!: (conn: Conn) => void;
      const incoming = new Promise<Conn>((resolve) => accepted = resolve);
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        accepted,
      );
      const near = await transport.connect(listener.addr);
      const far = await incoming;
      await listener.close();
      await assertKind(transport.connect(listener.addr), "refused");
      await near.write(pattern(10));
      assertEquals(await readExactly(far, 10), pattern(10));
      const again = await transport.listen(listener.addr, () => {});
      await again.close();
      near.close();
      far.close();
    },
  );

  check(
    "connect() rejects with refused, or invalid for port 0",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      await listener.close();
      await assertKind(transport.connect(listener.addr), "refused");
      await assertKind(
        transport.connect({ hostname: "127.0.0.1", port: 0 }),
        "invalid",
      );
    },
  );

  check("connect() rejects with what its signal says", async (transport) => {
    const listener = await transport.listen(
      { hostname: "127.0.0.1", port: 0 },
      (conn) => conn.close(),
    );
    const { addr } = listener;
    await assertKind(
      transport.connect({ ...addr, signal: AbortSignal.abort() }),
      "aborted",
    );
    const reason = new NetError("timeout", "too slow");
    const controller = new AbortController();
    const attempt = transport.connect({ ...addr, signal: controller.signal });
    controller.abort(reason);
    assertEquals(await attempt.catch((error) => error), reason);
    const conn = await transport.connect({
      ...addr,
      signal: new AbortController().signal,
    });
    conn.close();
    await listener.close();
  });

  check("listen() takes 200 connections at once", async (transport) => {
    const accepted: Conn[] = [];
    const listener = await transport.listen(
      { hostname: "127.0.0.1", port: 0 },
      (conn) => accepted.push(conn),
    );
    const conns = await Promise.all(
      Array.from({ length: 200 }, () => transport.connect(listener.addr)),
    );
    await until(() => accepted.length === 200);
    for (const conn of [...conns, ...accepted]) conn.close();
    await listener.close();
  });

  check("lookup() finds localhost and rejects with dns", async (transport) => {
    const addresses = await transport.lookup("localhost");
    assert(addresses.includes("127.0.0.1") || addresses.includes("::1"));
    assertEquals(await transport.lookup("127.0.0.1"), ["127.0.0.1"]);
    await assertKind(transport.lookup(`${"a".repeat(64)}.invalid`), "dns");
  });
}

function readAndWrite(check: Check, options: ContractOptions): void {
  check("FIN ends one direction, the other goes on", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(1000));
    await near.closeWrite();
    await near.closeWrite();
    assertEquals(await readAll(far), pattern(1000));
    assertEquals(await far.read(), null);
    const answer = pattern(10 * MIB, 2);
    const [, got] = await Promise.all([
      far.write(answer).then(() => far.closeWrite()),
      readAll(near),
    ]);
    assertSameOctets(got, answer);
    await close();
  });

  check(
    "octets that came before the first read() are not lost, nor is their FIN",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      await near.write(pattern(100));
      await near.closeWrite();
      await settled();
      assertEquals(await readAll(far), pattern(100));
      await close();
    },
  );

  check("unread() puts octets in front, also of the end", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(8));
    await near.closeWrite();
    const octets = await readExactly(far, 8);
    assertEquals(await far.read(), null);
    far.unread(octets.slice(4));
    far.unread(octets.slice(0, 4));
    assertEquals(await readAll(far), octets);
    await close();
  });

  check("a chunk belongs to its reader", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(100, 1));
    const first = await readExactly(far, 100);
    await near.write(pattern(100, 2));
    const second = await readExactly(far, 100);
    assertEquals(first, pattern(100, 1));
    assertEquals(second, pattern(100, 2));
    await close();
  });

  check(
    "write() resolves only when a slow reader made room",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const sent = pattern(64 * MIB);
      let written = false;
      const writing = near.write(sent).then(() => {
        written = true;
        return near.closeWrite();
      });
      await new Promise((resolve) => setTimeout(resolve, 100));
      assertEquals(written, false);
      const got = await readAll(far);
      await writing;
      assertSameOctets(got, sent);
      await close();
    },
  );

  check(
    "close() ends everything, once, and rejects with closed",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const pending = near.read();
      near.close();
      near.close();
      await assertKind(pending, "closed");
      await assertKind(near.read(), "closed");
      await assertKind(near.write(pattern(1)), "closed");
      assertEquals(await far.read(), null);
      await close();
    },
  );

  check(
    "a write to a peer that has gone rejects with reset",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      far.close();
      await assertKind(
        (async () => {
          while (true) {
            await near.write(pattern(1000));
            await settled();
          }
        })(),
        "reset",
      );
      await close();
    },
  );

  const seen = options.noReset ? "the end of the stream" : "a reset";
  check(`reset() shows the peer ${seen}`, async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(10));
    assertEquals(await readExactly(far, 10), pattern(10));
    const pending = far.read();
    near.reset();
    near.reset();
    if (options.noReset) assertEquals(await pending, null);
    else await assertKind(pending, "reset");
    await close();
  });
}

interface Relayed {
  readonly client: Conn;
  readonly target: Conn;
  readonly relay: ReturnType<RelayFunction>;
  close(): Promise<void>;
}

/** The tests of a relay, for one way of relaying. */
export function relays(
  check: Check,
  contract: ContractOptions,
  what: string,
  relayOf: (transport: Transport) => RelayFunction,
): void {
  const start = async (
    transport: Transport,
    options?: RelayOptions,
    before?: (client: Conn, a: Conn) => Promise<void>,
  ): Promise<Relayed> => {
    const left = await connectedPair(transport);
    const right = await connectedPair(transport);
    await before?.(left.near, left.far);
    const relay = relayOf(transport)(left.far, right.near, options);
    return {
      client: left.near,
      target: right.far,
      relay,
      async close() {
        await left.close();
        await right.close();
        await relay.done;
      },
    };
  };

  check(
    `${what} moves octets both ways at once and counts them`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport);
      const up = pattern(12 * MIB, 1);
      const down = pattern(9 * MIB, 2);
      const [, , gotUp, gotDown] = await Promise.all([
        client.write(up).then(() => client.closeWrite()),
        target.write(down).then(() => target.closeWrite()),
        readAll(target),
        readAll(client),
      ]);
      assertSameOctets(gotUp, up);
      assertSameOctets(gotDown, down);
      assertEquals((await relay.done).reason, "finished");
      assertEquals(relay.sent, up.length);
      assertEquals(relay.received, down.length);
      await close();
    },
  );

  check(`${what} answers small messages one by one`, async (transport) => {
    const { client, target, close } = await start(transport);
    for (let i = 0; i < 200; i++) {
      const message = pattern(1 + i * 37, i);
      await client.write(message);
      assertSameOctets(await readExactly(target, message.length), message);
      await target.write(message);
      assertSameOctets(await readExactly(client, message.length), message);
    }
    await close();
  });

  check(
    `${what} passes a FIN on and delivers 10 MiB after it`,
    async (transport) => {
      for (const first of ["client", "target"] as const) {
        const relayed = await start(transport);
        const { relay, close } = relayed;
        const early = relayed[first];
        const late = first === "client" ? relayed.target : relayed.client;
        await early.write(pattern(5));
        await early.closeWrite();
        assertEquals(await readAll(late), pattern(5));
        const answer = pattern(10 * MIB, 3);
        const [, got] = await Promise.all([
          late.write(answer).then(() => late.closeWrite()),
          readAll(early),
        ]);
        assertSameOctets(got, answer);
        assertEquals((await relay.done).reason, "finished");
        await close();
      }
    },
  );

  check(
    `${what} relays octets and a FIN that came before it`,
    async (transport) => {
      const { client, target, close } = await start(
        transport,
        {},
        async (client, accepted) => {
          await client.write(pattern(300));
          await client.closeWrite();
          accepted.unread(await readExactly(accepted, 100));
          await settled();
        },
      );
      assertEquals(await readAll(target), pattern(300));
      await target.write(pattern(7));
      await target.closeWrite();
      assertEquals(await readAll(client), pattern(7));
      await close();
    },
  );

  check(
    `${what} holds back a sender whose receiver does not read`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport);
      const sent = pattern(64 * MIB);
      const writing = client.write(sent).then(() => client.closeWrite());
      let before = -1;
      while (relay.sent !== before) {
        before = relay.sent;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert(relay.sent < 32 * MIB, `took ${relay.sent} octets unread`);
      const got = await readAll(target);
      await writing;
      assertSameOctets(got, sent);
      await close();
    },
  );

  check(
    `${what} delivers what a slow receiver has yet to take when both sides have sent FIN`,
    async (transport) => {
      const first = await start(transport);
      await fill(first, 64 * MIB);
      const capacity = first.relay.sent;
      await first.close();
      for (const less of [4, 12]) {
        const relayed = await start(transport);
        const sent = await fill(relayed, capacity - less * 1024);
        await relayed.client.closeWrite();
        await new Promise((resolve) => setTimeout(resolve, 30));
        assertEquals((await readAll(relayed.target)).length, sent);
        assertEquals((await relayed.relay.done).reason, "finished");
        await relayed.close();
      }
    },
  );

  /** The target has sent FIN and does not read; small writes until the relay takes no more, or this much was sent: how much that was. */
  async function fill(
    { client, target, relay }: Relayed,
    limit: number,
  ): Promise<number> {
    await target.closeWrite();
    assertEquals(await client.read(), null);
    const chunk = pattern(8192);
    let total = 0;
    while (total < limit) {
      const next = chunk.slice(0, Math.min(chunk.length, limit - total));
      await client.write(next);
      total += next.length;
      for (let i = 0; relay.sent < total; i++) {
        if (i === 100) return total;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
    return total;
  }

  const seen = contract.noReset ? "the end" : "a reset";
  check(
    `${what} turns a reset of one side into ${seen} for the other`,
    async (transport) => {
      if (contract.noReset) return await endsTheOther(transport);
      for (const first of ["client", "target"] as const) {
        const relayed = await start(transport);
        const other = first === "client" ? relayed.target : relayed.client;
        await relayed[first].write(pattern(5));
        await readExactly(other, 5);
        relayed[first].reset();
        await assertKind(other.read(), "reset");
        const end = await relayed.relay.done;
        assertEquals(end.reason, "error");
        assertEquals(end.side, first === "client" ? "a" : "b");
        assertEquals(end.error?.kind, "reset");
        await relayed.close();
      }
    },
  );

  /** Where no RST can be made by will, the FIN goes through; who writes on meets the RST of a closed socket. */
  async function endsTheOther(transport: Transport): Promise<void> {
    const { client, target, relay, close } = await start(transport);
    client.reset();
    assertEquals(await target.read(), null);
    await assertKind(
      (async () => {
        while (true) {
          await target.write(pattern(1000));
          await settled();
        }
      })(),
      "reset",
    );
    const end = await relay.done;
    assertEquals([end.reason, end.side, end.error?.kind], [
      "error",
      "a",
      "reset",
    ]);
    await close();
  }

  check(
    `${what} ends after the idle time and not before`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport, {
        idle: 200,
      });
      const started = performance.now();
      for (let i = 0; i < 6; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await client.write(pattern(1));
        await readExactly(target, 1);
      }
      assertEquals((await relay.done).reason, "idle");
      assert(performance.now() - started > 450);
      await client.read().catch(() => null);
      await close();
    },
  );

  check(
    `${what} has a time of its own for half-closed connections`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport, {
        idle: 60_000,
        halfClosed: 40,
      });
      await client.closeWrite();
      assertEquals(await target.read(), null);
      assertEquals((await relay.done).reason, "idle");
      await close();
    },
  );

  check(`${what} can be aborted`, async (transport) => {
    const { client, target, relay, close } = await start(transport);
    await client.write(pattern(3));
    await readExactly(target, 3);
    relay.abort();
    relay.abort();
    assertEquals((await relay.done).reason, "aborted");
    const ended = (conn: Conn) => conn.read().catch((error) => error.kind);
    const expected = contract.noReset ? null : "reset";
    assertEquals(await ended(client), expected);
    assertEquals(await ended(target), expected);
    await close();
  });
}
