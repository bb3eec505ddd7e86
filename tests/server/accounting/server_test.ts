/** What a server does with the attributes of its users. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Coordinator } from "../../../src/server/cluster/mod.ts";
import {
  LocalUsageStore,
  OptionError,
  serve,
  type ServeOptions,
  type UserAttributes,
  userPass,
  type UserTotals,
} from "../../../src/server/mod.ts";
import { test } from "../../support/harness.ts";
import {
  block,
  connectAs,
  hex,
  readReply,
  REFUSED4,
  udp,
  udpEcho,
} from "../../support/raw.ts";
import { SkippingClock } from "../../support/skipping_clock.ts";
import { octets } from "../../support/table.ts";
import {
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../../support/server.ts";
import { timed, to } from "../../support/world.ts";
import {
  pattern,
  readAll,
  readExactly,
  until,
} from "../../transport/contract.ts";

const auth = [userPass({ al: "pw", bo: "pw" })];
const MORE = { quota: { bytes: 1_000, per: "day" } } as const;

interface Counting {
  readonly server: TestServer;
  readonly target: Target;
  readonly clock: SkippingClock;
  readonly store: LocalUsageStore;
  readonly attributes: Map<string, UserAttributes>;
  total(user: string): UserTotals["total"] | undefined;
}

/** Runs `use` with a server that counts, whose users are `al` and `bo`. */
async function withCounting(
  given: Record<string, UserAttributes>,
  use: (counting: Counting) => Promise<void>,
  options: ServeOptions = {},
): Promise<void> {
  const target = await startTarget(echo);
  const clock = new SkippingClock();
  const store = new LocalUsageStore();
  const attributes = new Map(Object.entries(given));
  const server = await startServer({
    auth,
    userAttributes: (user) => attributes.get(user),
    accounting: { store, interval: 60_000 },
    ...await timed(clock),
    ...options,
  });
  const total = (user: string) =>
    store.totals.find((it) => it.user === user)?.total;
  try {
    await use({ server, target, clock, store, attributes, total });
  } finally {
    await server.close();
    await target.close();
  }
}

/** Resolves with the end of a session of `user` that is refused. */
async function refusal({ server, target }: Counting, user = "al") {
  const { conn, rep } = await connectAs(user, server, target.addr);
  assertEquals(rep, 2);
  conn.close();
  const end = await server.ended();
  assertEquals([end.reason, end.session.user], ["refused", user]);
  return end.error!.message;
}

/** Sends bytes and reads them back. */
async function exchange(
  { conn }: Awaited<ReturnType<typeof connectAs>>,
  bytes: number,
): Promise<void> {
  await conn.write(pattern(bytes));
  await readExactly(conn, bytes);
}

test("serve() counts the bytes and sessions of each user, and of no one else", () =>
  withCounting({}, async ({ server, target, store, clock, total }) => {
    const first = await connectAs("al", server, target.addr);
    const second = await connectAs("al", server, target.addr);
    const other = await connectAs("bo", server, target.addr);
    await exchange(first, 100);
    await exchange(second, 20);
    clock.skip(60_000);
    await until(() => total("al") !== undefined);
    assertEquals(total("al"), { sent: 120, received: 120, sessions: 2 });
    await exchange(first, 3);
    await server.server.reportUsage();
    assertEquals(total("al"), { sent: 123, received: 123, sessions: 2 });
    await exchange(other, 5);
    for (const { conn } of [first, second, other]) conn.close();
    await until(() => server.server.sessions.length === 0);
    await server.server.reportUsage();
    assertEquals(total("bo"), { sent: 5, received: 5, sessions: 1 });
    assertEquals(store.totals.length, 2);
  }));

test("serve() reports the rest before it has finished", async () => {
  let final: UserTotals[] = [];
  await withCounting({}, async ({ server, target, store }) => {
    await exchange(await connectAs("al", server, target.addr), 7);
    await server.server.shutdown({ grace: 0 });
    final = store.totals;
  });
  assertEquals(final[0].total, { sent: 7, received: 7, sessions: 1 });
});

test("serve() waits for a slow store before it has finished", async () => {
  const local = new LocalUsageStore();
  const store = {
    async add(reports: Parameters<LocalUsageStore["add"]>[0]) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return local.add(reports);
    },
  };
  const accounting = { store, interval: 60_000 };
  await withCounting({}, async ({ server, target }) => {
    await exchange(await connectAs("al", server, target.addr), 5);
    await server.server.shutdown({ grace: 0 });
    const [{ total }] = local.totals;
    assertEquals(total, { sent: 5, received: 5, sessions: 1 });
  }, { accounting });
});

test("serve() ends the sessions of a user over quota, refuses others, and lets other users go on", () =>
  withCounting({ al: MORE }, async (counting) => {
    const { server, target, clock } = counting;
    const client = await connectAs("al", server, target.addr);
    const other = await connectAs("bo", server, target.addr);
    await exchange(client, 400);
    clock.skip(1_000);
    await exchange(client, 100);
    clock.skip(1_000);
    const end = await server.ended();
    assertEquals([end.reason, end.session.user], ["quota", "al"]);
    assertMatch(end.error!.message, /quota/);
    assertEquals([end.session.sent, end.session.received], [500, 500]);
    await readAll(client.conn).catch(() => {});
    assertMatch(await refusal(counting), /quota/);
    await exchange(other, 2_000);
  }));

test("serve() refuses a user of SOCKS4 and of HTTP over quota", () =>
  withCounting({ al: MORE }, async ({ server, target, store }) => {
    store.add([{ user: "al", sent: 0, received: 1_000, sessions: 0 }]);
    const four = await server.client();
    const [atyp, ...rest] = block(target.addr).split(" ");
    assertEquals(atyp, "01");
    const port = rest.splice(4).join(" ");
    await four.write(octets(`04 01 ${port} ${rest.join(" ")} "al" 00`));
    assertEquals(hex(await readAll(four)), REFUSED4);
    const http = await server.client();
    const { hostname, port: number } = target.addr;
    const login = `Proxy-Authorization: Basic ${btoa("al:pw")}\r\n`;
    await http.write(new TextEncoder().encode(
      `CONNECT ${hostname}:${number} HTTP/1.1\r\nHost: x\r\n${login}\r\n`,
    ));
    const text = new TextDecoder().decode(await readAll(http));
    assertMatch(text, /^HTTP\/1.1 403 /);
    four.close();
    http.close();
    for (let i = 0; i < 2; i++) {
      const { reason, error } = await server.ended();
      assertEquals(reason, "refused");
      assertMatch(error!.message, /quota/);
    }
    assertEquals(target.conns.length, 0);
  }, { http: true, socks4: { userIds: ["al"] } }));

test("serve() refuses an expired user, and ends open sessions when the time comes", () =>
  withCounting(
    { al: { until: Date.now() + 86_400_000 }, bo: { until: Date.now() } },
    async (counting) => {
      const { server, target, clock, attributes } = counting;
      assertMatch(await refusal(counting, "bo"), /expired/);
      const client = await connectAs("al", server, target.addr);
      await exchange(client, 10);
      clock.skip(5_000);
      await exchange(client, 10);
      attributes.set("al", { until: Date.now() });
      clock.skip(1_000);
      assertEquals((await server.ended()).reason, "expired");
    },
  ));

test("serve() counts UDP associations, and ends them", () =>
  withCounting({ al: MORE }, async ({ server, clock, total }) => {
    const conn = await server.client();
    await conn.write(octets(
      '05 01 02 01 02 "al" 02 "pw" 05 03 00 01 00 00 00 00 00 00',
    ));
    await readExactly(conn, 4);
    const { bound } = await readReply(conn);
    const [own, remote] = [await udp(), await udpEcho()];
    own.send(to(remote.addr, '"ping"'), bound);
    await own.next();
    await server.server.reportUsage();
    const { sent, received, sessions } = total("al")!;
    assert(sent >= 4 && received >= 4, `${sent}/${received}`);
    assertEquals(sessions, 1);
    for (let i = 0; i < 3; i++) {
      own.send(to(remote.addr, `"${"x".repeat(200)}"`), bound);
      await own.next();
    }
    clock.skip(1_000);
    assertEquals((await server.ended()).reason, "quota");
    own.close();
    remote.close();
  }));

test("serve() counts each forwarded HTTP request of a connection as a session, and refuses the next over quota", async () => {
  const body = "x".repeat(600);
  const origin = await startTarget(async (conn) => {
    await conn.read();
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n`;
    await conn.write(new TextEncoder().encode(`${head}\r\n${body}`));
    await conn.closeWrite();
  });
  const options = { http: true };
  await withCounting({ al: MORE }, async ({ server, total }) => {
    const conn = await server.client();
    const { port } = origin.addr;
    const login = `proxy-authorization: Basic ${btoa("al:pw")}\r\n`;
    const request = new TextEncoder().encode(
      `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n` +
        `${login}\r\n`,
    );
    const decoder = new TextDecoder();
    const answers: string[] = [];
    for (let i = 0; i < 3; i++) {
      await conn.write(request);
      let text = "";
      while (!text.includes("\r\n\r\n")) {
        text += decoder.decode((await conn.read())!);
      }
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      const left = length - (text.length - text.indexOf("\r\n\r\n") - 4);
      if (left > 0) await readExactly(conn, left);
      answers.push(text.slice(9, 12));
      if (answers.at(-1) !== "200") break;
      await server.ended();
    }
    conn.close();
    assertEquals(answers, ["200", "200", "403"]);
    await server.server.reportUsage();
    const { received, sessions } = total("al")!;
    assert(received >= 1_200, String(received));
    assertEquals(sessions, 2);
  }, options);
  await origin.close();
});

test("serve() gives a user the sessions of the attributes in place of limits.sessionsPerUser", () =>
  withCounting(
    { al: { sessions: 3 } },
    async ({ server, target, attributes }) => {
      const codes = async (user: string, count: number) => {
        const all = [];
        for (let i = 0; i < count; i++) {
          all.push((await connectAs(user, server, target.addr)).rep);
        }
        return all;
      };
      assertEquals(await codes("al", 4), [0, 0, 0, 2]);
      assertEquals(await codes("bo", 2), [0, 2]);
      attributes.set("al", { sessions: 4 });
      attributes.set("bo", { sessions: 0 });
      assertEquals(await codes("al", 2), [0, 2]);
      assertEquals(await codes("bo", 3), [0, 0, 0]);
    },
    { limits: { sessionsPerUser: 1 } },
  ));

test("serve() with shared limits counts the sessions of the attributes on all servers", async () => {
  const coordinator = new Coordinator();
  const target = await startTarget(echo);
  const attributes = new Map<string, UserAttributes>();
  // Large enough that each server has a share of it.
  const limits = { sessionsPerUser: 1_000 };
  const start = () =>
    startServer({
      auth,
      userAttributes: (user) => attributes.get(user),
      limits,
      sharedLimits: { store: coordinator.open(), servers: 2 },
    });
  const servers = [await start(), await start()];
  const code = async (i: number) =>
    (await connectAs("al", servers[i % 2], target.addr)).rep;
  assertEquals([await code(0), await code(1)], [0, 0]); // of the shares
  attributes.set("al", { sessions: 4 });
  const codes = [];
  for (let i = 0; i < 4; i++) codes.push(await code(i));
  assertEquals(codes, [0, 0, 2, 2]);
  attributes.set("al", { sessions: 0 });
  assertEquals([await code(0), await code(1)], [0, 0]);
  for (const it of servers) await it.close();
  assertEquals(coordinator.size, 0);
  await target.close();
});

const rates: [name: string, shared: boolean][] = [
  ["in place of limits.bytesPerSecondPerUser", false],
  ["on all servers with shared limits", true],
];

for (const [name, shared] of rates) {
  test(`serve() gives a user the rate of the attributes ${name}`, async () => {
    const coordinator = new Coordinator();
    const target = await startTarget(echo);
    const server = await startServer({
      auth,
      userAttributes: (user) => user === "al" ? { rate: 200_000 } : { rate: 0 },
      limits: { bytesPerSecondPerUser: 1_000 },
      ...shared && { sharedLimits: { store: coordinator.open(), servers: 1 } },
    });
    const time = async (user: string) => {
      const client = await connectAs(user, server, target.addr);
      const start = performance.now();
      await exchange(client, 40_000); // both directions count
      client.conn.close();
      return performance.now() - start;
    };
    const [limited, unlimited] = [await time("al"), await time("bo")];
    assert(limited > 150 && limited < 10_000, `${limited} ms`);
    assert(unlimited < limited, `${unlimited} ms`);
    await server.close();
    await target.close();
  });
}

test(
  "Server.update() changes the rates of users by their attributes",
  async () => {
    const target = await startTarget(echo);
    const slow = { userAttributes: () => ({ rate: 10_000 }) };
    const server = await startServer({ auth, ...slow });
    const client = await connectAs("al", server, target.addr);
    const exchanged = exchange(client, 100_000); // takes 20 s
    await server.server.update({
      userAttributes: () => ({ rate: 10_000_000 }),
    });
    await exchanged;
    client.conn.close();
    await server.close();
    await target.close();
  },
  { timeout: 15_000 },
);

test("Server.update() begins to count, open sessions included", async () => {
  const target = await startTarget(echo);
  const clock = new SkippingClock();
  const server = await startServer({ auth, ...await timed(clock) });
  const client = await connectAs("al", server, target.addr);
  await exchange(client, 600);
  await server.server.update({ userAttributes: () => MORE });
  assertEquals((await server.ended()).reason, "quota");
  assertEquals((await connectAs("al", server, target.addr)).rep, 2);
  await server.server.update({ userAttributes: undefined });
  assertEquals((await connectAs("al", server, target.addr)).rep, 0);
  await server.close();
  await target.close();
});

test("serve() refuses a user with a quota when the store fails, and reports it once", async () => {
  const store = {
    add: () => Promise.reject(new Error("no route to the store")),
  };
  await withCounting({ al: MORE }, async (counting) => {
    const { server, target } = counting;
    assertMatch(await refusal(counting), /usage store failed: no route/);
    const other = await connectAs("bo", server, target.addr);
    await exchange(other, 10);
    await server.server.reportUsage();
    const errors = server.events.filter((it) => it.type === "limits-error");
    assertEquals(errors.length, 1);
  }, { accounting: { store } });
});

test("serve() refuses accounting that is none", async () => {
  const bad = [
    { accounting: { store: {} } },
    { accounting: { interval: -1 } },
    { accounting: { intervall: 1 } },
    { userAttributes: {} },
  ] as unknown as ServeOptions[];
  for (const options of bad) {
    const error = await assertRejects(() => serve({ ...options, port: 0 }));
    assert(error instanceof OptionError || error instanceof TypeError);
  }
});
