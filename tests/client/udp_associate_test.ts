/** UDP ASSOCIATE: datagrams through a proxy. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Address,
  type Conn,
  connect,
  type Endpoint,
  NetError,
  type ProxyConfig,
  SocksError,
  type SocksErrorCode,
  type SocksPhase,
  type Transport,
  udpAssociate,
  type UdpAssociation,
  type UdpOptions,
} from "../../src/client/mod.ts";
import { parseIp } from "../../src/protocol/address.ts";
import { encodeDatagram } from "../../src/protocol/datagram.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { fromStreams, toStreams } from "../../src/transport/streams.ts";
import type { DatagramSocket } from "../../src/transport/transport.ts";
import { runtime, test } from "../support/harness.ts";
import { withClock } from "../support/skipping_clock.ts";
import { octets } from "../support/table.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import {
  assertSameOctets,
  pattern,
  readExactly,
  settled,
  until,
} from "../transport/contract.ts";
import {
  assertClosesWhatItGot,
  assertGivesUp,
  assertHangsUp,
  assertSocksError,
  countListeners,
  overridden,
  type Script,
  startProxy,
  withConns,
  withNames,
} from "../support/scripted.ts";

const CHOSEN = ["05 01 00", "05 00"] as const;
const ASKED = "05 03 00 01 6*00";
const SOMEWHERE = "05 00 00 01 7F 00 00 01 12 34";

const plain = { protocol: "socks5" } as const;
const distant = { protocol: "socks5h" } as const;
const TARGET = { hostname: "192.0.2.1", port: 53 };
/** What stands in front of a payload to or from {@linkcode TARGET}. */
const HEADER = "00 00 00 01 C0 00 02 01 00 35";

interface Packet extends Address {
  readonly payload: Uint8Array;
}

/** A socket that keeps what it gets. */
interface Mailbox extends DatagramSocket {
  readonly got: Packet[];
  /** The datagram at this place, as soon as it is there. */
  packet(index: number): Promise<Packet>;
}

async function startMailbox(hostname = "127.0.0.1"): Promise<Mailbox> {
  const got: Packet[] = [];
  const socket = await (await detectTransport()).datagrams(
    { hostname, port: 0 },
    (payload, hostname, port) => got.push({ payload, hostname, port }),
  );
  return {
    ...socket,
    addr: socket.addr,
    send: (...args) => socket.send(...args),
    close: () => socket.close(),
    got,
    async packet(index) {
      await until(() => got.length > index);
      return got[index];
    },
  };
}

/** The octets of an endpoint in a reply, as a script has them. */
function bound({ hostname, port }: Endpoint): string {
  const ip = parseIp(hostname)!;
  const all = [ip.length === 4 ? 1 : 4, ...ip, port >> 8, port & 0xff];
  return all.map((it) => it.toString(16).padStart(2, "0")).join(" ");
}

interface Scene {
  readonly udp: UdpAssociation;
  /** The proxy's end of the connection. */
  readonly control: Conn;
  readonly relay: Mailbox;
  /** Resolves when the client has hung up. */
  readonly rest: Promise<Uint8Array>;
  /** Sends the client a datagram from the target. */
  answer(payload: Uint8Array | string): void;
}

/** An association with a scripted proxy. */
async function associated(
  use: (scene: Scene) => Promise<void>,
  options: UdpOptions = {},
  proxy: Omit<ProxyConfig, "hostname" | "port"> = plain,
): Promise<void> {
  const relay = await startMailbox();
  const reply = `05 00 00 ${bound(relay.addr)}`;
  const server = await startProxy([CHOSEN, [ASKED, reply]]);
  const udp = await udpAssociate({ ...proxy, ...server.addr }, options);
  try {
    await use({
      udp,
      control: server.conns[0],
      relay,
      rest: server.rest,
      answer(payload) {
        const { hostname, port } = udp.localAddr;
        const content = typeof payload === "string" ? text(payload) : payload;
        const datagram = encodeDatagram({ ...TARGET, payload: content });
        relay.send(datagram, hostname, port);
      },
    });
  } finally {
    udp.close();
    relay.close();
    await server.close();
  }
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

/** The next datagram's payload as text. */
async function nextText(udp: UdpAssociation): Promise<string> {
  const { done, value } = await udp.next();
  assert(!done, "the association is over");
  return new TextDecoder().decode(value[0]);
}

async function assertDone(udp: UdpAssociation): Promise<void> {
  assertEquals(await udp.next(), { done: true, value: undefined });
}

for (const split of [false, true]) {
  const how = split ? "in single octets" : "whole";

  test(`udpAssociate() asks, and sends and receives datagrams; replies come ${how}`, async () => {
    const relay = await startMailbox();
    const server = await startProxy([
      ["05 02 00 02", "05 02"],
      ['01 02 "al" 02 "pw"', "01 00"],
      [ASKED, `05 00 00 ${bound(relay.addr)}`],
    ], split);
    const login = { username: "al", password: "pw" };
    const udp = await udpAssociate({ ...distant, ...login, ...server.addr });
    assertEquals(udp.relayAddr, relay.addr);

    const wires: [string | Endpoint, string][] = [
      [TARGET, HEADER],
      ["192.0.2.1:53", HEADER],
      ["[2001:db8::1]:53", "00 00 00 04 20 01 0D B8 11*00 01 00 35"],
      ["example.com:53", '00 00 00 03 0B "example.com" 00 35'],
    ];
    for (const [i, [target, header]] of wires.entries()) {
      for (const payload of ['"hello"', ""]) {
        await udp.send(octets(payload), target);
        const packet = await relay.packet(2 * i + (payload ? 0 : 1));
        assertEquals(packet.payload, octets(`${header} ${payload}`));
        assertEquals(packet.port, udp.localAddr.port);
        assertEquals(packet.hostname, udp.localAddr.hostname);
      }
      const { hostname, port } = udp.localAddr;
      relay.send(octets(`${header} "hi"`), hostname, port);
      const { value } = await udp.next();
      const from = typeof target === "string"
        ? { hostname: target.slice(0, -3).replace(/[[\]]/g, ""), port: 53 }
        : target;
      assertEquals(value, [text("hi"), from]);
    }
    assertEquals(udp.dropped, 0);
    udp.close();
    assertEquals((await server.rest).length, 0);
    relay.close();
    await server.close();
  });
}

test("udpAssociate() tells its own address and port when it is to announce them", async () => {
  for (const [hostname, size] of [["127.0.0.1", 10], ["::1", 22]] as const) {
    let asked: Uint8Array | undefined;
    const server = await startTarget(async (conn) => {
      await readExactly(conn, 3);
      await conn.write(octets("05 00"));
      asked = await readExactly(conn, size);
      const relay = bound({ hostname, port: 9 });
      await conn.write(octets(`05 00 00 ${relay}`));
    }, hostname);
    const proxy = { ...plain, ...server.addr };
    const udp = await udpAssociate(proxy, { announce: true });
    assertEquals(udp.localAddr.hostname, hostname);
    assertEquals(asked, octets(`05 03 00 ${bound(udp.localAddr)}`));
    udp.close();
    await server.close();
  }
});

test("udpAssociate() has the proxy's own address in place of zeros", async () => {
  for (const zeros of ["01 4*00", "04 16*00", "04 10*00 FF FF 4*00"]) {
    const reply = `05 00 00 ${zeros} 12 34`;
    const server = await startProxy([CHOSEN, [ASKED, reply]]);
    const udp = await udpAssociate({ ...plain, ...server.addr });
    assertEquals(udp.relayAddr, { hostname: "127.0.0.1", port: 0x1234 });
    udp.close();
    await server.close();
  }
});

test("udpAssociate() resolves the relay's name, to the socket's family if it can", async () => {
  const names = await withNames();
  const reply = '05 00 00 03 07 "v6first" 12 34';
  for (const hostname of ["127.0.0.1", "::1"]) {
    const conn = await startTarget(async (conn) => {
      await readExactly(conn, 3);
      await conn.write(octets("05 00"));
      await readExactly(conn, 10);
      await conn.write(octets(reply));
    }, hostname);
    const udp = await udpAssociate({ ...plain, ...conn.addr }, names);
    assertEquals(udp.relayAddr, { hostname, port: 0x1234 });
    udp.close();
    await conn.close();
  }
});

test("udpAssociate() reaches a relay of the other family", async () => {
  const relay = await startMailbox("::1");
  const reply = `05 00 00 ${bound(relay.addr)}`;
  const server = await startProxy([CHOSEN, [ASKED, reply]]);
  const udp = await udpAssociate({ ...plain, ...server.addr });
  assertEquals(udp.localAddr.hostname, "::1");
  await udp.send(text("hello"), TARGET);
  const { payload, hostname, port } = await relay.packet(0);
  assertEquals(payload, octets(`${HEADER} "hello"`));
  assertEquals({ hostname, port }, udp.localAddr);
  relay.send(octets(`${HEADER} "hi"`), hostname, port);
  assertEquals(await nextText(udp), "hi");
  udp.close();
  relay.close();
  await server.close();
});

test("udpAssociate() rejects when the socket it has announced does not reach the relay", async () => {
  const server = await startTarget(async (conn) => {
    await readExactly(conn, 3);
    await conn.write(octets("05 00"));
    await readExactly(conn, 10);
    const relay = bound({ hostname: "::1", port: 9 });
    await conn.write(octets(`05 00 00 ${relay}`));
  });
  const proxy = { ...plain, ...server.addr };
  const attempt = udpAssociate(proxy, { announce: true });
  const error = await assertSocksError(attempt, "proxy-unreachable", "udp");
  assert(error.message.includes("announce"), error.message);
  assertEquals(await server.conns[0].read(), null);
  await server.close();
});

test(
  "udpAssociate() knows its relay however the proxy's address is written",
  async () => {
    const ways = [
      ["::1", "0:0:0:0:0:0:0:1"],
      ["127.0.0.1", "::FFFF:127.0.0.1"],
    ];
    for (const [hostname, written] of ways) {
      const relay = await startMailbox(hostname);
      const zeros = bound({ hostname: "0.0.0.0", port: relay.addr.port });
      const server = await startTarget(async (conn) => {
        await readExactly(conn, 3);
        await conn.write(octets("05 00"));
        await readExactly(conn, 10);
        await conn.write(octets(`05 00 00 ${zeros}`));
      }, hostname);
      const proxy = { ...plain, ...server.addr, hostname: written };
      const udp = await udpAssociate(proxy);
      assertEquals(udp.relayAddr, relay.addr);
      await udp.send(text("hello"), TARGET);
      const { port } = await relay.packet(0);
      relay.send(octets(`${HEADER} "hi"`), hostname, port);
      assertEquals(await nextText(udp), "hi");
      udp.close();
      relay.close();
      await server.close();
    }
  },
  { timeout: 10_000 },
);

test("udpAssociate() closes the connection it was given when the arguments make no sense", async () => {
  await assertClosesWhatItGot([
    (conn) => udpAssociate("socks6://unused", { conn }),
    (conn) => udpAssociate("socks5://unused", { conn, timeout: NaN }),
  ]);
});

test("an association has the kernel ask whether the proxy is still there", async () => {
  let asked = 0;
  const options = await withConns({ keepAlive: () => void asked++ });
  await associated(() => Promise.resolve(assertEquals(asked, 1)), options);
});

test("udpAssociate() over a connection that exists takes the proxy's hostname for zeros", async () => {
  const relay = await startMailbox();
  const zeros = bound({ hostname: "0.0.0.0", port: relay.addr.port });
  const script: Script = [CHOSEN, [ASKED, `05 00 00 ${zeros}`]];
  for (const hostname of ["127.0.0.1", "v6first"]) {
    const server = await startProxy(script);
    const conn = await (await detectTransport()).connect(server.addr);
    const options = { ...await withNames(), conn };
    const udp = await udpAssociate({ ...plain, hostname }, options);
    assertEquals(udp.relayAddr, relay.addr);
    await udp.send(text("hello"), TARGET);
    const { payload, port } = await relay.packet(relay.got.length);
    assertEquals(payload, octets(`${HEADER} "hello"`));
    relay.send(octets(`${HEADER} "hi"`), "127.0.0.1", port);
    assertEquals(await nextText(udp), "hi");
    udp.close();
    assertEquals((await server.rest).length, 0);
    await server.close();
  }
  relay.close();
});

test("udpAssociate() does not rely on the local address of a connection that exists", async () => {
  const hop = await startTarget(async (conn) => {
    await readExactly(conn, 3);
    await conn.write(octets("05 00"));
    asked = await readExactly(conn, 10);
    await conn.write(octets(SOMEWHERE));
  });
  let asked: Uint8Array | undefined;
  const near = await (await detectTransport()).connect(hop.addr);
  const local = { hostname: "192.0.2.9", port: 9 }; // somebody else's
  const conn = fromStreams(toStreams(near), { localAddr: local });
  const proxy = { ...plain, hostname: "unused" };
  const udp = await udpAssociate(proxy, { conn, announce: true });
  assertEquals(asked, octets(`05 03 00 ${bound(udp.localAddr)}`));
  udp.close();
  near.close();
  await hop.close();
});

test("udpAssociate() rejects with unsupported for SOCKS4, and closes what it was given", async () => {
  const target = await startTarget();
  for (const protocol of ["socks4", "socks4a"] as const) {
    const proxy = { protocol, ...target.addr };
    await assertSocksError(udpAssociate(proxy), "unsupported", "udp");
    assertEquals(target.conns.length, 0);
  }
  const conn = await (await detectTransport()).connect(target.addr);
  const given = udpAssociate(`socks4://127.0.0.1`, { conn });
  await assertSocksError(given, "unsupported", "udp");
  const error = await assertRejects(() => conn.read(), NetError);
  assertEquals(error.kind, "closed");
  await target.close();
});

type Hostile = readonly [
  name: string,
  script: Script,
  code: SocksErrorCode,
  phase: SocksPhase,
  reply?: number,
];

const hostiles: Hostile[] = [
  ["accepts no method", [["05 01 00", "05 FF"]], "no-method", "method"],
  [
    "refuses",
    [CHOSEN, [ASKED, "05 07 00 01 6*00"]],
    "rejected",
    "request",
    7,
  ],
  [
    "replies with address type 9",
    [CHOSEN, [ASKED, "05 00 00 09 6*00"]],
    "protocol",
    "request",
  ],
  [
    "names no port",
    [CHOSEN, [ASKED, "05 00 00 01 7F 00 00 01 00 00"]],
    "protocol",
    "udp",
  ],
  [
    "names a relay that can't be resolved",
    [CHOSEN, [ASKED, '05 00 00 03 07 "nowhere" 12 34']],
    "dns",
    "udp",
  ],
];

for (const [name, script, code, phase, reply] of hostiles) {
  test(`udpAssociate() rejects with ${code} when the proxy ${name}`, async () => {
    const server = await startProxy(script);
    const proxy = { ...plain, ...server.addr };
    const attempt = udpAssociate(proxy, await withNames());
    const error = await assertSocksError(attempt, code, phase);
    assertEquals(error.reply, reply);
    assertEquals((await server.rest).length, 0); // and hangs up
    await server.close();
  });
}

test("udpAssociate() rejects when no socket can be had towards the relay", async () => {
  const denied = () => Promise.reject(new NetError("denied", "no"));
  const transport = await detectTransport();
  const relay = bound({ hostname: "192.0.2.1", port: 9 });
  const ways: [string, Partial<Transport>][] = [
    [SOMEWHERE, { datagrams: denied }],
    [`05 00 00 ${relay}`, { sourceAddress: denied }],
  ];
  for (const [reply, failing] of ways) {
    const server = await startProxy([CHOSEN, [ASKED, reply]]);
    const attempt = udpAssociate({ ...plain, ...server.addr }, {
      transport: { ...transport, ...failing },
    });
    const error = await assertSocksError(attempt, "proxy-unreachable", "udp");
    assertEquals((error.cause as NetError).kind, "denied");
    await server.close();
  }
});

const silences: [Script, SocksPhase][] = [
  [[["05 02 00 02", ""]], "method"],
  [[["05 02 00 02", "05 02"], ['01 02 "al" 02 "pw"', "01"]], "auth"],
  [[["05 02 00 02", "05 00"], [ASKED, "05 00 00 01"]], "request"],
  [[["05 02 00 02", "05 00"], [
    ASKED,
    '05 00 00 03 07 "forever" 12 34',
  ]], "udp"],
];

for (const [script, phase] of silences) {
  test(`udpAssociate() rejects with timeout or aborted in phase ${phase}, and leaves nothing`, async () => {
    const transport = await detectTransport();
    await assertGivesUp(phase, async ({ options, giveUp }) => {
      const lookup = () => {
        giveUp();
        return new Promise<never>(() => {});
      };
      const listeners = countListeners(options.signal);
      const server = await startProxy(script);
      const login = { username: "al", password: "pw" };
      const proxy = { ...plain, ...login, ...server.addr };
      const attempt = udpAssociate(proxy, {
        ...options,
        transport: { ...transport, lookup },
      });
      if (phase !== "udp") server.played.then(settled).then(giveUp);
      const error = await assertRejects(() => attempt, SocksError);
      if (error.phase === phase) await assertHangsUp(server.rest);
      assertEquals(listeners(), 0);
      await server.close();
      return error;
    });
  });
}

test("udpAssociate() closes a socket that it gets after it was given up", async () => {
  const transport = await detectTransport();
  await assertGivesUp("udp", async ({ options, giveUp }) => {
    let open: (() => Promise<void>) | undefined;
    let closed = false;
    const datagrams: Transport["datagrams"] = (...args) => {
      giveUp();
      return new Promise((resolve) => {
        open = async () => {
          const socket = await transport.datagrams(...args);
          const close = () => {
            socket.close();
            closed = true;
          };
          resolve({ ...socket, addr: socket.addr, close });
        };
      });
    };
    const server = await startTarget();
    const attempt = udpAssociate({ ...plain, ...server.addr }, {
      ...options,
      transport: { ...transport, datagrams },
    });
    const error = await assertRejects(() => attempt, SocksError);
    await open?.();
    if (open) await until(() => closed);
    await server.close();
    return error;
  });
});

test("the signal of udpAssociate() ends with it", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = countListeners(signal);
  await associated(async ({ udp, answer }) => {
    assertEquals(listeners(), 0);
    controller.abort();
    answer("hi");
    assertEquals(await nextText(udp), "hi");
  }, { signal });
});

test("an association takes datagrams from its relay only", async () => {
  await associated(async ({ udp, relay, answer }) => {
    const { hostname, port } = udp.localAddr;
    const stranger = await startMailbox();
    const impostor = await (await detectTransport()).datagrams(
      { hostname: "127.0.0.2", port: relay.addr.port },
      () => {},
    ).catch(() => undefined); // only Linux has all of 127.0.0.0/8
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

test("an association drops malformed datagrams and goes on", async () => {
  const malformed = [
    "",
    "00",
    "00 00 00",
    "00 00 00 01 C0 00 02 01 00",
    "00 00 00 04 16*00 00",
    "00 00 00 09 C0 00 02 01 00 35",
    "00 00 00 03",
    '00 00 00 03 00 00 35 "x"',
    '00 00 00 03 05 "a" 00 "bcd" 00 35',
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

test("an association puts fragments together", async () => {
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
    send("01", "never whole"); // its timer ends with the association
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

test("maxPayload() of an association is what send() takes", async () => {
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

test("send() throws a TypeError for targets that are none", async () => {
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

test("send() resolves names here with socks5, each once for a while, and holds nobody up", async () => {
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

test("close() ends an association: iterating, sending and the connection", async () => {
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

test("close() forgets what nobody has asked for", async () => {
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

test("an association ends with the proxy's FIN, behind what has come", async () => {
  await associated(async ({ udp, relay, control, answer }) => {
    answer("1");
    answer("2");
    const { hostname, port } = udp.localAddr;
    relay.send(octets("00"), hostname, port);
    await until(() => udp.dropped === 1);
    await control.write(octets('"what the proxy says means nothing"'));
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

/** A connection and a switch that makes it fail as a reset does. */
function breakable(conn: Conn): { conn: Conn; fail: () => void } {
  let fail!: () => void;
  const failure = new Promise<never>((_, reject) => {
    fail = () => reject(new NetError("reset"));
  });
  failure.catch(() => {});
  const read = () => Promise.race([conn.read(), failure]);
  return { fail, conn: overridden(conn, { read }) };
}

test("an association throws proxy-closed, once, when the connection to the proxy breaks", async () => {
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
    if (runtime === "deno") fail(); // it has no call for a reset
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

test("iterating an association can be broken off and taken up again", async () => {
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

test("an association keeps no more than its queue may hold, and drops the newest", async () => {
  // Each datagram costs 256 octets more than it carries.
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
    answer(pattern(5_000)); // larger than the queue, but somebody waits
    assertEquals((await waiting).value![0].length, 5_000);
    answer(pattern(5_000));
    await until(() => udp.dropped === 7);
  }, { queueLimit: 900 });
});

test("a payload is its receiver's alone", async () => {
  await associated(async ({ udp, answer }) => {
    answer("one");
    answer("two");
    const first = (await udp.next()).value!;
    first[0].fill(0);
    assertEquals(await nextText(udp), "two");
  });
});

/** A socket that sends everything back. */
async function startEcho(hostname: string): Promise<DatagramSocket> {
  const socket = await (await detectTransport()).datagrams(
    { hostname, port: 0 },
    (payload, hostname, port) => socket.send(payload, hostname, port),
  );
  return socket;
}

async function assertEchoed(
  udp: UdpAssociation,
  to: string | Endpoint,
  from: Endpoint,
): Promise<void> {
  const sent = pattern(1200);
  await udp.send(sent, to);
  const { value } = await udp.next();
  assertSameOctets(value![0], sent);
  assertEquals(value![1], from);
}

for (const hostname of ["127.0.0.1", "::1"]) {
  for (const announce of [false, true]) {
    const how = announce ? "announced" : "unannounced";

    test(`udpAssociate() goes through serve() on ${hostname}, ${how}`, async () => {
      const auth = [userPass({ al: "pw" })];
      const server = await startServer({ hostname, auth });
      const targets = [
        await startEcho("127.0.0.1"),
        await startEcho("::1"),
      ];
      const udp = await udpAssociate({
        ...distant,
        ...server.server.addr,
        username: "al",
        password: "pw",
      }, { announce });
      for (const { addr } of targets) await assertEchoed(udp, addr, addr);
      for (const { addr } of targets) await assertEchoed(udp, addr, addr);
      udp.close();
      await server.ended();
      for (const target of targets) target.close();
      await server.close();
    });
  }
}

test("udpAssociate() goes through serve() to names, resolved there and here", async () => {
  const server = await startServer();
  const target = await startEcho("127.0.0.1");
  const { port } = target.addr;
  const transport: Transport = {
    ...await detectTransport(),
    lookup: () => Promise.resolve(["127.0.0.1"]),
  };
  const there = await startServer({ transport });
  const far = await udpAssociate({ ...distant, ...there.server.addr });
  await assertEchoed(far, `target.example:${port}`, target.addr);
  const near = await udpAssociate(
    { ...plain, ...server.server.addr },
    { transport },
  );
  await assertEchoed(near, `target.example:${port}`, target.addr);
  near.close();
  far.close();
  target.close();
  await server.close();
  await there.close();
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

test("connect(), bind() and udpAssociate() share one proxy", async () => {
  const server = await startServer();
  const target = await startTarget(echo);
  const udpTarget = await startEcho("127.0.0.1");
  const proxy = { ...plain, ...server.server.addr };
  const udp = await udpAssociate(proxy);
  const conn = await connect(proxy, target.addr);
  await conn.write(pattern(1000));
  assertEquals(await readExactly(conn, 1000), pattern(1000));
  await assertEchoed(udp, udpTarget.addr, udpTarget.addr);
  conn.close();
  udp.close();
  udpTarget.close();
  await target.close();
  await server.close();
});
