/** Dialers: CONNECT through a dialer, and errors, delays and ends of all commands. */

import { assert, assertEquals } from "@std/assert";
import type { DialedListener, Dialer } from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Conn } from "../../src/transport/transport.ts";
import { test } from "../support/harness.ts";
import { ask, connect, ERROR, hex, port, REFUSED4 } from "../support/raw.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { octets } from "../support/table.ts";
import {
  dialer,
  type FullDialer,
  ScriptedAssociation,
  through,
} from "../support/upstream.ts";
import { withClock } from "../support/skipping_clock.ts";
import {
  assertSameOctets,
  connectedPair,
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../transport/contract.ts";
import { deferred } from "../support/world.ts";

const LOOPBACK = "01 7F 00 00 01 00 09";

/** The commands by their numbers in a request. */
const COMMANDS = { connect: "01", bind: "02", udpAssociate: "03" } as const;
type Method = keyof typeof COMMANDS;
const METHODS = Object.keys(COMMANDS) as Method[];

/** A dialer whose methods all do the same. */
function alike(run: (...args: unknown[]) => Promise<never>): FullDialer {
  return {
    connect: run,
    bind: run,
    udpAssociate: run,
    resolve: run,
    reverse: run,
  };
}

/** Sends a request, and returns the reply with all that follows it up to the FIN. */
async function answerTo(server: TestServer, request: string): Promise<string> {
  const conn = await server.client();
  await conn.write(octets(`05 01 00 05 ${request}`));
  assertEquals(hex(await readExactly(conn, 2)), "05 00");
  const answer = hex(await readAll(conn));
  conn.close();
  return answer;
}

// Replies

/** The error of a dialer, and the reply to the client. */
type Rejection = readonly [name: string, error: unknown, reply: number];
const REJECTIONS: readonly Rejection[] = [
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((
    reply,
  ): Rejection => [`reply ${reply}`, withReply(reply), reply]),
  ...[0, 9, 91, 255, -1, 4.5, NaN, Infinity, "5", null, [5], undefined].map(
    (reply): Rejection => [`reply ${show(reply)}`, withReply(reply), 1],
  ),
  ["an object with a reply", { reply: 3 }, 3],
  ["a NetError", new NetError("net-unreachable"), 3],
  ["a NetError with a reply", withReply(6, new NetError("refused")), 6],
  ["a text", "no way", 1],
  ["a number", 5, 1],
  ["undefined", undefined, 1],
  ["null", null, 1],
];

/** Unlike JSON also for NaN and Infinity. */
function show(value: unknown): string {
  return typeof value === "number" ? `${value}` : JSON.stringify(value);
}

function withReply(reply: unknown, error = new Error("no way")): Error {
  return Object.assign(error, { reply });
}

for (const [name, error, reply] of REJECTIONS) {
  test(`serve() answers REP ${reply} when a dialer rejects with ${name}`, async () => {
    const server = await startServer({
      dial: alike(() => Promise.reject(error)),
    });
    for (const method of METHODS) {
      const answer = await answerTo(
        server,
        `${COMMANDS[method]} 00 ${LOOPBACK}`,
      );
      assertEquals(answer, ERROR(`0${reply}`), method);
      const end = await server.ended();
      assertEquals([end.reason, end.session.reply], ["refused", reply]);
      if (error instanceof Error) assertEquals(end.error, error);
      else if (error !== undefined) assertEquals(end.error?.cause, error);
    }
    for (const command of ["01", "02"]) {
      const old = await server.client();
      await old.write(octets(`04 ${command} 00 09 7F 00 00 01 00`));
      assertEquals(hex(await readAll(old)), REFUSED4);
      old.close();
      assertEquals((await server.ended()).session.reply, 0x5b);
    }
    await server.close();
  });
}

test("serve() answers REP 1 when a dialer throws instead of rejecting, or returns nothing", async () => {
  const bad: ((...args: unknown[]) => Promise<never>)[] = [
    () => {
      throw new Error("no way");
    },
    () => undefined as never,
    () => Promise.resolve(undefined as never),
    () => Promise.resolve({} as never),
  ];
  for (const run of bad) {
    const server = await startServer({ dial: alike(run) });
    for (const method of METHODS) {
      const answer = await answerTo(
        server,
        `${COMMANDS[method]} 00 ${LOOPBACK}`,
      );
      assertEquals(answer, ERROR("01"), `${method} ${run}`);
      assertEquals((await server.ended()).reason, "refused");
    }
    await server.close();
  }
});

test("serve() answers REP 7 to commands that a dialer lacks", async () => {
  const connect = () => Promise.reject(new NetError("refused"));
  const lacking: Dialer[] = [
    { connect },
    { connect, bind: undefined, udpAssociate: undefined },
  ];
  for (const dial of [connect, ...lacking]) {
    const server = await startServer({ dial });
    for (const [command, reply] of [["01", "05"], ["02", "07"], ["03", "07"]]) {
      const answer = await answerTo(server, `${command} 00 ${LOOPBACK}`);
      assertEquals(answer, ERROR(reply));
    }
    await server.close();
  }
});

test("serve() calls a dialer's methods on the dialer", async () => {
  class OwnDialer {
    readonly calls: string[] = [];
    #call(name: string) {
      this.calls.push(name);
      return Promise.reject<never>(new NetError("refused"));
    }
    connect() {
      return this.#call("connect");
    }
    bind() {
      return this.#call("bind");
    }
    udpAssociate() {
      return this.#call("udpAssociate");
    }
  }
  const dial = new OwnDialer();
  const server = await startServer({ dial });
  for (const method of METHODS) {
    assertEquals(
      await answerTo(server, `${COMMANDS[method]} 00 ${LOOPBACK}`),
      ERROR("05"),
    );
  }
  assertEquals(dial.calls, METHODS);
  await server.close();
});

// CONNECT through a real proxy

test("serve() relays CONNECT through an upstream proxy", async () => {
  const target = await startTarget(echo);
  const upstream = await startServer();
  const server = await startServer({ dial: through(upstream) });
  for (const host of ["01 7F 00 00 01", '03 09 "localhost"']) {
    const conn = await server.client();
    const request = `${host} ${port(target.addr.port)}`;
    await conn.write(octets(`05 01 00 05 01 00 ${request} "early "`));
    const answer = await readExactly(conn, 12);
    assertEquals(hex(answer.subarray(0, 5)), "05 00 05 00 00");
    const sent = pattern(300_000);
    const reading = readAll(conn);
    await conn.write(sent);
    await conn.closeWrite();
    const received = await reading;
    assertEquals(received.subarray(0, 6), octets('"early "'));
    assertSameOctets(received.subarray(6), sent);
    conn.close();
    const { reason, session } = await server.ended();
    assertEquals([reason, session.sent], ["finished", 300_006]);
    assertEquals((await upstream.ended()).reason, "finished");
  }
  await server.close();
  await upstream.close();
  await target.close();
});

test("serve() passes an upstream proxy's reply on", async () => {
  const upstream = await startServer({
    policy: ({ hostname }) => hostname !== "127.0.0.2",
    dial: ({ hostname, port }) =>
      hostname === "127.0.0.3"
        ? Promise.reject(new NetError("net-unreachable"))
        : connect({ hostname: "127.0.0.1", port }),
  });
  const server = await startServer({ dial: through(upstream) });
  const unused = port(await closedPort());
  const rows: [request: string, reply: string][] = [
    [`01 00 01 7F 00 00 01 ${unused}`, "05"],
    ["01 00 01 7F 00 00 02 00 50", "02"],
    ["01 00 01 7F 00 00 03 00 50", "03"],
    [`02 00 ${LOOPBACK}`, "07"],
    [`03 00 ${LOOPBACK}`, "07"],
  ];
  for (const [request, reply] of rows) {
    assertEquals(await answerTo(server, request), ERROR(reply), request);
  }
  await server.close();
  // The numbers of SOCKS4 mean nothing to a client of SOCKS5.
  const old = await startServer({ dial: through(upstream, "socks4a") });
  assertEquals(await answerTo(old, rows[0][0]), ERROR("01"));
  await old.close();
  await upstream.close();
});

test("serve() answers REP 1 when an upstream proxy cannot be reached", async () => {
  const upstream = await startServer();
  await upstream.close();
  const server = await startServer({ dial: through(upstream) });
  for (const method of METHODS) {
    assertEquals(
      await answerTo(server, `${COMMANDS[method]} 00 ${LOOPBACK}`),
      ERROR("01"),
    );
  }
  await server.close();
});

test("serve() shows no address that a reply cannot carry", async () => {
  const transport = await detectTransport();
  const { near, far, close } = await connectedPair(transport);
  const localAddr = { hostname: "/run/proxy.sock", port: 0 };
  const conn = Object.defineProperty(far, "localAddr", { value: localAddr });
  const server = await startServer({ dial: () => Promise.resolve(conn) });
  const { reply, conn: client } = await ask(server, `01 00 ${LOOPBACK}`);
  assertEquals(reply, "05 00 00 01 00 00 00 00 00 00");
  await near.write(octets('"hello"'));
  assertEquals(await readExactly(client, 5), octets('"hello"'));
  client.close();
  near.close();
  await server.ended();
  await server.close();
  await close();
});

// Time

test("serve() answers REP 4 when a dialer does not settle in timeouts.connect or timeouts.bind", () =>
  withClock(async (clock) => {
    for (const method of METHODS) {
      const called = deferred<AbortSignal>();
      const never = (...args: unknown[]) => {
        const { signal } = args.at(-1) as { signal: AbortSignal };
        called.resolve(signal);
        return new Promise<never>(() => {});
      };
      const server = await startServer({
        dial: alike(never),
        transport: { ...await detectTransport(), clock },
        timeouts: { connect: 20_000, bind: 20_000 },
      });
      const answering = answerTo(server, `${COMMANDS[method]} 00 ${LOOPBACK}`);
      const signal = await called.promise;
      assert(signal instanceof AbortSignal);
      assertEquals(server.server.sessions[0].phase, phaseOf(method));
      clock.skip(19_000);
      assertEquals(signal.aborted, false);
      clock.skip(2_000);
      assertEquals(signal.aborted, true);
      assertEquals((signal.reason as NetError).kind, "timeout");
      assertEquals(await answering, ERROR("04"));
      assertEquals((await server.ended()).reason, "refused");
      await server.close();
    }
  }));

function phaseOf(method: Method): string {
  return method === "bind" ? "bind" : "dial";
}

/** A result of a dialer's method, and a way to see that it is closed. */
interface Result {
  readonly value: unknown;
  isClosed(): boolean;
  free(): Promise<void>;
}

const RESULTS: Readonly<Record<Method, () => Promise<Result>>> = {
  async connect() {
    const { near, far, close } = await connectedPair(await detectTransport());
    let isClosed = false;
    near.read().catch(() => {}).then(() => isClosed = true);
    return { value: far, isClosed: () => isClosed, free: close };
  },
  bind() {
    let closed = 0;
    const value: DialedListener = {
      addr: { hostname: "127.0.0.1", port: 9 },
      accept: () => new Promise(() => {}),
      close: () => void closed++,
    };
    return Promise.resolve({
      value,
      isClosed: () => closed === 1,
      free: settled,
    });
  },
  udpAssociate() {
    const value = new ScriptedAssociation();
    const isClosed = () => value.closed === 1;
    return Promise.resolve({ value, isClosed, free: settled });
  },
};

for (const method of METHODS) {
  test(`session.close() ends a session whose dialer's ${method}() has not settled, and closes its late result`, async () => {
    for (const how of ["resolves", "rejects"]) {
      const late = await RESULTS[method]();
      const called = deferred<AbortSignal>();
      const settle = deferred<void>();
      const run = async (...args: unknown[]) => {
        called.resolve((args.at(-1) as { signal: AbortSignal }).signal);
        await settle.promise;
        if (how === "rejects") throw new Error("too late");
        return late.value as never;
      };
      const server = await startServer({ dial: alike(run) });
      const answering = answerTo(server, `${COMMANDS[method]} 00 ${LOOPBACK}`)
        .catch(() => "");
      const signal = await called.promise;
      server.server.sessions[0].close();
      assertEquals((await server.ended()).reason, "closed");
      assertEquals(signal.aborted, true);
      assertEquals(await answering, "");
      settle.resolve();
      if (how === "resolves") await until(() => late.isClosed());
      await late.free();
      await server.close();
    }
  });
}

test("serve() survives a dialer whose late results cannot be closed", async () => {
  for (const method of METHODS) {
    const called = deferred<void>();
    const settle = deferred<void>();
    const run = async () => {
      called.resolve();
      await settle.promise;
      const close = () => {
        throw new Error("no way");
      };
      return { close, reset: close } as never;
    };
    const server = await startServer({ dial: alike(run) });
    const answering = answerTo(server, `${COMMANDS[method]} 00 ${LOOPBACK}`)
      .catch(() => "");
    await called.promise;
    server.server.sessions[0].close();
    assertEquals((await server.ended()).reason, "closed");
    settle.resolve();
    await answering;
    await settled();
    await server.close();
  }
});

test("session.close() ends a CONNECT through a dialer, and its connection", async () => {
  const target = await startTarget();
  const server = await startServer({
    dial: dialer({
      connect: ({ hostname, port }) => connect({ hostname, port }),
    }),
  });
  const { conn } = await ask(
    server,
    `01 00 01 7F 00 00 01 ${port(target.addr.port)}`,
  );
  const far: Conn = await target.accepted();
  server.server.sessions[0].close();
  assertEquals((await server.ended()).reason, "closed");
  await readAll(far).catch(() => {});
  await readAll(conn).catch(() => {});
  conn.close();
  await server.close();
  await target.close();
});
