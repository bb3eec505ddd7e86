/**
 * What every transport must do, as tests. It needs nothing but a
 * {@linkcode Transport}: run it on one of your own with
 *
 *     transportContract("mine", () => Promise.resolve(myTransport));
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import process from "node:process";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type {
  Address,
  Conn,
  DatagramSocket,
  RelayOptions,
  Transport,
} from "../../src/transport/transport.ts";
import type { NetErrorKind } from "../../src/transport/errors.ts";
import { NetError } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";
import { withSkips } from "../support/skip_time.ts";

/** Known gaps of a transport. */
export interface ContractOptions {
  /** The runtime has no way to send an RST: peers see the end of the stream instead. */
  readonly noReset?: boolean;
  /** The runtime connects no UDP socket: only loopback's source address is known. */
  readonly noRoutes?: boolean;
  /** The runtime lets no two listeners share a port: asked to, it refuses. */
  readonly noReusePort?: boolean;
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
  listenAndConnect(check, options);
  readAndWrite(check, options);
  peeks(check);
  relays(check, options, "relay()", (transport) => transport.relay);
  relaysAfterPeek(check, "relay()", (transport) => transport.relay);
  datagrams(check);
  sourceAddresses(check, options);
}

type Check = (
  what: string,
  fn: (transport: Transport) => Promise<void>,
) => void;

function listenAndConnect(check: Check, contract: ContractOptions): void {
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
        assertEquals(pair.near.remoteAddr, pair.far.localAddr);
        assertEquals(pair.near.localAddr, pair.far.remoteAddr);
        assertEquals(pair.near.remoteAddr.hostname, hostname);
        await pair.close();
      }
    },
  );

  check(
    "listen() and connect() take brackets and show none",
    async (transport) => {
      const pair = await connectedPair(transport, "[::1]");
      assertEquals(pair.near.remoteAddr.hostname, "::1");
      await pair.close();
    },
  );

  check(
    "connect() comes from the local address that it is told",
    async (transport) => {
      let accepted!: (conn: Conn) => void;
      const incoming = new Promise<Conn>((resolve) => accepted = resolve);
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        (conn) => accepted(conn),
      );
      const { signal } = new AbortController(); // such as an attempt that fails at once has to forget
      const attempt = (localAddress: string) =>
        transport.connect({ ...listener.addr, localAddress, signal });
      const near = await attempt("127.0.0.2");
      assertEquals((await incoming).remoteAddr.hostname, "127.0.0.2");
      near.close();
      (await incoming).close();
      await assertKind(attempt("192.0.2.1"), "addr-not-available");
      await listener.close();
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
      assertEquals(far.remoteAddr.hostname, "127.0.0.1");
      assertEquals(far.localAddr.hostname, "127.0.0.1");
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
    contract.noReusePort
      ? "listen() refuses to share a port"
      : "two listeners that share a port both get connections",
    async (transport) => {
      const shared = { hostname: "127.0.0.1", port: 0, reusePort: true };
      if (contract.noReusePort) {
        return await assertKind(transport.listen(shared, () => {}), "invalid");
      }
      const got: Conn[][] = [[], []];
      const first = await transport.listen(shared, (it) => got[0].push(it));
      const second = await transport.listen(
        { ...first.addr, reusePort: true },
        (it) => got[1].push(it),
      );
      // Each comes to one of them by chance: that one gets none in 500 is next to impossible.
      const conns: Conn[] = [];
      while (conns.length < 500 && !(got[0].length && got[1].length)) {
        conns.push(await transport.connect(first.addr));
        await until(() => got[0].length + got[1].length === conns.length);
      }
      assert(got[0].length > 0 && got[1].length > 0);
      await assertKind(transport.listen(first.addr, () => {}), "addr-in-use");
      for (const conn of [...conns, ...got.flat()]) conn.close();
      await first.close();
      await second.close();
    },
  );

  check(
    "listen() shares no port with one that does not",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      await assertKind(
        transport.listen({ ...listener.addr, reusePort: true }, () => {}),
        contract.noReusePort ? "invalid" : "addr-in-use",
      );
      await listener.close();
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
    await assertKind(near.write(pattern(1)), "closed");
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

  if (process.platform === "linux") {
    check(
      "keepAlive() has the kernel ask for a silent peer",
      async (transport) => {
        for (const hostname of ["127.0.0.1", "::1"]) {
          const { near, far, close } = await connectedPair(transport, hostname);
          for (const conn of [near, far]) {
            assertEquals(timerOf(conn), "00");
            conn.keepAlive!();
            assertEquals(timerOf(conn), "02");
          }
          await close();
          near.keepAlive!(); // comes too late, and harms nobody
        }
      },
    );
  }

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

/** Which timer Linux has for a connection: "00" for none, "02" for keepalive. */
export function timerOf(
  { localAddr, remoteAddr }: Pick<Conn, "localAddr" | "remoteAddr">,
): string {
  const [ours, theirs] = [localAddr, remoteAddr].map(({ port }) =>
    port.toString(16).toUpperCase().padStart(4, "0")
  );
  // Not by reading the files, for which Deno wants to be allowed everything.
  const files = ["/proc/net/tcp", "/proc/net/tcp6"];
  const ends = `:${ours} [0-9A-F]*:${theirs} `;
  const found = execFileSync("grep", ["-h", ends, ...files]).toString();
  return found.trim().split(/ +/)[5].slice(0, 2);
}

function peeks(check: Check): void {
  check("peek() waits for octets and takes none", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    const peeking = far.peek();
    await near.write(pattern(300));
    assertEquals(await peeking, true);
    assertEquals(await far.peek(), true);
    assertEquals(await readExactly(far, 200), pattern(300).slice(0, 200));
    assertEquals(await far.peek(), true); // what was unread
    assertEquals(await readExactly(far, 100), pattern(300).slice(200));
    await close();
  });

  check("peek() sees a FIN, again and again", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    const peeking = far.peek();
    await near.closeWrite();
    assertEquals(await peeking, false);
    assertEquals(await far.peek(), false);
    assertEquals(await far.read(), null);
    assertEquals(await far.peek(), false);
    far.unread(pattern(2));
    assertEquals(await far.peek(), true);
    await close();
  });

  check("peek() sees octets before their FIN", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(7));
    await near.closeWrite();
    assertEquals(await far.peek(), true);
    assertEquals(await readAll(far), pattern(7));
    assertEquals(await far.peek(), false);
    await close();
  });

  check("read() while peek() waits gets all in order", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    const sent = pattern(3 * MIB);
    far.peek();
    const reading = readAll(far);
    await near.write(sent);
    await near.closeWrite();
    assertSameOctets(await reading, sent);
    await close();
  });

  check("close() while peek() waits rejects with closed", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    const peeking = far.peek();
    far.close();
    await assertKind(peeking, "closed");
    await assertKind(far.peek(), "closed");
    await assertKind(far.read(), "closed");
    near.peek().catch(() => {});
    await close();
  });

  check("close() drops what peek() has seen", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(5));
    assertEquals(await far.peek(), true);
    far.close();
    await assertKind(far.peek(), "closed");
    await assertKind(far.read(), "closed");
    await close();
  });

  check(
    "a peek() that nobody waits for any more is no unhandled rejection",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      near.peek();
      far.peek();
      await close();
    },
  );
}

/** That a relay takes what a waiting {@linkcode Conn.peek} was about to see. */
export function relaysAfterPeek(
  check: Check,
  what: string,
  relayOf: (transport: Transport) => RelayFunction,
  wrap: (conn: Conn) => Conn = (conn) => conn,
): void {
  /** Both ends of a relay, whose sides are peeked at when it begins. */
  async function start(
    transport: Transport,
    before: (client: Conn, target: Conn) => Promise<void>,
  ) {
    const left = await connectedPair(transport);
    const right = await connectedPair(transport);
    const [a, b] = [wrap(left.far), wrap(right.near)];
    const peeks = [a.peek(), b.peek()].map((it) => it.catch(() => undefined));
    await before(left.near, right.far);
    const relay = relayOf(transport)(a, b);
    return {
      client: left.near,
      target: right.far,
      relay,
      async close() {
        await left.close();
        await right.close();
        await relay.done;
        await Promise.all(peeks);
      },
    };
  }

  const cases: [string, (client: Conn, target: Conn) => Promise<void>][] = [
    ["waits", async () => {}],
    ["has not noticed octets", async (client, target) => {
      await client.write(pattern(1000, 1));
      await target.write(pattern(1000, 2));
    }],
    ["has seen octets", async (client, target) => {
      await client.write(pattern(1000, 1));
      await target.write(pattern(1000, 2));
      await settled();
    }],
  ];
  for (const [state, before] of cases) {
    const sentBefore = state === "waits" ? 0 : 1000;
    check(
      `${what} loses nothing when peek() ${state} as it begins`,
      async (transport) => {
        const { client, target, relay, close } = await start(transport, before);
        const [up, down] = [pattern(MIB, 1), pattern(MIB, 2)];
        const [, , gotUp, gotDown] = await Promise.all([
          client.write(up.subarray(sentBefore)).then(() => client.closeWrite()),
          target.write(down.subarray(sentBefore))
            .then(() => target.closeWrite()),
          readAll(target),
          readAll(client),
        ]);
        assertSameOctets(gotUp, up);
        assertSameOctets(gotDown, down);
        assertEquals((await relay.done).reason, "finished");
        assertEquals([relay.sent, relay.received], [MIB, MIB]);
        await close();
      },
    );
  }

  check(
    `${what} passes on the FIN that peek() has seen, and octets before it`,
    async (transport) => {
      const { client, target, relay, close } = await start(
        transport,
        async (client, target) => {
          await client.closeWrite();
          await target.write(pattern(3));
          await target.closeWrite();
          await settled();
        },
      );
      assertEquals(await readAll(target), pattern(0));
      assertEquals(await readAll(client), pattern(3));
      assertEquals((await relay.done).reason, "finished");
      await close();
    },
  );

  check(
    `${what} that is aborted ends the peek() that waits`,
    async (transport) => {
      const { relay, close } = await start(transport, async () => {});
      relay.abort();
      assertEquals((await relay.done).reason, "aborted");
      await close();
    },
  );
}

/** A UDP socket and what it has received. */
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

/** Sends to a receiver until it has one more datagram than before, which shows that both sockets live. */
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

/** The port of a UDP socket that is closed now. */
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
      `datagrams() carries 0 to 65507 octets whole ${named}`,
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
      `datagrams() loses what can't be sent ${named}, and that alone`,
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
        // IPv6 would send that: the kernel drops it later.
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
      `datagrams() lives on when nobody is there ${named}, and no other datagram is lost`,
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
          await settled(); // the ICMP errors are there
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

  check("datagrams() keeps the order", async (transport) => {
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

  check("datagrams() hands payloads over for good", async (transport) => {
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
    b.got[0].payload.fill(0); // and nobody else's
    assertEquals(b.got[1].payload, pattern(101, 1));
    a.socket.close();
    b.socket.close();
  });

  check("datagrams() sends what comes in one burst", async (transport) => {
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
    "datagrams() on :: and on an IPv4-mapped address keep to their family",
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

  check("datagrams() takes brackets and shows none", async (transport) => {
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
    "a closed UDP socket neither sends nor hands over",
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
    "a UDP socket may be closed by what it hands over",
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

  check("what was sent before close() is sent", async (transport) => {
    const a = await receiver(transport);
    const b = await receiver(transport);
    a.socket.send(pattern(8), b.socket.addr.hostname, b.socket.addr.port);
    a.socket.close();
    await b.has(1);
    assertEquals(b.got[0].payload, pattern(8));
    b.socket.close();
  });
}

function sourceAddresses(check: Check, options: ContractOptions): void {
  check("sourceAddress() of loopback is loopback", async (transport) => {
    assertEquals(await transport.sourceAddress("127.0.0.1"), "127.0.0.1");
    assertEquals(await transport.sourceAddress("::1"), "::1");
    assertEquals(await transport.sourceAddress("[::1]"), "::1");
    assertEquals(
      await transport.sourceAddress("::ffff:127.0.0.1"),
      "127.0.0.1",
    );
  });

  check(
    "sourceAddress() is an address to bind, if there is a way",
    async (transport) => {
      for (const hostname of ["192.0.2.1", "2001:db8::1"]) {
        const source = await transport.sourceAddress(hostname)
          .catch((error) => error.kind);
        if (/unreachable$/.test(source)) continue;
        const socket = await transport.datagrams(
          { hostname: source, port: 0 },
          () => {},
        );
        assertEquals(socket.addr.hostname, source);
        socket.close();
      }
    },
  );

  const outcome = options.noRoutes ? "does not know" : "rejects";
  check(
    `sourceAddress() ${outcome} when there is no way`,
    async (transport) => {
      for (const hostname of ["255.255.255.255", "fe80::1"]) {
        const source = transport.sourceAddress(hostname);
        if (options.noRoutes) {
          const unknown = hostname.includes(":") ? "::" : "0.0.0.0";
          assertEquals(await source, unknown);
        } else {
          // A broadcast needs leave, a link-local address the name of its link.
          await assertKind(source, "denied", "net-unreachable");
        }
      }
    },
  );
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
    `${what} passes on what comes after a busy and then a quiet time`,
    (transport) =>
      withSkips(async (skip) => {
        const { client, target, close } = await start(transport);
        const bulk = pattern(4 * MIB);
        for (const [from, to] of [[client, target], [target, client]]) {
          const [got] = await Promise.all([
            readExactly(to, bulk.length),
            from.write(bulk),
          ]);
          assertSameOctets(got, bulk);
        }
        skip(60_000);
        for (let i = 1; i <= 3; i++) {
          for (const [from, to] of [[client, target], [target, client]]) {
            const message = pattern(i * 100, i);
            await from.write(message);
            assertSameOctets(await readExactly(to, message.length), message);
          }
        }
        await close();
      }),
  );

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
    `${what} frees both sides when octets come for a side that has left`,
    async (transport) => {
      for (const first of ["client", "target"] as const) {
        const relayed = await start(transport);
        const early = relayed[first];
        const late = first === "client" ? relayed.target : relayed.client;
        await late.write(pattern(5));
        await readExactly(early, 5);
        early.close(); // a FIN, and a reset for all that comes then
        const writing = (async () => {
          await late.write(pattern(MIB));
          for (;;) {
            await late.write(pattern(1000));
            await settled();
          }
        })();
        await assertKind(writing, "reset");
        await relayed.relay.done;
        await relayed.close();
      }
    },
  );

  check(
    `${what} ends after the idle time and not before`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport, {
        idle: 600,
      });
      const started = performance.now();
      for (let i = 0; i < 6; i++) {
        await new Promise((resolve) => setTimeout(resolve, 150));
        await client.write(pattern(1));
        await readExactly(target, 1);
      }
      assertEquals((await relay.done).reason, "idle");
      assert(performance.now() - started > 1_300);
      await client.read().catch(() => null);
      await close();
    },
  );

  check(
    `${what} that is idle resets a receiver that lacks octets`,
    async (transport) => {
      for (const slow of ["client", "target"] as const) {
        const relayed = await start(transport, { idle: 200 });
        const receiver = relayed[slow];
        const sender = slow === "client" ? relayed.target : relayed.client;
        const sending = sender.write(pattern(32 * MIB)).catch(() => {});
        assertEquals((await relayed.relay.done).reason, "idle");
        const end = await readAll(receiver).then(
          () => null,
          ({ kind }) => kind,
        );
        if (!contract.noReset) assertEquals(end, "reset");
        await relayed.close();
        await sending;
      }
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
