/** UDP associations, from the first datagram to their end. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Conn,
  type Endpoint,
  NetError,
  SocksError,
  udpAssociate,
} from "../../src/client/mod.ts";
import { encodeDatagram } from "../../src/protocol/datagram.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { runtime, test } from "../support/harness.ts";
import {
  assertSocksError,
  overridden,
  startProxy,
} from "../support/scripted.ts";
import { startServer } from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { octets } from "../support/table.ts";
import { assertSameOctets, pattern, until } from "../transport/contract.ts";
import {
  ASKED,
  assertDone,
  associated,
  bound,
  CHOSEN,
  HEADER,
  nextText,
  plain,
  startMailbox,
  TARGET,
  text,
} from "./associated.ts";

test("an association accepts datagrams from its relay only", async () => {
  await associated(async ({ udp, relay, answer }) => {
    const { hostname, port } = udp.localAddr;
    const stranger = await startMailbox();
    const impostor = await (await detectTransport()).datagrams(
      { hostname: "127.0.0.2", port: relay.addr.port },
      () => {},
    ).catch(() => undefined); // only Linux has all addresses of 127.0.0.0/8
    const strangers = [stranger, ...(impostor ? [impostor] : [])];
    for (const it of strangers) {
      it.send(octets(`${HEADER} "evil"`), hostname, port);
    }
    await until(() => udp.dropped === strangers.length);
    answer("good");
    assertEquals(await nextText(udp), "good");
    for (const it of strangers) it.close();
  });
});

test("an association drops malformed datagrams and continues", async () => {
  const malformed = [
    "",
    "00",
    "00 00 00",
    "00 00 00 01 C0 00 02 01 00",
    "00 00 00 04 16*00 00",
    "00 00 00 09 C0 00 02 01 00 35",
    "00 00 00 03",
    "00 00 00 03 00 00",
    '00 00 00 03 FF "short" 00 35',
    "00 00 80 01 C0 00 02 01 00 35 01",
  ];
  await associated(async ({ udp, relay, answer }) => {
    const { hostname, port } = udp.localAddr;
    for (const it of malformed) relay.send(octets(it), hostname, port);
    answer("good");
    assertEquals(await nextText(udp), "good");
    assertEquals(udp.dropped, malformed.length);
  });
});

test("an association delivers datagrams whose source has an unusable name, as from an unknown source", async () => {
  const names = ["00", '03 "a" 00 "b"', '05 "web.1"', '05 "[::1]"', "02 C3 A4"];
  await associated(async ({ udp, relay }) => {
    const { hostname, port } = udp.localAddr;
    for (const name of names) {
      const datagram = octets(`00 00 00 03 ${name} 00 35 "hi"`);
      relay.send(datagram, hostname, port);
      const from = { hostname: "0.0.0.0", port: 53 };
      assertEquals((await udp.next()).value, [octets('"hi"'), from]);
    }
    assertEquals(udp.dropped, 0);
  });
});

test("an association reassembles fragments", async () => {
  const from = HEADER.slice("00 00 00 ".length);
  await associated(async ({ udp, relay, answer }) => {
    const { hostname, port } = udp.localAddr;
    const send = (fragment: string, payload: string) =>
      relay.send(
        octets(`00 00 ${fragment} ${from} "${payload}"`),
        hostname,
        port,
      );
    send("01", "A");
    send("02", "B");
    send("83", "C");
    assertEquals((await udp.next()).value, [text("ABC"), TARGET]);
    send("01", "lost");
    answer("alone");
    send("82", "lost");
    send("01", "lost");
    send("01", "D");
    send("82", "E");
    assertEquals(await nextText(udp), "alone");
    assertEquals(await nextText(udp), "DE");
    assertEquals(udp.dropped, 0);
    send("01", "never complete"); // its timeout ends with the association
    relay.send(octets("00"), hostname, port);
    await until(() => udp.dropped === 1);
  });
});

test("an association drops fragments when the next one does not arrive within 10 seconds", async () => {
  const from = HEADER.slice("00 00 00 ".length);
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    await associated(async ({ udp, relay, answer }) => {
      const { hostname, port } = udp.localAddr;
      relay.send(octets(`00 00 01 ${from} "A"`), hostname, port);
      await until(() => clock.waiting === 1);
      clock.skip(10_000);
      relay.send(octets(`00 00 82 ${from} "B"`), hostname, port);
      answer("good");
      assertEquals((await udp.next()).value, [text("good"), TARGET]);
    }, { transport });
  });
});

test("maxPayload() is the limit of send()", async () => {
  for (const protocol of ["socks5", "socks5h"] as const) {
    await associated(
      async ({ udp, relay }) => {
        const name = `${"x".repeat(60)}.${"y".repeat(60)}`;
        const sizes: [string | Endpoint, number][] = [
          [TARGET, 65_497],
          ["[::1]:1", 65_485],
          [`${name}:1`, protocol === "socks5" ? 65_485 : 65_500 - name.length],
        ];
        for (const [i, [target, size]] of sizes.entries()) {
          assertEquals(udp.maxPayload(target), size);
          const long = pattern(size + 1);
          await assertRejects(() => udp.send(long, target), RangeError);
          await udp.send(long.subarray(0, size), target);
          const { payload } = await relay.packet(i);
          assertSameOctets(payload.slice(-size), long.slice(0, size));
        }
        assertThrows(() => udp.maxPayload("a b:1"), TypeError);
        const { hostname, port } = udp.localAddr;
        const big = pattern(65_497);
        relay.send(
          encodeDatagram({ ...TARGET, payload: big }),
          hostname,
          port,
        );
        const { value } = await udp.next();
        assertSameOctets(value![0], big);
      },
      {
        transport: {
          ...await detectTransport(),
          lookup: () => Promise.resolve(["2001:db8::1"]),
        },
      },
      { protocol },
    );
  }
});

test("send() throws a TypeError for an invalid target", async () => {
  await associated(async ({ udp }) => {
    const bad = [
      "192.0.2.1",
      "192.0.2.1:0",
      "a b:1",
      { hostname: "192.0.2.1", port: 0 },
      { hostname: "192.0.2.1", port: 65536 },
      { hostname: "a\0b", port: 1 },
    ];
    for (const target of bad) {
      await assertRejects(() => udp.send(text("x"), target), TypeError);
    }
  });
});

test("send() resolves each name once with socks5, and other datagrams do not wait", async () => {
  const asked: string[] = [];
  const answers = new Map<string, (addresses: string[]) => void>();
  const lookup = (name: string) => {
    asked.push(name);
    if (name === "nowhere") return Promise.reject(new NetError("dns", "no"));
    return new Promise<string[]>((resolve) => answers.set(name, resolve));
  };
  const transport = { ...await detectTransport(), lookup };
  await associated(async ({ udp, relay }) => {
    const slow = ["1", "2"].map((it) => udp.send(text(it), "slow:53"));
    await udp.send(text("quick"), TARGET);
    assertEquals((await relay.packet(0)).payload, octets(`${HEADER} "quick"`));
    answers.get("slow")!(["192.0.2.1", "192.0.2.2"]);
    await Promise.all(slow);
    await udp.send(text("3"), "slow:53");
    for (const i of [1, 2, 3]) {
      const { payload } = await relay.packet(i);
      assertEquals(payload, octets(`${HEADER} "${i}"`));
    }
    assertEquals(asked, ["slow"]);
    for (const _ of [1, 2]) {
      await assertSocksError(udp.send(text("x"), "nowhere:1"), "dns", "udp");
    }
    assertEquals(asked, ["slow", "nowhere", "nowhere"]);

    const zoned = udp.send(text("4"), "zoned:53");
    answers.get("zoned")!(["fe80::1%2", "192.0.2.1"]);
    await zoned;
    const { payload } = await relay.packet(4);
    assertEquals(payload, octets(`${HEADER} "4"`));
    const none = udp.send(text("x"), "only-zoned:53");
    answers.get("only-zoned")!(["fe80::1%2"]);
    await assertSocksError(none, "address-type", "udp");

    const waiting = udp.send(text("x"), "other:1");
    udp.close();
    await assertSocksError(waiting, "closed", "udp");
  }, { transport });
});

test("send() resolves a name again after 30 seconds", async () => {
  let lookups = 0;
  const lookup = () => {
    lookups++;
    return Promise.resolve(["192.0.2.1"]);
  };
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock, lookup };
    await associated(async ({ udp }) => {
      for (const ms of [0, 29_000, 2_000]) {
        clock.skip(ms);
        await udp.send(text("x"), "name:53");
      }
      assertEquals(lookups, 2);
    }, { transport });
  });
});

test("close() of an association ends iterating, sending and the connection", async () => {
  await associated(async ({ udp, relay, rest, answer }) => {
    const waiting = udp.next();
    answer("1");
    assertEquals((await waiting).value, [text("1"), TARGET]);
    answer("2");
    answer("3");
    assertEquals(await nextText(udp), "2");
    const others = [udp.next(), udp.next(), udp.next()];
    assertEquals((await others[0]).value, [text("3"), TARGET]);
    udp.close();
    udp.close();
    for (const it of [...others.slice(1), udp.next()]) {
      assertEquals(await it, { done: true, value: undefined });
    }
    const late = udp.send(text("x"), TARGET);
    await assertSocksError(late, "closed", "udp");
    await assertSocksError(udp.send(text("x"), "name:1"), "closed", "udp");
    assertEquals(await udp.closed, undefined);
    assertEquals((await rest).length, 0);
    assertEquals(relay.got.length, 0);
  });
});

test("asyncDispose of an association drops the datagrams that were not delivered", async () => {
  await associated(async ({ udp, relay, answer }) => {
    answer("1");
    answer("2");
    const { hostname, port } = udp.localAddr;
    relay.send(octets("00"), hostname, port);
    await until(() => udp.dropped === 1);
    await udp[Symbol.asyncDispose]();
    await assertDone(udp);
  });
});

test("an association ends with the proxy's FIN, after the datagrams that have arrived", async () => {
  await associated(async ({ udp, relay, control, answer }) => {
    answer("1");
    answer("2");
    const { hostname, port } = udp.localAddr;
    relay.send(octets("00"), hostname, port);
    await until(() => udp.dropped === 1);
    await control.write(octets('"ignored"'));
    await control.closeWrite();
    assertEquals(await udp.closed, undefined);
    await assertSocksError(udp.send(text("x"), TARGET), "closed", "udp");
    const got: string[] = [];
    for await (const [payload] of udp) {
      got.push(new TextDecoder().decode(payload));
    }
    assertEquals(got, ["1", "2"]);
    await assertDone(udp);
  });
});

/** A connection and a function that makes it fail as a reset does. */
function breakable(conn: Conn): { conn: Conn; fail: () => void } {
  let fail!: () => void;
  const failure = new Promise<never>((_, reject) => {
    fail = () => reject(new NetError("reset"));
  });
  failure.catch(() => {});
  const read = () => Promise.race([conn.read(), failure]);
  return { fail, conn: overridden(conn, { read }) };
}

test("an association throws proxy-closed, once, when the connection to the proxy fails", async () => {
  const relay = await startMailbox();
  const reply = `05 00 00 ${bound(relay.addr)}`;
  for (const waiting of [true, false]) {
    const server = await startProxy([CHOSEN, [ASKED, reply]]);
    const near = await (await detectTransport()).connect(server.addr);
    const { conn, fail } = breakable(near);
    const udp = await udpAssociate({ ...plain, ...server.addr }, { conn });
    const { hostname, port } = udp.localAddr;
    relay.send(octets(`${HEADER} "hi"`), hostname, port);
    relay.send(octets("00"), hostname, port);
    await until(() => udp.dropped === 1);
    const takes = waiting ? [udp.next(), udp.next(), udp.next()] : [];
    if (runtime === "deno") fail(); // it cannot send a reset
    else server.conns[0].reset();
    const error = await udp.closed;
    assert(error instanceof SocksError);
    assertEquals([error.code, error.phase], ["proxy-closed", "udp"]);
    if (!waiting) takes.push(udp.next(), udp.next(), udp.next());
    const results = await Promise.allSettled(takes);
    assertEquals(results, [
      {
        status: "fulfilled",
        value: { done: false, value: [text("hi"), TARGET] },
      },
      { status: "rejected", reason: error },
      { status: "fulfilled", value: { done: true, value: undefined } },
    ]);
    await assertSocksError(udp.send(text("x"), TARGET), "closed", "udp");
    await server.close();
  }
  relay.close();
});

test("iterating an association can be stopped and continued", async () => {
  await associated(async ({ udp, answer }) => {
    for (let i = 0; i < 6; i++) answer(`${i}`);
    const got: string[] = [];
    for (let round = 0; round < 3; round++) {
      for await (const [payload, from] of udp) {
        assertEquals(from, TARGET);
        got.push(new TextDecoder().decode(payload));
        if (got.length % 2 === 0) break;
      }
    }
    assertEquals(got, ["0", "1", "2", "3", "4", "5"]);
    assertEquals(udp.dropped, 0);
  });
});

test("an association drops the newest datagrams when its queue is full", async () => {
  // Each datagram costs 256 bytes more than its payload.
  await associated(async ({ udp, answer }) => {
    for (let i = 0; i < 6; i++) answer(`${i}${"x".repeat(43)}`);
    await until(() => udp.dropped === 3);
    for (let i = 0; i < 3; i++) {
      assertEquals((await nextText(udp)).slice(0, 1), `${i}`);
    }
    for (let i = 0; i < 6; i++) answer("");
    await until(() => udp.dropped === 6);
    for (let i = 0; i < 3; i++) assertEquals(await nextText(udp), "");
    const waiting = udp.next();
    answer(pattern(5_000)); // larger than the queue, but a receiver waits
    assertEquals((await waiting).value![0].length, 5_000);
    answer(pattern(5_000));
    await until(() => udp.dropped === 7);
  }, { queueLimit: 900 });
});

test("the receiver of a payload owns it", async () => {
  await associated(async ({ udp, answer }) => {
    answer("one");
    answer("two");
    const first = (await udp.next()).value!;
    first[0].fill(0);
    assertEquals(await nextText(udp), "two");
  });
});

test("an association over serve() ends when the server does", async () => {
  const server = await startServer();
  const udp = await udpAssociate({ ...plain, ...server.server.addr });
  const waiting = udp.next().catch((error) => error);
  await server.close();
  await udp.closed;
  await waiting;
  await assertSocksError(udp.send(text("x"), TARGET), "closed", "udp");
});
