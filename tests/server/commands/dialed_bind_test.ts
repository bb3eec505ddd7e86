/** BIND through a dialer. */

import { assertEquals } from "@std/assert";
import type {
  DialedListener,
  Dialer,
  PolicyRequest,
  ServeOptions,
} from "../../../src/server/mod.ts";
import type { Endpoint } from "../../../src/protocol/address.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { NetError } from "../../../src/transport/errors.ts";
import type { Conn } from "../../../src/transport/transport.ts";
import {
  ANYONE,
  assertClosed,
  assertStream,
  bind,
  LOOPBACK,
} from "../../support/bind.ts";
import { test } from "../../support/harness.ts";
import {
  ask,
  assertTurnedAway,
  block,
  connect,
  connectFrom,
  ERROR,
  hex,
  OK,
  port,
  readReply,
  REFUSED4,
} from "../../support/raw.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { withClock } from "../../support/skipping_clock.ts";
import { octets } from "../../support/table.ts";
import { dialer, through } from "../../support/upstream.ts";
import { deferred, timed } from "../../support/world.ts";
import {
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  settled,
} from "../../transport/contract.ts";

const NAME = '03 09 "localhost" 00 00';
const MINUTE = 60_000;

/** A server, and its upstream proxy. */
interface Chain {
  readonly server: TestServer;
  readonly upstream: TestServer;
  close(): Promise<void>;
}

async function startChain(
  options: ServeOptions = {},
  upstreamOptions: ServeOptions = {},
): Promise<Chain> {
  const upstream = await startServer(upstreamOptions);
  const server = await startServer({ dial: through(upstream), ...options });
  return {
    server,
    upstream,
    async close() {
      await server.close();
      await upstream.close();
    },
  };
}

// Through a real proxy

for (
  const [name, dst] of [["an address", LOOPBACK], ["a name", NAME], [
    "any address",
    ANYONE,
  ]]
) {
  test(`serve() relays BIND through an upstream proxy for ${name}`, async () => {
    const { server, upstream, close } = await startChain();
    const { conn, reply, bound } = await bind(server, dst);
    assertEquals(reply, `${OK} ${block(bound)}`);
    const [session] = server.server.sessions;
    const [behind] = upstream.server.sessions;
    assertEquals([session.phase, session.boundAddr], ["bind", bound]);
    assertEquals([behind.phase, behind.boundAddr], ["bind", bound]);
    assertEquals(behind.target?.hostname, session.target?.hostname);

    const peer = await connect(bound);
    const second = await readReply(conn);
    assertEquals(second.reply, `${OK} ${block(peer.localAddr)}`);
    assertEquals(session.targetAddr, peer.localAddr);
    await assertClosed(bound);
    await assertStream(conn, peer);
    const end = await server.ended();
    assertEquals(end.reason, "finished");
    assertEquals([end.session.sent, end.session.received], [11, 23]);
    assertEquals((await upstream.ended()).reason, "finished");
    await close();
  });
}

test("serve() relays early data of both sides of a BIND through an upstream proxy", async () => {
  const { server, close } = await startChain();
  const conn = await server.client();
  await conn.write(octets(`05 01 00 05 02 00 ${LOOPBACK} "early "`));
  assertEquals(hex(await readExactly(conn, 2)), "05 00");
  const { bound } = await readReply(conn);
  const much = pattern(200_000);
  const writing = conn.write(much);
  const peer = await connect(bound);
  await peer.write(octets('"220 hello"'));
  assertEquals((await readReply(conn)).reply, `${OK} ${block(peer.localAddr)}`);
  assertEquals(await readExactly(conn, 9), octets('"220 hello"'));
  const reading = readAll(peer);
  await writing;
  await conn.closeWrite();
  const received = await reading;
  assertEquals(received.subarray(0, 6), octets('"early "'));
  assertSameOctets(received.subarray(6), much);
  await peer.closeWrite();
  assertEquals(hex(await readAll(conn)), "");
  assertEquals((await server.ended()).reason, "finished");
  conn.close();
  peer.close();
  await close();
});

test("serve() waits for the expected peer while an upstream proxy rejects others", async () => {
  const { server, close } = await startChain();
  const { conn, bound } = await bind(server);
  await assertTurnedAway("127.0.0.2", bound);
  const peer = await connect(bound);
  assertEquals((await readReply(conn)).bound, peer.localAddr);
  await assertStream(conn, peer);
  await close();
});

test("serve() passes on the reply of an upstream proxy whose BIND has timed out", () =>
  withClock(async (clock) => {
    const { server, upstream, close } = await startChain(
      { timeouts: { bind: 0 } },
      await timed(clock),
    );
    const { conn, bound } = await bind(server);
    clock.skip(MINUTE + 1);
    assertEquals(hex(await readAll(conn)), ERROR("06"));
    conn.close();
    assertEquals((await server.ended()).reason, "refused");
    assertEquals((await upstream.ended()).reason, "refused");
    await assertClosed(bound);
    await close();
  }));

test("serve() answers REP 6 when no peer connects to a BIND through a dialer within timeouts.bind", () =>
  withClock(async (clock) => {
    const { server, upstream, close } = await startChain(await timed(clock));
    const { conn, bound } = await bind(server);
    clock.skip(MINUTE - 5_000);
    assertEquals(server.server.sessions[0].phase, "bind");
    clock.skip(10_000);
    assertEquals(hex(await readAll(conn)), ERROR("06"));
    conn.close();
    assertEquals((await server.ended()).reason, "refused");
    assertEquals((await upstream.ended()).reason, "client-gone");
    await assertClosed(bound);
    await close();
  }));

for (const early of [0, 20_000]) {
  test(`serve() ends an upstream BIND when the client hangs up after ${early} early bytes`, async () => {
    const { server, upstream, close } = await startChain();
    const { conn, bound } = await bind(server);
    await conn.write(pattern(early));
    conn.close();
    assertEquals((await server.ended()).reason, "client-gone");
    assertEquals((await upstream.ended()).reason, "client-gone");
    await assertClosed(bound);
    await close();
  });
}

test("session.close() ends a BIND through a dialer before and after the peer has connected", async () => {
  for (const hasPeer of [false, true]) {
    const { server, upstream, close } = await startChain();
    const { conn, bound } = await bind(server);
    const peer = hasPeer ? await connect(bound) : undefined;
    if (peer) await readReply(conn);
    server.server.sessions[0].close();
    assertEquals((await server.ended()).reason, "closed");
    await peer?.read().catch(() => {});
    peer?.close();
    await upstream.ended();
    await assertClosed(bound);
    await readAll(conn).catch(() => {});
    conn.close();
    await close();
  }
});

test("serve() relays BIND of SOCKS4 through an upstream proxy", async () => {
  const { server, close } = await startChain();
  const conn = await server.client();
  await conn.write(octets("04 02 00 00 7F 00 00 01 00"));
  const first = await readExactly(conn, 8);
  const bound = { hostname: "127.0.0.1", port: first[2] << 8 | first[3] };
  assertEquals(hex(first), `00 5a ${port(bound.port)} 7f 00 00 01`);
  const peer = await connect(bound);
  const second = await readExactly(conn, 8);
  assertEquals(hex(second), `00 5a ${port(peer.localAddr.port)} 7f 00 00 01`);
  await assertStream(conn, peer);
  await close();
});

test("serve() asks the policy about the peer of a BIND through a dialer", async () => {
  const asked: string[] = [];
  const policy = ({ command, hostname, address }: PolicyRequest) => {
    assertEquals(command, "bind");
    asked.push(`${hostname} ${address}`);
    return hostname !== "bad.test" && address !== "127.0.0.2";
  };
  const { server, upstream, close } = await startChain({ policy });
  for (const dst of ['03 08 "bad.test" 00 00', "01 7F 00 00 02 00 00"]) {
    const { conn, reply } = await ask(server, `02 00 ${dst}`);
    assertEquals(reply, ERROR("02"));
    conn.close();
    await server.ended();
  }
  assertEquals(upstream.server.sessions, []);
  for (
    const [dst, from, reply] of [
      [NAME, "127.0.0.1", 0],
      [ANYONE, "127.0.0.1", 0],
      [ANYONE, "127.0.0.2", 2],
    ] as const
  ) {
    const { conn, bound } = await bind(server, dst);
    const peer = await connectFrom(from, bound);
    assertEquals((await readReply(conn)).rep, reply);
    conn.close();
    peer.destroy();
    await server.ended();
    await upstream.ended();
  }
  assertEquals(asked, [
    "bad.test undefined",
    "127.0.0.2 127.0.0.2",
    "localhost undefined",
    "0.0.0.0 undefined",
    "0.0.0.0 127.0.0.1",
    "0.0.0.0 undefined",
    "0.0.0.0 127.0.0.2",
  ]);
  await close();
});

// A custom dialer

type Accepted = Conn & { readonly peerAddr?: Endpoint };

interface Scripted {
  readonly dial: Dialer;
  readonly peers: Endpoint[];
  readonly accepts: {
    readonly signal: AbortSignal;
    readonly timeout: number;
  }[];
  /** How often the listener was closed. */
  closed(): number;
}

/** Does not listen; `accept` returns the peer. */
function scripted(
  accept: () => Promise<Accepted>,
  addr: Endpoint = { hostname: "192.0.2.7", port: 4_660 },
): Scripted {
  const peers: Endpoint[] = [];
  const accepts: Scripted["accepts"] = [];
  let closed = 0;
  const listener: DialedListener = {
    addr,
    accept(options) {
      accepts.push(options);
      return accept();
    },
    close() {
      closed++;
      throw new Error("not even that");
    },
  };
  const dial = dialer({
    bind(peer) {
      peers.push(peer);
      return Promise.resolve(listener);
    },
  });
  return { dial, peers, accepts, closed: () => closed };
}

/** A peer with this address, and its own end. */
async function inbound(peerAddr?: Endpoint) {
  const pair = await connectedPair(await detectTransport());
  return { ...pair, far: Object.assign(pair.far, peerAddr && { peerAddr }) };
}

test("serve() passes the expected peer to a dialer, and timeouts.bind to accept()", async () => {
  for (const bindTimeout of [0, 90_000]) {
    const { accepts, dial, peers } = scripted(() => new Promise(() => {}));
    const server = await startServer({ dial, timeouts: { bind: bindTimeout } });
    const dst = '03 0C "Peer.Example" 00 15';
    const { conn, reply } = await ask(server, `02 00 ${dst}`);
    assertEquals(reply, `${OK} 01 c0 00 02 07 12 34`);
    assertEquals(peers, [{ hostname: "peer.example", port: 21 }]);
    const [{ signal, timeout }] = accepts;
    assertEquals([signal.aborted, timeout], [false, bindTimeout]);
    conn.close();
    assertEquals((await server.ended()).reason, "client-gone");
    assertEquals(signal.aborted, true);
    await server.close();
  }
});

const PEER = { hostname: "192.0.2.9", port: 9 };
const SHOWN = "05 00 00 01 c0 00 02 09 00 09";
const UNKNOWN = { hostname: "0.0.0.0", port: 0 };
const ZEROS = ERROR("00");
const DENIED = ERROR("02");
const EXPOSED = { hostname: "0.0.0.0", openProxy: true };

/** The DST of the request, the address of the peer that connects, the options, the second reply. */
const SECOND: readonly [string, Endpoint, ServeOptions, string][] = [
  ["01 C0 00 02 09 00 00", PEER, {}, SHOWN],
  [
    "01 C0 00 02 09 00 00",
    { hostname: "::ffff:192.0.2.9", port: 9 },
    {},
    "05 00 00 04 00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 09 00 09",
  ],
  ["04 10*00 FF FF C0 00 02 09 00 00", PEER, {}, SHOWN],
  ["01 C0 00 02 08 00 00", PEER, {}, DENIED],
  ["01 C0 00 02 08 00 00", UNKNOWN, {}, ZEROS],
  [
    "01 C0 00 02 08 00 00",
    { hostname: "peer.test", port: 9 },
    {},
    '05 00 00 03 09 "peer.test" 00 09',
  ],
  ['03 09 "peer.test" 00 00', PEER, {}, SHOWN],
  [ANYONE, PEER, {}, SHOWN],
  [ANYONE, UNKNOWN, {}, ZEROS],
  [ANYONE, { hostname: "/run/peer", port: 0 }, {}, ZEROS],
  [ANYONE, { hostname: "192.0.2.9", port: 70_000 }, {}, ZEROS],
  [ANYONE, PEER, EXPOSED, DENIED],
  [
    ANYONE,
    { hostname: "8.8.8.8", port: 9 },
    EXPOSED,
    "05 00 00 01 08 08 08 08 00 09",
  ],
  [ANYONE, PEER, { policy: () => true }, SHOWN],
  [ANYONE, UNKNOWN, { policy: () => true }, DENIED],
  [ANYONE, { hostname: "peer.test", port: 9 }, { policy: () => true }, DENIED],
];

for (const [dst, peerAddr, options, expected] of SECOND) {
  const shown = `${peerAddr.hostname}:${peerAddr.port}`;
  const how = [
    options.policy && " with a policy",
    options.openProxy && " beyond loopback",
  ].filter(Boolean).join();
  test(`serve() answers a dialer's peer ${shown} to a BIND for ${dst}${how}`, async () => {
    const { near, far, close } = await inbound(peerAddr);
    const { closed, dial } = scripted(() => Promise.resolve(far));
    const server = await startServer({ dial, ...options });
    const { conn } = await ask(server, `02 00 ${dst}`, "127.0.0.1");
    assertEquals(await readReplyText(conn), hex(octets(expected)));
    if (expected === DENIED) {
      assertEquals(await near.read().catch(() => null), null);
      assertEquals(hex(await readAll(conn)), "");
    } else await assertStream(conn, near);
    conn.close();
    const { reason } = await server.ended();
    assertEquals(reason, expected === DENIED ? "refused" : "finished");
    assertEquals(closed(), 1);
    await close();
    await server.close();
  });
}

/** The next reply, names too, in hex. */
async function readReplyText(conn: Conn): Promise<string> {
  const head = await readExactly(conn, 5);
  const size = head[3] === 4 ? 15 : head[3] === 3 ? head[4] : 3;
  const rest = await readExactly(conn, size + 2);
  return `${hex(head)} ${hex(rest)}`;
}

test("serve() shows the address of a dialer's connection when there is no peerAddr", async () => {
  const { near, far, close } = await inbound();
  const { dial } = scripted(() => Promise.resolve(far));
  const server = await startServer({ dial });
  const { conn } = await ask(server, `02 00 ${ANYONE}`);
  assertEquals((await readReply(conn)).bound, near.localAddr);
  await assertStream(conn, near);
  await server.close();
  await close();
});

test("serve() answers REP 1 when no reply can carry the address of a dialer's listener", async () => {
  const never = () => new Promise<Accepted>(() => {});
  for (
    const addr of [
      { hostname: "/run/proxy", port: 9 },
      { hostname: "192.0.2.1", port: -1 },
      undefined as never,
    ]
  ) {
    const { closed, dial } = scripted(never, addr);
    if (addr === undefined) {
      dial.bind = () => Promise.resolve({ close() {} } as never);
    }
    const server = await startServer({ dial });
    const { conn, reply } = await ask(server, `02 00 ${LOOPBACK}`);
    assertEquals(reply, ERROR("01"));
    conn.close();
    assertEquals((await server.ended()).reason, "refused");
    if (addr) assertEquals(closed(), 1);
    await server.close();
  }
  const named = scripted(never, { hostname: "proxy.test", port: 9 });
  const server = await startServer({ dial: named.dial });
  const conn = await server.client();
  await conn.write(octets("04 02 00 00 7F 00 00 01 00"));
  assertEquals(hex(await readAll(conn)), REFUSED4);
  conn.close();
  assertEquals((await server.ended()).reason, "refused");

  const five = await server.client();
  await five.write(octets(`05 01 00 05 02 00 ${LOOPBACK}`));
  assertEquals(hex(await readExactly(five, 2)), "05 00");
  const expected = octets('05 00 00 03 0A "proxy.test" 00 09');
  assertEquals(await readReplyText(five), hex(expected));
  five.close();
  assertEquals((await server.ended()).reason, "client-gone");
  await server.close();
});

test("serve() answers a dialer's error instead of a peer", async () => {
  for (
    const [error, reply] of [
      [Object.assign(new Error("gone"), { reply: 4 }), "04"],
      [new NetError("refused"), "05"],
      [new Error("no way"), "01"],
    ] as const
  ) {
    const { closed, dial } = scripted(() => Promise.reject(error));
    const server = await startServer({ dial });
    const { conn } = await ask(server, `02 00 ${LOOPBACK}`);
    assertEquals(hex(await readAll(conn)), ERROR(reply));
    conn.close();
    const end = await server.ended();
    assertEquals([end.reason, end.error], ["refused", error]);
    assertEquals(closed(), 1);
    await server.close();
  }
  const { dial } = scripted(() => {
    throw new Error("at once");
  });
  const server = await startServer({ dial });
  const { conn } = await ask(server, `02 00 ${LOOPBACK}`);
  assertEquals(hex(await readAll(conn)), ERROR("01"));
  conn.close();
  await server.close();
});

test("serve() closes a dialer's peer that connects after the wait", async () => {
  for (const how of ["the client leaves", "session.close()"]) {
    const { promise, resolve } = deferred<Accepted>();
    const { accepts, closed, dial } = scripted(() => promise);
    const server = await startServer({ dial });
    const { conn } = await ask(server, `02 00 ${ANYONE}`);
    if (how === "session.close()") server.server.sessions[0].close();
    else conn.close();
    await server.ended();
    assertEquals([accepts[0].signal.aborted, closed()], [true, 1]);
    const { near, far, close } = await inbound(PEER);
    resolve(far);
    assertEquals(await near.read().catch(() => null), null);
    await readAll(conn).catch(() => {});
    conn.close();
    await close();
    await server.close();
  }
});

test("serve() closes a dialer's peer when the client leaves while the policy judges the peer", async () => {
  const { near, far, close } = await inbound(PEER);
  const { dial } = scripted(() => Promise.resolve(far));
  const asked = deferred<void>();
  const server = await startServer({
    dial,
    policy({ address }) {
      if (address === undefined) return true;
      asked.resolve();
      return new Promise(() => {});
    },
  });
  const { conn } = await ask(server, `02 00 ${ANYONE}`);
  await asked.promise;
  conn.close();
  assertEquals((await server.ended()).reason, "client-gone");
  assertEquals(await near.read().catch(() => null), null);
  await close();
  await server.close();
  await settled();
});
