/** Pools: several alternatives, and which of them are used. */

import { inspect } from "node:util";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type ClientOptions,
  type Hops,
  SocksError,
} from "../../src/client/mod.ts";
import {
  createPool,
  type HopPool,
  type PoolAlternative,
  type PoolCallOptions,
  type PoolOptions,
} from "../../src/client/pool/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { certificates } from "../support/certificates.ts";
import { test } from "../support/harness.ts";
import {
  assertSocksError,
  invalidTimeouts,
  startProxy,
} from "../support/scripted.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  urlOf,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { TARGET } from "../support/socks5_wire.ts";
import { pattern, readExactly } from "../transport/contract.ts";
import { assertEchoed, startEcho } from "./associated.ts";

/**
 * A network of proxies that are up, down or refuse the target, by the ports of their URLs,
 * and the ports that were dialled.
 */
class ProxyNetwork {
  readonly clock = new FakeClock();
  readonly dialled: number[] = [];
  /** By port: the reply; `undefined` for a proxy that is down. By default it is up. */
  readonly replies = new Map<number, number | undefined>();

  async options(): Promise<Required<Pick<ClientOptions, "transport">>> {
    const { clock } = this;
    const runtime = await detectTransport();
    const connect = ({ port }: { port: number }) => {
      this.dialled.push(port);
      if (!this.replies.has(port)) return Promise.resolve(scripted(0));
      const reply = this.replies.get(port);
      return reply === undefined
        ? Promise.reject(new NetError("refused"))
        : Promise.resolve(scripted(reply));
    };
    return { transport: { ...runtime, clock, connect } };
  }

  /** Sets the state of a proxy. */
  set(port: number, state: "up" | "down" | number): void {
    if (state === "up") this.replies.delete(port);
    else this.replies.set(port, state === "down" ? undefined : state);
  }

  /** The ports that were dialled since the last call. */
  take(): number[] {
    return this.dialled.splice(0);
  }
}

/** A connection to a SOCKS5 proxy without a login that gives this reply. */
function scripted(reply: number): Conn {
  const address = { hostname: "127.0.0.1", port: 1 };
  const answers = [
    Uint8Array.of(5, 0),
    Uint8Array.of(5, reply, 0, 1, 0, 0, 0, 0, 0, 0),
  ];
  const unread: Uint8Array[] = [];
  return {
    localAddr: address,
    remoteAddr: address,
    read: () => Promise.resolve(unread.pop() ?? answers.shift() ?? null),
    unread: (chunk) => void unread.push(chunk),
    peek: () => Promise.resolve(true),
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close() {},
    reset() {},
  };
}

/** A pool of proxies on these ports in a {@linkcode ProxyNetwork}. */
async function poolOf(
  ports: readonly (number | PoolAlternative)[],
  options: PoolOptions = {},
) {
  const network = new ProxyNetwork();
  const alternatives = ports.map((it) =>
    typeof it === "number" ? `socks5h://127.0.0.1:${it}` : it
  );
  const pool = createPool(alternatives, {
    ...options,
    ...await network.options(),
  });
  return { network, pool };
}

/** Connects, and returns the ports that were dialled for that. */
async function use(
  pool: HopPool,
  network: ProxyNetwork,
  options?: PoolCallOptions,
): Promise<number[]> {
  (await pool.connect(TARGET, options)).close();
  return network.take();
}

test("createPool() throws a TypeError for invalid arguments at once, without credentials", () => {
  const url = "socks5://al:hunter2@127.0.0.1";
  const rows: [readonly (Hops | PoolAlternative)[], PoolOptions?][] = [
    [[]],
    [url as never],
    [[url, "direct"]],
    [[url, "socks6://al:hunter2@127.0.0.1"]],
    [[{ hops: url, nmae: "a" } as never]],
    [[{ hops: [] }]],
    [[{ hops: url, name: "" }]],
    [[{ hops: url, name: "a" }, { hops: url, name: "a" }]],
    [[{ hops: url, weight: 2 }]],
    [[{ hops: url, weight: 0 }], { strategy: "round-robin" }],
    [[{ hops: url, weight: Infinity }], { strategy: "sticky" }],
    [[url], { strategy: "random" as never }],
    [[url], { stratgy: "sticky" } as never],
    [[url], { backoff: { min: 0 } }],
    [[url], { backoff: { min: 2, max: 1 } }],
    [[url], { backoff: { mni: 2 } as never }],
    [[url], { tls: {} }],
    [["socks5+tls://a"], { tls: [] as never }],
    [Array(1001).fill(url)],
    ...invalidTimeouts.flatMap((timeout): [[string], PoolOptions][] => [
      [[url], { timeout }],
      [[url], { attemptTimeout: timeout }],
    ]),
  ];
  for (const [alternatives, options] of rows) {
    const create = () => createPool(alternatives, options);
    const error = assertThrows(create, TypeError);
    const shown = inspect(error, { depth: 9, showHidden: true });
    assert(!shown.includes("hunter2"), shown);
  }
});

test("createPool() shows the alternatives without credentials", () => {
  const pool = createPool([
    "socks5h://al:hunter2@a.example socks4a://al@b.example",
    { name: "second", hops: "http://al:hunter2@c.example:3128" },
    "http://bob:hunter2@c.example:3128",
    "http://carol:hunter2@c.example:3128",
  ]);
  const chain = "socks5h://a.example:1080 socks4a://b.example:1080";
  const proxy = "http://c.example:3128";
  assertEquals(`${pool}`, `${chain} | ${proxy} | ${proxy} | ${proxy}`);
  assertEquals(
    pool.status().map(({ name, hops }) => [name, hops]),
    [
      [chain, chain],
      ["second", proxy],
      [proxy, proxy],
      [`${proxy} (2)`, proxy],
    ],
  );
  const shown = inspect(pool, { depth: 9, showHidden: true }) +
    inspect(pool.status(), { depth: 9 }) + JSON.stringify(pool);
  assert(!shown.includes("hunter2") && !shown.includes("al@"), shown);
});

test("resolvesNames of a pool is false if one alternative does not", () => {
  assertEquals(createPool(["socks5h://a", "http://b"]).resolvesNames, true);
  assertEquals(createPool(["socks5h://a", "socks5://b"]).resolvesNames, false);
});

test("a pool goes through a real proxy with every command, after one that is down", async () => {
  const auth = [userPass({ al: "pw" })];
  const server = await startServer({ auth, resolve: true });
  const target = await startTarget(echo);
  const udpTarget = await startEcho("127.0.0.1");
  const down = `socks5h://127.0.0.1:${await closedPort()}`;
  const up = urlOf(server, "socks5h://al:pw@");
  const pool = createPool([`${down} ${up}`, `${up} ${up}`, up]);

  const conn = await pool.connect(target.addr);
  await conn.write(pattern(1000));
  assertEquals(await readExactly(conn, 1000), pattern(1000));
  conn.close();

  const listener = await pool.bind("127.0.0.1");
  const peer = await (await detectTransport()).connect(listener.addr);
  const inbound = await listener.accept();
  assertEquals(inbound.peerAddr, peer.localAddr);
  inbound.close();
  peer.close();

  // A chain cannot have datagrams, which does not count.
  const udp = await pool.udpAssociate();
  await assertEchoed(udp, udpTarget.addr, udpTarget.addr);
  udp.close();

  assertEquals(await pool.resolve("127.0.0.1"), "127.0.0.1");
  assertEquals(typeof await pool.reverse("127.0.0.1"), "string");
  assertEquals(pool.status().map(({ failures }) => failures), [1, 0, 0]);
  assertEquals(pool.status()[0].error?.code, "proxy-unreachable");
  udpTarget.close();
  await target.close();
  await server.close();
});

test("a pool with failover uses the first alternative that does not rest", async () => {
  const { network, pool } = await poolOf([1, 2, 3]);
  assertEquals(await use(pool, network), [1]);
  network.set(1, "down");
  assertEquals(await use(pool, network), [1, 2]);
  assertEquals(await use(pool, network), [2]);
  network.set(2, "down");
  assertEquals(await use(pool, network), [2, 3]);
  assertEquals(await use(pool, network), [3]);
  network.set(1, "up");
  network.clock.advance(1_000);
  assertEquals(await use(pool, network), [1]);
});

test("an alternative that fails rests twice as long each time, from 1 s to 60 s", async () => {
  const { network, pool } = await poolOf([1, 2]);
  network.set(1, "down");
  const rests: number[] = [];
  for (let i = 0; i < 9; i++) {
    assertEquals(await use(pool, network), [1, 2]);
    const { restsFor, failures } = pool.status()[0];
    assertEquals(failures, i + 1);
    rests.push(restsFor);
    network.clock.advance(restsFor - 1);
    assertEquals(await use(pool, network), [2]);
    network.clock.advance(1);
  }
  const seconds = [1, 2, 4, 8, 16, 32, 60, 60, 60];
  assertEquals(rests, seconds.map((it) => it * 1000));
  network.set(1, "up");
  assertEquals(await use(pool, network), [1]);
  assertEquals(pool.status()[0], {
    name: "socks5h://127.0.0.1:1",
    hops: "socks5h://127.0.0.1:1",
    weight: 1,
    failures: 0,
    restsFor: 0,
  });
  network.set(1, "down");
  await use(pool, network);
  assertEquals(pool.status()[0].restsFor, 1_000);
});

test("the rests of a pool are those of its option", async () => {
  const backoff = { min: 10, max: 25 };
  const { network, pool } = await poolOf([1, 2], { backoff });
  network.set(1, "down");
  const rests: number[] = [];
  for (let i = 0; i < 3; i++) {
    await use(pool, network);
    const { restsFor } = pool.status()[0];
    rests.push(restsFor);
    network.clock.advance(restsFor);
  }
  assertEquals(rests, [10, 20, 25]);
});

test("while all alternatives rest, a pool tries the one whose rest ends first, and nothing else", async () => {
  const { network, pool } = await poolOf([1, 2]);
  network.set(1, "down");
  await use(pool, network);
  network.clock.advance(500);
  network.set(2, "down");
  await assertSocksError(pool.connect(TARGET), "proxy-unreachable", "dial");
  assertEquals(network.take(), [2]);
  await assertSocksError(pool.connect(TARGET), "proxy-unreachable", "dial");
  assertEquals(network.take(), [1]);
  network.set(2, "up");
  assertEquals(await use(pool, network), [2]);
});

test("failures of calls that were under way together count once", async () => {
  const { network, pool } = await poolOf([1]);
  network.set(1, "down");
  const calls = Array.from({ length: 10 }, () => pool.connect(TARGET));
  await Promise.allSettled(calls);
  assertEquals(network.take(), Array(10).fill(1));
  assertEquals(pool.status()[0].failures, 1);
});

test("after its rest, an alternative is tried by one call at a time", async () => {
  const { network, pool } = await poolOf([1, 2]);
  network.set(1, "down");
  await use(pool, network);
  network.clock.advance(1_000);
  network.set(1, "up");
  const calls = Array.from({ length: 5 }, () => pool.connect(TARGET));
  assertEquals(network.dialled.length <= 5, true);
  for (const conn of await Promise.all(calls)) conn.close();
  assertEquals(network.take().sort(), [1, 2, 2, 2, 2]);
  assertEquals(await use(pool, network), [1]);
});

test("a pool does not hold the target's failures against an alternative, and tries no other one", async () => {
  for (const reply of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const { network, pool } = await poolOf([1, 2]);
    network.set(1, reply);
    const error = await assertSocksError(
      pool.connect(TARGET),
      "rejected",
      "request",
    );
    assertEquals([error.reply, network.take()], [reply, [1]]);
    assertEquals(pool.status()[0].failures, 0);
  }
});

/** What happens at the first alternative, and whether it counts. */
const FAILURES: [string, string, string, boolean][] = [
  ["closes at once", "", "", true],
  ["answers nonsense", "05 01 00", "48 54 54 50", true],
  ["accepts no method", "05 01 00", "05 FF", true],
  ["closes after the login", "05 01 00", "05 00", false],
];

for (const [name, expects, sends, counts] of FAILURES) {
  test(`a pool ${counts ? "uses another" : "keeps the"} alternative when the proxy ${name}`, async () => {
    const bad = await startTarget(async (conn) => {
      try {
        if (expects !== "") {
          await readExactly(conn, 3);
          const octets = sends.split(" ").map((it) => parseInt(it, 16));
          await conn.write(Uint8Array.from(octets));
          if (!counts) await readExactly(conn, 10);
        }
      } finally {
        conn.close();
      }
    });
    const server = await startServer();
    const target = await startTarget(echo);
    const pool = createPool([
      `socks5h://127.0.0.1:${bad.addr.port}`,
      urlOf(server),
    ]);
    const connecting = pool.connect(target.addr);
    if (counts) (await connecting).close();
    else await assertSocksError(connecting, "proxy-closed", "request");
    assertEquals(pool.status()[0].failures, counts ? 1 : 0);
    for (const it of [bad, server, target]) await it.close();
  });
}

test("a pool uses another alternative when an HTTP or SOCKS4 proxy refuses the client's certificate", async () => {
  const { ca, server } = certificates();
  const tls = { ...server, clientCa: ca.cert };
  const strict = await startServer({ tls, http: true, socks4: {} });
  const good = await startServer();
  const target = await startTarget(echo);
  for (const scheme of ["https", "socks4as"]) {
    const url = `${scheme}://localhost:${strict.server.addr.port}`;
    const pool = createPool([url, urlOf(good)], { tls: { ca: ca.cert } });
    (await pool.connect(target.addr)).close();
    const [{ failures, error }] = pool.status();
    assertEquals([failures, error?.code], [1, "tls-refused"]);
  }
  for (const it of [strict, good, target]) await it.close();
});

test("the failure of a middle hop is one of the alternative", async () => {
  const server = await startServer();
  const target = await startTarget(echo);
  const down = `socks5h://127.0.0.1:${await closedPort()}`;
  const pool = createPool([`${urlOf(server)} ${down}`, urlOf(server)]);
  (await pool.connect(target.addr)).close();
  const [{ failures, error }] = pool.status();
  assertEquals([failures, error?.code, error?.hop?.number], [1, "rejected", 1]);
  await server.close();
  await target.close();
});

test("the error of a pool whose alternatives all fail is that of the last one, with all as its cause", async () => {
  const server = await startServer({ auth: [userPass({ al: "pw" })] });
  const down = `socks5h://127.0.0.1:${await closedPort()}`;
  const pool = createPool([down, urlOf(server, "socks5h://al:hunter2@")]);
  const error = await assertSocksError(
    pool.connect(TARGET),
    "login-failed",
    "auth",
  );
  assert(error.message.startsWith("2 alternatives have failed"));
  const { errors } = error.cause as AggregateError;
  assertEquals(
    errors.map(({ code }: SocksError) => code),
    ["proxy-unreachable", "login-failed"],
  );
  assert(!inspect(error, { depth: 9 }).includes("hunter2"));
  await server.close();
});

test("a pool rejects with unsupported when no alternative has the command", async () => {
  const { network, pool } = await poolOf([
    { hops: "http://127.0.0.1:1" },
    { hops: "socks5h://127.0.0.1:2 http://127.0.0.1:3" },
  ]);
  for (const run of [() => pool.bind(), () => pool.udpAssociate()]) {
    const error = await assertRejects(run, SocksError);
    assertEquals(error.code, "unsupported");
  }
  assertEquals(network.take(), []);
  assertEquals(pool.status().map(({ failures }) => failures), [0, 0]);
});

test("the timeout for one alternative does not limit the target", async () => {
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    const silent = await startProxy([["05 01 00", ""]]);
    const slow = await startProxy([["05 01 00", "05 00"], [
      "05 01 00 01 C0 00 02 01 00 50",
      "",
    ]]);
    const pool = createPool(
      [silent, slow].map(({ addr }) => `socks5h://127.0.0.1:${addr.port}`),
      { transport },
    );
    const connecting = pool.connect(TARGET);
    connecting.catch(() => {});
    await silent.played;
    clock.skip(5_000);
    await slow.played;
    clock.skip(24_000);
    const [first, second] = pool.status();
    assertEquals([first.error?.code, first.failures], ["timeout", 1]);
    assertEquals(second.failures, 0);
    clock.skip(1_000);
    await assertSocksError(connecting, "timeout", "request");
    assertEquals(pool.status()[1].failures, 0);
    await silent.close();
    await slow.close();
  });
});

test("the timeout of a pool is for all alternatives together", async () => {
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    const silent = await startProxy([["05 01 00", ""]]);
    const url = `socks5h://127.0.0.1:${silent.addr.port}`;
    const pool = createPool([url, url], { transport, attemptTimeout: 0 });
    const connecting = pool.connect(TARGET, { timeout: 3_000 });
    connecting.catch(() => {});
    await silent.played;
    clock.skip(3_000);
    await assertSocksError(connecting, "timeout", "method");
    assertEquals(silent.conns.length, 1);
    await silent.close();
  });
});

test("a pool tries an alternative also if the clock has passed the timeout meanwhile", async () => {
  const { network, pool } = await poolOf([1]);
  network.set(1, "down");
  const now = network.clock.now.bind(network.clock);
  let calls = 0;
  network.clock.now = () => now() + 10 * calls++; // each call takes its time
  const options = { timeout: 1 };
  await assertRejects(() => pool.connect(TARGET, options), SocksError);
});

test("a signal ends a call of a pool, counts against no alternative, and tries no other one", async () => {
  for (const which of ["default", "call"]) {
    const defaults = new AbortController();
    const call = new AbortController();
    const silent = await startProxy([["05 01 00", ""]]);
    const url = `socks5h://127.0.0.1:${silent.addr.port}`;
    const pool = createPool([url, url], { signal: defaults.signal });
    const connecting = pool.connect(TARGET, { signal: call.signal });
    connecting.catch(() => {});
    await silent.played;
    (which === "call" ? call : defaults).abort(
      new DOMException("too late", "TimeoutError"),
    );
    await assertSocksError(connecting, "timeout", "method");
    assertEquals(pool.status().map(({ failures }) => failures), [0, 0]);
    assertEquals(silent.conns.length, 1);
    await silent.close();
  }
});

test("a pool with round robin uses its alternatives in turn, as often as their weights say", async () => {
  const strategy = "round-robin";
  const hops = (port: number) => `socks5h://127.0.0.1:${port}`;
  const { network, pool } = await poolOf([
    { hops: hops(1), weight: 3 },
    { hops: hops(2) },
    { hops: hops(3), weight: 1 },
  ], { strategy });
  const used: number[] = [];
  for (let i = 0; i < 10; i++) used.push(...await use(pool, network));
  assertEquals(used, [1, 2, 1, 3, 1, 1, 2, 1, 3, 1]);
  network.set(1, "down");
  const [first, second] = await use(pool, network);
  assertEquals([first, second === 2 || second === 3], [1, true]);
  const rest = [
    ...await use(pool, network),
    ...await use(pool, network),
  ];
  assertEquals(rest.sort(), [2, 3]);
});

test("a sticky pool uses the same alternative for the same key, and spreads keys by weight", async () => {
  const strategy = "sticky";
  const hops = (port: number) => `socks5h://127.0.0.1:${port}`;
  const { network, pool } = await poolOf([
    { name: "a", hops: hops(1), weight: 2 },
    { name: "b", hops: hops(2) },
    { name: "c", hops: hops(3) },
  ], { strategy });
  const keys = Array.from({ length: 400 }, (_, i) => `192.0.2.${i}`);
  const choices = new Map<string, number>();
  const counts = [0, 0, 0, 0];
  for (const key of keys) {
    const [port] = await use(pool, network, { key });
    choices.set(key, port);
    counts[port]++;
    assertEquals(await use(pool, network, { key }), [port]);
  }
  // The hash is fixed, so that these are the same numbers in each run.
  assert(counts[1] > 170 && counts[1] < 230, `${counts}`);
  assert(counts[2] > 70 && counts[3] > 70, `${counts}`);
  network.set(1, "down");
  await pool.connect(TARGET, { key: keys.find((it) => choices.get(it) === 1)! })
    .then((conn) => conn.close());
  network.take();
  const moved = new Set<number>();
  for (const key of keys) {
    const [port] = await use(pool, network, { key });
    if (choices.get(key) === 1) moved.add(port);
    else assertEquals(port, choices.get(key), key);
  }
  assertEquals([...moved].sort(), [2, 3]);
});

test("a sticky pool needs a key, which in a server is the user or the client", async () => {
  const { network, pool } = await poolOf([1, 2, 3], { strategy: "sticky" });
  await assertRejects(() => pool.connect(TARGET), TypeError, "key");
  const portOf = async (options: unknown) =>
    (await use(pool, network, options as PoolCallOptions))[0];
  for (let i = 0; i < 20; i++) {
    const client = { hostname: `192.0.2.${i}`, port: 1 };
    const user = `user${i}`;
    const anyone = await portOf({ session: { client } });
    const someone = await portOf({ session: { client, user } });
    assertEquals(anyone, await portOf({ key: client.hostname }));
    assertEquals(someone, await portOf({ key: user }));
  }
});

test("serve() goes through a pool", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer();
  const down = `socks5h://127.0.0.1:${await closedPort()}`;
  const dial = createPool([down, urlOf(upstream)]);
  const server = await startServer({ dial });
  const proxy = createPool([urlOf(server)]);
  const conn = await proxy.connect(`localhost:${target.addr.port}`);
  await conn.write(pattern(1000));
  assertEquals(await readExactly(conn, 1000), pattern(1000));
  conn.close();
  assertEquals((await upstream.ended()).session.target?.hostname, "localhost");
  for (const it of [server, upstream, target]) await it.close();
});
