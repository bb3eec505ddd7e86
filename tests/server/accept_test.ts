/** The `accept` hook, which runs before the handshake. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Accept,
  type Accepted,
  serve,
  type ServerEvent,
  userPass,
} from "../../src/server/mod.ts";
import { Coordinator } from "../../src/server/cluster/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import { MessageReader } from "../../src/transport/message_reader.ts";
import { fromStreams, toStreams } from "../../src/transport/streams.ts";
import type { Address, Conn } from "../../src/transport/transport.ts";
import { shutGate } from "../support/gate.ts";
import { test } from "../support/harness.ts";
import { hex, port } from "../support/raw.ts";
import {
  echo,
  reasonOf,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { octets } from "../support/table.ts";
import {
  connectedPair,
  readAll,
  readExactly,
  until,
} from "../transport/contract.ts";

const CLIENT: Address = { hostname: "203.0.113.9", port: 40_000 };
const GREETING = octets("05 01 00");
const LOGIN = octets('05 01 02 01 05 "alice" 06 "secret"');

function request(target: number): Uint8Array {
  return octets(`05 01 00 01 7F 00 00 01 ${port(target)}`);
}

type Rejected = Extract<ServerEvent, { type: "session-rejected" }>;

function rejections({ events }: TestServer): Rejected[] {
  return events.filter((it) => it.type === "session-rejected");
}

/** Reads a line that names the client, as a PROXY header does. */
const byLine: Accept = async (conn) => {
  const reader = new MessageReader(conn);
  const line = await reader.read((octets) => {
    const end = octets.indexOf(0x0a);
    if (end < 0) return undefined;
    const value = new TextDecoder().decode(octets.subarray(0, end));
    return { value, size: end + 1 };
  });
  if (line === "health") return undefined;
  const hostname = /^client (\S+)$/.exec(line)?.[1];
  if (!hostname) throw new Error(`no client in: ${line}`);
  return { conn: reader.release(), client: { hostname, port: 40_000 } };
};

async function connect(server: TestServer, first: string): Promise<Conn> {
  const client = await server.client();
  await client.write(octets(`"${first}" 0A`));
  return client;
}

test("accept() reads a header before SOCKS, and names the client", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ accept: byLine });
  for (const together of [true, false]) {
    const client = await server.client();
    const rest = [...GREETING, ...request(target.addr.port)];
    if (together) {
      await client.write(octets('"client 127.0.0.9" 0A'));
      await client.write(Uint8Array.from(rest));
    } else {
      for (const octet of [...octets('"client 127.0.0.9" 0A'), ...rest]) {
        await client.write(Uint8Array.of(octet));
      }
    }
    assertEquals(hex(await readExactly(client, 4)), "05 00 05 00");
    await readExactly(client, 8);
    await client.write(octets("2A"));
    await client.closeWrite();
    assertEquals([...await readAll(client)], [0x2a]);
    const { session, reason } = await server.ended();
    assertEquals([session.client.hostname, reason], ["127.0.0.9", "finished"]);
  }
  await server.close();
  await target.close();
});

test("accept() exposes the session unless it names a client on loopback", async () => {
  const server = await startServer({ accept: byLine });
  const client = await connect(server, "client 203.0.113.9");
  assertEquals((await readAll(client)).length, 0);
  const [{ client: named, reason }] = rejections(server);
  assertEquals(named, CLIENT);
  assert(reason.includes("openProxy"), reason);
  await server.server.update({
    accept: byLine,
    auth: [userPass({ alice: "secret" })],
  });
  const target = await startTarget(echo);
  const alice = await connect(server, "client 203.0.113.9");
  await alice.write(LOGIN);
  await alice.write(request(target.addr.port));
  assertEquals(hex(await readExactly(alice, 6)), "05 02 01 00 05 02");
  alice.close();
  assertEquals(await reasonOf(server), "refused");
  await server.close();
  await target.close();
});

test("accept() decides whether the session is exposed", async () => {
  for (const exposed of [true, false]) {
    const accept: Accept = (conn) => ({ conn, client: CLIENT, exposed });
    const server = await startServer({ accept });
    const client = await server.client();
    if (exposed) {
      assertEquals((await readAll(client)).length, 0);
    } else {
      await client.write(GREETING);
      assertEquals(hex(await readExactly(client, 2)), "05 00");
    }
    await server.close();
  }
});

test("accept() wraps the connection, and the server closes the wrapper", async () => {
  let closed = 0;
  const accept: Accept = (conn) => ({
    conn: new Proxy(conn, {
      get(inner, key: keyof Conn) {
        const value = inner[key];
        if (key === "close") closed++;
        if (key === "inner") return undefined;
        return typeof value === "function" ? value.bind(inner) : value;
      },
    }),
  });
  const target = await startTarget(echo);
  const server = await startServer({ accept });
  const client = await server.client();
  await client.write(GREETING);
  await client.write(request(target.addr.port));
  await readExactly(client, 12);
  await client.write(octets("01 02"));
  await client.closeWrite();
  assertEquals([...await readAll(client)], [1, 2]);
  assertEquals(await reasonOf(server), "finished");
  assert(closed > 0);
  await server.close();
  await target.close();
});

test("accept() closes the connection without an event when it returns undefined", async () => {
  const server = await startServer({ accept: byLine });
  const client = await connect(server, "health");
  assertEquals((await readAll(client)).length, 0);
  assertEquals(server.events.map(({ type }) => type), ["listening"]);
  await server.close();
});

test("accept() resets only its own connection when it fails", async () => {
  const server = await startServer({ accept: byLine });
  const other = await connect(server, "client 127.0.0.1");
  const client = await connect(server, "nonsense");
  await readAll(client).catch(() => {}); // it is a reset if the runtime can send one
  await until(() => rejections(server).length === 1);
  const [{ reason, error, client: from }] = rejections(server);
  assertEquals(reason, "the accept hook failed");
  assertEquals(error?.message, "no client in: nonsense");
  assertEquals(from.hostname, "127.0.0.1");
  await other.write(GREETING);
  assertEquals(hex(await readExactly(other, 2)), "05 00");
  await server.close();
  const throws: Accept = () => {
    throw new Error("at once");
  };
  const second = await startServer({ accept: throws });
  await second.client().then(readAll).catch(() => {}); // the reset may arrive while it connects
  await until(() => rejections(second).length === 1);
  assertEquals(rejections(second)[0].error?.message, "at once");
  await second.close();
});

test("accept() and the handshake share the handshake timeout", () =>
  withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    let signal: AbortSignal | undefined;
    let answer!: (accepted: Accepted | undefined) => void;
    let late: Conn | undefined;
    const accept: Accept = (conn, context) => {
      signal = context.signal;
      return new Promise((resolve) => {
        late = conn;
        answer = resolve;
      });
    };
    const timeouts = { handshake: 10_000 };
    const server = await startServer({ accept, timeouts, transport });
    const stuck = await server.client();
    await until(() => signal !== undefined);
    assertEquals(signal?.aborted, false);
    clock.skip(9_000);
    assertEquals(signal?.aborted, false);
    clock.skip(1_000);
    assertEquals(signal?.aborted, true);
    await readAll(stuck).catch(() => {});
    await until(() => rejections(server).length === 1);
    assertEquals(
      rejections(server)[0].error?.message,
      "the accept hook took too long",
    );
    answer({ conn: late! }); // too late: the server closes it

    signal = undefined;
    const slow = await server.client();
    await until(() => signal !== undefined);
    clock.skip(6_000);
    answer({ conn: late! });
    await until(() => server.server.sessions.length === 1);
    clock.skip(3_990);
    assertEquals(server.server.sessions.length, 1);
    clock.skip(11);
    assertEquals(await reasonOf(server), "handshake-timeout");
    slow.close();
    await server.close();
  }));

test("accept() counts as a session while it runs", async () => {
  const answers: (() => void)[] = [];
  const accept: Accept = (conn) =>
    new Promise((resolve) => answers.push(() => resolve({ conn })));
  const server = await startServer({ accept, limits: { sessions: 2 } });
  const [first, second] = [await server.client(), await server.client()];
  await until(() => answers.length === 2);
  const third = await server.client();
  assertEquals((await readAll(third)).length, 0);
  assertEquals(rejections(server).map((it) => it.reason), [
    "too many sessions",
  ]);
  for (const answer of answers) answer();
  for (const client of [first, second]) {
    await client.write(GREETING);
    assertEquals(hex(await readExactly(client, 2)), "05 00");
  }
  await server.close();
});

test("server.shutdown() ends connections whose accept() has not resolved", async () => {
  let signal: AbortSignal | undefined;
  const accept: Accept = (_, context) => {
    signal = context.signal;
    return new Promise(() => {});
  };
  const server = await startServer({ accept });
  const client = await server.client();
  await until(() => signal !== undefined);
  await server.server.shutdown({ grace: 10_000 });
  assertEquals(signal?.aborted, true);
  await readAll(client).catch(() => {});
  await server.close();
});

test("serve() rejects an accept that is not a function", async () => {
  await assertRejects(
    () => serve({ port: 0, accept: {} as never }),
    TypeError,
    "accept",
  );
});

test("accept() counts against limits.handshakesPerClient while it runs", async () => {
  let hooks = 0;
  const accept: Accept = () => {
    hooks++;
    return new Promise(() => {});
  };
  const limits = { handshakesPerClient: 2 };
  const server = await startServer({ accept, limits });
  for (let i = 0; i < 2; i++) await server.client();
  await until(() => hooks === 2);
  const third = await server.client();
  assertEquals((await readAll(third)).length, 0);
  assertEquals(rejections(server).map((it) => it.reason), [
    "too many unfinished handshakes from this address",
  ]);
  assertEquals(hooks, 2);
  await server.close();
});

for (
  const [how, sharedLimits] of [
    ["of one server", () => undefined],
    [
      "shared by servers",
      () => ({ store: new Coordinator().open(), servers: 1 }),
    ],
  ] as const
) {
  test(`accept() counts together with handshakes against limits.handshakesPerClient, ${how}`, async () => {
    let hooks = 0;
    const gate = shutGate();
    const accept: Accept = async (conn) => {
      if (++hooks > 1) await gate.opened;
      return { conn };
    };
    const limits = { handshakesPerClient: 2 };
    const server = await startServer({
      accept,
      limits,
      sharedLimits: sharedLimits(),
    });
    const first = await server.client(); // in its handshake
    await until(() => server.server.sessions.length === 1);
    await server.client(); // in the hook
    await until(() => hooks === 2);
    await server.client();
    await until(() => hooks === 3 || rejections(server).length === 1);
    assertEquals(rejections(server).map((it) => it.reason), [
      "too many unfinished handshakes from this address",
    ]);
    assertEquals(hooks, 2);
    first.close();
    await until(() => server.server.sessions.length === 0);
    await server.client();
    await until(() => hooks === 3);
    gate.open();
    await until(() => server.server.sessions.length === 2);
    await server.close();
  });
}

test("serve() resets a connection whose accept() returns no connection", async () => {
  const results = [(conn: Conn) => conn, () => ({}), () => null, () => 5];
  for (const result of [...results, () => ({ conn: {} })]) {
    const server = await startServer({ accept: result as never });
    await server.client().then(readAll).catch(() => {}); // a reset
    await until(() => rejections(server).length === 1);
    assertEquals(rejections(server)[0].error?.name, "NetError");
    await server.close();
  }
});

test("accept() may return Web streams", async () => {
  const accept: Accept = (conn) => ({
    conn: toStreams(conn),
    client: { hostname: "::ffff:127.0.0.1", port: 9 },
  });
  const server = await startServer({ accept });
  const client = await server.client();
  await client.write(GREETING);
  assertEquals(hex(await readExactly(client, 2)), "05 00");
  assertEquals(server.server.sessions[0].client, {
    hostname: "127.0.0.1",
    port: 9,
  });
  client.close();
  await server.ended();
  await server.close();
});

test("serve() denies an exposed client the address that it has connected to, whatever accept() returns", async () => {
  const reached = { hostname: "8.8.4.1", port: 1080 };
  const accept: Accept = (conn) => ({
    conn: fromStreams(toStreams(conn)), // whose own addresses are zeros
    client: CLIENT,
  });
  const transport = {
    ...await detectTransport(),
    ownAddresses: () => [],
    connect: () => Promise.reject(new NetError("refused")),
  };
  const auth = [userPass({ alice: "secret" })];
  const server = await startServer({ accept, auth, transport });
  const pair = await connectedPair(await detectTransport());
  Object.defineProperty(pair.far, "localAddr", { value: reached });
  server.server.handle(pair.far, { client: CLIENT });
  await pair.near.write(LOGIN);
  await pair.near.write(octets("05 01 00 01 08 08 04 01 00 50"));
  assertEquals(hex(await readExactly(pair.near, 6)), "05 02 01 00 05 02");
  pair.near.close();
  await server.ended();
  await pair.close();
  await server.close();
});

test("serve() ends a session whose wrapped connection throws on close()", async () => {
  const broken = () => {
    throw new Error("a broken wrapper");
  };
  const accept: Accept = (conn) => ({
    conn: new Proxy(conn, {
      get(inner, key: keyof Conn) {
        const value = inner[key];
        if (key === "close") return broken;
        return typeof value === "function" ? value.bind(inner) : value;
      },
    }),
  });
  const server = await startServer({ accept });
  const client = await server.client();
  await client.write(octets("47"));
  await readAll(client).catch(() => {});
  assertEquals(await reasonOf(server), "protocol-error");
  assertEquals(server.server.sessions, []);
  await server.close();
});
