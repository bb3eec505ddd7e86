/** The ends of sessions as events report them, and as clients see them. */

import { once } from "node:events";
import * as net from "node:net";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { formatRecord } from "../../src/cli/output/format.ts";
import {
  Metrics,
  type ServeOptions,
  userPass,
  type VerifyLogin,
} from "../../src/server/mod.ts";
import { detectTransport } from "../../src/transport/detect.ts";
import { NetError } from "../../src/transport/errors.ts";
import type { Clock } from "../../src/transport/clock.ts";
import type { Conn, Transport } from "../../src/transport/transport.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { runtime, test } from "../support/harness.ts";
import { block, hex } from "../support/raw.ts";
import {
  startServer,
  startTarget,
  type TestServer,
} from "../support/server.ts";
import { withClock } from "../support/skipping_clock.ts";
import { octets } from "../support/table.ts";
import { utf8 } from "../support/text.ts";
import {
  pattern,
  readAll,
  readExactly,
  settled,
  until,
} from "../transport/contract.ts";

/** Sends octets, and returns everything that the server answers. */
async function say(server: TestServer, sent: Uint8Array): Promise<string> {
  const client = await server.client();
  await client.write(sent);
  const answer = await readAll(client);
  client.close();
  return hex(answer);
}

/** Calls `use` while `Date.now()` is ahead by `change` milliseconds. */
async function withSystemTime(
  change: number,
  use: () => Promise<void>,
): Promise<void> {
  const { now } = Date;
  const changed = () => now() + change;
  Date.now = changed;
  try {
    await use();
  } finally {
    Date.now = now;
  }
}

test("session.duration follows a monotonic clock when the system's time changes", async () => {
  const clock = new FakeClock();
  const transport = { ...await detectTransport(), clock };
  for (const [step, change] of [[1_234, -7_200_000], [5_000, 86_400_000]]) {
    const server = await startServer({ transport });
    const client = await server.client();
    await client.write(octets("05"));
    await until(() => server.server.sessions.length === 1);
    const [session] = server.server.sessions;
    clock.advance(step);
    await withSystemTime(change, async () => {
      assertEquals(session.duration, step);
      session.close();
      const end = await server.ended();
      clock.advance(1_000);
      assertEquals(session.duration, step);
      const line = formatRecord({ format: "json" }, end, new Date(Date.now()))!;
      assertEquals(JSON.parse(line).duration, step);
    });
    await server.close();
  }
});

for (const ending of ["FIN", "reset"] as const) {
  test(`serve() counts a connection that ends by ${ending} before its first byte, and reports no session`, async () => {
    const metrics = new Metrics();
    const server = await startServer({ onEvent: metrics.onEvent });
    const { hostname, port } = server.server.addr;
    const probe = net.connect(port, hostname);
    await once(probe, "connect");
    const { localPort } = probe;
    await until(() => server.server.sessions.length === 1);
    if (ending === "FIN") probe.destroy();
    else probe.resetAndDestroy();
    await until(() => server.server.sessions.length === 0);
    await server.close();
    assertEquals(server.events.map(({ type }) => type), [
      "listening",
      "probe",
      "shutdown",
    ]);
    const [, event] = server.events;
    assert(event.type === "probe");
    assertEquals(event.client, { hostname: "127.0.0.1", port: localPort });
    for (const format of ["text", "json"] as const) {
      assertEquals(formatRecord({ format }, event, new Date()), undefined);
    }
    const values = metrics.read();
    assertEquals(
      ["probes", "sessions_started"].map((it) => values[`socks5_${it}_total`]),
      [1, 0],
    );
  });
}

test("serve() reports a session when it closes a client that has sent no byte", async () => {
  const server = await startServer({ timeouts: { handshake: 30 } });
  const silent = await server.client();
  assertEquals((await server.ended()).reason, "handshake-timeout");
  await readAll(silent).catch(() => {});
  await server.close();
  assertEquals(server.events.map(({ type }) => type), [
    "listening",
    "session-start",
    "session-end",
    "shutdown",
  ]);
});

test("serve() answers a client that speaks HTTP with 400, and reports that", async () => {
  const server = await startServer();
  for (const request of ["GET / HTTP/1.1", "CONNECT a.test:443 HTTP/1.1"]) {
    const client = await server.client();
    await client.write(utf8(`${request}\r\nHost: a.test\r\n\r\n`));
    const answer = new TextDecoder().decode(await readAll(client));
    client.close();
    const [head, body] = answer.split("\r\n\r\n");
    assertMatch(head, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assertMatch(head, new RegExp(`^Content-Length: ${body.length}$`, "m"));
    assertMatch(body, /SOCKS/);
    const { reason, error } = await server.ended();
    assertEquals([reason, error?.message], [
      "protocol-error",
      "the client speaks HTTP, not SOCKS",
    ]);
  }
  await server.close();
});

test("serve() closes a client that speaks TLS, and reports that", async () => {
  const server = await startServer();
  assertEquals(await say(server, octets("16 03 01 00 05 01 00 00 01 00")), "");
  const { reason, error } = await server.ended();
  assertEquals([reason, error?.message], [
    "protocol-error",
    "the client speaks TLS, not SOCKS",
  ]);
  await server.close();
});

const LOGIN5 = octets('05 01 02 01 05 "alice" 06 "secret"');
const LOGIN4 = octets('04 01 00 50 7F 00 00 01 "alice" 00');
const OUT5 = "05 02 01 01";
const OUT4 = "00 5b 00 00 00 00 00 00";

/** SOCKS5 and SOCKS4: the options, the login, the answer to one that is refused. */
const LOGINS: [
  protocol: string,
  optionsOf: (verify: VerifyLogin) => ServeOptions,
  login: Uint8Array,
  refusal: string,
][] = [
  [
    "SOCKS5",
    (verify) => ({ auth: [userPass(verify, { failedLogins: 1 })] }),
    LOGIN5,
    OUT5,
  ],
  ["SOCKS4", (verifier) => ({ socks4: { verifier } }), LOGIN4, OUT4],
];

for (const [protocol, optionsOf, login, refusal] of LOGINS) {
  test(`serve() ends with login-error and the cause when the verifier of ${protocol} throws`, async () => {
    const cause = new Error("the directory is down");
    const verify = () => Promise.reject(cause);
    const server = await startServer(optionsOf(verify));
    assertEquals(await say(server, login), refusal);
    const { reason, error } = await server.ended();
    assertEquals([reason, error?.message], [
      "login-error",
      "the login could not be verified: the directory is down",
    ]);
    assert(error!.cause === cause);
    await server.close();
  });
}

test("serve() reports that a client is locked out", async () => {
  const verify = () => false;
  const server = await startServer({
    auth: [userPass(verify, { failedLogins: 1 })],
  });
  const messages: unknown[] = [];
  for (let i = 0; i < 2; i++) {
    assertEquals(await say(server, LOGIN5), OUT5);
    const { reason, error } = await server.ended();
    messages.push([reason, error?.message]);
  }
  assertEquals(messages, [
    ["login-failed", "the login failed"],
    ["login-failed", "locked out after too many failed logins"],
  ]);
  await server.close();
});

for (const time of ["idle", "halfClosed"] as const) {
  test(`serve() resets the client when the target was silent for the ${time} time`, async () => {
    const target = await startTarget();
    const timeouts = { idle: 0, halfClosed: 0, [time]: 100 };
    const server = await startServer({ timeouts });
    const client = await server.client();
    await client.write(octets(`05 01 00 05 01 00 ${block(target.addr)}`));
    await readExactly(client, 12);
    const far = await target.accepted();
    await far.write(pattern(10));
    assertEquals(await readExactly(client, 10), pattern(10));
    if (time === "halfClosed") await client.closeWrite();
    assertEquals((await server.ended()).reason, "idle");
    const end = await client.read().catch(({ kind }) => kind);
    assertEquals(end, runtime === "deno" ? null : "reset");
    await server.close();
    await target.close();
  });
}

for (
  const [name, localAddress, rep] of [
    ["network unreachable", undefined, 3],
    ["general failure", "2001:db8::1", 1],
  ] as const
) {
  test(`serve() replies ${name} when there is no local address for an IPv6 connection, chosen ${localAddress}`, async () => {
    const transport = {
      ...await detectTransport(),
      connect: () => Promise.reject(new NetError("addr-not-available")),
    };
    for (
      const policy of [
        ...localAddress ? [] : [undefined],
        () => ({ verdict: "allow", localAddress }) as const,
      ]
    ) {
      const server = await startServer({ transport, policy });
      const client = await connectRaw(server);
      const v6 = `20 01 0D B8 ${"00 ".repeat(11)} 01`;
      await client.write(octets(`05 01 00 05 01 00 04 ${v6} 00 50`));
      assertEquals([...await readAll(client)].slice(2, 4), [5, rep]);
      client.close();
      await server.close();
    }
  });
}

/** A transport that calls `onKeepAlive` when keepalive is enabled on a connection. */
async function watchedTransport(
  clock: Clock,
  onKeepAlive: (side: "client" | "target") => void,
): Promise<Transport> {
  const native = await detectTransport();
  const watched = (conn: Conn, side: "client" | "target") => {
    const enabled = conn.keepAlive!.bind(conn);
    const keepAlive = () => {
      onKeepAlive(side);
      enabled();
    };
    return Object.assign(conn, { keepAlive });
  };
  return {
    ...native,
    clock,
    listen: (options, onConn, ...rest) =>
      native.listen(options, (it) => onConn(watched(it, "client")), ...rest),
    connect: async (options) =>
      watched(await native.connect(options), "target"),
  };
}

for (const idle of [0, 300_000]) {
  test(`serve() enables keepalive on both sides of a CONNECT that is quiet, with an idle time of ${idle}`, () =>
    withClock(async (clock) => {
      const kept: string[] = [];
      const transport = await watchedTransport(clock, (it) => kept.push(it));
      const target = await startTarget();
      const server = await startServer({ transport, timeouts: { idle } });
      const client = await server.client();
      await client.write(octets(`05 01 00 05 01 00 ${block(target.addr)}`));
      await readExactly(client, 12);
      await until(() => server.server.sessions[0].phase === "relay");
      await settled();
      assertEquals(kept, []);
      clock.skip(80_000);
      assertEquals(kept, ["client", "target"]);
      await server.close();
      await target.close();
    }));
}

test("serve() enables keepalive on the client that waits for the peer of its BIND", () =>
  withClock(async (clock) => {
    const kept: string[] = [];
    const transport = await watchedTransport(clock, (it) => kept.push(it));
    const server = await startServer({ transport, timeouts: { bind: 0 } });
    const client = await server.client();
    await client.write(octets("05 01 00 05 02 00 01 7F 00 00 01 00 00"));
    assertEquals([...await readExactly(client, 12)].slice(2, 4), [5, 0]);
    assertEquals(kept, ["client"]);
    await server.close();
  }));

/** Connects without the transport of the server. */
async function connectRaw(server: TestServer) {
  return await (await detectTransport()).connect(server.server.addr);
}
