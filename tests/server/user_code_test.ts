/** Errors of user code, and calls of it at unusual times: they affect only their own session. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Accept,
  type AuthMethod,
  type DialedListener,
  type Policy,
  type ServeOptions,
  type ServerEvent,
  userPass,
  type Verifier,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import { fromStreams, toStreams } from "../../src/transport/streams.ts";
import type { Address, Conn } from "../../src/transport/transport.ts";
import { ANYONE, bind } from "../support/bind.ts";
import { CountingStore } from "../support/counting_store.ts";
import { test } from "../support/harness.ts";
import {
  ask,
  assertTurnedAway,
  block,
  connect,
  hex,
  port,
  udp,
} from "../support/raw.ts";
import { scriptedConn } from "../support/scripted_conn.ts";
import {
  echo,
  reasonOf,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { dialer, ScriptedAssociation } from "../support/upstream.ts";
import { withClock } from "../support/skipping_clock.ts";
import { octets } from "../support/table.ts";
import { deferred, ZEROS } from "../support/world.ts";
import {
  connectedPair,
  readAll,
  readExactly,
  settled,
  until,
} from "../transport/contract.ts";

const REMOTE: Address = { hostname: "203.0.113.9", port: 40_000 };
/** A request for 192.0.2.1:80, and its first bytes. */
const REQUEST = "01 00 01 C0 00 02 01 00 50";

type Rejected = Extract<ServerEvent, { type: "session-rejected" }>;

function rejections({ events }: TestServer): Rejected[] {
  return events.filter((it) => it.type === "session-rejected");
}

function broken(): never {
  throw new Error("broken by the test");
}

/** Closes or resets the connection, and throws. */
function breaking(conn: Conn, name: "close" | "reset"): Conn {
  const end = () => {
    conn[name]();
    broken();
  };
  return altered(conn, { [name]: end, inner: undefined });
}

/** The connection with some members replaced. */
function altered(conn: Conn, members: Partial<Conn>): Conn {
  return new Proxy(conn, {
    get(inner, key: keyof Conn) {
      if (key in members) return members[key];
      const value = inner[key];
      return typeof value === "function" ? value.bind(inner) : value;
    },
  });
}

test("serve() ends a session when its dialer's connection throws on close()", async () => {
  const target = await startTarget(echo);
  const server = await startServer({
    dial: async () => breaking(await connect(target.addr), "close"),
  });
  const { conn } = await ask(server, REQUEST);
  await conn.write(octets("2A"));
  await conn.closeWrite();
  assertEquals([...await readAll(conn)], [0x2a]);
  assertEquals(await reasonOf(server), "finished");
  assertEquals(server.server.sessions, []);
  conn.close();
  await target.close();
  await server.close();
});

test("session.close() ends a session whose dialer's connection throws on reset()", async () => {
  const target = await startTarget();
  const server = await startServer({
    dial: async () => breaking(await connect(target.addr), "reset"),
  });
  const { conn } = await ask(server, REQUEST);
  server.server.sessions[0].close();
  assertEquals(await reasonOf(server), "closed");
  assertEquals(server.server.sessions, []);
  conn.close();
  await target.close();
  await server.close();
});

test("serve() ends an idle session whose dialer's connection throws on close()", () =>
  withClock(async (clock) => {
    const target = await startTarget();
    const transport = { ...await detectTransport(), clock };
    const server = await startServer({
      transport,
      dial: async () => breaking(await connect(target.addr), "close"),
    });
    const { conn } = await ask(server, REQUEST);
    await until(() => server.server.sessions[0]?.phase === "relay");
    for (let i = 0; i < 8; i++) clock.skip(75_000);
    assertEquals(await reasonOf(server), "idle");
    conn.close();
    await target.close();
    await server.close();
  }));

test("serve() rejects once, and closes the underlying connection, when a wrapper throws on close()", async () => {
  for (const close of [broken, () => {}]) {
    const accept: Accept = (conn) => ({
      conn: altered(conn, { close }),
      client: REMOTE,
    });
    const server = await startServer({ accept });
    const client = await server.client();
    assertEquals((await readAll(client)).length, 0);
    const reasons = rejections(server).map(({ reason }) => reason);
    assertEquals(reasons.length, 1, reasons.join());
    assert(reasons[0].includes("openProxy"), reasons[0]);
    await server.close();
  }
});

test("server.handle() survives a connection that throws on close() while a store is asked", async () => {
  const store = new CountingStore();
  store.answer = () => Promise.reject(new Error("no answer"));
  const server = await startServer({
    listen: false,
    openProxy: true,
    limits: { sessions: 1 },
    sharedLimits: { store, servers: 2 },
  });
  server.server.handle(altered(scriptedConn(), { close: broken }));
  await until(() => rejections(server).length === 1);
  await settled();
  assertEquals(rejections(server)[0].reason, "the shared limits store failed");
  await server.close();
});

test("server.handle() throws for a connection without addresses, and does not close it", async () => {
  const accept: Accept = (conn) => ({ conn });
  for (const options of [{}, { accept }]) {
    const server = await startServer({ listen: false, ...options });
    const conn = altered(scriptedConn(), { remoteAddr: undefined });
    assertThrows(() => server.server.handle(conn), TypeError);
    const client = LOOPBACK;
    assertThrows(() => server.server.handle(conn, { client }), TypeError);
    await server.close();
  }
});

const LOOPBACK: Address = { hostname: "127.0.0.1", port: 40_000 };

test("server.handle() does not take over streams when the client is not an address", async () => {
  const server = await startServer({ listen: false });
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const client = { hostname: 5, port: "x" } as never;
  assertThrows(
    () => server.server.handle({ readable, writable }, { client }),
    TypeError,
    "client",
  );
  assertEquals([readable.locked, writable.locked], [false, false]);
  await server.close();
});

test("server.handle() identifies a client by the canonical form of its address", async () => {
  const server = await startServer({ listen: false });
  const forms = [
    ["2001:DB8:0::1", "2001:db8::1"],
    ["::FFFF:127.0.0.1", "127.0.0.1"],
    ["0:0:0:0:0:0:0:1", "::1"],
  ];
  for (const [hostname, shown] of forms) {
    const { near, far, close } = await connectedPair(await detectTransport());
    server.server.handle(far, {
      client: { hostname, port: 9 },
      exposed: false,
    });
    const [session] = server.server.sessions;
    assertEquals(session.client.hostname, shown);
    await near.write(Uint8Array.of(5)); // without a byte it would be no session
    await until(() => server.events.some((it) => it.type === "session-start"));
    server.events.length = 0;
    await close();
    await server.ended();
  }
  await server.close();
});

test("accept() exposes the session when its connection reports a client beyond loopback", async () => {
  const accept: Accept = (conn) => ({
    conn: altered(conn, { remoteAddr: REMOTE, inner: undefined }),
  });
  const server = await startServer({ accept });
  const client = await server.client();
  assertEquals((await readAll(client)).length, 0);
  const [{ client: named, reason }] = rejections(server);
  assertEquals(named, REMOTE);
  assert(reason.includes("openProxy"), reason);
  await server.close();
});

test("accept() keeps the client's address when its connection has none", async () => {
  const accept: Accept = (conn) => ({
    conn: fromStreams({
      readable: new ReadableStream({
        async pull(controller) {
          const chunk = await conn.read();
          if (chunk) controller.enqueue(chunk);
          else controller.close();
        },
      }),
      writable: new WritableStream({
        write: (chunk) => conn.write(chunk),
        close: () => conn.close(),
      }),
    }),
  });
  const server = await startServer({ accept, policy: () => true });
  const client = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(client.rep, 0);
  const [session] = server.server.sessions;
  assertEquals(session.client, client.conn.localAddr);
  client.conn.close();
  await server.ended();
  await server.close();
});

test("VerifyContext.isWanted() is false when the session has ended", async () => {
  let isWanted: (() => boolean) | undefined;
  const verifier: Verifier = {
    verify: (_, context) => {
      isWanted = () => context.isWanted();
      return new Promise(() => {});
    },
  };
  const server = await startServer({ auth: [userPass(verifier)] });
  const client = await server.client();
  await client.write(octets('05 01 02 01 05 "alice" 06 "secret"'));
  await until(() => isWanted !== undefined);
  server.server.sessions[0].close();
  await server.ended();
  assertEquals(isWanted!(), false);
  await server.close();
});

test("AuthExchange.signal is aborted when it is read after the session has ended", async () => {
  let read: (() => AbortSignal) | undefined;
  const method: AuthMethod = {
    number: 0x80,
    name: "slow",
    negotiate(exchange) {
      read = () => exchange.signal;
      return new Promise(() => {});
    },
  };
  const server = await startServer({ auth: [method] });
  const client = await server.client();
  await client.write(octets("05 01 80"));
  await until(() => read !== undefined);
  server.server.sessions[0].close();
  await server.ended();
  assertEquals(read!().aborted, true);
  await server.close();
});

test("serve() aborts the policy's signal when a BIND is over, and reports nothing after its end", async () => {
  const answer = deferred<boolean>();
  let signal: AbortSignal | undefined;
  const policy: Policy = ({ address }, context) => {
    if (address === undefined) return true;
    signal = context.signal;
    return answer.promise;
  };
  const server = await startServer({ policy });
  const { conn, bound } = await bind(server, ANYONE);
  const peer = await connect(bound);
  await until(() => signal !== undefined);
  conn.close();
  assertEquals(await reasonOf(server), "client-gone");
  assertEquals(signal!.aborted, true);
  answer.resolve(false);
  await settled();
  assertEquals(server.events.at(-1)?.type, "session-end");
  peer.close();
  await server.close();
});

for (const [name, command] of [["BIND", "02"], ["UDP ASSOCIATE", "03"]]) {
  test(`serve() reports no reply when a session is closed while ${name} opens its port`, async () => {
    const native = await detectTransport();
    const gate = deferred<void>();
    let opening = false;
    const slowly =
      <A extends unknown[], T>(open: (...args: A) => Promise<T>) =>
      async (...args: A) => {
        const listener = await open(...args);
        opening = true;
        await gate.promise;
        return listener;
      };
    const slow = await startServer({
      listen: false,
      transport: {
        ...native,
        listen: slowly(native.listen),
        datagrams: slowly(native.datagrams),
      },
    });
    const { near, far, close } = await connectedPair(native);
    slow.server.handle(far);
    await near.write(octets(`05 01 00 05 ${command} 00 ${ZEROS}`));
    await until(() => opening);
    slow.server.sessions[0].close();
    gate.resolve();
    assertEquals(await reasonOf(slow), "closed");
    const types = slow.events.map(({ type }) => type);
    assertEquals(types.includes("reply"), false, types.join());
    await close();
    await slow.close();
  });
}

test("serve() drops datagrams for which a method's wrapper returns no bytes", async () => {
  const wrapper = {
    overhead: 0,
    wrap: (it: Uint8Array) => Promise.resolve(it) as never,
    unwrap: (it: Uint8Array) => it[0] === 0 ? it : Promise.resolve(it) as never,
  };
  const method: AuthMethod = {
    number: 0x80,
    name: "wrapping",
    negotiate: () => Promise.resolve({ ok: true, datagrams: wrapper }),
  };
  const server = await startServer({ auth: [method] });
  const target = await udp();
  const own = await udp();
  const conn = await server.client();
  await conn.write(octets(`05 01 80 05 03 00 ${ZEROS}`));
  const reply = await readExactly(conn, 12);
  const relay = {
    hostname: "127.0.0.1",
    port: reply[10] << 8 | reply[11],
  };
  const { addr } = target;
  own.send(octets("01 00 00"), relay); // unwrapped to a promise
  own.send(octets(`00 00 00 01 7F 00 00 01 ${port(addr.port)} 2A`), relay);
  const { from } = await target.next();
  const [session] = server.server.sessions;
  assertEquals(session.datagrams?.dropped, 1);
  target.send(octets("2B"), from); // wrapped to a promise
  await until(() => session.datagrams?.dropped === 2);
  own.close();
  target.close();
  conn.close();
  await server.ended();
  await server.close();
});

test("serve() asks the identd of the client that accept() names", async () => {
  const identd = await startTarget(async (conn) => {
    const query = await conn.read();
    const line = new TextDecoder().decode(query!).trim();
    await conn.write(
      new TextEncoder().encode(`${line} : USERID : UNIX : alice\r\n`),
    );
    conn.close();
  }, "127.0.0.1");
  const ident = { port: identd.addr.port };
  const client: Address = { hostname: "127.0.0.9", port: 40_000 };
  const accept: Accept = (conn) => ({ conn, client });
  const server = await startServer({ accept, socks4: { ident } });
  const conn = await server.client();
  await conn.write(octets('04 01 00 50 C0 00 02 01 "alice" 00'));
  // The balancer at 127.0.0.1 has an identd, the client at 127.0.0.9 has none.
  assertEquals(hex(await readExactly(conn, 2)), "00 5c");
  conn.close();
  await server.ended();
  await identd.close();
  await server.close();
});

test("serve() rejects socks4.userIds that are not a list", async () => {
  const options = { socks4: { userIds: "alice" } } as unknown as ServeOptions;
  const error = await startServer(options).then(
    (it) => it.close(),
    (error) => error,
  );
  assertEquals((error as Error)?.name, "OptionError");
});

test("server.handle() and accept() serve an exposed session only for false itself", async () => {
  for (const exposed of [0, "", null] as never[]) {
    const server = await startServer({ listen: false });
    const { near, far, close } = await connectedPair(await detectTransport());
    server.server.handle(far, { client: REMOTE, exposed });
    assertEquals(rejections(server).length, 1);
    near.close();
    await close();
    await server.close();
    const accept: Accept = (conn) => ({ conn, client: REMOTE, exposed });
    const second = await startServer({ accept });
    await second.client();
    await until(() => second.events.length === 2);
    assertEquals(rejections(second).length, 1);
    await second.close();
  }
});

for (const [name, command] of [["BIND", "02"], ["UDP ASSOCIATE", "03"]]) {
  test(`serve() opens the port of ${name} where the client reached it, whatever wraps the connection`, async () => {
    const method: AuthMethod = {
      number: 0x80,
      name: "wrapping",
      negotiate: (exchange) => {
        const conn = fromStreams(toStreams(exchange.take()));
        return Promise.resolve({ ok: true, conn });
      },
    };
    const accept: Accept = (conn) => ({ conn: fromStreams(toStreams(conn)) });
    const all = [{ auth: [method] }, { accept }, { accept, auth: [method] }];
    for (const options of all) {
      const server = await startServer(options);
      const conn = await server.client();
      const chosen = options.auth ? "80" : "00";
      await conn.write(octets(`05 01 ${chosen} 05 ${command} 00 ${ZEROS}`));
      const reply = await readExactly(conn, 12);
      assertEquals(
        hex(reply.subarray(0, 10)),
        `05 ${chosen} 05 00 00 01 7f 00 00 01`,
      );
      conn.close();
      await server.ended();
      await server.close();
    }
  });
}

test("serve() closes the ports of an association whose wrapper throws on keepAlive()", async () => {
  const accept: Accept = (conn) => ({
    conn: altered(conn, { keepAlive: broken, inner: undefined }),
  });
  const server = await startServer({
    accept,
    limits: { associationsPerClient: 1 },
  });
  for (let i = 0; i < 2; i++) {
    const { conn, rep } = await ask(server, `03 00 ${ZEROS}`);
    assertEquals(rep, 0);
    conn.close();
    await server.ended();
  }
  await server.close();
});

/** What untyped code may return where nothing is expected. */
const rejecting = () => Promise.reject(new Error("broken by the test"));

test("serve() goes on with a BIND and an association whose keepAlive() rejects", async () => {
  const accept: Accept = (conn) => ({
    conn: altered(conn, { keepAlive: rejecting, inner: undefined }),
  });
  const server = await startServer({ accept });
  for (const request of [`02 00 ${ANYONE}`, `03 00 ${ZEROS}`]) {
    const { conn, rep } = await ask(server, request);
    assertEquals(rep, 0);
    await settled();
    conn.close();
    await server.ended();
  }
  await server.close();
});

test("serve() goes on with a BIND when a listener of its transport fails to close, and a peer to be reset", async () => {
  const native = await detectTransport();
  const listen: typeof native.listen = async (options, onConn, onError) => {
    if (onError) return await native.listen(options, onConn, onError);
    const listener = await native.listen(options, (conn) => {
      const reset = () => {
        conn.reset();
        broken();
      };
      onConn(altered(conn, { reset }));
    });
    return { addr: listener.addr, close: () => listener.close().then(broken) };
  };
  const server = await startServer({ transport: { ...native, listen } });
  const { conn, bound } = await bind(server);
  await assertTurnedAway("127.0.0.2", bound);
  conn.close();
  await server.ended();
  await settled();
  await server.close();
});

test("serve() resets a client whose unread() rejects, because bytes of it are lost", async () => {
  const target = await startTarget();
  const accept: Accept = (conn) => ({
    conn: altered(conn, { unread: rejecting, inner: undefined }),
  });
  const server = await startServer({ accept });
  const client = await server.client();
  await client.write(octets("05 01 00"));
  await readExactly(client, 2);
  // The byte after the request is the first one for the target.
  await client.write(octets(`05 01 00 ${block(target.addr)} 2A`));
  assertEquals(await reasonOf(server), "client-gone");
  client.close();
  await server.close();
  await target.close();
});

test("serve() ends a BIND whose wrapped client leaves and throws on unread()", async () => {
  const accept: Accept = (conn) => ({
    conn: altered(conn, {
      unread: (chunk) => chunk.length > 0 && broken(),
      inner: undefined,
    }),
  });
  const server = await startServer({ accept });
  const client = await server.client();
  await client.write(octets("05 01 00"));
  await readExactly(client, 2);
  await client.write(octets(`05 02 00 ${ANYONE}`));
  await readExactly(client, 10);
  await client.write(octets("2A"));
  await client.closeWrite();
  assertEquals(await reasonOf(server), "client-gone");
  await settled();
  await server.close();
});

test("serve() survives a dialer whose listeners and associations fail to close later", async () => {
  const close = () => Promise.reject(new Error("broken by the test"));
  const listener: DialedListener = {
    addr: LOOPBACK,
    accept: () => Promise.reject(new NetError("refused")),
    close,
  };
  const association = new ScriptedAssociation();
  association.close = close;
  const server = await startServer({
    dial: dialer({
      bind: () => Promise.resolve(listener),
      udpAssociate: () => Promise.resolve(association),
    }),
  });
  const { conn } = await ask(server, `02 00 ${ANYONE}`);
  assertEquals((await readExactly(conn, 10))[1], 5);
  conn.close();
  await server.ended();
  const second = await ask(server, `03 00 ${ZEROS}`);
  assertEquals(second.rep, 0);
  second.conn.close();
  await server.ended();
  await settled();
  association.end();
  await server.close();
});

test("serve() recognizes the expected peer of a dialer in any notation", async () => {
  const [peer, other] = [scriptedConn(), scriptedConn()];
  const listener: DialedListener = {
    addr: LOOPBACK,
    accept: () => {
      const peerAddr = { hostname: "2001:DB8:0::1", port: 9 };
      return Promise.resolve(altered(peer, { peerAddr } as Partial<Conn>));
    },
    close() {},
  };
  const server = await startServer({
    dial: dialer({ bind: () => Promise.resolve(listener) }),
  });
  const dst = "04 20 01 0D B8 00 00 00 00 00 00 00 00 00 00 00 01 00 00";
  const { conn } = await ask(server, `02 00 ${dst}`);
  assertEquals((await readExactly(conn, 4))[1], 0);
  conn.close();
  other.close();
  await server.ended();
  await server.close();
});

/** A store that answers only the first requests. */
function silentStore(answers: number): CountingStore {
  const store = new CountingStore();
  store.answer = (grant) =>
    answers-- > 0 ? grant() : new Promise<never>(() => {});
  return store;
}

test("serve() rejects a client when a store does not answer in the handshake timeout", () =>
  withClock(async (clock) => {
    const transport = { ...await detectTransport(), clock };
    const store = silentStore(0);
    const server = await startServer({
      transport,
      limits: { sessions: 1 },
      sharedLimits: { store, servers: 2 },
    });
    const client = await server.client();
    await until(() => store.requests.length === 1);
    clock.skip(10_000);
    assertEquals((await readAll(client)).length, 0);
    const [{ reason, client: shown }] = rejections(server);
    assertEquals(reason, "the shared limits store failed");
    assertEquals(shown, client.localAddr);
    await server.close();
  }));

test("server.shutdown() does not wait for a store that does not answer", async () => {
  const store = silentStore(0);
  const server = await startServer({
    limits: { sessions: 1 },
    timeouts: { handshake: 0 },
    sharedLimits: { store, servers: 2 },
  });
  const client = await server.client();
  await until(() => store.requests.length === 1);
  await server.server.shutdown({ grace: 60_000 });
  assertEquals((await readAll(client)).length, 0);
  await until(() => rejections(server).length === 1);
  assertEquals(rejections(server)[0].reason, "the server is shutting down");
  await server.close();
});

for (const how of ["session.close()", "server.shutdown()"]) {
  test(`${how} ends a login and an association whose store does not answer`, async () => {
    const auth = [userPass({ alice: "secret" })];
    const login =
      '05 01 02 01 05 "alice" 06 "secret" 05 01 00 01 7F 00 00 01 00 09';
    const association = `05 01 00 05 03 00 ${ZEROS}`;
    const cases: [ServeOptions, string][] = [
      [{ auth, limits: { sessionsPerUser: 1 } }, login],
      [{ limits: { associationsPerClient: 1 } }, association],
    ];
    for (const [options, bytes] of cases) {
      const store = silentStore(0);
      const server = await startServer({
        ...options,
        limits: { ...options.limits, sessions: 0 },
        timeouts: { handshake: 0, connect: 0 },
        sharedLimits: { store, servers: 2 },
      });
      const client = await server.client();
      await client.write(octets(bytes));
      await until(() => store.requests.length === 1);
      if (how === "session.close()") server.server.sessions[0].close();
      else await server.server.shutdown({ grace: 0 });
      assertEquals(await reasonOf(server), "closed");
      await readAll(client).catch(() => {});
      await server.close();
    }
  });
}

test("serve() relays through a connection that a Proxy object changes", async () => {
  const hidden = (chunk: Uint8Array) => chunk.map((it) => it ^ 0x5a);
  const accept: Accept = (conn) => ({
    conn: altered(conn, {
      read: () => conn.read().then((it) => it && hidden(it)),
      write: (chunk) => conn.write(hidden(chunk)),
    }),
  });
  const arrived: number[] = [];
  const target = await startTarget(async (conn) => {
    for (let c = await conn.read(); c; c = await conn.read()) {
      arrived.push(...c);
      await conn.write(c);
    }
    await conn.closeWrite();
  });
  const server = await startServer({ accept });
  const client = await server.client();
  await client.write(hidden(octets("05 01 00")));
  assertEquals(hex(hidden(await readExactly(client, 2))), "05 00");
  const { port: number } = target.addr;
  await client.write(
    hidden(octets(`05 01 00 01 7F 00 00 01 ${port(number)}`)),
  );
  assertEquals(hidden(await readExactly(client, 10))[1], 0);
  await client.write(hidden(octets("01 02 03")));
  await client.closeWrite();
  assertEquals(hex(hidden(await readAll(client))), "01 02 03");
  assertEquals(arrived, [1, 2, 3]);
  assertEquals(await reasonOf(server), "finished");
  await target.close();
  await server.close();
});
