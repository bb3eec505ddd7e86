import { assertEquals } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import { runtime, test } from "../support/harness.ts";
import {
  assertKind,
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  settled,
} from "./contract.ts";

/** Tests of sockets of Bun. */
const options = { skip: runtime === "bun" ? undefined : "needs Bun's sockets" };

test(
  "bun: read() rejects with reset when an earlier write has consumed the reset",
  async () => {
    const { near, far, close } = await connectedPair(await detectTransport());
    near.reset();
    await assertKind(far.write(pattern(1)), "reset"); // the kernel's only ECONNRESET
    await assertKind(far.read(), "reset");
    await close();
  },
  options,
);

test("bun: read() returns bytes that arrived before both FINs", async () => {
  const { near, far, close } = await connectedPair(await detectTransport());
  const sent = pattern(2 * 1024 * 1024);
  await far.closeWrite();
  const writing = near.write(sent).then(() => near.closeWrite());
  await settled(); // far is paused; now both directions have ended
  assertSameOctets(await readAll(far), sent);
  await writing;
  await close();
}, options);

test("bun: write() keeps the order when calls are not awaited", async () => {
  const { near, far, close } = await connectedPair(await detectTransport());
  const sent = pattern(16 * 1024 * 1024);
  const writes: Promise<void>[] = [];
  for (let at = 0, size = 700_000; at < sent.length; at += size) {
    size = writes.length % 2 ? 3 : 700_000; // a short write may fit after a long one did not
    writes.push(near.write(sent.subarray(at, at + size)));
  }
  writes.push(near.closeWrite());
  assertSameOctets(await readAll(far), sent);
  await Promise.all(writes);
  await close();
}, options);

test(
  "bun: connect() leaves no socket open when an aborted attempt succeeds",
  async () => {
    const transport = await detectTransport();
    const ends: Promise<unknown>[] = [];
    const listener = await transport.listen(
      { hostname: "127.0.0.1", port: 0 },
      (conn) => {
        ends.push(conn.read().catch((error) => error.kind));
        ends.at(-1)!.then(() => conn.close());
      },
    );
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController();
      const { signal } = controller;
      const attempt = transport.connect({ ...listener.addr, signal });
      controller.abort();
      await assertKind(attempt, "aborted");
    }
    while (ends.length < 20) await settled();
    assertEquals(await Promise.all(ends), Array(20).fill("reset"));
    await listener.close();
  },
  options,
);
