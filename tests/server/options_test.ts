/** The documented defaults of the options, and the meaning of 0. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  hashPassword,
  noAuth,
  serve,
  userPass,
  Users,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type {
  Limits,
  ServeOptions,
  Timeouts,
} from "../../src/server/options.ts";
import { resolveSettings } from "../../src/server/settings.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { echo, startServer, startTarget } from "../support/server.ts";
import { connectedPair, until } from "../transport/contract.ts";
import { ask, block } from "../support/raw.ts";

const TIMEOUTS: Required<Timeouts> = {
  handshake: 10_000,
  connect: 15_000,
  idle: 300_000,
  halfClosed: 60_000,
  bind: 60_000,
  association: 300_000,
};

const LIMITS: Required<Limits> = {
  sessions: 10_000,
  sessionsPerClient: Infinity,
  sessionsPerUser: Infinity,
  handshakesPerClient: Infinity,
  connectionsPerSecondPerClient: Infinity,
  bytesPerSecondPerSession: Infinity,
  bytesPerSecondPerUser: Infinity,
  associationsPerClient: 1_000,
  targetsPerAssociation: 256,
};

const auth = [userPass({ alice: "secret" })];

async function resolved(options: ServeOptions, descriptors?: number) {
  const descriptorLimit = () => Promise.resolve(descriptors);
  const transport = { descriptorLimit } as Partial<Transport> as Transport;
  const { timeouts, limits } = await resolveSettings(options, transport);
  return { timeouts, limits };
}

test("resolveSettings() fills in the documented defaults", async () => {
  const loopback = { timeouts: TIMEOUTS, limits: LIMITS };
  assertEquals(await resolved({}), loopback);
  assertEquals(await resolved({ timeouts: {}, limits: {} }), loopback);
  assertEquals(await resolved({ auth, hostname: "0.0.0.0" }), {
    timeouts: TIMEOUTS,
    limits: { ...LIMITS, handshakesPerClient: 1_000 },
  });
});

test("resolveSettings() limits sessions to half of the descriptors unless a limit is given", async () => {
  const sessions = async (descriptors: number, limits?: Limits) =>
    (await resolved({ limits }, descriptors)).limits.sessions;
  assertEquals(await sessions(1_024), 496);
  assertEquals(await sessions(1_000_000), 10_000);
  assertEquals(await sessions(10), 1);
  assertEquals(await sessions(1_024, { sessions: 5_000 }), 5_000);
  assertEquals(await sessions(1_024, { sessions: 0 }), Infinity);
});

/** Returns an object with the same keys, all with one value. */
function all<T extends object, V>(of: T, value: V): { [K in keyof T]: V } {
  const entries = Object.keys(of).map((name) => [name, value]);
  return Object.fromEntries(entries) as { [K in keyof T]: V };
}

test("resolveSettings() treats 0 as no limit, and as no timeout", async () => {
  const options = { timeouts: all(TIMEOUTS, 0), limits: all(LIMITS, 0) };
  for (const hostname of ["127.0.0.1", "0.0.0.0"]) {
    assertEquals(await resolved({ ...options, auth, hostname }), {
      timeouts: all(TIMEOUTS, 0),
      limits: all(LIMITS, Infinity),
    });
  }
});

test("serve() works without any limit or timeout", async () => {
  const server = await startServer({
    timeouts: all(TIMEOUTS, 0),
    limits: all(LIMITS, 0),
  });
  const target = await startTarget(echo);
  // More than a limit of 1 per second would admit.
  for (let i = 0; i < 30; i++) await server.client();
  await until(() => server.server.sessions.length === 30);
  const stream = await ask(server, `01 00 ${block(target.addr)}`);
  const datagrams = await ask(server, "03 00 01 00 00 00 00 00 00");
  assertEquals([stream.rep, datagrams.rep], [0, 0]);
  for (const { conn } of [stream, datagrams]) conn.close();
  await server.close();
  await target.close();
});

const misspelt: [options: unknown, message: string][] = [
  [1080, "the options of serve() must be an object, not a number"],
  [null, "the options of serve() must be an object, not null"],
  [
    { host: "::1" },
    'unknown key "host" in the options of serve(), did you mean "hostname"?',
  ],
  [
    { timeout: 5 },
    'unknown key "timeout" in the options of serve(), did you mean "timeouts"?',
  ],
  [
    { limits: { session: 3 } },
    'unknown key "session" in limits, did you mean "sessions"?',
  ],
  [{ limits: 3 }, "limits must be an object, not a number"],
  [
    { timeouts: { handshakes: 1 } },
    'unknown key "handshakes" in timeouts, did you mean "handshake"?',
  ],
  [
    { socks4: { userId: [] } },
    'unknown key "userId" in socks4, did you mean "userIds"?',
  ],
  [
    { auth: userPass({ alice: "secret" }) },
    "auth must be a list of methods, such as [userPass(…)]",
  ],
  [{ auth: [userPass] }, "auth must hold methods with a number from 0 to 254"],
  [
    { auth: [{ number: 255, name: "x" }] },
    "auth must hold methods with a number from 0 to 254",
  ],
  [
    { auth: [{ number: 1.5, name: "x" }] },
    "auth must hold methods with a number from 0 to 254",
  ],
  [{ auth: [noAuth(), noAuth()] }, "auth has two methods of number 0"],
];

for (const [options, message] of misspelt) {
  test(`serve() refuses an option: ${message}`, async () => {
    const error = await assertRejects(
      () => serve(options as ServeOptions),
      TypeError,
    );
    assertEquals(error.message, message);
  });
}

test("server.update() refuses unknown keys, and changes nothing", async () => {
  const server = await serve({ port: 0, limits: { sessions: 7 } });
  await assertRejects(
    () => server.update({ limit: {} } as never),
    TypeError,
    'did you mean "limits"?',
  );
  await server.shutdown();
});

test("userPass(), Users and server.handle() refuse unknown keys", async () => {
  const server = await serve({ listen: false });
  const { far, close } = await connectedPair(await detectTransport());
  const hash = await hashPassword("secret", { iterations: 1_000 });
  const calls = [
    () => userPass({ alice: "secret" }, { lockoutMs: 5 } as never),
    () => new Users([["alice", hash]], { rememberMs: 5 } as never),
    () => server.handle(far, { exposd: false } as never),
  ];
  for (const call of calls) assertThrows(call, TypeError, "did you mean");
  await close();
  await server.shutdown();
});
