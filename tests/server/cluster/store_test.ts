/** A custom store, and servers that share it. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  OptionError,
  serve,
  type ServeOptions,
  type ServerEvent,
  type SharedLimits,
  type SharedLimitsStore,
  userPass,
} from "../../../src/server/mod.ts";
import { NetError } from "../../../src/transport/errors.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import type { Conn } from "../../../src/transport/transport.ts";
import {
  CountingStore,
  grantAtOnce,
  type Granted,
} from "../../support/counting_store.ts";
import { test } from "../../support/harness.ts";
import { ask, block, connectAs, hex } from "../../support/raw.ts";
import {
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../../support/server.ts";
import { withClock } from "../../support/skipping_clock.ts";
import { octets } from "../../support/table.ts";
import { deferred } from "../../support/world.ts";
import {
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  until,
} from "../../transport/contract.ts";

interface Sharing {
  readonly store: CountingStore;
  readonly first: TestServer;
  readonly second: TestServer;
  readonly target: Target;
}

/** Calls `use` with two servers that share a store, and passes if they leave no slot in it. */
async function withTwoServers(
  options: ServeOptions,
  use: (sharing: Sharing) => Promise<void>,
): Promise<void> {
  const store = new CountingStore();
  const all = { ...options, sharedLimits: { store, servers: 2 } };
  const first = await startServer(all);
  const second = await startServer(all);
  const target = await startTarget(echo);
  await use({ store, first, second, target });
  await first.close();
  await second.close();
  await target.close();
  assertEquals([...store.counts], []);
}

const auth = [userPass({ al: "pw", bo: "pw" })];
const failure = new Error("no answer from 192.0.2.1:6379");

/**
 * Makes a store hold back its answers until the test releases them; granted slots are
 * counted immediately.
 */
function silence(store: CountingStore): { resolve(): void } {
  const late = deferred<void>();
  store.answer = async (grant) => {
    const granted = grant();
    await late.promise;
    return granted;
  };
  return { resolve: () => late.resolve() };
}

function failing(): Promise<Granted> {
  return Promise.reject(failure);
}

/** Connects a client and waits until it is rejected. */
async function rejection(server: TestServer) {
  const conn = await server.client();
  await conn.read().catch(() => null);
  return lastRejection(server);
}

function lastRejection({ events }: TestServer) {
  const event = events.at(-1)!;
  assert(event.type === "session-rejected");
  return event;
}

function eventsOf<T extends ServerEvent["type"]>(
  { events }: TestServer,
  type: T,
): Extract<ServerEvent, { type: T }>[] {
  return events.filter((it) => it.type === type) as Extract<
    ServerEvent,
    { type: T }
  >[];
}

/** Whether a client without a login reaches the target. */
async function reaches(server: TestServer, target: Target): Promise<boolean> {
  const { conn, rep } = await ask(server, `01 00 ${block(target.addr)}`);
  conn.close();
  return rep === 0;
}

test("serve() allows a user two sessions on two servers that share a store", async () => {
  const limits = { sessionsPerUser: 2 };
  await withTwoServers({ auth, limits }, async (sharing) => {
    const { first, second, target: { addr } } = sharing;
    const one = await connectAs("al", first, addr);
    const two = await connectAs("al", second, addr);
    assertEquals([one.rep, two.rep], [0, 0]);
    const [three, four] = [
      await connectAs("al", first, addr),
      await connectAs("al", second, addr),
    ];
    assertEquals([three.rep, four.rep], [2, 2]);
    assertEquals((await connectAs("bo", first, addr)).rep, 0);
    for (const { conn } of [three, four]) conn.close();
    await first.ended();
    await second.ended();
    two.conn.close();
    await second.ended();
    assertEquals((await connectAs("al", first, addr)).rep, 0);
  });
});

test("serve() counts sessions, handshakes and associations of two servers in a store", async () => {
  const limits = {
    sessions: 100,
    sessionsPerClient: 3,
    handshakesPerClient: 2,
    associationsPerClient: 1,
    connectionsPerSecondPerClient: 1_000,
  };
  await withTwoServers({ limits }, async ({ store, first, second }) => {
    const association = "03 00 01 00 00 00 00 00 00";
    const one = await ask(first, association);
    const two = await ask(second, association);
    assertEquals([one.rep, two.rep], [0, 1]);
    two.conn.close();
    await second.ended();
    await first.client();
    await second.client();
    await until(() => second.server.sessions.length === 1);
    const { reason } = await rejection(second);
    assertEquals(reason, "too many sessions from this address");
    assertEquals([...store.counts].sort(), [
      ["associationsPerClient 127.0.0.1", 1],
      ["handshakesPerClient 127.0.0.1", 2],
      ["sessions ", 3],
      ["sessionsPerClient 127.0.0.1", 3],
    ]);
    assertEquals(store.requests.slice(0, 4), [
      { limit: "sessions", key: "", max: 100 },
      { limit: "sessionsPerClient", key: "127.0.0.1", max: 3 },
      { limit: "handshakesPerClient", key: "127.0.0.1", max: 2 },
      {
        limit: "connectionsPerSecondPerClient",
        key: "127.0.0.1",
        perSecond: 1_000,
      },
    ]);
    one.conn.close();
    await first.ended();
  });
});

test("Server.update() changes limits that servers share", async () => {
  const limits = { sessionsPerUser: 1 };
  await withTwoServers({ auth, limits }, async (sharing) => {
    const { first, second, target: { addr } } = sharing;
    assertEquals((await connectAs("al", first, addr)).rep, 0);
    assertEquals((await connectAs("al", second, addr)).rep, 2);
    for (const { server } of [first, second]) {
      await server.update({ limits: { sessionsPerUser: 2 } });
    }
    assertEquals((await connectAs("al", second, addr)).rep, 0);
    assertEquals((await connectAs("al", first, addr)).rep, 2);
    for (const { server } of [first, second]) {
      await server.update({ limits: { sessionsPerUser: 1_000 } });
    }
    assertEquals((await connectAs("al", first, addr)).rep, 0);
    for (const { server } of [first, second]) {
      await server.update({ limits: { sessionsPerUser: 3 } });
    }
    assertEquals((await connectAs("al", second, addr)).rep, 2);
  });
});

test("serve() rejects clients while the store fails, and no session ends", async () => {
  const limits = { sessionsPerClient: 10 };
  await withTwoServers({ limits }, async ({ store, first, target }) => {
    const open = await ask(first, `01 00 ${block(target.addr)}`);
    store.answer = failing;
    const { reason, error } = await rejection(first);
    assertEquals(reason, "the shared limits store failed");
    assertEquals(error?.cause, failure);
    assert(error?.message.includes(failure.message), error?.message);
    await open.conn.write(pattern(10));
    assertSameOctets(await readExactly(open.conn, 10), pattern(10));
    store.answer = grantAtOnce;
    assert(await reaches(first, target));
    await first.ended();
    assertEquals(eventsOf(first, "limits-error"), []);
    open.conn.close();
    await first.ended();
  });
});

test("serve() refuses the login of a user when the store fails", async () => {
  const limits = { sessionsPerUser: 2 };
  await withTwoServers({ auth, limits }, async ({ store, first, target }) => {
    store.answer = failing;
    const { conn, rep } = await connectAs("al", first, target.addr);
    assertEquals(rep, 2);
    conn.close();
    const { reason, error } = await first.ended();
    assertEquals([reason, error?.cause], ["refused", failure]);
    store.answer = grantAtOnce;
    assertEquals((await connectAs("al", first, target.addr)).rep, 0);
    assertEquals(eventsOf(first, "limits-error"), []);
  });
});

test("serve() refuses an association when the store fails", async () => {
  const limits = { associationsPerClient: 2 };
  await withTwoServers({ limits }, async ({ store, first }) => {
    store.answer = failing;
    const { conn, rep } = await ask(first, "03 00 01 00 00 00 00 00 00");
    assertEquals(rep, 1);
    conn.close();
    const { reason, error } = await first.ended();
    assertEquals([reason, error?.cause], ["refused", failure]);
  });
});

test("serve() rejects clients when the store answers with anything other than a limit", async () => {
  const limits = { sessionsPerClient: 2 };
  await withTwoServers({ limits }, async ({ store, first }) => {
    for (const answer of [undefined, true, "sessionsPerUser"]) {
      store.answer = () => answer as Granted;
      const { reason } = await rejection(first);
      assertEquals(reason, "the shared limits store failed");
    }
  });
});

for (const how of ["throws", "rejects"] as const) {
  test(`serve() reports a release that ${how} once, until a call succeeds`, async () => {
    const limits = { sessionsPerClient: 2 };
    await withTwoServers({ limits }, async ({ store, first, target }) => {
      store.released = () => {
        if (how === "throws") throw failure;
        return Promise.reject(failure);
      };
      const clients = [
        await ask(first, `01 00 ${block(target.addr)}`),
        await ask(first, `01 00 ${block(target.addr)}`),
      ];
      for (const { conn } of clients) conn.close();
      await first.ended();
      await first.ended();
      await until(() => eventsOf(first, "limits-error").length > 0);
      assert(await reaches(first, target));
      await first.ended();
      await until(() => eventsOf(first, "limits-error").length > 1);
      const errors = eventsOf(first, "limits-error").map(({ error }) => error);
      assertEquals(errors.map(({ cause }) => cause), [failure, failure]);
      store.released = () => {};
    });
  });
}

/** As {@linkcode withTwoServers}, with a clock whose time is skipped. */
async function withSkippedTime(
  options: ServeOptions,
  use: (sharing: Sharing, skip: (ms: number) => void) => Promise<void>,
): Promise<void> {
  await withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    await withTwoServers(
      { ...options, transport },
      (sharing) => use(sharing, clock.skip),
    );
  });
}

test("serve() rejects a client when the store does not answer within the handshake timeout", async () => {
  const limits = { sessionsPerClient: 2 };
  await withSkippedTime({ limits }, async ({ store, first }, skip) => {
    const { resolve } = silence(store);
    const client = await first.client();
    await until(() => store.counts.size > 0);
    skip(9_000);
    assertEquals(eventsOf(first, "session-rejected"), []);
    skip(1_000);
    await client.read().catch(() => null);
    const { reason, error } = lastRejection(first);
    assertEquals(reason, "the shared limits store failed");
    assert(error instanceof NetError && error.kind === "timeout");
    resolve(); // too late: the slot is released
    await until(() => store.counts.size === 0);
  });
});

test("serve() loses no slot of its share to clients that the store never answers", async () => {
  const limits = { sessions: 128, sessionsPerClient: 100 }; // shares of 8 and 0 slots
  await withSkippedTime({ limits }, async ({ store, first, target }, skip) => {
    store.answer = () => new Promise(() => {});
    const clients = [];
    for (let i = 0; i < 8; i++) clients.push(await first.client());
    await until(() => store.requests.length === 8);
    skip(10_000);
    for (const client of clients) await client.read().catch(() => null);
    store.answer = grantAtOnce;
    store.requests.length = 0;
    assert(await reaches(first, target));
    const asked = store.requests.map(({ limit }) => limit);
    assertEquals(asked, ["sessionsPerClient"]);
  });
});

test("serve() serves a client when the store answers late, in the rest of the handshake timeout", async () => {
  const limits = { sessionsPerClient: 2 };
  await withSkippedTime({ limits }, async ({ store, first, target }, skip) => {
    const { resolve } = silence(store);
    const clients = [await first.client(), await first.client()];
    await until(() => store.requests.length === 2);
    skip(8_000);
    resolve();
    await clients[0].write(octets(`05 01 00 05 01 00 ${block(target.addr)}`));
    assertEquals(hex(await readExactly(clients[0], 4)), "05 00 05 00");
    skip(2_000);
    await readAll(clients[1]).catch(() => null);
    assertEquals((await first.ended()).reason, "handshake-timeout");
  });
});

test("serve() counts clients that wait for the store as sessions", async () => {
  const limits = { sessions: 2, sessionsPerClient: 10 };
  await withTwoServers({ limits }, async ({ store, first }) => {
    const { resolve } = silence(store);
    await first.client();
    await first.client();
    await until(() => store.requests.length === 4);
    assertEquals((await rejection(first)).reason, "too many sessions");
    resolve();
    await until(() => first.server.sessions.length === 2);
  });
});

test("serve() refuses a login when the store does not answer within the handshake timeout", async () => {
  const limits = { sessionsPerUser: 2 };
  await withSkippedTime({ auth, limits }, async (sharing, skip) => {
    const { store, first, target } = sharing;
    const { resolve } = silence(store);
    const client = connectAs("al", first, target.addr);
    await until(() => store.requests.length > 0);
    skip(10_000);
    const { conn, rep } = await client;
    assertEquals(rep, 2);
    conn.close();
    const { reason, error } = await first.ended();
    assertEquals(reason, "refused");
    assert(error instanceof NetError && error.kind === "timeout");
    resolve();
    await until(() => store.counts.size === 0);
  });
});

test("serve() refuses an association when the store does not answer within the handshake timeout", async () => {
  const limits = { associationsPerClient: 2 };
  await withSkippedTime({ limits }, async ({ store, first }, skip) => {
    const { resolve } = silence(store);
    const client = ask(first, "03 00 01 00 00 00 00 00 00");
    await until(() => store.requests.length > 0);
    skip(10_000);
    const { conn, rep } = await client;
    assertEquals(rep, 1);
    conn.close();
    assertEquals((await first.ended()).reason, "refused");
    resolve();
    await until(() => store.counts.size === 0);
  });
});

test("Server.shutdown() does not wait for a store that does not answer", async () => {
  const limits = { sessionsPerClient: 2, sessionsPerUser: 2 };
  const timeouts = { handshake: 0 };
  await withTwoServers({ auth, limits, timeouts }, async (sharing) => {
    const { store, first, second, target } = sharing;
    const { resolve } = silence(store);
    const client = await first.client();
    await until(() => store.requests.length === 1);
    await first.server.shutdown({ grace: 0 });
    await client.read().catch(() => null);
    assertEquals(lastRejection(first).reason, "the server is shutting down");
    resolve();
    await until(() => store.counts.size === 0);

    store.answer = grantAtOnce;
    const login = await second.client();
    const name = hex(new TextEncoder().encode("al"));
    await login.write(octets(`05 01 02 01 02 ${name} 02 70 77`));
    assertEquals(hex(await readExactly(login, 4)), "05 02 01 00");
    const late = silence(store);
    await login.write(octets(`05 01 00 ${block(target.addr)}`));
    await until(() => store.counts.has("sessionsPerUser al"));
    await second.server.shutdown({ grace: 0 });
    assertEquals((await second.ended()).reason, "closed");
    late.resolve();
    await until(() => store.counts.size === 0);
  });
});

test("serve() ends a session when the store fails to let its bytes pass", async () => {
  const limits = { bytesPerSecondPerUser: 1_000_000 };
  await withTwoServers({ auth, limits }, async ({ store, first, target }) => {
    const { conn } = await connectAs("al", first, target.addr);
    await conn.write(pattern(1_000));
    assertSameOctets(await readExactly(conn, 1_000), pattern(1_000));
    const other = await connectAs("bo", first, target.addr);
    const passes: string[] = [];
    store.passed = ({ user, bytes, perSecond }) => {
      passes.push(`${user} ${bytes} ${perSecond}`);
      return user === "al" ? Promise.reject(failure) : undefined;
    };
    await conn.write(pattern(1_000));
    await ended(conn);
    const { reason, error } = await first.ended();
    assertEquals([reason, error?.cause], ["closed", failure]);
    await other.conn.write(pattern(1_000));
    assertSameOctets(await readExactly(other.conn, 1_000), pattern(1_000));
    assertEquals(passes[0], "al 1000 1000000");
    assertEquals(eventsOf(first, "limits-error"), []);
  });
});

test("serve() cancels the bytes that wait in the store when their session ends", async () => {
  const limits = { bytesPerSecondPerUser: 1_000_000 };
  await withTwoServers({ auth, limits }, async ({ store, first, target }) => {
    const tickets: number[] = [];
    store.passed = ({ ticket }) => {
      tickets.push(ticket);
      return new Promise(() => {});
    };
    const { conn } = await connectAs("al", first, target.addr);
    await conn.write(pattern(1_000));
    await until(() => tickets.length > 0);
    first.server.sessions[0].close();
    assertEquals((await first.ended()).reason, "closed");
    assertEquals(store.cancelled, tickets);
  });
});

/** Passes when the connection has ended, by a FIN or a reset. */
async function ended(conn: Conn): Promise<void> {
  await readAll(conn).catch(() => null);
}

/** Starts a server that shares limits in a store, and calls `use`. */
async function withOne(
  options: ServeOptions,
  sharedLimits: Omit<SharedLimits, "store">,
  use: (sharing: Pick<Sharing, "store" | "first" | "target">) => Promise<void>,
): Promise<void> {
  const store = new CountingStore();
  const shared = { store, ...sharedLimits };
  const first = await startServer({ ...options, sharedLimits: shared });
  const target = await startTarget(echo);
  await use({ store, first, target });
  await first.close();
  await target.close();
  assertEquals([...store.counts], []);
}

test("serve() asks the store for each slot when the number of servers is not known", () =>
  withOne(
    { auth, limits: { sessions: 1_000, sessionsPerUser: 1_000 } },
    {},
    async ({ store, first, target }) => {
      await connectAs("al", first, target.addr);
      await connectAs("al", first, target.addr);
      const asked = store.requests.filter(({ limit }) =>
        limit === "sessionsPerUser" || limit === "sessions"
      ).map((it) => "max" in it && `${it.limit} ${it.max}`);
      const each = ["sessions 1000", "sessionsPerUser 1000"];
      assertEquals(asked, [...each, ...each]);
    },
  ));

test("serve() asks the store for each slot of a limit that is exact", () =>
  withOne(
    { auth, limits: { sessions: 1_000, sessionsPerUser: 1_000 } },
    { servers: 2, exact: ["sessionsPerUser"] },
    async ({ store, first, target }) => {
      await connectAs("al", first, target.addr);
      assertEquals(store.requests, [
        { limit: "sessionsPerUser", key: "al", max: 1_000 },
      ]);
    },
  ));

test("serve() shares only some limits, and applies the others by itself", () =>
  withOne(
    {
      auth,
      limits: {
        sessions: 2,
        sessionsPerUser: 1,
        connectionsPerSecondPerClient: 1,
        bytesPerSecondPerUser: 1_000_000,
        associationsPerClient: 1,
      },
    },
    { limits: ["sessionsPerUser"] },
    async ({ store, first, target }) => {
      const one = await connectAs("al", first, target.addr);
      const two = await connectAs("al", first, target.addr);
      assertEquals([one.rep, two.rep], [0, 2]);
      assertEquals((await rejection(first)).reason, "too many sessions");
      await one.conn.write(pattern(1_000));
      assertSameOctets(await readExactly(one.conn, 1_000), pattern(1_000));
      two.conn.close();
      await first.ended();
      // Of the ten connections per second that a burst may have, two are used.
      for (let i = 0; i < 8; i++) {
        (await connectAs("bo", first, target.addr)).conn.close();
        await first.ended();
      }
      const { reason } = await rejection(first);
      assertEquals(reason, "too many connections per second from this address");
      const asked = new Set(store.requests.map(({ limit }) => limit));
      assertEquals([...asked], ["sessionsPerUser"]);
      assertEquals([...store.counts.keys()], ["sessionsPerUser al"]);
      one.conn.close();
      await first.ended();
    },
  ));

test("Server.update() changes limits that servers do not share", () =>
  withOne(
    { limits: { sessions: 3 } },
    { limits: ["sessionsPerUser"] },
    async ({ store, first, target }) => {
      const open = await ask(first, `01 00 ${block(target.addr)}`);
      const other = await ask(first, `01 00 ${block(target.addr)}`);
      await first.server.update({ limits: { sessions: 1 } });
      other.conn.close();
      await first.ended();
      assertEquals((await rejection(first)).reason, "too many sessions");
      open.conn.close();
      await first.ended();
      assert(await reaches(first, target));
      assertEquals(store.requests, []);
    },
  ));

test("serve() rejects sharedLimits that make no sense", async () => {
  const store = new CountingStore();
  const methods = ["acquire", "release", "forceAcquire", "pass", "cancel"];
  for (const method of methods) {
    const bound = methods.map((it) => [
      it,
      it === method ? undefined : () => null,
    ]);
    const partial = Object.fromEntries(bound) as SharedLimitsStore;
    await assertOption("sharedLimits.store", {
      sharedLimits: { store: partial, servers: 2 },
    });
  }
  for (const option of ["limits", "exact"] as const) {
    for (const names of [["sesions"], "sessions"]) {
      await assertOption(`sharedLimits.${option}`, {
        sharedLimits: { store, [option]: names },
      });
    }
  }
  for (const servers of [0, 1.5, Infinity]) {
    await assertOption("sharedLimits.servers", {
      sharedLimits: { store, servers },
    });
  }
});

async function assertOption(option: string, options: ServeOptions) {
  const error = await assertRejects(
    () => serve({ port: 0, ...options }),
    OptionError,
  );
  assertEquals(error.option, option);
}
