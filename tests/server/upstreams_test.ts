/** Ways to targets: the option `upstreams`, and rules with `through`. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  bind,
  connect as connectThrough,
  resolve,
  reverse,
  socks,
  SocksError,
  udpAssociate,
} from "../../src/client/mod.ts";
import type { Endpoint } from "../../src/protocol/address.ts";
import {
  type Dialer,
  OptionError,
  type Policy,
  type PolicyRequest,
  rules,
  serve,
  type ServeOptions,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { test } from "../support/harness.ts";
import { deferred } from "../support/world.ts";
import { assertTurnedAway, connectFrom } from "../support/raw.ts";
import {
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { dialer, ScriptedAssociation, through } from "../support/upstream.ts";
import { pattern, readExactly, until } from "../transport/contract.ts";
import { assertEchoed, startEcho, startMailbox } from "../client/associated.ts";

const NAMES: Readonly<Record<string, string[]>> = {
  "target.test": ["127.0.0.1"],
  "other.test": ["127.0.0.2"],
  "both.test": ["127.0.0.2", "127.0.0.1"],
  "private.test": ["10.0.0.1"],
};

/** A transport that resolves {@linkcode NAMES}, and the names that it was asked for. */
async function network() {
  const lookups: string[] = [];
  const runtime = await detectTransport();
  const transport = {
    ...runtime,
    lookup(name: string) {
      lookups.push(name);
      return NAMES[name]
        ? Promise.resolve(NAMES[name])
        : Promise.reject(new NetError("dns", `no such name: ${name}`));
    },
  };
  return { transport, lookups };
}

/** A dialer for CONNECT that goes to one target, and the hostnames that it was asked for. */
function recorder(port: number, resolvesNames?: boolean) {
  const asked: string[] = [];
  const dial: Dialer = {
    ...resolvesNames !== undefined && { resolvesNames },
    async connect({ hostname }) {
      asked.push(hostname);
      return await (await detectTransport()).connect({
        hostname: "127.0.0.1",
        port,
      });
    },
  };
  return { dial, asked };
}

/** Names of the upstreams of {@linkcode startWays}. */
type Name = "up" | "other" | "here";

/** A target, and a server with rules whose ways all lead there. */
async function startWays(
  policy: Policy,
  standard?: Name,
  options: ServeOptions = {},
) {
  const target = await startTarget(echo);
  const { transport, lookups } = await network();
  const { port } = target.addr;
  const ways = {
    up: recorder(port),
    other: recorder(port),
    here: recorder(port, false),
  };
  const upstreams = {
    up: ways.up.dial,
    other: ways.other.dial.connect, // a function is one, too
    here: ways.here.dial,
  };
  const server = await startServer({
    transport,
    upstreams,
    dial: standard && ways[standard].dial,
    policy,
    ...options,
  });
  const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
  return {
    server,
    url,
    target,
    /** Connects to a host; returns the reply, and who was asked for what meanwhile. */
    async ask(hostname: string): Promise<Asked> {
      const { up, other, here } = ways;
      for (const it of [up.asked, other.asked, here.asked, lookups]) {
        it.length = 0;
      }
      const reply = await replyTo(url, { hostname, port });
      const all = { up: up.asked, other: other.asked, here: here.asked };
      return structuredClone({ reply, ...all, lookups });
    },
    async close() {
      await server.close();
      await target.close();
    },
  };
}

interface Asked {
  readonly reply: number | undefined;
  readonly up: string[];
  readonly other: string[];
  readonly here: string[];
  readonly lookups: string[];
}

const NOTHING: Asked = { reply: 0, up: [], other: [], here: [], lookups: [] };

/** The reply to a CONNECT through a proxy; on success, checks that the target echoes. */
async function replyTo(
  url: string,
  target: Endpoint,
): Promise<number | undefined> {
  const conn = await connectThrough(url, target).catch(
    (error: SocksError) => error,
  );
  if (conn instanceof SocksError) return conn.reply;
  await conn.write(pattern(10));
  assertEquals(await readExactly(conn, 10), pattern(10));
  conn.close();
  return 0;
}

/** The rules, the default way, the host of the target, and what happens. */
type Row = [
  name: string,
  rules: string[],
  dial: Name | undefined,
  hostname: string,
  expected: Partial<Asked>,
];

const ROWS: Row[] = [
  [
    "sends a name through the upstream of its rule, unresolved",
    ["allow *.test through up"],
    undefined,
    "target.test",
    { up: ["target.test"] },
  ],
  [
    "sends an address through the upstream of its rule",
    ["allow 127.0.0.0/8 through up"],
    undefined,
    "127.0.0.1",
    { up: ["127.0.0.1"] },
  ],
  [
    "connects directly without through",
    ["allow *.example through up", "allow *"],
    undefined,
    "target.test",
    { lookups: ["target.test"] },
  ],
  [
    "takes the upstream of the first rule that matches",
    ["allow target.test through other", "allow * through up"],
    undefined,
    "target.test",
    { other: ["target.test"] },
  ],
  [
    "goes through the option dial without through",
    ["allow *.example through other", "allow *"],
    "up",
    "target.test",
    { up: ["target.test"] },
  ],
  [
    "connects directly with through direct, in place of the option dial",
    ["allow target.test through direct", "allow *"],
    "up",
    "target.test",
    { lookups: ["target.test"] },
  ],
  [
    "sends an address directly with through direct",
    ["allow 127.0.0.1 through direct"],
    "up",
    "127.0.0.1",
    {},
  ],
  [
    "does not match addresses with a name that the upstream resolves",
    ["allow 127.0.0.0/8 through direct", "allow * through up"],
    undefined,
    "target.test",
    { up: ["target.test"] },
  ],
  [
    "does not resolve a name for a rule that denies addresses",
    ["deny 127.0.0.0/8", "allow *"],
    "up",
    "target.test",
    { up: ["target.test"] },
  ],
  [
    "denies a name when only addresses are allowed through the upstream",
    ["allow 127.0.0.0/8"],
    "up",
    "target.test",
    { reply: 2 },
  ],
  [
    "denies a name without resolving it when no rule allows it",
    ["deny 10.0.0.0/8", "allow *.example"],
    "up",
    "target.test",
    { reply: 2 },
  ],
  [
    "checks the addresses of a name that goes directly",
    ["deny 127.0.0.2", "allow both.test through direct", "allow *"],
    "up",
    "both.test",
    { lookups: ["both.test"] },
  ],
  [
    "denies a name whose addresses are denied directly",
    ["deny 127.0.0.0/8", "allow *.test through direct"],
    "up",
    "target.test",
    { reply: 2, lookups: ["target.test"] },
  ],
  [
    "resolves names for an upstream that does not, and sends an allowed address",
    ["deny 127.0.0.2", "allow * through here"],
    undefined,
    "both.test",
    { here: ["127.0.0.1"], lookups: ["both.test"] },
  ],
  [
    "resolves names for an option dial that does not",
    ["deny 10.0.0.0/8", "allow *"],
    "here",
    "private.test",
    { reply: 2, lookups: ["private.test"] },
  ],
  [
    "chooses the way by the address of a name that it resolves",
    ["allow 127.0.0.2 through here", "allow * through direct"],
    undefined,
    "other.test",
    { here: ["127.0.0.2"], lookups: ["other.test"] },
  ],
];

for (const [name, list, standard, hostname, expected] of ROWS) {
  test(`serve() ${name}`, async () => {
    const { ask, close } = await startWays(rules(list), standard);
    assertEquals(await ask(hostname), { ...NOTHING, ...expected });
    await close();
  });
}

test("serve() denies localhost through an upstream to exposed sessions, unless a rule names it", async () => {
  const options = { hostname: "0.0.0.0", openProxy: true };
  for (
    const [list, hostname, isAllowed] of [
      [[], "localhost", false],
      [["allow *"], "localhost", false],
      [["allow * through up"], "a.localhost", false],
      [["allow * through up"], "localhost.test", true],
      [["allow localhost through up"], "localhost", true],
      [["allow *.localhost"], "a.localhost", true],
    ] as [string[], string, boolean][]
  ) {
    const { server, ask, close } = await startWays(rules(list), "up", options);
    const expected = isAllowed ? { up: [hostname] } : { reply: 2 };
    assertEquals(await ask(hostname), { ...NOTHING, ...expected });
    const [denied] = server.events.filter(({ type }) => type === "denied");
    if (isAllowed) assertEquals(denied, undefined);
    else if (denied?.type === "denied") {
      assertEquals(denied.rule, `special-purpose name ${hostname}`);
    } else assert(false, "no event");
    await close();
  }
});

test("serve() denies special-purpose addresses through an upstream to exposed sessions", async () => {
  const options = { hostname: "0.0.0.0", openProxy: true };
  const { ask, close } = await startWays(rules([]), "up", options);
  assertEquals(await ask("10.0.0.1"), { ...NOTHING, reply: 2 });
  await close();
  // Also those of a name that the server resolves for the upstream.
  const other = await startWays(rules([]), "here", options);
  const lookups = ["private.test"];
  assertEquals(await other.ask("private.test"), {
    ...NOTHING,
    reply: 2,
    lookups,
  });
  await other.close();
});

test("serve() resolves localhost for exposed sessions when it connects directly", async () => {
  const target = await startTarget(echo);
  const { transport } = await network();
  const lookup = () => Promise.resolve(["127.0.0.1"]);
  const server = await startServer({
    ...{ hostname: "0.0.0.0", openProxy: true },
    transport: { ...transport, lookup },
    policy: rules(["allow 127.0.0.0/8"]),
  });
  const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
  const { port } = target.addr;
  assertEquals(await replyTo(url, { hostname: "localhost", port }), 0);
  await server.close();
  await target.close();
});

test("serve() tells a policy that an upstream resolves the name", async () => {
  const requests: PolicyRequest[] = [];
  const policy: Policy = (request) => {
    requests.push(request);
    return { verdict: "allow", through: "up" };
  };
  const { ask, close } = await startWays(policy);
  assertEquals((await ask("target.test")).up, ["target.test"]);
  assertEquals((await ask("127.0.0.1")).up, ["127.0.0.1"]);
  assertEquals(
    requests.map(({ hostname, address, resolvedElsewhere }) => [
      hostname,
      address,
      resolvedElsewhere,
    ]),
    [["target.test", undefined, true], ["127.0.0.1", "127.0.0.1", undefined]],
  );
  await close();
});

test("serve() denies a request whose verdict names no upstream, and connects to nothing", async () => {
  const odd: unknown[] = ["Up", "", "Direct", "toString", null, 5, {}];
  for (const through of odd) {
    const policy = () => ({ verdict: "allow", through } as never);
    for (const standard of [undefined, "up"] as const) {
      const { server, ask, target, close } = await startWays(policy, standard);
      for (const hostname of ["target.test", "127.0.0.1"]) {
        const { reply, lookups: _, ...ways } = await ask(hostname);
        assertEquals(reply, 2, `${through} ${hostname}`);
        assertEquals(ways, { up: [], other: [], here: [] });
        const { error } = await server.ended();
        assert(error?.message.startsWith("there is no upstream"), `${error}`);
      }
      assertEquals(target.conns.length, 0);
      await close();
    }
  }
});

test("serve() rejects invalid upstreams, and rules that name unknown ones", async () => {
  const connect = () => Promise.reject(new Error());
  const rows: [ServeOptions, RegExp][] = [
    [{ upstreams: { direct: connect } }, /"direct" is not free/],
    [{ upstreams: { Up: connect } }, /"Up" is invalid/],
    [{ upstreams: { "a b": connect } }, /"a b" is invalid/],
    [{ upstreams: { a: {} as never } }, /^upstreams\.a must be a function/],
    [{ upstreams: "a" as never }, /^upstreams must be an object/],
    [
      { policy: rules(["allow * through up"]) },
      /^a rule goes through up, but there is no such upstream$/,
    ],
    [
      { upstreams: { a: connect }, policy: rules(["allow * through b"]) },
      /through b/,
    ],
  ];
  for (const [options, message] of rows) {
    const error = await assertRejects(
      () => serve({ port: 0, ...options }),
      OptionError,
    );
    assert(message.test(error.message), error.message);
    assertEquals(error.option.split(".")[0], "upstreams");
  }
});

test("update() of a server replaces the upstreams, and keeps the old ones when it rejects", async () => {
  const policy = rules(["allow * through up"]);
  const { server, ask, target, close } = await startWays(policy);
  assertEquals((await ask("target.test")).up, ["target.test"]);
  await assertRejects(
    () => server.server.update({ upstreams: {} }),
    OptionError,
  );
  assertEquals((await ask("target.test")).up, ["target.test"]);
  const next = recorder(target.addr.port);
  await server.server.update({ upstreams: { up: next.dial } });
  assertEquals(await ask("target.test"), NOTHING);
  assertEquals(next.asked, ["target.test"]);
  await close();
});

test("serve() judges a request again if an update came while the policy was asked", async () => {
  for (const hostname of ["127.0.0.1", "target.test"]) {
    const asked = deferred<void>();
    const answer = deferred<true>();
    const policy: Policy = () => {
      asked.resolve();
      return answer.promise;
    };
    const { server, ask, target, close } = await startWays(policy, "up");
    const asking = ask(hostname);
    await asked.promise;
    const denyAll = rules(["deny *"]);
    await server.server.update({ dial: undefined, policy: denyAll });
    answer.resolve(true);
    const { reply, up } = await asking;
    assertEquals([reply, up, target.conns.length], [2, [], 0], hostname);
    await close();
  }
});

test("serve() judges all addresses of a name again if an update came meanwhile", async () => {
  const asked = deferred<void>();
  const answer = deferred<true>();
  const policy: Policy = ({ address }) => {
    if (address !== "127.0.0.1") return true;
    asked.resolve();
    return answer.promise;
  };
  const { server, ask, close } = await startWays(policy, "here");
  const asking = ask("both.test");
  await asked.promise;
  const denyAll = rules(["deny 127.0.0.0/8"]);
  await server.server.update({ dial: undefined, policy: denyAll });
  answer.resolve(true);
  const { reply, here } = await asking;
  assertEquals([reply, here], [2, []]);
  await close();
});

test("serve() tries the allowed addresses one after the other for an upstream that does not resolve names", async () => {
  const tried: string[] = [];
  const target = await startTarget(echo);
  const dial: Dialer = {
    resolvesNames: false,
    async connect({ hostname, port }) {
      tried.push(hostname);
      if (hostname !== "127.0.0.1") {
        throw Object.assign(new Error("no"), { reply: 4 });
      }
      return await (await detectTransport()).connect({ hostname, port });
    },
  };
  const { transport } = await network();
  const server = await startServer({ dial, transport });
  const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
  const { port } = target.addr;
  assertEquals(await replyTo(url, { hostname: "both.test", port }), 0);
  assertEquals(await replyTo(url, { hostname: "other.test", port }), 4);
  assertEquals(tried, ["127.0.0.2", "127.0.0.1", "127.0.0.2"]);
  await server.close();
  await target.close();
});

/** A server that goes through another one by name, and the URL of the first. */
async function startPair(list: readonly string[], options: ServeOptions = {}) {
  const { transport } = await network();
  const upstream = await startServer({ resolve: true, transport });
  const server = await startServer({
    transport,
    resolve: true,
    upstreams: { up: through(upstream), bare: () => Promise.reject() },
    policy: rules(list),
    ...options,
  });
  return {
    upstream,
    server,
    url: `socks5h://127.0.0.1:${server.server.addr.port}`,
    async close() {
      await server.close();
      await upstream.close();
    },
  };
}

function commandsOf({ events }: TestServer): (string | undefined)[] {
  return events.flatMap((it) =>
    it.type === "session-end" ? [it.session.command] : []
  );
}

test("serve() listens for the peer of a BIND in the way of its rule", async () => {
  const list = [
    "allow bind 127.0.0.1 through up",
    "allow bind *.test through up",
    "allow bind 127.0.0.3 through bare",
    "allow * through direct",
  ];
  const { server, upstream, url, close } = await startPair(list);
  const transport = await detectTransport();
  for (
    const [peer, from, isUp] of [
      ["127.0.0.1", "127.0.0.1", true],
      ["target.test", "127.0.0.1", true],
      ["127.0.0.2", "127.0.0.2", false],
    ] as const
  ) {
    const listener = await bind(url, peer);
    assertEquals(upstream.server.sessions.length, isUp ? 1 : 0, peer);
    const conn = await transport.connect({
      ...listener.addr,
      localAddress: from,
    });
    (await listener.accept()).close();
    conn.close();
    await server.ended();
    if (isUp) await upstream.ended();
  }
  assertEquals(commandsOf(upstream), ["bind", "bind"]);
  const error = await assertRejects(() => bind(url, "127.0.0.3"), SocksError);
  assertEquals(error.reply, 7);
  await close();
});

test("serve() resets a peer of a BIND that a rule sends elsewhere", async () => {
  const list = ["allow bind 127.0.0.1 through up", "allow bind"];
  const { url, close } = await startPair(list);
  const listener = await bind(url);
  await assertTurnedAway("127.0.0.1", listener.addr);
  const right = await connectFrom("127.0.0.2", listener.addr);
  const conn = await listener.accept();
  assertEquals(conn.peerAddr.hostname, "127.0.0.2");
  conn.close();
  right.destroy();
  await close();
});

test("serve() sends datagrams in the way of each target", async () => {
  const list = [
    "allow 127.0.0.2 through direct",
    "allow *.test through up",
    "allow 127.0.0.3 through bare",
  ];
  for (const standard of [false, true]) {
    const other = await startServer();
    const options = standard ? { dial: through(other) } : {};
    const { server, upstream, url, close } = await startPair(list, options);
    const near = await startEcho("127.0.0.2");
    const far = await startEcho("127.0.0.1");
    const lost = await startEcho("127.0.0.3");
    const udp = await udpAssociate(url);
    assertEquals(other.server.sessions.length, standard ? 1 : 0);
    await assertEchoed(udp, near.addr, near.addr);
    assertEquals(upstream.server.sessions.length, 0);
    const named = { hostname: "target.test", port: far.addr.port };
    await assertEchoed(udp, named, far.addr);
    await udp.send(pattern(3), lost.addr);
    await udp.send(pattern(3), { hostname: "10.0.0.1", port: 9 });
    await assertEchoed(udp, near.addr, near.addr);
    const [behind] = upstream.server.sessions;
    assertEquals(behind.datagrams?.sent, 1);
    udp.close();
    const { session } = await server.ended();
    assertEquals(session.datagrams?.sent, 3);
    assertEquals((await upstream.ended()).reason, "finished");
    for (const it of [near, far, lost]) it.close();
    await close();
    await other.close();
  }
});

test("serve() has datagrams in the ways that have them beside an option dial that has none", async () => {
  const list = ["allow 127.0.0.2 through direct", "allow *"];
  const dial = socks("http://127.0.0.1:1");
  const all: Record<string, Dialer>[] = [{ up: dial }, {}];
  for (const upstreams of all) {
    const server = await startServer({ dial, upstreams, policy: rules(list) });
    const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
    const near = await startEcho("127.0.0.2");
    const associating = udpAssociate(url);
    if ("up" in upstreams) {
      const udp = await associating;
      await udp.send(pattern(3), "127.0.0.1:9");
      await assertEchoed(udp, near.addr, near.addr);
      udp.close();
      const { session } = await server.ended();
      assertEquals(session.datagrams, { sent: 1, received: 1, dropped: 1 });
    } else {
      const error = await assertRejects(() => associating, SocksError);
      assertEquals(error.reply, 7);
    }
    near.close();
    await server.close();
  }
});

test("serve() keeps the datagrams of an association in their way after an update", async () => {
  const upstream = await startServer();
  const other = await startServer();
  const far = await startEcho("127.0.0.1");
  const dial = through(upstream);
  const server = await startServer({ dial });
  const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
  const udp = await udpAssociate(url);
  await assertEchoed(udp, far.addr, far.addr);
  const upstreams = { up: through(other) };
  const isDropped = async (list: string[], next?: Dialer) => {
    await server.server.update({ dial: next, upstreams, policy: rules(list) });
    const [session] = server.server.sessions;
    const { dropped } = session.datagrams!;
    await udp.send(pattern(3), far.addr);
    await until(() => session.datagrams!.dropped > dropped);
  };
  await isDropped(["allow * through up"], dial);
  await isDropped(["allow * through direct"], dial);
  await isDropped(["allow *"]);
  await server.server.update({ dial: through(upstream), policy: undefined });
  await assertEchoed(udp, far.addr, far.addr);
  assertEquals(other.server.sessions.length, 0);
  udp.close();
  await server.ended();
  far.close();
  for (const it of [server, upstream, other]) await it.close();
});

test("serve() sends no datagrams directly any more when an update sets the option dial", async () => {
  const server = await startServer();
  const near = await startEcho("127.0.0.1");
  const other = await startMailbox();
  const udp = await udpAssociate(
    `socks5h://127.0.0.1:${server.server.addr.port}`,
  );
  await assertEchoed(udp, near.addr, near.addr);
  await server.server.update({ dial: dialer({}) });
  for (const { addr } of [near, other]) await udp.send(pattern(3), addr);
  await until(() => server.server.sessions[0].datagrams?.dropped === 2);
  assertEquals(other.got, []);
  await server.server.update({ dial: undefined });
  await assertEchoed(udp, near.addr, near.addr);
  for (const it of [udp, near, other]) it.close();
  await server.ended();
  await server.close();
});

test("serve() does not accept datagrams from strangers on its own sockets beside an upstream", async () => {
  const list = ["allow 127.0.0.2 through direct", "allow *.test through up"];
  const { server, url, close } = await startPair(list);
  const near = await startMailbox("127.0.0.2");
  const stranger = await startMailbox("127.0.0.4");
  const far = await startEcho("127.0.0.1");
  const udp = await udpAssociate(url);
  const named = { hostname: "target.test", port: far.addr.port };
  await assertEchoed(udp, named, far.addr); // its answers may come from any address
  await udp.send(pattern(3), near.addr);
  const { hostname, port } = await near.packet(0);
  const [session] = server.server.sessions;
  stranger.send(pattern(4), hostname, port);
  await until(() => session.datagrams?.dropped === 1);
  near.send(pattern(5), hostname, port);
  const { value } = await udp.next();
  assertEquals([value![0].length, value![1]], [5, near.addr]);
  udp.close();
  await server.ended();
  for (const it of [near, far, stranger]) it.close();
  await close();
});

test("serve() opens another upstream association after one has ended", async () => {
  const opened: ScriptedAssociation[] = [];
  const up = dialer({
    udpAssociate() {
      opened.push(new ScriptedAssociation());
      return Promise.resolve(opened.at(-1)!);
    },
  });
  const server = await startServer({
    upstreams: { up },
    policy: rules(["allow *.test through up"]),
  });
  const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
  const udp = await udpAssociate(url);
  await udp.send(pattern(3), "target.test:9");
  await until(() => opened[0]?.sent.length === 1);
  opened[0].end();
  await until(() => opened[0].closed === 1);
  await udp.send(pattern(3), "other.test:9");
  await until(() => opened[1]?.sent.length === 1);
  assertEquals(server.server.sessions.length, 1);
  udp.close();
  await server.ended();
  assertEquals(opened.map(({ closed }) => closed), [1, 1]);
  await server.close();
});

test("serve() does not ask an upstream without datagrams again for each target", async () => {
  const clock = new FakeClock();
  const transport = { ...await detectTransport(), clock };
  let asked = 0;
  const up = dialer({
    udpAssociate() {
      asked++;
      return Promise.reject(new Error("no datagrams"));
    },
  });
  const server = await startServer({
    transport,
    upstreams: { up },
    policy: rules(["allow 127.0.0.2 through direct", "allow * through up"]),
  });
  const udp = await udpAssociate(
    `socks5h://127.0.0.1:${server.server.addr.port}`,
  );
  const near = await startEcho("127.0.0.2");
  const sendMany = async (from: number) => {
    for (let i = 0; i < 20; i++) {
      await udp.send(pattern(3), `127.0.0.1:${from + i}`);
      await assertEchoed(udp, near.addr, near.addr);
    }
  };
  await sendMany(100);
  assertEquals(asked, 1);
  clock.advance(3_000);
  await sendMany(200);
  assertEquals(asked, 2);
  near.close();
  udp.close();
  await server.ended();
  await server.close();
});

test("serve() looks names up in the way of their rules", async () => {
  const list = [
    "allow target.test through up",
    "allow other.test through bare",
    "allow both.test through direct",
    "allow resolve-ptr 127.0.0.1 through up",
    "allow resolve-ptr 127.0.0.2 through bare",
    "allow 127.0.0.0/8 through direct",
  ];
  const { upstream, url, close } = await startPair(list);
  assertEquals(await resolve(url, "target.test"), "127.0.0.1");
  await upstream.ended();
  assertEquals(commandsOf(upstream), ["resolve"]);
  assertEquals(await resolve(url, "both.test"), "127.0.0.2");
  await reverse(url, "127.0.0.1");
  await upstream.ended();
  assertEquals(commandsOf(upstream), ["resolve", "resolve-ptr"]);
  for (
    const lacking of [
      () => resolve(url, "other.test"),
      () => reverse(url, "127.0.0.2"),
    ]
  ) {
    const error = await assertRejects(lacking, SocksError);
    assertEquals(error.reply, 7);
  }
  assertEquals(commandsOf(upstream).length, 2);
  await close();
});

test("serve() answers with the reply of the upstream of a rule", async () => {
  for (const reply of [3, 5]) {
    const up = dialer({
      connect: () => Promise.reject(Object.assign(new Error("no"), { reply })),
    });
    const server = await startServer({
      upstreams: { up },
      policy: rules(["allow * through up"]),
    });
    const url = `socks5h://127.0.0.1:${server.server.addr.port}`;
    const target = { hostname: "target.test", port: 80 };
    assertEquals(await replyTo(url, target), reply);
    await server.close();
  }
});
