/** Sessions whose authentication method wraps the connection, as GSSAPI does (RFC 1961). */

import { assert, assertEquals } from "@std/assert";
import type { AuthExchange, AuthResult } from "../../../src/server/mod.ts";
import { detectTransport } from "../../../src/transport/detect.ts";
import type { Address, Conn } from "../../../src/transport/transport.ts";
import { shutGate } from "../../support/gate.ts";
import { runtime, test } from "../../support/harness.ts";
import { block, connect, hex, readReply } from "../../support/raw.ts";
import { scriptedConn } from "../../support/scripted_conn.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
  type Target,
  type TestServer,
} from "../../support/server.ts";
import { withClock } from "../../support/skipping_clock.ts";
import { join, octets } from "../../support/table.ts";
import {
  ACCEPTED,
  BROKEN_FRAME,
  frame,
  hide,
  REFUSED,
  TOKEN,
  WrappedConn,
  WRAPPING,
  wrappingMethod,
} from "../../support/wrapped_conn.ts";
import {
  assertKind,
  assertSameOctets,
  pattern,
  readAll,
  readExactly,
  until,
} from "../../transport/contract.ts";

const MIB = 1024 * 1024;
const GREETING = Uint8Array.of(5, 1, WRAPPING);
const CONNECT = 1;
const BIND = 2;

function request(command: number, target: Address): Uint8Array {
  return octets(`05 0${command} 00 ${block(target)}`);
}

/** A client that has logged in, and the connection that carries its frames. */
interface Client {
  readonly raw: Conn;
  readonly conn: Conn;
}

async function login(server: TestServer): Promise<Client> {
  const raw = await server.client();
  await raw.write(join(GREETING, Uint8Array.of(TOKEN)));
  assertEquals([...await readExactly(raw, 3)], [5, WRAPPING, ACCEPTED]);
  return { raw, conn: new WrappedConn(raw) };
}

/** A client that is connected to a target. */
async function connected(server: TestServer, target: Target): Promise<Client> {
  const client = await login(server);
  await client.conn.write(request(CONNECT, target.addr));
  assertEquals((await readReply(client.conn)).rep, 0);
  return client;
}

const auth = [wrappingMethod()];

/**
 * Passes when the connection ends with a reset; Deno has no way to send one, and
 * FIN may arrive in the middle of a frame.
 */
async function assertBroken(conn: Conn): Promise<void> {
  if (runtime === "deno") await readAll(conn).catch(() => {});
  else await assertKind(readAll(conn), "reset");
}

test("serve() relays a CONNECT inside the wrapping, whichever side ends first", async () => {
  const server = await startServer({ auth });
  const target = await startTarget();
  for (const first of ["client", "target"] as const) {
    const client = await connected(server, target);
    const ends = { client: client.conn, target: await target.accepted() };
    const [early, late] = first === "client"
      ? [ends.client, ends.target]
      : [ends.target, ends.client];
    const sent = { early: pattern(MIB, 1), late: pattern(MIB, 2) };
    const writing = early.write(sent.early).then(() => early.closeWrite());
    assertSameOctets(await readAll(late), sent.early);
    await writing;
    const answering = late.write(sent.late).then(() => late.closeWrite());
    assertSameOctets(await readAll(early), sent.late);
    await answering;
    const { reason, session } = await server.ended();
    assertEquals(reason, "finished");
    assertEquals([session.user, session.method], ["al", "wrapping"]);
    assertEquals([session.sent, session.received], [MIB, MIB]);
    client.conn.close();
  }
  await server.close();
  await target.close();
});

test("serve() sends nothing in clear after a login that wraps", async () => {
  const server = await startServer({ auth });
  const target = await startTarget(echo);
  const { raw } = await login(server);
  await raw.write(frame(request(CONNECT, target.addr)));
  const head = await readExactly(raw, 2);
  assertEquals([...head], [0, 10]);
  const reply = hide(await readExactly(raw, 10));
  assertEquals(hex(reply).slice(0, 11), "05 00 00 01");
  await raw.write(frame(octets('"hello"')));
  const sent = await readExactly(raw, 7);
  assertEquals(sent, frame(octets('"hello"')));
  raw.close();
  await server.close();
  await target.close();
});

test("serve() reads a request and data that arrive with the last message of the negotiation", async () => {
  const server = await startServer({ auth });
  const target = await startTarget(echo);
  const raw = await server.client();
  await raw.write(join(
    GREETING,
    Uint8Array.of(TOKEN),
    frame(request(CONNECT, target.addr)),
    frame(octets('"early"')),
  ));
  await raw.closeWrite();
  assertEquals([...await readExactly(raw, 3)], [5, WRAPPING, ACCEPTED]);
  const conn = new WrappedConn(raw);
  assertEquals((await readReply(conn)).rep, 0);
  assertEquals(await readAll(conn), octets('"early"'));
  assertEquals((await server.ended()).reason, "finished");
  await server.close();
  await target.close();
});

test("serve() reads frames that arrive byte by byte, and several that arrive together", async () => {
  const server = await startServer({ auth });
  const target = await startTarget(echo);
  const { raw, conn } = await login(server);
  const { addr } = target;
  const bytes = [...request(CONNECT, addr)];
  for (const byte of join(...bytes.map((it) => frame(Uint8Array.of(it))))) {
    await raw.write(Uint8Array.of(byte));
  }
  assertEquals((await readReply(conn)).rep, 0);
  await raw.write(join(...[1, 2, 3].map((it) => frame(Uint8Array.of(it)))));
  await raw.closeWrite();
  assertEquals([...await readAll(conn)], [1, 2, 3]);
  await server.close();
  await target.close();
});

test("serve() delivers the bytes that a wrapped client sends before the peer of its BIND connects", async () => {
  const server = await startServer({ auth });
  const { raw, conn } = await login(server);
  await conn.write(request(BIND, { hostname: "0.0.0.0", port: 0 }));
  const { bound } = await readReply(conn);
  await raw.write(
    join(frame(octets('"before "')), frame(octets('"the peer"'))),
  );
  const peer = await connect(bound);
  await peer.write(octets('"hello"'));
  assertEquals((await readReply(conn)).rep, 0);
  assertEquals(await readExactly(peer, 15), octets('"before the peer"'));
  assertEquals(await readExactly(conn, 5), octets('"hello"'));
  await conn.closeWrite();
  assertEquals(await peer.read(), null);
  peer.close();
  assertEquals((await server.ended()).reason, "finished");
  await server.close();
});

test("serve() ends the BIND of a wrapped client that closes its connection", async () => {
  const server = await startServer({ auth });
  const { conn } = await login(server);
  await conn.write(request(BIND, { hostname: "0.0.0.0", port: 0 }));
  await readReply(conn);
  await conn.write(octets('"early"'));
  conn.close();
  assertEquals((await server.ended()).reason, "client-gone");
  await server.close();
});

test("serve() refuses a login in clear, before the connection is wrapped", async () => {
  const server = await startServer({ auth });
  const raw = await server.client();
  await raw.write(join(GREETING, Uint8Array.of(TOKEN + 1)));
  assertEquals([...await readAll(raw)], [5, WRAPPING, REFUSED]);
  raw.close();
  const { reason, session } = await server.ended();
  assertEquals([reason, session.user], ["login-failed", undefined]);
  await server.close();
});

/** A method that takes the connection over before anything else. */
function takingMethod(
  negotiate: (conn: WrappedConn, exchange: AuthExchange) => Promise<AuthResult>,
) {
  return {
    number: WRAPPING,
    name: "taking",
    negotiate: (exchange: AuthExchange) =>
      negotiate(new WrappedConn(exchange.take()), exchange),
  };
}

test("serve() sends the farewell of a refused login through the wrapper, if there is one", async () => {
  const farewell = octets('"no"');
  const refusing = takingMethod((conn) =>
    Promise.resolve({ ok: false, conn, farewell })
  );
  const server = await startServer({ auth: [refusing] });
  const raw = await server.client();
  await raw.write(GREETING);
  assertEquals(await readAll(raw), join(octets("05 80"), frame(farewell)));
  assertEquals((await server.ended()).reason, "login-failed");
  await server.close();
});

test("AuthExchange rejects reads and writes after take()", async () => {
  const outcomes: string[] = [];
  const kindOf = (error: unknown) => (error as { kind: string }).kind;
  const taking = takingMethod(async (conn, { read, write, take }) => {
    const value = () => ({ value: 1, size: 1 });
    outcomes.push(await read(value).then(String, kindOf));
    outcomes.push(await write(Uint8Array.of(1)).then(String, kindOf));
    try {
      take();
    } catch (error) {
      outcomes.push(kindOf(error));
    }
    const [first] = await readExactly(conn, 1);
    return { ok: false, conn, farewell: Uint8Array.of(first + 1) };
  });
  const server = await startServer({ auth: [taking] });
  const raw = await server.client();
  await raw.write(join(GREETING, frame(Uint8Array.of(41))));
  const answer = join(octets("05 80"), frame(Uint8Array.of(42)));
  assertEquals(await readAll(raw), answer);
  assertEquals(outcomes, ["closed", "closed", "closed"]);
  await server.close();
});

test("serve() refuses a target inside the wrapping", async () => {
  const server = await startServer({ auth });
  const { conn } = await login(server);
  const target = { hostname: "127.0.0.1", port: await closedPort() };
  // More than the request, which the server must read before it closes the connection.
  await conn.write(join(request(CONNECT, target), pattern(1_000)));
  const { reply, rep } = await readReply(conn);
  assertEquals([reply.slice(0, 2), rep], ["05", 5]);
  assertEquals(await conn.read(), null);
  conn.close();
  const { reason, session } = await server.ended();
  assertEquals([reason, session.reply], ["refused", 5]);
  await server.close();
});

test("serve() ends with protocol-error when the first frame after the login is broken", async () => {
  const server = await startServer({ auth });
  const { raw, conn } = await login(server);
  await raw.write(BROKEN_FRAME);
  assertEquals((await readReply(conn)).rep, 1);
  assertEquals(await conn.read(), null);
  conn.close();
  const { reason, error } = await server.ended();
  assertEquals([reason, error?.message], [
    "protocol-error",
    "a frame without data",
  ]);
  await server.close();
});

test("serve() ends with protocol-error and resets the target when a frame of the relay is broken", async () => {
  const server = await startServer({ auth });
  const target = await startTarget();
  const { raw } = await connected(server, target);
  const peer = await target.accepted();
  await raw.write(join(frame(octets('"good"')), BROKEN_FRAME));
  const { reason, error } = await server.ended();
  assertEquals([reason, error?.message], [
    "protocol-error",
    "a frame without data",
  ]);
  await assertBroken(peer);
  await server.close();
  await target.close();
});

test("serve() ends with client-gone and resets the target when FIN arrives in the middle of a frame", async () => {
  const server = await startServer({ auth });
  const target = await startTarget();
  const { raw } = await connected(server, target);
  const peer = await target.accepted();
  await raw.write(frame(pattern(100)).subarray(0, 50));
  await raw.closeWrite();
  const { reason, error } = await server.ended();
  assertEquals([reason, (error as { kind?: string }).kind], [
    "client-gone",
    "ended",
  ]);
  await assertBroken(peer);
  await server.close();
  await target.close();
});

/** The bytes that a client sends before it falls silent. */
const silences: [when: string, sent: Uint8Array][] = [
  ["before its token", GREETING],
  ["after its login", join(GREETING, Uint8Array.of(TOKEN))],
  [
    "in the middle of a frame",
    join(GREETING, Uint8Array.of(TOKEN), frame(octets("05 01")), octets("00")),
  ],
];

for (const [when, sent] of silences) {
  test(`serve() ends a wrapped session by the handshake timeout when the client falls silent ${when}`, async () => {
    await withClock(async (clock) => {
      const transport = { ...await detectTransport(), clock };
      const server = await startServer({ auth, transport });
      const raw = await server.client();
      await raw.write(sent);
      const answer = sent === GREETING ? 2 : 3;
      await readExactly(raw, answer);
      clock.skip(10_000);
      assertEquals((await server.ended()).reason, "handshake-timeout");
      assertEquals(await raw.read(), null);
      await server.close();
    });
  });
}

test("serve() closes the connection when a negotiation that has taken it never settles", async () => {
  const taking = takingMethod(() => new Promise(() => {}));
  const auth = [taking];
  const server = await startServer({ auth, timeouts: { handshake: 50 } });
  const raw = await server.client();
  await raw.write(GREETING);
  assertEquals(await readAll(raw), octets("05 80"));
  assertEquals((await server.ended()).reason, "handshake-timeout");
  await server.close();
});

test("serve() closes the connection of a negotiation that settles after the session ended", async () => {
  const gate = shutGate();
  const late = scriptedConn();
  let signal!: AbortSignal;
  const taking = takingMethod(async (_, exchange) => {
    signal = exchange.signal;
    await gate.opened;
    return { ok: true, conn: late };
  });
  const server = await startServer({ auth: [taking] });
  const raw = await server.client();
  await raw.write(GREETING);
  await readExactly(raw, 2);
  await until(() => signal !== undefined);
  assertEquals(signal.aborted, false);
  server.server.sessions[0].close();
  assertEquals((await server.ended()).reason, "closed");
  assertEquals(signal.aborted, true);
  gate.open();
  await until(() => late.closed);
  assertEquals(late.sent, []);
  assert(!server.events.some(({ type }) => type === "auth"));
  await server.close();
});

test("session.close() ends a wrapped session in its relay", async () => {
  const server = await startServer({ auth });
  const target = await startTarget();
  const { conn } = await connected(server, target);
  const peer = await target.accepted();
  server.server.sessions[0].close();
  assertEquals((await server.ended()).reason, "closed");
  await assertBroken(peer);
  await assertBroken(conn);
  await server.close();
  await target.close();
});

test("serve() stops reading from the target when a wrapped client does not read", async () => {
  const server = await startServer({ auth });
  const target = await startTarget();
  const { conn } = await connected(server, target);
  const peer = await target.accepted();
  const sent = pattern(32 * MIB);
  const writing = peer.write(sent).then(() => peer.closeWrite());
  const [session] = server.server.sessions;
  let before = -1;
  while (session.received !== before) {
    before = session.received;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert(before < 24 * MIB, `took ${before} bytes that are not read`);
  assertSameOctets(await readAll(conn), sent);
  await writing;
  conn.close();
  await server.close();
  await target.close();
});

test("serve() ends an idle relay of a wrapped client by a reset, as its target has not sent FIN", async () => {
  const server = await startServer({ auth, timeouts: { idle: 200 } });
  const target = await startTarget();
  const { conn } = await connected(server, target);
  const end = await conn.read().catch(({ kind }) => kind);
  assertEquals(end, runtime === "deno" ? null : "reset");
  assertEquals((await server.ended()).reason, "idle");
  await server.close();
  await target.close();
});

test("serve() ends an idle relay by a reset when a wrapped client has bytes left to read", async () => {
  const server = await startServer({ auth, timeouts: { idle: 200 } });
  const target = await startTarget();
  const { conn } = await connected(server, target);
  const peer = await target.accepted();
  const writing = peer.write(pattern(32 * MIB)).catch(() => {});
  assertEquals((await server.ended()).reason, "idle");
  await writing;
  await assertBroken(conn);
  await server.close();
  await target.close();
});
