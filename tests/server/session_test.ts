/** Timeouts, limits, the list of sessions, events and shutdown of the server. */

import { once } from "node:events";
import * as net from "node:net";
import * as util from "node:util";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  noAuth,
  type Policy,
  serve,
  type ServerEvent,
  userPass,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { NetError } from "../../src/transport/errors.ts";
import { fromStreams, toStreams } from "../../src/transport/streams.ts";
import { runtime, test } from "../support/harness.ts";
import { octets } from "../support/table.ts";
import {
  assertKind,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../transport/contract.ts";
import {
  echo,
  reasonOf,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { hex } from "../support/raw.ts";

const GREETING = octets("05 01 00");

/** A SOCKS5 request for a port of 127.0.0.1. */
function request(port: number): Uint8Array {
  return Uint8Array.of(5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255);
}

/** Connects a client and sends a request; resolves after the success reply. */
async function connected(server: TestServer, port: number): Promise<Conn> {
  const client = await server.client();
  await client.write(GREETING);
  await client.write(request(port));
  const answer = await readExactly(client, 12);
  assertEquals([...answer.slice(0, 4)], [5, 0, 5, 0]);
  return client;
}

test("serve() closes only clients that do not complete the handshake in time", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const good = await connected(server, target.addr.port);
  await server.server.update({ timeouts: { handshake: 150 } });
  const stalled = await Promise.all(
    [
      "",
      "05",
      "05 01 00",
      "05 01 00 05 01 00 01 7F",
      "04 01 00 50",
      "04 01 00 50 7F 00 00 01 61",
    ].map(async (sent) => {
      const client = await server.client();
      if (sent) await client.write(octets(sent));
      return client;
    }),
  );
  for (const client of stalled) {
    await readAll(client);
    assertEquals(await reasonOf(server), "handshake-timeout");
  }
  await good.write(pattern(10));
  assertEquals(await readExactly(good, 10), pattern(10));
  await server.close();
  await target.close();
});

test("serve() ends the handshake in time when its bytes arrive one by one", async () => {
  const server = await startServer({ timeouts: { handshake: 150 } });
  const client = await server.client();
  const trickle = async () => {
    await client.write(octets("04 01 00 50 7F 00 00 01"));
    while (true) {
      await client.write(octets("61"));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const trickling = trickle().catch(() => {});
  assertEquals(await reasonOf(server), "handshake-timeout");
  await trickling;
  await server.close();
});

test("serve() refuses the request when the target does not answer in time", async () => {
  let aborted: unknown;
  const server = await startServer({
    timeouts: { connect: 50 },
    dial: (_, { signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          aborted = signal.reason;
          reject(signal.reason);
        })
      ),
  });
  const client = await server.client();
  await client.write(GREETING);
  await client.write(request(9));
  const answer = await readAll(client);
  assertEquals([...answer.slice(0, 4)], [5, 0, 5, 4]);
  assert(aborted instanceof NetError);
  assertEquals(aborted.kind, "timeout");
  await server.close();
});

test("serve() ends idle and half-closed relays", async () => {
  const target = await startTarget();
  const server = await startServer({ timeouts: { idle: 100, halfClosed: 0 } });
  const client = await connected(server, target.addr.port);
  assertEquals(await reasonOf(server), "idle");
  await readAll(client).catch(() => {});
  await server.close();

  const other = await startServer({ timeouts: { idle: 0, halfClosed: 100 } });
  const half = await connected(other, target.addr.port);
  await half.closeWrite();
  assertEquals(await reasonOf(other), "idle");
  await other.close();
  await target.close();
});

test("serve() rejects clients while limits.sessions is reached", async () => {
  const target = await startTarget(echo);
  const server = await startServer({ limits: { sessions: 2 } });
  const first = await connected(server, target.addr.port);
  await connected(server, target.addr.port);
  const third = await server.client();
  await third.write(GREETING).catch(() => {});
  assertEquals((await readAll(third).catch(() => octets(""))).length, 0);
  const rejected = server.events.filter(({ type }) =>
    type === "session-rejected"
  );
  assertEquals(rejected.length, 1);
  first.close();
  await server.ended();
  await connected(server, target.addr.port);
  await server.close();
  await target.close();
});

test("server.sessions lists the open sessions and can end them", async () => {
  const target = await startTarget(echo);
  const server = await startServer({
    auth: [userPass({ alice: "secret" })],
  });
  const client = await server.client();
  await client.write(octets('05 01 02 01 05 "alice" 06 "secret"'));
  assertEquals(await readExactly(client, 4), octets("05 02 01 00"));
  assertEquals(server.server.sessions.map(({ phase, user }) => [phase, user]), [
    ["handshake", "alice"],
  ]);
  await client.write(request(target.addr.port));
  await readExactly(client, 10);
  await client.write(pattern(1000));
  await readExactly(client, 1000);
  const [session] = server.server.sessions;
  const { id, phase, version, method, user, command, sent, received } = session;
  assertEquals(
    { id, phase, version, method, user, command, sent, received },
    {
      id: 1,
      phase: "relay",
      version: 5,
      method: "password",
      user: "alice",
      command: "connect",
      sent: 1000,
      received: 1000,
    },
  );
  assertEquals(session.target, {
    hostname: "127.0.0.1",
    port: target.addr.port,
  });
  assertEquals(session.targetAddr, target.addr);
  assertEquals(session.client, client.localAddr);
  assertEquals(session.reply, 0);
  session.close();
  assertEquals(await reasonOf(server), "closed");
  assertEquals(server.server.sessions.length, 0);
  await readAll(client).catch(() => {});
  await server.close();
  await target.close();
});

test("session.close() ends a session during the handshake and during the dial", async () => {
  let dialled!: () => void;
  const dialling = new Promise<void>((resolve) => dialled = resolve);
  const server = await startServer({
    dial: (_, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        dialled();
      }),
  });
  const early = await server.client();
  await early.write(GREETING);
  assertEquals(await readExactly(early, 2), octets("05 00"));
  server.server.sessions[0].close();
  assertEquals(await reasonOf(server), "closed");
  assertEquals((await readAll(early)).length, 0);

  const late = await server.client();
  await late.write(GREETING);
  await late.write(request(9));
  await dialling;
  server.server.sessions[0].close();
  assertEquals(await reasonOf(server), "closed");
  assertEquals([...await readAll(late)], [5, 0]);
  await server.close();
});

test("session.close() closes a target that answers later", async () => {
  const target = await startTarget();
  const transport = await detectTransport();
  let release!: () => void;
  const released = new Promise<void>((resolve) => release = resolve);
  let dialled!: () => void;
  const dialling = new Promise<void>((resolve) => dialled = resolve);
  const server = await startServer({
    async dial({ hostname, port }) {
      dialled();
      await released;
      return await transport.connect({ hostname, port });
    },
  });
  const client = await server.client();
  await client.write(GREETING);
  await client.write(request(target.addr.port));
  await dialling;
  server.server.sessions[0].close();
  release();
  assertEquals(await reasonOf(server), "closed");
  assertEquals(await (await target.accepted()).read(), null);
  await server.close();
  await target.close();
});

test("session.close() prevents the dial when it is called for an event before", async () => {
  const target = await startTarget();
  for (const type of ["auth", "request"]) {
    for (const dials of [false, true]) {
      let dialled = 0;
      const server = await startServer({
        onEvent: (event) => {
          if (event.type === type) server.server.sessions[0].close();
        },
        dial: !dials ? undefined : (_, { signal }) => {
          if (!signal.aborted) dialled++;
          return Promise.reject(signal.reason);
        },
      });
      const client = await server.client();
      await client.write(GREETING);
      await client.write(request(target.addr.port)).catch(() => {});
      assertEquals(await reasonOf(server), "closed");
      await settled();
      assertEquals([dialled, target.conns.length], [0, 0]);
      await server.close();
    }
  }
  await target.close();
});

test("serve() refuses the request when dial takes too long, and closes its late connection", async () => {
  const closed: string[] = [];
  let arrive!: (conn: Conn) => void;
  const server = await startServer({
    timeouts: { connect: 50 },
    dial: () => new Promise((resolve) => arrive = resolve),
  });
  const client = await server.client();
  await client.write(GREETING);
  await client.write(request(9));
  assertEquals([...await readAll(client)].slice(0, 4), [5, 0, 5, 4]);
  client.close();
  assertEquals(await reasonOf(server), "refused");
  arrive({ close: () => closed.push("late") } as unknown as Conn);
  await settled();
  assertEquals(closed, ["late"]);
  await server.close();
});

test("serve() ends an authentication that takes too long", async () => {
  const server = await startServer({
    timeouts: { handshake: 50 },
    auth: [{
      number: 0x80,
      name: "sleepy",
      negotiate: () => new Promise(() => {}),
    }],
  });
  const client = await server.client();
  await client.write(octets("05 01 80"));
  assertEquals(hex(await readAll(client)), "05 80");
  assertEquals(await reasonOf(server), "handshake-timeout");
  await server.close();
});

test("serve() sends everything through the wrapper of an authentication method, and closes it", async () => {
  const hidden = (octets: Uint8Array) => octets.map((it) => it ^ 0xff);
  const closed: string[] = [];
  const wrap = (conn: Conn): Conn => ({
    ...fromStreams(toStreams(conn)),
    localAddr: conn.localAddr,
    remoteAddr: conn.remoteAddr,
    read: () => conn.read().then((it) => it && hidden(it)),
    write: (octets) => conn.write(hidden(octets)),
    unread: (octets) => conn.unread(hidden(octets)),
    closeWrite: () => conn.closeWrite(),
    close: () => void closed.push("close"),
  });
  let far!: Conn;
  const server = await startServer({
    auth: [{
      number: 0x80,
      name: "hidden",
      negotiate: () => Promise.resolve({ ok: true, conn: wrap(far) }),
    }],
  });
  for (
    const [sent, answer] of [["05 01 00 05", "05 08"], [
      "05 09 00 01 7F 00 00 01 00 09",
      "05 07",
    ]]
  ) {
    const pair = await connectedPair(await detectTransport());
    far = pair.far;
    server.server.handle(far);
    await pair.near.write(octets("05 01 80"));
    assertEquals(hex(await readExactly(pair.near, 2)), "05 80");
    await pair.near.write(hidden(octets(sent)));
    const got = hidden(await readAll(pair.near));
    assertEquals(hex(got).slice(0, 5), answer);
    pair.near.close();
    await server.ended();
    await pair.close();
  }
  assert(closed.length >= 2);
  await server.close();
});

test("server.update() applies to open connections that have not sent anything", async () => {
  const login = '05 01 02 01 03 "bob" 03 "old"';
  const server = await startServer({ auth: [userPass({ bob: "old" })] });
  const silent = await server.client();
  await until(() => server.server.sessions.length === 1);
  await server.server.update({ auth: [userPass({ bob: "new" })] });
  await silent.write(octets(login));
  assertEquals(hex(await readAll(silent)), "05 02 01 01");
  assertEquals(await reasonOf(server), "login-failed");
  await server.close();
});

test("server.shutdown() may be called for the shutdown event", async () => {
  let calls = 0;
  const server = await startServer({
    onEvent: ({ type }) => {
      if (type === "shutdown" && ++calls < 5) void server.server.shutdown();
    },
  });
  await server.server.shutdown();
  assertEquals(calls, 1);
});

test("serve() emits a reply event when it cannot decode or accept the request", async () => {
  const login = [userPass({ alice: "correct horse" })];
  for (
    const [auth, sent, answer] of [
      [undefined, "05 01 00 05 01 00 09", 8],
      [undefined, "05 01 00 06", 1],
      [login, "04 01 00 09 7F 00 00 01 00", 0x5b],
    ] as const
  ) {
    const server = await startServer({ auth });
    const client = await server.client();
    await client.write(octets(sent));
    assert((await readAll(client)).includes(answer));
    const { session } = await server.ended();
    assertEquals(session.reply, answer);
    const replies = server.events.filter(({ type }) => type === "reply");
    assertEquals(replies.length, 1);
    await server.close();
  }
});

test("serve() emits an auth event when negotiate() rejects", async () => {
  const server = await startServer({
    auth: [{
      number: 0x80,
      name: "broken",
      negotiate: () => Promise.reject(new Error("out of order")),
    }],
  });
  const client = await server.client();
  await client.write(octets("05 01 80"));
  await readAll(client);
  await server.ended();
  const logins = server.events.filter(({ type }) => type === "auth");
  assertEquals(logins.map((it) => "ok" in it && it.ok), [false]);
  await server.close();
});

test("serve() emits the events of a session in order", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const client = await connected(server, target.addr.port);
  client.close();
  await server.ended();
  await server.close();
  assertEquals(server.events.map(({ type }) => type), [
    "listening",
    "session-start",
    "auth",
    "request",
    "reply",
    "session-end",
    "shutdown",
  ]);
  const end = server.events[5] as Extract<ServerEvent, { type: "session-end" }>;
  assertEquals(end.reason, "finished");
  assertEquals(end.session.phase, "ended");
  await target.close();
});

test("serve() reports the side that sent a reset, and passes the reset on", async () => {
  for (const side of ["client-gone", "target-gone"] as const) {
    const server = await startServer();
    // Only node:net can send a reset on every runtime.
    const listener = net.createServer({ allowHalfOpen: true }).listen(
      0,
      "127.0.0.1",
    );
    await once(listener, "listening");
    const { port } = listener.address() as net.AddressInfo;
    const { addr } = server.server;
    const client = net.connect({ host: addr.hostname, port: addr.port });
    const accepted = once(listener, "connection");
    client.write(GREETING);
    client.write(request(port));
    const [target] = await accepted as [net.Socket];
    target.write(pattern(10));
    await new Promise<void>((resolve) => {
      let received = 0;
      client.on(
        "data",
        ({ length }) => (received += length) === 22 && resolve(),
      );
    });
    const [breaks, other] = side === "client-gone"
      ? [client, target]
      : [target, client];
    const seen = new Promise((resolve) => {
      other.on("error", ({ code }: { code?: string }) => resolve(code));
      other.on("end", () => resolve("FIN"));
      other.resume();
    });
    breaks.resetAndDestroy();
    assertEquals(await reasonOf(server), side);
    assertEquals(await seen, runtime === "deno" ? "FIN" : "ECONNRESET");
    other.destroy();
    listener.close();
    await server.close();
  }
});

test("server.shutdown() refuses new clients and waits until the sessions have ended", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const client = await connected(server, target.addr.port);
  let down = false;
  const shutdown = server.server.shutdown({ grace: 60_000 })
    .then(() => down = true);
  await settled();
  await assertKind(
    (await detectTransport()).connect(server.server.addr),
    "refused",
  );
  await client.write(pattern(100));
  assertEquals(await readExactly(client, 100), pattern(100));
  assertEquals(down, false);
  await client.closeWrite();
  assertEquals((await readAll(client)).length, 0);
  await shutdown;
  await server.server.finished;
  assertEquals(await reasonOf(server), "finished");
  await server.close();
  await target.close();
});

test("server.shutdown() ends the remaining sessions after the grace time", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  await connected(server, target.addr.port);
  await server.server.shutdown({ grace: 30 });
  assertEquals(await reasonOf(server), "closed");
  await server.close();
  await target.close();
});

test("server.shutdown() may shorten the grace time of an earlier call or of [Symbol.asyncDispose]()", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  await connected(server, target.addr.port);
  const first = server.server[Symbol.asyncDispose]();
  await server.server.shutdown({ grace: 0 });
  await first;
  await server.close();
  await target.close();
});

test("serve() ends immediately when its signal is aborted", async () => {
  const target = await startTarget(echo);
  const controller = new AbortController();
  const server = await startServer({ signal: controller.signal });
  await connected(server, target.addr.port);
  controller.abort();
  await server.server.finished;
  assertEquals(await reasonOf(server), "closed");
  await server.close();
  await target.close();
  await assertRejects(() => serve({ port: 0, signal: controller.signal }));
});

test("serve() rejects when its signal is aborted while it begins to listen", async () => {
  const controller = new AbortController();
  const transport = await detectTransport();
  let port = 0;
  const starting = serve({
    port: 0,
    signal: controller.signal,
    transport: {
      ...transport,
      async listen(...args) {
        const listener = await transport.listen(...args);
        port = listener.addr.port;
        controller.abort(new Error("never mind"));
        return listener;
      },
    },
  });
  await assertRejects(() => starting, Error, "never mind");
  const addr = { hostname: "127.0.0.1", port };
  await assertKind(transport.connect(addr), "refused");
});

test("server.handle() serves a connection over Web streams", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const up = new TransformStream<Uint8Array>();
  const down = new TransformStream<Uint8Array>();
  server.server.handle(
    fromStreams({ readable: up.readable, writable: down.writable }),
    { exposed: false },
  );
  const client = fromStreams({
    readable: down.readable,
    writable: up.writable,
  });
  // A TransformStream does not read ahead: write and read at the same time.
  const [answer] = await Promise.all([
    readExactly(client, 2),
    client.write(GREETING),
  ]);
  assertEquals(answer, octets("05 00"));
  const [reply] = await Promise.all([
    readExactly(client, 10),
    client.write(request(target.addr.port)),
  ]);
  assertEquals(reply[1], 0);
  const sent = pattern(100_000);
  const [all] = await Promise.all([
    readAll(client),
    client.write(sent).then(() => client.closeWrite()),
  ]);
  assertEquals(all, sent);
  assertEquals(await reasonOf(server), "finished");
  await server.close();
  await target.close();
});

test("serve() ends the session when the client does not read its reply", async () => {
  const target = await startTarget();
  const server = await startServer({ timeouts: { connect: 1_000 } });
  let replies = 0;
  // Accepts the method choice, and nothing after it.
  const writable = new WritableStream<Uint8Array>({
    write: () => replies++ === 0 ? undefined : new Promise(() => {}),
  });
  const readable = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(GREETING);
      controller.enqueue(request(target.addr.port));
    },
  });
  server.server.handle(fromStreams({ readable, writable }), {
    exposed: false,
  });
  const far = await target.accepted();
  assertEquals(await reasonOf(server), "client-gone");
  await far.read().catch(() => null);
  await server.close();
  await target.close();
});

test("serve() passes the session to dial, and replies general failure to its errors", async () => {
  const seen: unknown[] = [];
  const server = await startServer({
    auth: [
      userPass((username, password) =>
        username === "bob" && password === "builder"
      ),
    ],
    dial({ hostname, port }, { session }) {
      seen.push([hostname, port, session.user]);
      throw new Error("no way");
    },
  });
  const client = await server.client();
  await client.write(
    octets(
      '05 01 02 01 03 "bob" 07 "builder" 05 01 00 03 0B "example.com" 01 BB',
    ),
  );
  const answer = await readAll(client);
  assertEquals([...answer.slice(0, 6)], [5, 2, 1, 0, 5, 1]);
  assertEquals(seen, [["example.com", 443, "bob"]]);
  const end = await server.ended();
  assertEquals([end.reason, end.error?.message], ["refused", "no way"]);
  await server.close();
});

test("userPass() fails the login when its function throws, or the login is not UTF-8", async () => {
  const verified: string[] = [];
  const server = await startServer({
    auth: [userPass((username) => {
      verified.push(username);
      throw new Error("database down");
    })],
  });
  for (
    const [sent, ...end] of [
      ['03 "bob" 01 "x"', "login-error", "bob"],
      ["02 C3 28 01 61", "login-failed", "\ufffd("],
    ]
  ) {
    const client = await server.client();
    await client.write(octets(`05 01 02 01 ${sent}`));
    assertEquals(await readAll(client), octets("05 02 01 01"));
    client.close();
    const { reason, session } = await server.ended();
    assertEquals([reason, session.user], end);
  }
  assertEquals(verified, ["bob"]);
  await server.close();
});

test("serve() accepts custom authentication methods", async () => {
  const target = await startTarget(echo);
  const server = await startServer({
    auth: [{
      number: 0x80,
      name: "magic",
      async negotiate({ read, write, client }) {
        const octet = await read((it) => ({ value: it[0], size: 1 }));
        if (octet === 1) throw new Error("broken magic");
        await write(Uint8Array.of(octet + 1));
        return { ok: octet === 42, user: client.hostname };
      },
    }],
  });
  const good = await server.client();
  await good.write(octets("05 01 80 2A"));
  await good.write(request(target.addr.port));
  assertEquals([...await readExactly(good, 5)], [5, 0x80, 43, 5, 0]);
  good.close();
  assertEquals((await server.ended()).session.user, "127.0.0.1");
  for (const [bad, reason] of [["01", "login-error"], ["02", "login-failed"]]) {
    const client = await server.client();
    await client.write(octets(`05 01 80 ${bad}`));
    await readAll(client);
    assertEquals<string>(await reasonOf(server), reason);
  }
  await server.close();
  await target.close();
});

test("serve() rejects invalid options", async () => {
  const bad = [
    { port: -1 },
    { port: 65536 },
    { port: 1.5 },
    { hostname: "example.com" },
    { hostname: "" },
    { auth: [] },
    { timeouts: { handshake: -1 } },
    { timeouts: { idle: Infinity } },
    { limits: { sessions: 0.5 } },
    { limits: { associationsPerClient: -1 } },
    { limits: { targetsPerAssociation: -1 } },
    { limits: { bytesPerSecondPerSession: 0.5 } },
    { timeouts: { bind: 1.5 } },
    { timeouts: { association: -1 } },
    { advertise: ["proxy.example"] },
    { advertise: ["0.0.0.0"] },
    { advertise: ["::"] },
    { advertise: ["192.0.2.1", "192.0.2.2"] },
    { policy: ["deny *"] as unknown as Policy },
    { onEvent: 5 as never },
    { dial: {} as never },
    { relayPorts: { first: 0, last: 9 } },
    { relayPorts: { first: 9, last: 8 } },
    { relayPorts: { first: 1, last: 65536 } },
  ];
  for (const options of bad) {
    await assertRejects(() => serve({ port: 0, ...options }), TypeError);
  }
  for (
    const login of [{}, { "": "x" }, { alice: "" }, { alice: "x".repeat(256) }]
  ) {
    await assertRejects(async () => {
      await serve({
        port: 0,
        auth: [userPass(login as Record<string, string>)],
      });
    }, TypeError);
  }
});

test("serve() rejects options of an open proxy unless openProxy is true", async () => {
  for (const hostname of ["0.0.0.0", "::", "[::]", "192.0.2.1"]) {
    await assertRejects(
      () => serve({ hostname, port: 0 }),
      TypeError,
      "open proxy",
    );
    await assertRejects(
      () =>
        serve({ hostname, port: 0, auth: [userPass({ a: "b" }), noAuth()] }),
      TypeError,
      "open proxy",
    );
  }
  const auth = [userPass({ a: "b" })];
  const open = { number: 0x80, name: "open" };
  const claims = { auth, socks4: { userIds: ["a"] } };
  const identd = { auth, socks4: { ident: true } };
  const text = { openProxy: "false" as unknown as boolean };
  for (const options of [claims, identd, { auth: [...auth, open] }, text]) {
    const exposed = { hostname: "0.0.0.0", port: 0, ...options };
    await assertRejects(() => serve(exposed), TypeError, "open proxy");
  }
  for (
    const options of [
      { auth },
      { openProxy: true },
      { ...claims, openProxy: true },
      { auth, socks4: { ident: false } },
      { ...identd, hostname: "127.0.0.1" },
    ]
  ) {
    const server = await serve({ hostname: "0.0.0.0", port: 0, ...options });
    await server.shutdown();
  }
  for (const hostname of ["127.0.0.2", "::1", "[::1]", "localhost"]) {
    const server = await serve({ hostname, port: 0 });
    await server.shutdown();
  }
});

test("serve() rejects with the transport's error when it cannot listen", async () => {
  const server = await startServer();
  const { port } = server.server.addr;
  await assertKind(serve({ port }), "addr-in-use");
  await server.close();
});

test("serve() continues when onEvent fails, and reports its first error", async () => {
  const target = await startTarget(echo);
  const printed: unknown[][] = [];
  const { error } = console;
  console.error = (...args: unknown[]) => void printed.push(args);
  try {
    for (
      const onEvent of [
        () => {
          throw new Error("broken observer");
        },
        () => Promise.reject(new Error("broken observer")),
      ]
    ) {
      const server = await serve({ port: 0, onEvent: onEvent as () => void });
      const transport = await detectTransport();
      for (let i = 0; i < 2; i++) {
        const client = await transport.connect(server.addr);
        await client.write(GREETING);
        await client.write(request(target.addr.port));
        assertEquals((await readExactly(client, 12))[3], 0);
        client.close();
      }
      await until(() => server.sessions.length === 0);
      await server.shutdown();
      assertEquals(printed.length, 1);
      assertEquals((printed.pop()![1] as Error).message, "broken observer");
    }
  } finally {
    console.error = error;
  }
  await target.close();
});

test("server.sessions prints the facts of each session, and nothing else", async () => {
  const target = await startTarget(echo);
  const server = await startServer();
  const client = await connected(server, target.addr.port);
  const [session] = server.server.sessions;
  await client.write(octets("01 02 03"));
  await readExactly(client, 3);
  const facts = {
    id: 1,
    client: client.localAddr,
    protocol: "socks5",
    version: 5,
    method: "none",
    phase: "relay",
    command: "connect",
    target: target.addr,
    targetAddr: target.addr,
    reply: 0,
    sent: 3,
    received: 3,
    startedAt: session.startedAt,
  };
  const [json] = JSON.parse(JSON.stringify(server.server.sessions));
  assertEquals(json, { ...facts, duration: json.duration });
  assert(json.duration >= 0 && json.duration <= session.duration);
  const printed = inspect(session);
  for (const key of Object.keys(json)) {
    assert(printed.includes(`${key}:`), key);
  }
  assertEquals(/#|place|ServerSession|stopping/.exec(printed), null);
  client.close();
  await server.ended();
  await server.close();
  await target.close();
});

/** The text of `console.log()`. */
function inspect(value: unknown): string {
  const { Deno: deno, Bun: bun } = globalThis as unknown as {
    Deno?: { inspect(value: unknown): string };
    Bun?: { inspect(value: unknown): string };
  };
  return (deno ?? bun)?.inspect(value) ?? util.inspect(value);
}
