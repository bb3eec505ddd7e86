/** UDP associations whose authentication method wraps the datagrams. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type DatagramWrapper,
  udpAssociate,
  type UdpAssociation,
} from "../../src/client/mod.ts";
import { test } from "../support/harness.ts";
import { assertClosesConnection, startProxy } from "../support/scripted.ts";
import { octets } from "../support/table.ts";
import { xorDatagrams } from "../support/wrapped_conn.ts";
import { assertSameOctets, pattern, until } from "../transport/contract.ts";
import {
  ASKED,
  bound,
  HEADER,
  type Mailbox,
  nextText,
  plain,
  startMailbox,
  TARGET,
  text,
} from "./associated.ts";
import { framed, wrapping } from "./wrapping.ts";

interface WrappedScene {
  readonly udp: UdpAssociation;
  readonly relay: Mailbox;
  /** Sends the client a datagram as it is. */
  send(datagram: Uint8Array): void;
}

/** An association with a scripted proxy, whose datagrams are wrapped. */
async function associated(
  use: (scene: WrappedScene) => Promise<void>,
  datagrams: DatagramWrapper = xorDatagrams,
): Promise<void> {
  const relay = await startMailbox();
  const server = await startProxy([
    ["05 01 80", "05 80"],
    ["2A", "00"],
    [framed(ASKED), framed(`05 00 00 ${bound(relay.addr)}`)],
  ]);
  const { auth, conns } = wrapping();
  const negotiate: typeof auth.negotiate = async (exchange) => ({
    ...await auth.negotiate!(exchange),
    datagrams,
  });
  const udp = await udpAssociate({ ...plain, ...server.addr }, {
    auth: [{ ...auth, negotiate }],
  });
  const { hostname, port } = udp.localAddr;
  const send = (datagram: Uint8Array) => relay.send(datagram, hostname, port);
  try {
    await use({ udp, relay, send });
  } finally {
    udp.close();
    assert(conns[0].closed);
    await assertClosesConnection(server.rest);
    relay.close();
    await server.close();
  }
}

test("an association wraps the datagrams that it sends, and unwraps those that it receives", async () => {
  await associated(async ({ udp, relay, send }) => {
    await udp.send(text("hello"), TARGET);
    const sent = octets(`${HEADER} "hello"`);
    assertEquals((await relay.packet(0)).payload, xorDatagrams.wrap(sent));
    send(xorDatagrams.wrap(octets(`${HEADER} "hi"`)));
    assertEquals((await udp.next()).value, [text("hi"), TARGET]);
    assertEquals(udp.dropped, 0);
  });
});

test("an association reassembles wrapped fragments", async () => {
  const from = HEADER.slice("00 00 00 ".length);
  await associated(async ({ udp, send }) => {
    send(xorDatagrams.wrap(octets(`00 00 01 ${from} "A"`)));
    send(xorDatagrams.wrap(octets(`00 00 82 ${from} "B"`)));
    assertEquals(await nextText(udp), "AB");
  });
});

test("an association drops datagrams that cannot be unwrapped, also when the method throws", async () => {
  const throwing: DatagramWrapper = {
    ...xorDatagrams,
    unwrap(datagram) {
      const plain = xorDatagrams.unwrap(datagram);
      if (!plain) throw new Error("not mine");
      return plain;
    },
  };
  for (const wrapper of [xorDatagrams, throwing]) {
    await associated(async ({ udp, send }) => {
      const plain = octets(`${HEADER} "evil"`);
      const tampered = xorDatagrams.wrap(plain);
      tampered[12] ^= 1;
      const malformed = xorDatagrams.wrap(octets("00 00 00 09"));
      for (const it of [plain, tampered, malformed, octets("")]) send(it);
      await until(() => udp.dropped === 4);
      send(xorDatagrams.wrap(octets(`${HEADER} "good"`)));
      assertEquals(await nextText(udp), "good");
    }, wrapper);
  }
});

test("maxPayload() leaves room for the overhead of the method", async () => {
  await associated(async ({ udp, relay }) => {
    const size = 65_507 - 10 - 1;
    assertEquals(udp.maxPayload(TARGET), size);
    const long = pattern(size + 1);
    await assertRejects(() => udp.send(long, TARGET), RangeError);
    await udp.send(long.subarray(0, size), TARGET);
    const { payload } = await relay.packet(0);
    assertEquals(payload.length, 65_507);
    const plain = xorDatagrams.unwrap(payload)!;
    assertSameOctets(plain.subarray(10), long.slice(0, size));
  });
});
