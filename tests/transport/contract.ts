/**
 * The contract of a transport, as tests. They need only a {@linkcode Transport}. To test
 * one of your own, call
 *
 *     transportContract("mine", () => Promise.resolve(myTransport));
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
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
import { withClock } from "../support/skipping_clock.ts";

/** Known gaps of a transport. */
export interface ContractOptions {
  /**
   * The runtime cannot send RST: peers see the end of the stream instead. With different
   * transports on both sides of a relay: the side that cannot.
   */
  readonly noReset?: boolean | "client" | "target";
  /** The runtime cannot connect UDP sockets: only the source address of loopback is known. */
  readonly noRoutes?: boolean;
  /** The runtime does not support shared ports: `listen()` rejects `reusePort`. */
  readonly noReusePort?: boolean;
}

const MIB = 1024 * 1024;

/** Returns `size` pseudo-random bytes. */
export function pattern(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let x = seed >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** Reads up to the FIN. */
export async function readAll(conn: Conn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let c = await conn.read(); c; c = await conn.read()) chunks.push(c);
  return join(chunks);
}

/** Reads exactly this many bytes and unreads the rest. */
export async function readExactly(
  conn: Conn,
  size: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let have = 0;
  while (have < size) {
    const chunk = await conn.read();
    if (!chunk) throw new Error(`FIN after ${have} of ${size} bytes`);
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

/** Compares many bytes without printing them. */
export function assertSameOctets(actual: Uint8Array, expected: Uint8Array) {
  assertEquals(actual.length, expected.length);
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  assertEquals(at, -1, `the bytes differ at ${at}`);
}

/** Passes if the promise rejects with a {@linkcode NetError} of one of these kinds. */
export async function assertKind(
  promise: Promise<unknown>,
  ...kinds: NetErrorKind[]
): Promise<void> {
  const error = await assertRejects(() => promise, NetError);
  assert(kinds.includes(error.kind), `kind ${error.kind}: ${error.message}`);
}

/** The two ends of a connection. */
export interface Pair {
  readonly near: Conn;
  readonly far: Conn;
  /** Closes both ends. */
  close(): Promise<void>;
}

/** Opens a connection through a listener of its own. */
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

/** Waits until the runtime has closed the sockets that are closing. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Resolves when `holds()` returns `true`. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}

type RelayFunction = Transport["relay"];

/** Registers the tests; each of them calls `load`. */
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
  relaysBelowLayers(check, "relay()", (transport) => transport.relay);
  datagrams(check);
  sourceAddresses(check, options);
}

/** Registers a test of a transport. */
export type Check = (
  what: string,
  fn: (transport: Transport) => Promise<void>,
) => void;

function listenAndConnect(check: Check, contract: ContractOptions): void {
  check(
    "listen() returns the port when the system chose it",
    async (transport) => {
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        () => {},
      );
      assertEquals(listener.addr.hostname, "127.0.0.1");
      assert(listener.addr.port > 0);
      await listener.close();
    },
  );

  check(
    "connect() and listen() report the same two addresses",
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
    "listen() and connect() accept brackets and report none",
    async (transport) => {
      const pair = await connectedPair(transport, "[::1]");
      assertEquals(pair.near.remoteAddr.hostname, "::1");
      await pair.close();
    },
  );

  check(
    "connect() uses `localAddress` when it is given",
    async (transport) => {
      let accepted!: (conn: Conn) => void;
      const incoming = new Promise<Conn>((resolve) => accepted = resolve);
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        (conn) => accepted(conn),
      );
      const { signal } = new AbortController(); // its listeners are removed on failure, too
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
    "listen() reports an IPv4 address when an IPv4 peer connects to ::",
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
      ? "listen() rejects with invalid when a port is to be shared"
      : "listen() distributes connections when two listeners share a port",
    async (transport) => {
      assertEquals(transport.canReusePort ?? false, !contract.noReusePort);
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
      // The kernel distributes them at random: 500 for one listener is next to impossible.
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
    "listen() rejects when only one of two listeners shares the port",
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
    "listener.close() refuses further connections, releases the port and keeps connections open",
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
    "connect() rejects with refused when nothing listens, and with invalid for port 0",
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

  check(
    "connect() rejects with the reason of its signal",
    async (transport) => {
      const accepted: Conn[] = [];
      const listener = await transport.listen(
        { hostname: "127.0.0.1", port: 0 },
        (conn) => accepted.push(conn),
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
      await listener.close();
      await settled(); // the listener may accept connections after connect() has resolved
      for (const it of [conn, ...accepted]) it.close();
    },
  );

  check("listen() accepts 200 connections at once", async (transport) => {
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

  check(
    "reverse() finds a name of this machine and rejects with dns",
    async (transport) => {
      assertMatch(await transport.reverse!("127.0.0.1"), /^[a-z][a-z\d.-]*$/i);
      await assertKind(transport.reverse!("no address"), "dns");
    },
  );

  check("lookup() finds localhost and rejects with dns", async (transport) => {
    const addresses = await transport.lookup("localhost");
    assert(addresses.includes("127.0.0.1") || addresses.includes("::1"));
    assertEquals(await transport.lookup("127.0.0.1"), ["127.0.0.1"]);
    await assertKind(transport.lookup(`${"a".repeat(64)}.invalid`), "dns");
  });
}

/** The tests of reading, writing and closing. */
export function readAndWrite(check: Check, options: ContractOptions): void {
  check(
    "closeWrite() ends one direction, and the other one continues",
    async (transport) => {
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
    },
  );

  check(
    "write() and closeWrite() keep their order when none is awaited",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      // More than the kernel accepts at once
      const parts = [8 * MIB, 10, 3 * MIB].map((it, i) => pattern(it, i));
      const writes = parts.map((it) => near.write(it));
      const closing = near.closeWrite();
      await assertKind(near.write(pattern(1)), "closed");
      const [got] = await Promise.all([readAll(far), closing, ...writes]);
      const sent = new Uint8Array(11 * MIB + 10);
      parts.reduce((at, it) => (sent.set(it, at), at + it.length), 0);
      assertSameOctets(got, sent);
      await close();
    },
  );

  check(
    "read() returns bytes, and their FIN, that arrived before it",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      await near.write(pattern(100));
      await near.closeWrite();
      await settled();
      assertEquals(await readAll(far), pattern(100));
      await close();
    },
  );

  check(
    "unread() puts bytes in front of the stream, even after its end",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      await near.write(pattern(8));
      await near.closeWrite();
      const bytes = await readExactly(far, 8);
      assertEquals(await far.read(), null);
      far.unread(bytes.slice(4));
      far.unread(bytes.slice(0, 4));
      assertEquals(await readAll(far), bytes);
      await close();
    },
  );

  check("read() returns a chunk that its caller owns", async (transport) => {
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
    "write() resolves only when a slow reader has read enough",
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
    "close() ends both directions once, and calls reject with closed",
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
    "write() rejects with reset when the peer is gone",
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
      "keepAlive() makes the kernel probe a silent peer",
      async (transport) => {
        for (const hostname of ["127.0.0.1", "::1"]) {
          const { near, far, close } = await connectedPair(transport, hostname);
          for (const conn of [near, far]) {
            await until(() => timerOf(conn) === "00"); // everything is confirmed
            conn.keepAlive!();
            assertEquals(timerOf(conn), "02");
          }
          await close();
          near.keepAlive!(); // no error on a closed connection
        }
      },
    );
  }

  const seen = options.noReset ? "the end of the stream" : "a reset";
  check(`reset() is ${seen} for the peer`, async (transport) => {
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

/** Returns the timer of a connection in Linux: "00" for none, "02" for keepalive. */
export function timerOf(
  { localAddr, remoteAddr }: Pick<Conn, "localAddr" | "remoteAddr">,
): string {
  const [ours, theirs] = [localAddr, remoteAddr].map(({ port }) =>
    port.toString(16).toUpperCase().padStart(4, "0")
  );
  // By a program, because Deno reads files in /proc only with all permissions.
  const files = ["/proc/net/tcp", "/proc/net/tcp6"];
  const ends = `:${ours} [0-9A-F]*:${theirs} `;
  const found = execFileSync("grep", ["-h", ends, ...files]).toString();
  return found.trim().split(/ +/)[5].slice(0, 2);
}

/** The tests of {@linkcode Conn.peek}. */
export function peeks(check: Check): void {
  check("peek() waits for bytes and takes none", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    const peeking = far.peek();
    await near.write(pattern(300));
    assertEquals(await peeking, true);
    assertEquals(await far.peek(), true);
    assertEquals(await readExactly(far, 200), pattern(300).slice(0, 200));
    assertEquals(await far.peek(), true); // unread bytes
    assertEquals(await readExactly(far, 100), pattern(300).slice(200));
    await close();
  });

  check("peek() reports FIN each time", async (transport) => {
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

  check("peek() reports bytes before their FIN", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(7));
    await near.closeWrite();
    assertEquals(await far.peek(), true);
    assertEquals(await readAll(far), pattern(7));
    assertEquals(await far.peek(), false);
    await close();
  });

  check(
    "read() returns everything in order when peek() is waiting",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const sent = pattern(3 * MIB);
      far.peek();
      const reading = readAll(far);
      await near.write(sent);
      await near.closeWrite();
      assertSameOctets(await reading, sent);
      await close();
    },
  );

  check(
    "peek() rejects with closed when the connection is closed meanwhile",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      const peeking = far.peek();
      far.close();
      await assertKind(peeking, "closed");
      await assertKind(far.peek(), "closed");
      await assertKind(far.read(), "closed");
      near.peek().catch(() => {});
      await close();
    },
  );

  check("close() drops bytes that peek() has reported", async (transport) => {
    const { near, far, close } = await connectedPair(transport);
    await near.write(pattern(5));
    assertEquals(await far.peek(), true);
    far.close();
    await assertKind(far.peek(), "closed");
    await assertKind(far.read(), "closed");
    await close();
  });

  check(
    "peek() causes no unhandled rejection when it is not awaited",
    async (transport) => {
      const { near, far, close } = await connectedPair(transport);
      near.peek();
      far.peek();
      await close();
    },
  );
}

/** The tests of relays that start while {@linkcode Conn.peek} is waiting. */
export function relaysAfterPeek(
  check: Check,
  what: string,
  relayOf: (transport: Transport) => RelayFunction,
  wrap: (conn: Conn) => Conn = (conn) => conn,
): void {
  /** Starts a relay after a peek at both sides. */
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
    ["is waiting", async () => {}],
    ["has not reported bytes", async (client, target) => {
      await client.write(pattern(1000, 1));
      await target.write(pattern(1000, 2));
    }],
    ["has reported bytes", async (client, target) => {
      await client.write(pattern(1000, 1));
      await target.write(pattern(1000, 2));
      await settled();
    }],
  ];
  for (const [state, before] of cases) {
    const sentBefore = state === "is waiting" ? 0 : 1000;
    check(
      `${what} loses nothing when peek() ${state} at its start`,
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
    `${what} forwards the FIN that peek() has reported, and bytes before it`,
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
    `${what} ends a waiting peek() when it is aborted`,
    async (transport) => {
      const { relay, close } = await start(transport, async () => {});
      relay.abort();
      assertEquals((await relay.done).reason, "aborted");
      await close();
    },
  );
}

/** A layer that a relay must not use: reading, writing and closing through it is an error. */
class Layer implements Conn {
  readonly inner: Conn;

  constructor(inner: Conn) {
    this.inner = inner;
  }

  get localAddr(): Address {
    return this.inner.localAddr;
  }

  get remoteAddr(): Address {
    return this.inner.remoteAddr;
  }

  unread(chunk: Uint8Array): void {
    this.inner.unread(chunk);
  }

  read = misused;
  peek = misused;
  write = misused;
  closeWrite = misused;
  close = misused;
  reset = misused;
}

function misused(): never {
  throw new Error("a relay must not use the layer");
}

/** The tests of relays between layers; see {@linkcode Conn.inner}. */
export function relaysBelowLayers(
  check: Check,
  what: string,
  relayOf: (transport: Transport) => RelayFunction,
): void {
  for (const [layers, wrap] of layerings) {
    check(`${what} moves bytes below ${layers}`, async (transport) => {
      const left = await connectedPair(transport);
      const right = await connectedPair(transport);
      const [a, b] = wrap(left.far, right.near);
      a.unread(pattern(10));
      b.unread(pattern(20));
      const relay = relayOf(transport)(a, b);
      const [up, down] = [pattern(2 * MIB, 1), pattern(MIB, 2)];
      const [, , gotUp, gotDown] = await Promise.all([
        left.near.write(up).then(() => left.near.closeWrite()),
        right.far.write(down).then(() => right.far.closeWrite()),
        readAll(right.far),
        readAll(left.near),
      ]);
      assertSameOctets(gotUp, join([pattern(10), up]));
      assertSameOctets(gotDown, join([pattern(20), down]));
      assertEquals((await relay.done).reason, "finished");
      assertEquals([relay.sent, relay.received], [2 * MIB + 10, MIB + 20]);
      await assertKind(left.far.read(), "closed");
      await assertKind(right.near.read(), "closed");
      await left.close();
      await right.close();
    });
  }
}

const layerings: [string, (a: Conn, b: Conn) => [Conn, Conn]][] = [
  ["layers on both sides", (a, b) => [new Layer(a), new Layer(b)]],
  ["layers on one side", (a, b) => [a, new Layer(new Layer(new Layer(b)))]],
];

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

function sourceAddresses(check: Check, options: ContractOptions): void {
  check("sourceAddress() returns loopback for loopback", async (transport) => {
    assertEquals(await transport.sourceAddress("127.0.0.1"), "127.0.0.1");
    assertEquals(await transport.sourceAddress("::1"), "::1");
    assertEquals(await transport.sourceAddress("[::1]"), "::1");
    assertEquals(
      await transport.sourceAddress("::ffff:127.0.0.1"),
      "127.0.0.1",
    );
  });

  check(
    "sourceAddress() returns an address that can be bound when there is a route",
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

  const outcome = options.noRoutes ? "returns zeros" : "rejects";
  check(
    `sourceAddress() ${outcome} when there is no route`,
    async (transport) => {
      for (const hostname of ["255.255.255.255", "fe80::1"]) {
        const source = transport.sourceAddress(hostname);
        if (options.noRoutes) {
          const unknown = hostname.includes(":") ? "::" : "0.0.0.0";
          assertEquals(await source, unknown);
        } else {
          // A broadcast needs permission, a link-local address the name of its link.
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

/** The tests of a relay function. */
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
    `${what} moves bytes both ways at once and counts them`,
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

  check(`${what} forwards small messages one by one`, async (transport) => {
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
    `${what} forwards messages after a busy and then a quiet time`,
    (transport) =>
      withClock(async (clock) => {
        const { client, target, close } = await start(transport, { clock });
        const bulk = pattern(4 * MIB);
        for (const [from, to] of [[client, target], [target, client]]) {
          const [got] = await Promise.all([
            readExactly(to, bulk.length),
            from.write(bulk),
          ]);
          assertSameOctets(got, bulk);
        }
        clock.skip(60_000);
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
    `${what} forwards a FIN and 10 MiB in the other direction after it`,
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
    `${what} forwards bytes and a FIN that arrived before it`,
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
    `${what} slows down a sender whose receiver does not read`,
    async (transport) => {
      const { client, target, relay, close } = await start(transport);
      const sent = pattern(64 * MIB);
      const writing = client.write(sent).then(() => client.closeWrite());
      let before = -1;
      while (relay.sent !== before) {
        before = relay.sent;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert(relay.sent < 32 * MIB, `read ${relay.sent} bytes ahead`);
      const got = await readAll(target);
      await writing;
      assertSameOctets(got, sent);
      await close();
    },
  );

  check(
    `${what} delivers buffered bytes to a slow receiver when both sides have sent FIN`,
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

  /**
   * Makes small writes to a target that has sent FIN and does not read, until the relay
   * reads no more or `limit` bytes are sent. Returns how many were sent.
   */
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
    `${what} turns a reset of one side into ${seen} for the other one`,
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

  /** Without a way to send RST the FIN is forwarded, and further writes meet a closed socket. */
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
    `${what} closes both sides when bytes arrive for a closed side`,
    async (transport) => {
      for (const first of ["client", "target"] as const) {
        const relayed = await start(transport);
        const early = relayed[first];
        const late = first === "client" ? relayed.target : relayed.client;
        await late.write(pattern(5));
        await readExactly(early, 5);
        early.close(); // sends FIN, and RST for everything that arrives later
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
    `${what} ends after the idle time, not before`,
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
    `${what} resets a receiver that lacks bytes when it is idle`,
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
    `${what} ends after the half-closed time when one side has sent FIN`,
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

  check(`${what} resets both sides when it is aborted`, async (transport) => {
    const { client, target, relay, close } = await start(transport);
    await client.write(pattern(3));
    await readExactly(target, 3);
    relay.abort();
    relay.abort();
    assertEquals((await relay.done).reason, "aborted");
    const ended = (conn: Conn) => conn.read().catch((error) => error.kind);
    const { noReset } = contract;
    const expected = (side: "client" | "target") =>
      noReset === true || noReset === side ? null : "reset";
    assertEquals(await ended(client), expected("client"));
    assertEquals(await ended(target), expected("target"));
    await close();
  });
}
