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

const options = { skip: runtime === "bun" ? undefined : "of Bun's sockets" };

test(
  "bun: a reset that a write meets first is not shown as a FIN",
  async () => {
    const { near, far, close } = await connectedPair(await detectTransport());
    near.reset();
    await assertKind(far.write(pattern(1)), "reset"); // this takes the kernel's only ECONNRESET
    await assertKind(far.read(), "reset");
    await close();
  },
  options,
);

test("bun: the octets behind both FINs wait for a reader", async () => {
  const { near, far, close } = await connectedPair(await detectTransport());
  const sent = pattern(2 * 1024 * 1024);
  await far.closeWrite();
  const writing = near.write(sent).then(() => near.closeWrite());
  await settled(); // far has paused; now both directions have ended
  assertSameOctets(await readAll(far), sent);
  await writing;
  await close();
}, options);

test("bun: writes that are not awaited keep their order", async () => {
  const { near, far, close } = await connectedPair(await detectTransport());
  const sent = pattern(16 * 1024 * 1024);
  const writes: Promise<void>[] = [];
  for (let at = 0, size = 700_000; at < sent.length; at += size) {
    size = writes.length % 2 ? 3 : 700_000; // a short one may find room that the long one before did not
    writes.push(near.write(sent.subarray(at, at + size)));
  }
  writes.push(near.closeWrite());
  assertSameOctets(await readAll(far), sent);
  await Promise.all(writes);
  await close();
}, options);

test(
  "bun: an attempt that was given up leaves no socket when it succeeds",
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
