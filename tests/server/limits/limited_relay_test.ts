import { assert, assertEquals } from "@std/assert";
import { RateLimiter } from "../../../src/server/limits/rate_limiter.ts";
import { RateLimiters } from "../../../src/server/limits/rate_limiters.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import {
  type LimitedRelayOptions,
  relayByReading,
} from "../../../src/transport/relay.ts";
import type {
  Conn,
  Relay,
  Transport,
} from "../../../src/transport/transport.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { runtime, test } from "../../support/harness.ts";
import { ask, block } from "../../support/raw.ts";
import { echo, startServer, startTarget } from "../../support/server.ts";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../../transport/contract.ts";

interface Relayed {
  readonly client: Conn;
  readonly target: Conn;
  readonly relay: Relay;
  close(): Promise<void>;
}

async function relayed(options: LimitedRelayOptions): Promise<Relayed> {
  const transport = await detectTransport();
  const left = await connectedPair(transport);
  const right = await connectedPair(transport);
  const relay = relayByReading(left.far, right.near, options);
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
}

/**
 * Advances the clock only while everything waits for the rate limiter; returns how long
 * the work took.
 */
async function timeOf(
  work: Promise<unknown>,
  clock: FakeClock,
): Promise<number> {
  const started = clock.now();
  let over = false;
  const end = () => over = true;
  work.then(end, end);
  while (!over) {
    await until(() => over || clock.timers > 0);
    if (!over) clock.advance(10);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await work;
  return clock.now() - started;
}

test("relayByReading() relays all bytes in order, at the rate of its limiter", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000_000, clock);
  const { client, target, relay, close } = await relayed({ rateLimiter });
  const sent = pattern(2_000_000);
  const got = readAll(target);
  const ms = await timeOf(
    Promise.all([client.write(sent).then(() => client.closeWrite()), got]),
    clock,
  );
  assertSameOctets(await got, sent);
  assertEquals(relay.sent, sent.length);
  assert(ms >= 1_800 && ms <= 2_100, `${ms} ms`);
  await close();
  assertEquals([rateLimiter.waiting, clock.timers], [0, 0]);
});

test("relayByReading() limits both directions together, and passes on each FIN after the bytes before it", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000_000, clock);
  const { client, target, relay, close } = await relayed({ rateLimiter });
  const [up, down] = [pattern(300_000, 1), pattern(900_000, 2)];
  const work = (async () => {
    await client.write(up);
    await client.closeWrite();
    assertSameOctets(await readAll(target), up);
    const writing = target.write(down).then(() => target.closeWrite());
    assertSameOctets(await readAll(client), down);
    await writing;
  })();
  const ms = await timeOf(work, clock);
  assert(ms >= 1_000 && ms <= 1_300, `${ms} ms`);
  assertEquals((await relay.done).reason, "finished");
  assertEquals([relay.sent, relay.received], [up.length, down.length]);
  await close();
});

test("relayByReading() reads no more than it may pass on, a slice at a time", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000, clock);
  const { client, target, relay, close } = await relayed({ rateLimiter });
  await client.write(pattern(60_000));
  await until(() => rateLimiter.waiting > 0);
  assert(relay.sent <= 150, `${relay.sent} bytes at once`);
  const before = relay.sent;
  clock.advance(1_000);
  await until(() => rateLimiter.waiting > 0);
  assert(relay.sent > before && relay.sent <= before + 150);
  await readExactly(target, relay.sent);
  const writing = client.write(pattern(64 * 1024 * 1024)).catch(() => {});
  const written = await Promise.race([
    writing.then(() => true),
    new Promise((resolve) => setTimeout(resolve, 50, false)),
  ]);
  assertEquals(written, false); // the rest stays with the client
  relay.abort();
  rateLimiter.close();
  await writing;
  await close();
});

test(
  "relayByReading() resets the other side while bytes wait",
  async () => {
    const clock = new FakeClock();
    const rateLimiter = new RateLimiter(1_000, clock);
    const { client, target, relay, close } = await relayed({ rateLimiter });
    await client.write(pattern(60_000));
    await until(() => rateLimiter.waiting > 0);
    target.reset();
    const end = await relay.done;
    assertEquals([end.reason, end.side, end.error?.kind], [
      "error",
      "b",
      "reset",
    ]);
    rateLimiter.close();
    await assertKind(client.read(), "reset");
    await close();
    assertEquals([rateLimiter.waiting, clock.timers], [0, 0]);
  },
  { skip: runtime === "deno" ? "Deno can't send a reset" : undefined },
);

test("relayByReading() ends at once while bytes wait, and no waiter is left", async () => {
  const clock = new FakeClock();
  const rateLimiters = new RateLimiters(
    { bytesPerSecondPerSession: 1_000, bytesPerSecondPerUser: 1_000 },
    clock,
  );
  const rateLimiter = rateLimiters.open("alice")!;
  const { client, target, relay, close } = await relayed({ rateLimiter });
  await client.write(pattern(60_000));
  await target.write(pattern(60_000));
  await until(() => clock.timers > 0);
  const { sent, received } = relay;
  relay.owner = { relayEnded: () => rateLimiter.close() };
  relay.abort();
  assertEquals((await relay.done).reason, "aborted");
  assertEquals(clock.timers, 0);
  clock.advance(1_000); // everything is paid for
  rateLimiters.open("bob")!.close();
  assertEquals(rateLimiters.size, 0);
  await settled();
  assertEquals([relay.sent, relay.received], [sent, received]);
  await close();
});

test("relayByReading() is not idle while bytes wait, and idle afterwards", async () => {
  const clock = new FakeClock();
  const rateLimiter = new RateLimiter(1_000, clock);
  const relayedPair = await relayed({ rateLimiter, idle: 300 });
  const { client, target, relay, close } = relayedPair;
  await client.write(pattern(500));
  await until(() => rateLimiter.waiting > 0);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assertEquals(relay.ended, false);
  const got = readExactly(target, 500);
  await timeOf(got, clock);
  assertSameOctets(await got, pattern(500));
  assertEquals((await relay.done).reason, "idle");
  await close();
});

/** A transport whose relays share the rate of one user. */
async function limitedTransport(
  rateLimiters: RateLimiters,
  user: string,
): Promise<Transport> {
  const transport = await detectTransport();
  return Object.assign(Object.create(transport) as Transport, {
    relay(a: Conn, b: Conn, options: object): Relay {
      const rateLimiter = rateLimiters.open(user);
      const relay = relayByReading(a, b, { ...options, rateLimiter });
      relay.done.then(() => rateLimiter?.close());
      return relay;
    },
  });
}

test("RateLimiters shares a user's rate fairly between the sessions of a server", async () => {
  const clock = new FakeClock();
  const rateLimiters = new RateLimiters(
    { bytesPerSecondPerSession: Infinity, bytesPerSecondPerUser: 500_000 },
    clock,
  );
  const target = await startTarget(echo);
  const server = await startServer({
    transport: await limitedTransport(rateLimiters, "alice"),
  });
  const command = `01 00 ${block(target.addr)}`;
  const clients = await Promise.all(
    Array.from({ length: 8 }, () => ask(server, command)),
  );
  const sent = pattern(100_000);
  const ends: number[] = [];
  const work = Promise.all(clients.map(async ({ conn }) => {
    const got = readAll(conn);
    await conn.write(sent);
    await conn.closeWrite();
    assertSameOctets(await got, sent);
    ends.push(clock.now());
  }));
  const started = clock.now();
  const ms = await timeOf(work, clock);
  assert(ms >= 3_000 && ms <= 3_400, `${ms} ms for 1,600,000 bytes`);
  const first = Math.min(...ends) - started;
  assert(first >= ms * 0.5, `the first ended after ${first} of ${ms} ms`);
  for (let i = 0; i < 8; i++) {
    assertEquals((await server.ended()).reason, "finished");
  }
  await settled();
  assertEquals(clock.timers, 0);
  clock.advance(1_000); // everything is paid for
  rateLimiters.open("bob")!.close();
  assertEquals(rateLimiters.size, 0);
  for (const { conn } of clients) conn.close();
  await server.close();
  await target.close();
});
