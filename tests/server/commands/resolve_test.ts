/** RESOLVE and RESOLVE_PTR, Tor's look-ups. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Dialer,
  Metrics,
  rules,
  type ServeOptions,
} from "../../../src/server/mod.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import { NetError } from "../../../src/transport/errors.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { test } from "../../support/harness.ts";
import { ERROR, hex, REFUSED4 } from "../../support/raw.ts";
import { startServer, type TestServer } from "../../support/server.ts";
import { withClock } from "../../support/skipping_clock.ts";
import { octets } from "../../support/table.ts";
import { dialer, through } from "../../support/upstream.ts";
import { deferred } from "../../support/world.ts";
import { readAll } from "../../transport/contract.ts";

const NAMES: Readonly<Record<string, readonly string[]>> = {
  "both.test": ["2001:db8::1", "192.0.2.1"],
  "v6.test": ["2001:db8::1"],
  "public.test": ["10.0.0.1", "8.8.8.8", "8.8.4.4"],
  "private.test": ["10.0.0.1"],
  "link.test": ["fe80::1%1"],
  "linked.test": ["fe80::1%1", "192.0.2.7"],
};

const ADDRESSES: Readonly<Record<string, string>> = {
  "192.0.2.1": "one.test",
  "2001:db8::1": "six.test",
  "192.0.2.2": "not a name",
  "192.0.2.3": "192.0.2.3",
  "192.0.2.4": "127.1",
  "192.0.2.5": "Five.Test.",
  "10.0.0.1": "private.test",
};

/** The runtime's transport with {@linkcode NAMES}; `asked` has the subjects of all look-ups. */
async function withLookups(): Promise<{
  transport: Transport;
  asked: string[];
}> {
  const asked: string[] = [];
  const find = <T>(table: Readonly<Record<string, T>>) => (subject: string) => {
    asked.push(subject);
    const found = table[subject];
    return found === undefined
      ? Promise.reject(new NetError("dns", `nothing is known of ${subject}`))
      : Promise.resolve(found);
  };
  const transport: Transport = {
    ...await detectTransport(),
    lookup: async (hostname) => [...await find(NAMES)(hostname)],
    reverse: find(ADDRESSES),
  };
  return { transport, asked };
}

async function startResolver(
  options: ServeOptions = {},
): Promise<TestServer & { asked: string[] }> {
  const { transport, asked } = await withLookups();
  const server = await startServer({ transport, resolve: true, ...options });
  return { ...server, asked };
}

/** Sends a request of SOCKS5 (without its version) or SOCKS4, and returns everything up to FIN. */
async function answerTo(server: TestServer, request: string): Promise<string> {
  const conn = await server.client();
  const isSocks4 = request.startsWith("04");
  await conn.write(octets(isSocks4 ? request : `05 01 00 05 ${request}`));
  const answer = hex(await readAll(conn));
  conn.close();
  return isSocks4 ? answer : answer.replace(/^05 00 /, "");
}

function resolveOf(name: string, port = "00 00"): string {
  const length = name.length.toString(16).padStart(2, "0");
  return `F0 00 03 ${length} "${name}" ${port}`;
}

function resolve4Of(name: string): string {
  return `04 F0 00 00 00 00 00 01 00 "${name}" 00`;
}

const PTR = (address: string) => `F1 00 01 ${address} 00 00`;
const IPV4 = (address: string) => `05 00 00 01 ${address} 00 00`;
const SIX = "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01";

function named(name: string): string {
  return `05 00 00 03 ${hex(Uint8Array.of(name.length))} ` +
    `${hex(new TextEncoder().encode(name))} 00 00`;
}

type Answer = readonly [name: string, request: string, answer: string];
const ANSWERS: readonly Answer[] = [
  [
    "RESOLVE of a name with both families with IPv4",
    resolveOf("both.test"),
    IPV4("c0 00 02 01"),
  ],
  [
    "RESOLVE with a port, as torsocks sends it",
    resolveOf("both.test", "00 2A"),
    IPV4("c0 00 02 01"),
  ],
  [
    "RESOLVE of a name with IPv6 alone",
    resolveOf("v6.test"),
    `05 00 00 04 ${SIX} 00 00`,
  ],
  [
    "RESOLVE of an address with that address",
    "F0 00 01 C0 00 02 09 00 00",
    IPV4("c0 00 02 09"),
  ],
  [
    "RESOLVE with 04 when the name only has an address with a zone",
    resolveOf("link.test"),
    ERROR("04"),
  ],
  [
    "RESOLVE with another address than the one with a zone",
    resolveOf("linked.test"),
    IPV4("c0 00 02 07"),
  ],
  ["RESOLVE of an unknown name with 04", resolveOf("no.test"), ERROR("04")],
  ["RESOLVE_PTR of IPv4", PTR("C0 00 02 01"), named("one.test")],
  ["RESOLVE_PTR of IPv6", `F1 00 04 ${SIX} 00 00`, named("six.test")],
  [
    "RESOLVE_PTR of an unknown address with 04",
    PTR("C0 00 02 09"),
    ERROR("04"),
  ],
  [
    "RESOLVE_PTR with 04 when the answer is no valid name",
    PTR("C0 00 02 02"),
    ERROR("04"),
  ],
  [
    "RESOLVE_PTR with 04 when the answer is an address",
    PTR("C0 00 02 03"),
    ERROR("04"),
  ],
  [
    "RESOLVE_PTR with 04 when the answer is an address in disguise",
    PTR("C0 00 02 04"),
    ERROR("04"),
  ],
  [
    "RESOLVE_PTR with the canonical form of a name",
    PTR("C0 00 02 05"),
    named("five.test"),
  ],
  [
    "RESOLVE_PTR of a name with 08",
    'F1 00 03 09 "both.test" 00 00',
    ERROR("08"),
  ],
  [
    "SOCKS4a RESOLVE of a name with both families",
    resolve4Of("both.test"),
    "00 5a 00 00 c0 00 02 01",
  ],
  [
    "SOCKS4a RESOLVE of a name with IPv6 alone with 5B",
    resolve4Of("v6.test"),
    REFUSED4,
  ],
  [
    "SOCKS4a RESOLVE of an unknown name with 5B",
    resolve4Of("no.test"),
    REFUSED4,
  ],
  [
    "SOCKS4a RESOLVE with 5B when the name only has an address with a zone",
    resolve4Of("link.test"),
    REFUSED4,
  ],
  ["SOCKS4 RESOLVE_PTR with 5B", "04 F1 00 00 C0 00 02 01 00", REFUSED4],
];

for (const [name, request, answer] of ANSWERS) {
  test(`serve() answers ${name}`, async () => {
    const server = await startResolver();
    assertEquals(await answerTo(server, request), answer);
    await server.close();
  });
}

const REQUESTS: readonly (readonly [string, string, string])[] = [
  [resolveOf("both.test"), ERROR("07"), "resolve"],
  [PTR("C0 00 02 01"), ERROR("07"), "resolve-ptr"],
  [resolve4Of("both.test"), REFUSED4, "resolve"],
];

test("serve() looks up nothing for clients unless resolve is true", async () => {
  for (const resolve of [undefined, false, "false" as unknown as boolean]) {
    const server = await startResolver({ resolve });
    for (const [request, answer, command] of REQUESTS) {
      assertEquals(await answerTo(server, request), answer);
      const { session, reason } = await server.ended();
      assertEquals([session.command, reason], [command, "refused"]);
    }
    assertEquals(server.asked, []);
    await server.close();
  }
});

test("serve() reports look-ups in its events and metrics", async () => {
  const metrics = new Metrics();
  const server = await startResolver({ onEvent: metrics.onEvent });
  await answerTo(server, resolveOf("both.test"));
  const { session, reason } = await server.ended();
  assertEquals([session.command, reason, session.reply], [
    "resolve",
    "finished",
    0,
  ]);
  assertEquals(session.target?.hostname, "both.test");
  assertEquals(session.boundAddr, { hostname: "192.0.2.1", port: 0 });
  await answerTo(server, PTR("C0 00 02 01"));
  const reversed = await server.ended();
  assertEquals(reversed.session.command, "resolve-ptr");
  assertEquals(reversed.session.boundAddr?.hostname, "one.test");
  assertStringIncludes(
    metrics.text(),
    'socks5_requests_total{version="5",command="resolve"} 1\n',
  );
  await server.close();
});

// Policy

const EXPOSED: ServeOptions = { hostname: "0.0.0.0", openProxy: true };

type Ruled = readonly [
  name: string,
  rules: readonly string[] | undefined,
  request: string,
  answer: string,
];
const RULED: readonly Ruled[] = [
  [
    "reveals no special-purpose address",
    undefined,
    resolveOf("public.test"),
    IPV4("08 08 08 08"),
  ],
  [
    "denies a name with nothing else",
    undefined,
    resolveOf("private.test"),
    ERROR("02"),
  ],
  [
    "denies the special-purpose address itself",
    undefined,
    "F0 00 01 0A 00 00 01 00 00",
    ERROR("02"),
  ],
  [
    "denies the name of a special-purpose address",
    undefined,
    PTR("0A 00 00 01"),
    ERROR("02"),
  ],
  [
    "denies a SOCKS4a RESOLVE alike",
    undefined,
    resolve4Of("private.test"),
    REFUSED4,
  ],
  [
    "reveals what a rule allows by name",
    ["allow resolve *.test"],
    resolveOf("private.test"),
    IPV4("0a 00 00 01"),
  ],
  [
    "reveals what a rule allows by address",
    ["allow resolve-ptr 10.0.0.0/8"],
    PTR("0A 00 00 01"),
    named("private.test"),
  ],
  [
    "denies look-ups that only a rule for connect would allow",
    ["allow connect *"],
    resolveOf("public.test"),
    ERROR("02"),
  ],
  [
    "denies look-ups that only a rule with ports would allow",
    ["allow *:443"],
    resolveOf("public.test", "01 BB"),
    ERROR("02"),
  ],
  [
    "denies RESOLVE_PTR that only a rule for resolve would allow",
    ["allow resolve 0.0.0.0/0"],
    PTR("C0 00 02 01"),
    ERROR("02"),
  ],
  [
    "skips an address that a rule denies",
    ["deny 8.8.8.8"],
    resolveOf("public.test"),
    IPV4("08 08 04 04"),
  ],
  [
    "takes the family that a rule prefers",
    ["allow both.test prefer ipv6"],
    resolveOf("both.test"),
    `05 00 00 04 ${SIX} 00 00`,
  ],
];

for (const [name, list, request, answer] of RULED) {
  test(`serve() beyond loopback ${name}`, async () => {
    const policy = list && rules(list);
    const server = await startResolver({ ...EXPOSED, policy });
    assertEquals(await answerTo(server, request), answer);
    await server.close();
  });
}

test("serve() resolves no name that a rule denies", async () => {
  const policy = rules(["deny resolve both.test"]);
  const server = await startResolver({ policy });
  assertEquals(await answerTo(server, resolveOf("both.test")), ERROR("02"));
  assertEquals(server.asked, []);
  await server.close();
});

// Bounds

for (const request of [resolveOf("both.test"), PTR("C0 00 02 01")]) {
  test(`serve() ends the look-up ${request.slice(0, 2)} by the connect timeout`, async () => {
    const asked = deferred<void>();
    const never = () => {
      asked.resolve();
      return new Promise<never>(() => {});
    };
    await withClock(async (clock) => {
      const transport = {
        ...await detectTransport(),
        lookup: never,
        reverse: never,
        clock,
      };
      const timeouts = { connect: 5_000 };
      const server = await startServer({ transport, resolve: true, timeouts });
      const answering = answerTo(server, request);
      await asked.promise;
      clock.skip(5_000);
      assertEquals(await answering, ERROR("04"));
      const { error } = await server.ended();
      assertEquals((error as NetError).kind, "timeout");
      await server.close();
    });
  });
}

test("serve() refuses RESOLVE_PTR when its transport lacks reverse()", async () => {
  const { transport } = await withLookups();
  const server = await startServer({
    transport: { ...transport, reverse: undefined },
    resolve: true,
  });
  assertEquals(await answerTo(server, PTR("C0 00 02 01")), ERROR("07"));
  await server.close();
});

// Dialers

test("serve() passes look-ups on to an upstream proxy", async () => {
  const upstream = await startResolver();
  const server = await startResolver({ dial: through(upstream) });
  const ask = (request: string) => answerTo(server, request);
  assertEquals(await ask(resolveOf("both.test")), IPV4("c0 00 02 01"));
  assertEquals(await ask(PTR("C0 00 02 01")), named("one.test"));
  assertEquals(await ask(resolveOf("no.test")), ERROR("04"));
  assertEquals(server.asked, []);
  assertEquals(upstream.asked, ["both.test", "192.0.2.1", "no.test"]);
  await server.close();
  await upstream.close();
});

const METHODS = dialer({
  resolve: (hostname) => Promise.resolve(NAMES[hostname]?.[0] ?? hostname),
  reverse: (address) => Promise.resolve(ADDRESSES[address] ?? address),
});
const CONNECT_ONLY: Dialer = { connect: METHODS.connect };

type Dialed = readonly [
  name: string,
  dial: Dialer,
  request: string,
  answer: string,
];
const DIALED: readonly Dialed[] = [
  [
    "denies the private address that a dialer returns",
    METHODS,
    resolveOf("private.test"),
    ERROR("02"),
  ],
  [
    "refuses an answer of a dialer that is no address",
    METHODS,
    resolveOf("no.test"),
    ERROR("01"),
  ],
  [
    "refuses an answer of a dialer that is no name",
    METHODS,
    PTR("C0 00 02 02"),
    ERROR("04"),
  ],
  [
    "refuses RESOLVE when the dialer has none",
    CONNECT_ONLY,
    resolveOf("both.test"),
    ERROR("07"),
  ],
  [
    "refuses RESOLVE_PTR when the dialer has none",
    CONNECT_ONLY,
    PTR("C0 00 02 01"),
    ERROR("07"),
  ],
];

for (const [name, dial, request, answer] of DIALED) {
  test(`serve() ${name}`, async () => {
    const policy = rules(["deny 10.0.0.0/8"]);
    const server = await startResolver({ dial, policy });
    assertEquals(await answerTo(server, request), answer);
    assertEquals(server.asked, []);
    await server.close();
  });
}

/** A row: the request, and the error of a session whose dialer returns something else. */
const WRONG: readonly (readonly [string, string])[] = [
  [resolveOf("both.test"), "the dialer returned no IP address"],
  [PTR("C0 00 02 01"), "the answer is no name"],
];

for (const [request, expected] of WRONG) {
  test(`serve() reports a dialer whose answer to ${request.slice(0, 2)} is undefined`, async () => {
    const nothing = () => Promise.resolve(undefined as unknown as string);
    const dial = { ...METHODS, resolve: nothing, reverse: nothing };
    const server = await startResolver({ dial });
    assertEquals(await answerTo(server, request), ERROR("01"));
    const { error } = await server.ended();
    assertEquals((error as Error).message, expected);
    await server.close();
  });
}
