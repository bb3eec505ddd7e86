/** Relays between a side with TLS and one without, as those of every server with TLS. */

import type * as net from "node:net";
import type * as tls from "node:tls";
import { assert, assertEquals } from "@std/assert";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { certificates } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";
import {
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  relays,
  relaysAfterPeek,
  relaysBelowLayers,
  settled,
} from "./contract.ts";

const { ca, server } = certificates();
const clientTls = { serverName: "localhost", ca: ca.cert };

/** A transport whose first, third … listener speaks TLS, or whose second, fourth … */
async function mixed(first: "TLS" | "plain"): Promise<Transport> {
  const native = await detectTransport();
  const secure = new Set<number>();
  let isNext = first === "TLS";
  return {
    ...native,
    async listen(options, ...listeners) {
      const own = isNext ? { ...options, tls: server } : options;
      const listener = await native.listen(own, ...listeners);
      if (isNext) secure.add(listener.addr.port);
      isNext = !isNext;
      return listener;
    },
    connect: (options) =>
      native.connect(
        secure.has(options.port) ? { ...options, tls: clientTls } : options,
      ),
  };
}

for (const first of ["TLS", "plain"] as const) {
  const check = (what: string, fn: (transport: Transport) => Promise<void>) =>
    test(`${first} client: ${what}`, async () => {
      await fn(await mixed(first));
      await settled();
    });
  const plainSide = first === "TLS" ? "target" : "client";
  const contract = { noReset: runtime === "deno" && plainSide } as const;
  relays(check, contract, "relay()", ({ relay }) => relay);
  relaysAfterPeek(check, "relay()", ({ relay }) => relay);
  relaysBelowLayers(check, "relay()", ({ relay }) => relay);

  check("relay() counts and forwards records of every size", async (it) => {
    const [left, right] = [await connectedPair(it), await connectedPair(it)];
    const relay = it.relay(left.far, right.near);
    const sizes = [1, 4_095, 4_096, 16_383, 16_384, 16_385, 65_536, 262_145];
    const rows = [...sizes, ...sizes.toReversed()].map((it) => pattern(it, it));
    const all = new Uint8Array(rows.flatMap((it) => [...it]));
    const send = async (conn: Conn) => {
      for (const it of rows) await conn.write(it);
      await conn.closeWrite();
    };
    const [up, down] = await Promise.all([
      readAll(right.far),
      readAll(left.near),
      send(left.near),
      send(right.far),
    ]);
    assertSameOctets(up, all);
    assertSameOctets(down, all);
    assertEquals((await relay.done).reason, "finished");
    assertEquals([relay.sent, relay.received], [all.length, all.length]);
    await left.close();
    await right.close();
  });
}

test(
  "relay() works without the internals of Node.js that it uses",
  async () => {
    const it = await mixed("TLS");
    const [left, right] = [await connectedPair(it), await connectedPair(it)];
    const { socket } = left.far as unknown as { socket: { _handle: object } };
    Object.defineProperty(socket._handle, "useUserBuffer", {
      value: undefined,
    });
    const relay = it.relay(left.far, right.near);
    const sent = pattern(1_000_000);
    const writing = left.near.write(sent).then(() => left.near.closeWrite());
    assertSameOctets(await readAll(right.far), sent);
    await writing;
    await right.far.closeWrite();
    assertEquals(await left.near.read(), null);
    assertEquals((await relay.done).reason, "finished");
    await left.close();
    await right.close();
  },
  { skip: runtime === "node" ? undefined : "only Node.js has a relay for TLS" },
);

test(
  "relay() writes small records that arrive together at once",
  async () => {
    const it = await mixed("TLS");
    const [left, right] = [await connectedPair(it), await connectedPair(it)];
    const size = 1_400;
    const sender = left.near as unknown as { socket: tls.TLSSocket };
    sender.socket.setMaxSendFragment(size);
    const { socket } = right.near as unknown as { socket: net.Socket };
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    let writes = 0;
    socket.write = (...args: unknown[]) => {
      writes++;
      return write(...args);
    };
    const relay = it.relay(left.far, right.near);
    const sent = pattern(1_000_000);
    const writing = left.near.write(sent).then(() => left.near.closeWrite());
    assertSameOctets(await readAll(right.far), sent);
    await writing;
    const records = sent.length / size;
    assert(writes < records / 4, `${writes} writes of ${records} records`);
    await right.far.closeWrite();
    assertEquals(await left.near.read(), null);
    assertEquals((await relay.done).reason, "finished");
    await left.close();
    await right.close();
  },
  { skip: runtime === "node" ? undefined : "only Node.js has a relay for TLS" },
);
