/** The metrics of a server and their text format. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  METRICS,
  Metrics,
  type MetricValues,
  rules,
  type ServerEvent,
  type Session,
  userPass,
} from "../../src/server/mod.ts";
import {
  countersOf,
  formatMetrics,
  NO_TOTALS,
  series,
  sumMetrics,
} from "../../src/server/metrics.ts";
import { NetError } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";
import { octets } from "../support/table.ts";
import {
  closedPort,
  echo,
  startServer,
  startTarget,
} from "../support/server.ts";
import { pattern, readAll, readExactly, until } from "../transport/contract.ts";
import { start as startAssociation } from "../support/world.ts";

/** The values that are not 0, without those of the histograms. */
function notZero(values: MetricValues): MetricValues {
  return Object.fromEntries(
    Object.entries(values).filter(([key, value]) =>
      value !== 0 && !key.includes("_seconds_")
    ),
  );
}

function connectTo(port: number): string {
  const [high, low] = [port >> 8, port & 255]
    .map((it) => it.toString(16).padStart(2, "0"));
  return `05 01 00 01 7F 00 00 01 ${high} ${low}`;
}

test("Metrics counts a CONNECT from its start to its end", async () => {
  const metrics = new Metrics();
  const target = await startTarget(echo);
  const server = await startServer({ onEvent: metrics.onEvent });
  const client = await server.client();
  await client.write(octets(`05 01 00 ${connectTo(target.addr.port)}`));
  await readExactly(client, 12);
  await client.write(pattern(1000));
  await readExactly(client, 1000);
  const during = {
    socks5_sessions_started_total: 1,
    'socks5_logins_total{method="none",result="ok"}': 1,
    'socks5_requests_total{version="5",command="connect"}': 1,
    'socks5_replies_total{version="5",reply="0"}': 1,
    'socks5_relayed_bytes_total{direction="sent"}': 1000,
    'socks5_relayed_bytes_total{direction="received"}': 1000,
  };
  assertEquals(notZero(metrics.read()), {
    ...during,
    'socks5_active_sessions{phase="relay"}': 1,
  });
  const totals = { ...NO_TOTALS, sent: 1000, received: 1000, started: 1 };
  assertEquals(metrics.totals(), { ...totals, sessions: 1 });
  await client.closeWrite();
  await readAll(client);
  await server.ended();
  assertEquals(notZero(metrics.read()), {
    ...during,
    'socks5_sessions_ended_total{reason="finished"}': 1,
  });
  assertEquals(metrics.totals(), totals);
  await server.close();
  await target.close();
});

test("Metrics counts failures: logins, limits, rules, targets and commands", async () => {
  const metrics = new Metrics();
  const server = await startServer({
    onEvent: metrics.onEvent,
    auth: [userPass({ alice: "right" })],
    policy: rules(["deny 127.0.0.2", "allow *"]),
    limits: { sessions: 1 },
  });
  const send = async (text: string) => {
    const client = await server.client();
    await client.write(octets(text));
    await readAll(client);
    client.close();
    await server.ended();
  };
  const login = '05 01 02 01 05 "alice" 05 "right"';
  const nobody = await closedPort();
  await send('05 01 02 01 05 "alice" 05 "wrong"');
  await send("05 01 00");
  await send("47");
  await send(`${login} 05 01 00 01 7F 00 00 02 00 50`);
  await send(`${login} ${connectTo(nobody)}`);
  await send(`${login} 05 09 00 01 7F 00 00 01 00 50`);
  const first = await server.client();
  await first.write(octets("05"));
  await until(() => server.server.sessions.length === 1);
  await readAll(await server.client());
  assertEquals(notZero(metrics.read()), {
    socks5_sessions_started_total: 7,
    'socks5_active_sessions{phase="handshake"}': 1,
    'socks5_sessions_rejected_total{reason="too many sessions"}': 1,
    'socks5_logins_total{method="password",result="failed"}': 1,
    'socks5_logins_total{method="password",result="ok"}': 3,
    'socks5_requests_total{version="5",command="connect"}': 2,
    'socks5_requests_total{version="5",command="unknown"}': 1,
    'socks5_replies_total{version="5",reply="2"}': 1,
    'socks5_replies_total{version="5",reply="5"}': 1,
    'socks5_replies_total{version="5",reply="7"}': 1,
    socks5_targets_denied_total: 1,
    'socks5_sessions_ended_total{reason="login-failed"}': 1,
    'socks5_sessions_ended_total{reason="no-method"}': 1,
    'socks5_sessions_ended_total{reason="protocol-error"}': 1,
    'socks5_sessions_ended_total{reason="refused"}': 3,
  });
  assertEquals(metrics.totals(), {
    ...NO_TOTALS,
    sessions: 1,
    started: 7,
    rejected: 1,
    denied: 1,
  });
  await server.close();
});

test("Metrics counts relayed and dropped datagrams", async () => {
  const metrics = new Metrics();
  const world = await startAssociation({ onEvent: metrics.onEvent });
  await world.echo();
  world.own.send(octets("00 00"), world.relay); // not a SOCKS5 datagram
  await world.echo();
  const values = metrics.read();
  assertEquals(
    [
      values['socks5_relayed_datagrams_total{direction="sent"}'],
      values['socks5_relayed_datagrams_total{direction="received"}'],
      values["socks5_dropped_datagrams_total"],
    ],
    [2, 2, 1],
  );
  const key = 'socks5_requests_total{version="5",command="udp-associate"}';
  assertEquals(values[key], 1);
  await world.close();
});

test("Metrics.text() has each family without a label from the start, in the format of Prometheus", () => {
  const metrics = new Metrics();
  assertMatch(
    metrics.text(),
    /^# HELP socks5_active_sessions Open sessions.+\.\n# TYPE socks5_active_sessions gauge\nsocks5_active_sessions\{phase="bind"\} 0\n/,
  );
  const error = new NetError("other", "too many files");
  const event: ServerEvent = { type: "accept-error", error };
  metrics.onEvent(event);
  metrics.onEvent(event);
  assertMatch(metrics.text(), /^socks5_accept_errors_total 2$/m);
  const line = /^(# (HELP|TYPE) [a-z0-9_]+ .+|[a-z0-9_]+(\{.+\})? \d+)$/;
  for (const it of metrics.text().trimEnd().split("\n")) assertMatch(it, line);
});

/** The counts of the histograms that are not 0. */
function durations(values: MetricValues): MetricValues {
  return Object.fromEntries(
    Object.entries(values).filter(([key, value]) =>
      value !== 0 && /_seconds_(count|bucket\{.*\+Inf)/.test(key)
    ),
  );
}

/** A session that has lasted so many milliseconds, as far as Metrics looks at it. */
function lasting(duration: number, facts: Partial<Session> = {}): Session {
  return { id: 1, duration, version: 5, ...facts } as Session;
}

test("Metrics counts how long handshakes, dials and replies take", () => {
  const metrics = new Metrics();
  const session = lasting(0) as { -readonly [K in keyof Session]: Session[K] };
  const emit = (type: "session-start" | "request" | "reply", at: number) => {
    session.duration = at;
    metrics.onEvent({ type, session });
  };
  emit("session-start", 0);
  session.command = "connect";
  emit("request", 3);
  session.reply = 0;
  emit("reply", 43);
  const once = {
    'socks5_handshake_duration_seconds_bucket{le="+Inf"}': 1,
    socks5_handshake_duration_seconds_count: 1,
    'socks5_dial_duration_seconds_bucket{result="ok",le="+Inf"}': 1,
    'socks5_dial_duration_seconds_count{result="ok"}': 1,
    'socks5_reply_duration_seconds_bucket{le="+Inf"}': 1,
    socks5_reply_duration_seconds_count: 1,
  };
  const values = metrics.read();
  assertEquals(durations(values), once);
  const within = (name: string, le: number) =>
    values[
      `socks5_${name.replace("*", "duration_seconds_bucket")}`
        .replace("#", `le="${le}"`)
    ];
  assertEquals(within("handshake_*{#}", 0.0025), 0);
  assertEquals(within("handshake_*{#}", 0.005), 1);
  assertEquals(within('dial_*{result="ok",#}', 0.025), 0);
  assertEquals(within('dial_*{result="ok",#}', 0.05), 1);
  assertEquals(within("reply_*{#}", 0.025), 0);
  assertEquals(within("reply_*{#}", 0.05), 1);
  assertEquals(values.socks5_reply_duration_seconds_sum, 0.043);
  emit("reply", 50); // a second reply to the same request
  assertEquals(durations(metrics.read()), once);
  emit("request", 40_000); // a second request over the same connection
  session.reply = 5;
  emit("reply", 90_000);
  assertEquals(durations(metrics.read()), {
    ...once,
    'socks5_dial_duration_seconds_bucket{result="failed",le="+Inf"}': 1,
    'socks5_dial_duration_seconds_count{result="failed"}': 1,
  });
});

test("Metrics counts no duration for BIND's dial, nor for a reply to no request", () => {
  const metrics = new Metrics();
  const session = lasting(1, { reply: 91 });
  metrics.onEvent({ type: "session-start", session });
  metrics.onEvent({ type: "reply", session });
  assertEquals(durations(metrics.read()), {});
  const waiting = lasting(1, { command: "bind", reply: 0 });
  metrics.onEvent({ type: "session-start", session: waiting });
  metrics.onEvent({ type: "request", session: waiting });
  metrics.onEvent({ type: "reply", session: waiting });
  const counted = Object.keys(durations(metrics.read()));
  assert(!counted.some((it) => it.startsWith("socks5_dial")), `${counted}`);
  assertEquals(counted.length, 4);
});

test("formatMetrics() writes the buckets of a histogram in their order", () => {
  const lines = new Metrics().text().split("\n");
  const at = lines.indexOf("# TYPE socks5_reply_duration_seconds histogram");
  const bounds = lines.slice(at + 1, at + 16).map((it) =>
    it.match(/"(.+)"/)![1]
  );
  assertEquals(bounds.slice(0, 3), ["0.001", "0.0025", "0.005"]);
  assertEquals(bounds.slice(-3), ["10", "30", "+Inf"]);
  assertEquals(lines.slice(at + 16), [
    "socks5_reply_duration_seconds_sum 0",
    "socks5_reply_duration_seconds_count 0",
    "",
  ]);
});

test("series() escapes the values of labels", () => {
  assertEquals(
    series("a", { b: 'x"y\\z\n', c: "5" }),
    'a{b="x\\"y\\\\z\\n",c="5"}',
  );
});

test("formatMetrics() writes a family once, with its own series only", () => {
  const families = ["a", "a_b"].map((name) => (
    { name, type: "gauge", help: "H" } as const
  ));
  const values = { 'a_b{x="1"}': 1, a: 2, other: 3 };
  const head = (name: string) => `# HELP ${name} H.\n# TYPE ${name} gauge\n`;
  assertEquals(
    formatMetrics(values, families),
    `${head("a")}a 2\n${head("a_b")}a_b{x="1"} 1\n`,
  );
});

test("sumMetrics() and countersOf() keep the counts of workers", () => {
  const one = { x_total: 1, 'y_total{a="b"}': 2, z: 3 };
  const sum = sumMetrics([one, { x_total: 5 }, countersOf(one)]);
  assertEquals(sum, { x_total: 7, 'y_total{a="b"}': 4, z: 3 });
  for (const { name, type } of METRICS) {
    const kept = countersOf({ [name]: 1, [`${name}_count`]: 1 });
    assertEquals(name in kept, type === "counter");
    assert(type !== "histogram" || `${name}_count` in kept);
    assert(name.startsWith("socks5_"));
  }
});
