/** The addresses that sessions connect from, on the addresses of loopback. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { bind, connect, SocksError } from "../../../src/client/mod.ts";
import {
  Metrics,
  OptionError,
  type Policy,
  rules,
  serve,
  type ServeOptions,
  type UserAttributes,
  userPass,
} from "../../../src/server/mod.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { NetError, type NetErrorKind } from "../../../src/transport/errors.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { test } from "../../support/harness.ts";
import { udpEcho } from "../../support/raw.ts";
import {
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../../support/server.ts";
import { start as startWorld, to, withNames } from "../../support/world.ts";
import { until } from "../../transport/contract.ts";

const LIST = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const VIA = `allow * via ${LIST.join(",")}`;

const LOGINS: ServeOptions = {
  auth: [userPass({ alice: "pw", bob: "pw" })],
  sessionWords: true,
};

/** A server, a target, and a way to connect through the one to the other. */
interface Fixture extends TestServer {
  readonly target: Target;
  /** The address that a user's connection comes from. */
  sourceOf(login?: string): Promise<string>;
}

async function startFixture(options: ServeOptions): Promise<Fixture> {
  const target = await startTarget(echo);
  const server = await startServer(options);
  return {
    ...server,
    target,
    async sourceOf(login) {
      const { port } = server.server.addr;
      const userinfo = login === undefined ? "" : `${login}@`;
      const proxy = `socks5://${userinfo}127.0.0.1:${port}`;
      const conn = await connect(proxy, target.addr);
      const { remoteAddr } = await target.accepted();
      assertEquals(conn.boundAddr.hostname, remoteAddr.hostname);
      conn.close();
      await server.ended();
      return remoteAddr.hostname;
    },
    async close() {
      await server.close();
      await target.close();
    },
  };
}

/** The connections of 40 session words, and of one. */
async function sourcesOf(
  fixture: Fixture,
): Promise<{ many: Set<string>; one: Set<string> }> {
  const [many, one] = [new Set<string>(), new Set<string>()];
  for (let i = 0; i < 40; i++) {
    many.add(await fixture.sourceOf(`alice-session-${i}:pw`));
    one.add(await fixture.sourceOf("alice-session-x:pw"));
  }
  return { many, one };
}

test("serve() connects from one address of a list for each session word, and from all of them", async () => {
  const fixture = await startFixture({ ...LOGINS, policy: rules([VIA]) });
  const { many, one } = await sourcesOf(fixture);
  assertEquals([...many].sort(), LIST);
  assertEquals(one.size, 1);
  await fixture.close();
});

test("serve() connects from another address for each session when nothing is sticky", async () => {
  const policy = rules([VIA]);
  const egress = { sticky: 0 };
  const fixture = await startFixture({ ...LOGINS, policy, egress });
  const { one } = await sourcesOf(fixture);
  assertEquals([...one].sort(), LIST);
  await fixture.close();
});

test("serve() chooses the same addresses on servers with the same key", async () => {
  const key = crypto.getRandomValues(new Uint8Array(16));
  const policy: Policy = () => ({ verdict: "allow", localAddress: LIST });
  const words = Array.from({ length: 12 }, (_, i) => `alice-session-${i}:pw`);
  const all: string[][] = [];
  for (const egress of [{ key }, { key }, { key: key.toReversed() }]) {
    const fixture = await startFixture({ ...LOGINS, policy, egress });
    const found: string[] = [];
    for (const it of words) found.push(await fixture.sourceOf(it));
    all.push(found);
    // A new configuration changes nothing.
    await fixture.server.update({ ...LOGINS, policy, egress });
    assertEquals(await fixture.sourceOf(words[0]), found[0]);
    await fixture.close();
  }
  assertEquals(all[0], all[1]);
  assert(`${all[0]}` !== `${all[2]}`);
});

test("serve() connects from an address of a prefix, which it shows as via", async () => {
  const policy = rules(["allow 127.0.0.0/8 via 127.8.0.0/16,::1"]);
  const fixture = await startFixture({ ...LOGINS, policy });
  const { many, one } = await sourcesOf(fixture);
  for (const it of many) assertMatch(it, /^127\.8\./);
  assert(many.size > 35);
  assertEquals(one.size, 1);
  const ends = fixture.events.filter((it) => it.type === "session-end");
  const { session } = ends.at(-1)!;
  assertEquals([session.user, session.sessionWord, session.via], [
    "alice",
    "x",
    [...one][0],
  ]);
  assertEquals(session.toJSON().via, session.via);
  await fixture.close();
});

test("serve() connects from the addresses of the user, unless a rule has others", async () => {
  const users: Record<string, UserAttributes> = {
    alice: { via: ["127.0.0.7"] },
    bob: {},
  };
  const asked: string[] = [];
  const userAttributes = (user: string) => {
    asked.push(user);
    return users[user];
  };
  const fixture = await startFixture({ ...LOGINS, userAttributes });
  assertEquals(await fixture.sourceOf("alice:pw"), "127.0.0.7");
  assertEquals(await fixture.sourceOf("alice-session-1:pw"), "127.0.0.7");
  assertEquals(await fixture.sourceOf("bob:pw"), "127.0.0.1");
  assertEquals([...new Set(asked)], ["alice", "bob"]);
  await fixture.server.update({ policy: rules(["allow 127.0.0.1"]) });
  assertEquals(await fixture.sourceOf("alice:pw"), "127.0.0.7");
  const policy = rules(["allow 127.0.0.1 via 127.0.0.2"]);
  await fixture.server.update({ policy });
  assertEquals(await fixture.sourceOf("alice:pw"), "127.0.0.2");
  await fixture.close();
});

test("serve() refuses a request when its addresses are invalid or unknown", async () => {
  let via: unknown;
  const userAttributes = () => {
    if (via === undefined) throw new Error("the directory is away");
    return { via } as UserAttributes;
  };
  const fixture = await startFixture({ ...LOGINS, userAttributes });
  const rows: [unknown, RegExp][] = [
    [undefined, /the directory is away/],
    [["eth0"], /"eth0" is neither an IP address nor a prefix/],
    [["::1"], /cannot|no address that can be reached from ::1/],
    [{ length: 1, *[Symbol.iterator]() {} }, /is a text|must be a list/],
  ];
  for (const [given, message] of rows) {
    via = given;
    const error = await assertRejects(() => fixture.sourceOf("bob:pw"));
    assert(error instanceof SocksError && [1, 2, 3].includes(error.reply!));
    const end = await fixture.ended();
    assertMatch(String(end.error?.message), message);
  }
  assertEquals(fixture.target.conns.length, 0);
  await fixture.close();
});

test("serve() refuses a request when the policy has an invalid address, an empty one included", async () => {
  let localAddress: unknown;
  const policy: Policy = () =>
    ({ verdict: "allow", localAddress }) as ReturnType<Policy>;
  const fixture = await startFixture({ policy });
  const rows: [unknown, RegExp][] = [
    ["", /"" is neither an IP address nor a prefix/],
    [null, /is a text/],
    [0, /is a text/],
    [[], /no address that can be reached/],
    [[undefined], /undefined is neither/],
    ["127.0.0.2/8", /is neither/],
    [Array(257).fill("127.0.0.2"), /at most 256/],
  ];
  for (const [given, message] of rows) {
    localAddress = given;
    await assertRejects(() => fixture.sourceOf(), SocksError);
    const end = await fixture.ended();
    assertMatch(String(end.error?.message), message);
  }
  assertEquals(fixture.target.conns.length, 0);
  localAddress = undefined;
  assertEquals(await fixture.sourceOf(), "127.0.0.1");
  await fixture.close();
});

test("serve() listens for the peer of a BIND, and sends datagrams, from the address of the user", async () => {
  const user = "alice-session-7";
  const fixture = await startFixture({ ...LOGINS, policy: rules([VIA]) });
  const source = await fixture.sourceOf(`${user}:pw`);
  const proxy = `socks5://${user}:pw@127.0.0.1:${fixture.server.addr.port}`;
  for (const hostname of ["127.0.0.1", "0.0.0.0"]) {
    const listener = await bind(proxy, { hostname, port: 0 });
    assertEquals(listener.addr.hostname, source);
    listener.close();
    assertEquals((await fixture.ended()).session.via, source);
  }
  await fixture.close();

  const world = await startWorld({ policy: rules([VIA]) });
  const other = await udpEcho("127.0.0.9");
  await world.echo();
  await world.echo();
  world.own.send(to(other.addr, "AA"), world.relay);
  await until(() => other.arrivals.length === 1);
  const [first] = world.target.arrivals;
  const all = [...world.target.arrivals, ...other.arrivals];
  assertEquals(
    all.map(({ from }) => from),
    Array(3).fill(first.from),
  );
  assert(LIST.includes(first.from.hostname));
  assertEquals(world.server.server.sessions[0].via, first.from.hostname);
  other.close();
  await world.close();
});

/** A transport on which these addresses cannot be used, and the addresses that were tried. */
async function without(
  unusable: readonly string[],
  kind: NetErrorKind,
): Promise<{ transport: Transport; tried: string[] }> {
  const native = await detectTransport();
  const tried: string[] = [];
  const fails = (address = "") => {
    tried.push(address);
    return unusable.includes(address)
      ? Promise.reject(new NetError(kind, `the system's text: ${kind}`))
      : undefined;
  };
  const transport: Transport = {
    ...native,
    connect: (to) => fails(to.localAddress) ?? native.connect(to),
    datagrams: (at, on) => fails(at.hostname) ?? native.datagrams(at, on),
    listen: (at, ...on) => fails(at.hostname) ?? native.listen(at, ...on),
  };
  return { transport, tried };
}

const PROBLEMS: readonly [NetErrorKind, string, RegExp][] = [
  ["addr-in-use", "exhausted", /^there is no free source port on 127/],
  ["addr-not-available", "unavailable", /^this machine cannot use the address/],
];

for (const [kind, problem, message] of PROBLEMS) {
  test(`serve() goes on to another address when one is ${problem}, and counts it`, async () => {
    const { transport, tried } = await without(LIST.slice(0, 3), kind);
    const metrics = new Metrics();
    const { onEvent } = metrics;
    const policy = rules([VIA]);
    const fixture = await startFixture({
      ...LOGINS,
      ...{ policy, transport, onEvent },
    });
    const sources = new Set<string>();
    for (let i = 0; i < 20; i++) {
      sources.add(await fixture.sourceOf(`alice-session-${i}:pw`));
    }
    assertEquals([...sources], [LIST[3]]);
    const failures = tried.filter((it) => LIST.slice(0, 3).includes(it));
    const name = `socks5_egress_${problem}_total`;
    assertEquals(metrics.read()[name], failures.length);
    assert(failures.length > 10);
    const events = fixture.events.filter(({ type }) =>
      type === "egress-failed"
    );
    assertEquals(events.length, failures.length);
    await fixture.close();
  });

  test(`serve() replies 1 when all addresses are ${problem}, and says so`, async () => {
    const { transport, tried } = await without(LIST, kind);
    const fixture = await startFixture({
      ...LOGINS,
      ...{ policy: rules([VIA]), transport },
    });
    const error = await assertRejects(() => fixture.sourceOf("alice:pw"));
    assert(error instanceof SocksError);
    assertEquals(error.reply, 1);
    const { error: logged } = await fixture.ended();
    assertMatch(logged!.message, message);
    assertMatch(logged!.message, /and 3 other addresses$/);
    assertEquals(tried.filter((it) => it !== "127.0.0.1").sort(), LIST);
    await fixture.close();
  });

  test(`serve() listens and sends from another address when one is ${problem}`, async () => {
    const { transport } = await without(LIST.slice(0, 3), kind);
    const options = { policy: rules([VIA]), transport };
    const world = await startWorld(options);
    await world.echo();
    assertEquals(world.target.arrivals[0].from.hostname, LIST[3]);
    const { addr } = world.server.server;
    const proxy = `socks5://127.0.0.1:${addr.port}`;
    const listener = await bind(proxy, { hostname: "127.0.0.1", port: 0 });
    assertEquals(listener.addr.hostname, LIST[3]);
    listener.close();
    await world.close();
  });
}

test("serve() does not go on to another address when the target refuses", async () => {
  const { transport, tried } = await without([], "other");
  const fixture = await startFixture({
    ...LOGINS,
    ...{ policy: rules([VIA]), transport },
  });
  await fixture.target.close();
  const error = await assertRejects(() => fixture.sourceOf("alice:pw"));
  assertEquals((error as SocksError).reply, 5);
  assertEquals(tried.filter((it) => it !== "127.0.0.1").length, 1);
  await fixture.close();
});

test("serve() uses the addresses of each IP version for the targets of that version", async () => {
  const dialled: string[] = [];
  const { transport: named } = await withNames({
    "both.test": ["2001:db8::1", "127.0.0.1"],
    "six.test": ["2001:db8::1"],
  });
  const transport: Transport = {
    ...named!,
    connect({ hostname, localAddress = "" }) {
      dialled.push(`${hostname} ${localAddress}`);
      return Promise.reject(new NetError("refused"));
    },
  };
  const all = await startServer({
    transport,
    policy: rules(["allow * via 127.0.0.2,2001:db8:1::/127"]),
  });
  const proxy = `socks5h://127.0.0.1:${all.server.addr.port}`;
  const fail = async (hostname: string) => {
    const target = { hostname, port: 9 };
    const native = await detectTransport();
    await assertRejects(() => connect(proxy, target, { transport: native }));
  };
  await fail("both.test");
  assertEquals(dialled.length, 2);
  assertMatch(dialled[0], /^2001:db8::1 2001:db8:1::1?$/);
  assertEquals(dialled[1], "127.0.0.1 127.0.0.2");
  await all.server.update({ policy: rules(["allow * via 127.0.0.2"]) });
  await fail("six.test");
  assertEquals(dialled.length, 2);
  await fail("both.test");
  assertEquals(dialled[2], "127.0.0.1 127.0.0.2");
  await all.close();
});

test("serve() closes the prefixes that it connects from to exposed sessions", async () => {
  const dialled: string[] = [];
  const native = await detectTransport();
  const transport: Transport = {
    ...native,
    connect({ hostname }) {
      dialled.push(hostname);
      return Promise.reject(new NetError("refused"));
    },
  };
  const own = await startServer({
    ...LOGINS,
    transport,
    policy: rules(["allow *:1 via 9.9.8.0/24", "allow *"]),
    userAttributes: () => ({ via: ["9.9.9.0/24"] }),
    egress: { own: ["9.9.10.0/24"] },
    proxyFrom: ["192.0.2.1"], // makes all sessions exposed
  });
  const proxy = `socks5://alice:pw@127.0.0.1:${own.server.addr.port}`;
  const refusal = async (hostname: string) => {
    const target = { hostname, port: 9 };
    const options = { transport: native };
    await assertRejects(() => connect(proxy, target, options));
    return (await own.ended()).error!.message;
  };
  assertEquals(await refusal("9.9.7.7"), "refused");
  for (const it of ["9.9.8.77", "9.9.9.77", "9.9.10.77"]) {
    const reason = `denied by: the server's own address ${it}`;
    assertEquals(await refusal(it), reason);
  }
  assertEquals(dialled, ["9.9.7.7"]);
  await own.close();
});

test("serve() checks egress, sessionWords and userAttributes", async () => {
  const rows: [ServeOptions, string][] = [
    [{ egress: { sticky: -1 } }, "egress.sticky"],
    [{ egress: { key: new Uint8Array(3) } }, "egress.key"],
    [{ egress: { own: ["9.9.9.1/24"] } }, "egress.own"],
    [{ egress: { own: "9.9.9.0/24" as unknown as string[] } }, "egress.own"],
    [{ sessionWords: "no" as unknown as boolean }, "sessionWords"],
    [{ userAttributes: {} as () => undefined }, "userAttributes"],
  ];
  for (const [options, option] of rows) {
    const error = await assertRejects(() => serve({ port: 0, ...options }));
    assert(error instanceof OptionError);
    assertEquals(error.option, option);
  }
  const misspelt = { egress: { stick: 1 } } as ServeOptions;
  await assertRejects(() => serve({ port: 0, ...misspelt }), TypeError);
});
