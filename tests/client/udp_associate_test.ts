/** The command UDP ASSOCIATE. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  connect,
  type Endpoint,
  NetError,
  SocksError,
  type SocksErrorCode,
  type SocksPhase,
  type Transport,
  udpAssociate,
} from "../../src/client/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { fromStreams, toStreams } from "../../src/transport/streams.ts";
import { test } from "../support/harness.ts";
import {
  assertClosesConnection,
  assertClosesGiven,
  assertGivesUp,
  assertSocksError,
  countListeners,
  type Script,
  startProxy,
  withNames,
} from "../support/scripted.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { octets } from "../support/table.ts";
import { pattern, readExactly, settled, until } from "../transport/contract.ts";
import {
  ASKED,
  assertEchoed,
  associated,
  bound,
  CHOSEN,
  distant,
  HEADER,
  nextText,
  plain,
  SOMEWHERE,
  startEcho,
  startMailbox,
  TARGET,
  text,
} from "./associated.ts";

for (const split of [false, true]) {
  const how = split ? "in single bytes" : "in one segment";

  test(`udpAssociate() sends and receives datagrams; replies arrive ${how}`, async () => {
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

test("udpAssociate() sends its own address and port when it announces them", async () => {
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

test("udpAssociate() uses the proxy's own address when the proxy reports zeros or an unusable name", async () => {
  const zeros = ["01 4*00", "04 16*00", "04 10*00 FF FF 4*00"];
  const names = ["03 00", "03 01 00", '03 05 "web.1"', '03 05 "[::1]"'];
  for (const address of [...zeros, ...names]) {
    const reply = `05 00 00 ${address} 12 34`;
    const server = await startProxy([CHOSEN, [ASKED, reply]]);
    const udp = await udpAssociate({ ...plain, ...server.addr });
    assertEquals(udp.relayAddr, { hostname: "127.0.0.1", port: 0x1234 });
    udp.close();
    await server.close();
  }
});

test("udpAssociate() resolves the relay's name, to the socket's IP version if possible", async () => {
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

test("udpAssociate() reaches a relay of the other IP version", async () => {
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

test("udpAssociate() rejects when the announced socket cannot reach the relay", async () => {
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
  "udpAssociate() recognizes its relay in every notation of the proxy's address",
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

test("udpAssociate() closes the given connection when an argument is invalid", async () => {
  await assertClosesGiven([
    (conn) => udpAssociate("socks6://unused", { conn }),
    (conn) => udpAssociate("socks5://unused", { conn, timeout: NaN }),
  ]);
});

test("udpAssociate() over a given connection uses the proxy's hostname when the proxy reports zeros", async () => {
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

test("udpAssociate() does not rely on the local address of a given connection", async () => {
  const hop = await startTarget(async (conn) => {
    await readExactly(conn, 3);
    await conn.write(octets("05 00"));
    asked = await readExactly(conn, 10);
    await conn.write(octets(SOMEWHERE));
  });
  let asked: Uint8Array | undefined;
  const near = await (await detectTransport()).connect(hop.addr);
  const local = { hostname: "192.0.2.9", port: 9 }; // not an address of this machine
  const conn = fromStreams(toStreams(near), { localAddr: local });
  const proxy = { ...plain, hostname: "unused" };
  const udp = await udpAssociate(proxy, { conn, announce: true });
  assertEquals(asked, octets(`05 03 00 ${bound(udp.localAddr)}`));
  udp.close();
  near.close();
  await hop.close();
});

test("udpAssociate() rejects with unsupported for SOCKS4, and closes the given connection", async () => {
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
    "names a relay that cannot be resolved",
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
    assertEquals((await server.rest).length, 0); // and closes the connection
    await server.close();
  });
}

test("udpAssociate() rejects when no socket can be opened towards the relay", async () => {
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
  test(`udpAssociate() rejects with timeout or aborted in phase ${phase}, and leaves nothing open`, async () => {
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
      if (error.phase === phase) await assertClosesConnection(server.rest);
      assertEquals(listeners(), 0);
      await server.close();
      return error;
    });
  });
}

test("udpAssociate() closes a socket that is opened after the end of the attempt", async () => {
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

test("the signal of udpAssociate() has no effect after udpAssociate() has resolved", async () => {
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

test("udpAssociate() goes through serve() to names that the proxy or the client resolves", async () => {
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

test("connect() and udpAssociate() use one proxy at the same time", async () => {
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
