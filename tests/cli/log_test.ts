import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { stripVTControlCharacters } from "node:util";
import type { Host } from "../../src/cli/host/host.ts";
import { formatRecord } from "../../src/cli/output/format.ts";
import type { LogRecord } from "../../src/cli/output/record.ts";
import { formatBytes } from "../../src/cli/output/format_bytes.ts";
import { parseRate } from "../../src/server/accounting/parse_bytes.ts";
import { formatDuration } from "../../src/cli/output/format_duration.ts";
import { openLog } from "../../src/cli/output/log.ts";
import type { Session, SessionEndReason } from "../../src/server/events.ts";
import { LimitsError } from "../../src/server/limits/limits_error.ts";
import { Denial } from "../../src/server/policy/policy.ts";
import { NetError } from "../../src/transport/errors.ts";
import { test } from "../support/harness.ts";

const now = new Date("2026-11-03T10:22:31.123Z");
const client = { hostname: "192.0.2.7", port: 50123 };
const time = "2026-11-03T10:22:31.123Z";
const seconds = "2026-11-03T10:22:31Z";

function session(facts: Partial<Session> = {}): Session {
  return {
    id: 7,
    client,
    startedAt: now.getTime() - 1_234,
    duration: 1_234,
    phase: "ended",
    sent: 0,
    received: 0,
    close() {},
    toJSON() {
      throw new Error("not used by the log");
    },
    ...facts,
  };
}

const target = { hostname: "example.com", port: 443 };
const finished: LogRecord = {
  type: "session-end",
  reason: "finished",
  session: session({
    protocol: "socks5",
    version: 5,
    method: "password",
    user: "alice",
    command: "connect",
    target,
    targetAddr: { hostname: "2001:db8::1", port: 443 },
    reply: 0,
    sent: 1234,
    received: 567890,
  }),
};

const rejected: LogRecord = {
  type: "session-rejected",
  client,
  reason: "too many connections",
};

const unanswered: LogRecord = {
  type: "session-rejected",
  client,
  reason: "the store failed",
  error: new NetError("timeout", "no\nanswer"),
};

const denied: LogRecord = {
  type: "denied",
  session: session({ user: "alice", command: "udp-associate" }),
  hostname: "db.internal",
  port: 53,
  address: "10.0.0.1",
  rule: "deny to 10.0.0.0/8",
};

const failed: LogRecord = {
  type: "session-end",
  reason: "login-failed",
  session: session({ version: 5, method: "password", user: "mallory" }),
};

const texts: [name: string, record: LogRecord, line: string | undefined][] = [
  [
    "the address of the listener",
    {
      type: "listening",
      addr: { hostname: "127.0.0.1", port: 1080 },
      logins: 0,
    },
    "socks5 listens on 127.0.0.1:1080 (socks5://127.0.0.1:1080, no login)",
  ],
  [
    "that a login is required, and a URL that works for all interfaces",
    { type: "listening", addr: { hostname: "0.0.0.0", port: 1080 }, logins: 2 },
    "socks5 listens on 0.0.0.0:1080 (socks5://127.0.0.1:1080, login required)",
  ],
  [
    "the number of workers",
    {
      type: "listening",
      addr: { hostname: "127.0.0.1", port: 1080 },
      logins: 1,
      workers: 2,
      pids: [5, 6],
    },
    "socks5 listens on 127.0.0.1:1080 (socks5://127.0.0.1:1080, login required, 2 workers)",
  ],
  [
    "that the variable with logins was not read",
    {
      type: "listening",
      addr: { hostname: "127.0.0.1", port: 1080 },
      logins: 1,
      unreadVariable: "SOCKS5_USERS",
    },
    "socks5 listens on 127.0.0.1:1080 (socks5://127.0.0.1:1080, login required, " +
    "SOCKS5_USERS not read: --allow-env=SOCKS5_USERS is missing)",
  ],
  [
    "the URL of the metrics",
    {
      type: "listening",
      addr: { hostname: "127.0.0.1", port: 1080 },
      logins: 0,
      metrics: "http://127.0.0.1:9180/metrics",
    },
    "socks5 listens on 127.0.0.1:1080 (socks5://127.0.0.1:1080, no login), metrics on http://127.0.0.1:9180/metrics",
  ],
  [
    "that own addresses are not protected",
    { type: "own-addresses-unknown" },
    `${seconds} the addresses of this machine cannot be listed: clients can reach all of them except the one that they used (on Deno, allow --allow-sys=networkInterfaces)`,
  ],
  [
    "that a worker was killed",
    { type: "worker-ended", worker: 2, signal: "SIGKILL", delay: 2_000 },
    `${seconds} worker 2 ended (SIGKILL), restarting in 2s`,
  ],
  [
    "that a worker failed",
    { type: "worker-ended", worker: 2, error: "\x1bno", delay: 0 },
    `${seconds} worker 2 ended (\\x1bno), restarting`,
  ],
  [
    "that a worker has started in place of another one",
    { type: "worker-started", worker: 3, replaces: 2, pid: 7 },
    `${seconds} worker 3 started in place of worker 2`,
  ],
  [
    "IPv6 in brackets",
    { type: "listening", addr: { hostname: "::", port: 1080 }, logins: 0 },
    "socks5 listens on [::]:1080 (socks5://[::1]:1080, no login)",
  ],
  [
    "a finished session",
    finished,
    `${seconds} finished 192.0.2.7:50123 alice example.com:443 1.2k/567k 1.2s`,
  ],
  [
    "a session that ended before its request",
    {
      type: "session-end",
      reason: "client-gone",
      session: session(),
      error: new NetError("ended", "the client hung up"),
    },
    `${seconds} client-gone 192.0.2.7:50123 - - 0/0 1.2s (the client hung up)`,
  ],
  [
    "the reply to the client",
    {
      type: "session-end",
      reason: "refused",
      session: session({ version: 5, command: "bind", target, reply: 7 }),
    },
    `${seconds} refused 192.0.2.7:50123 - bind example.com:443 0/0 1.2s command not supported`,
  ],
  [
    "the status that an HTTP client got",
    {
      type: "session-end",
      reason: "refused",
      session: session({
        protocol: "http",
        command: "connect",
        target,
        reply: 504,
      }),
    },
    `${seconds} refused 192.0.2.7:50123 - example.com:443 0/0 1.2s 504 Gateway Timeout`,
  ],
  [
    "the datagrams of a UDP association",
    {
      type: "session-end",
      reason: "finished",
      session: session({
        version: 5,
        command: "udp-associate",
        target: { hostname: "0.0.0.0", port: 0 },
        reply: 0,
        sent: 40,
        received: 1200,
        datagrams: { sent: 2, received: 3, dropped: 1 },
      }),
    },
    `${seconds} finished 192.0.2.7:50123 - udp 0.0.0.0:0 40/1.2k 1.2s datagrams: 2 up, 3 down, 1 dropped`,
  ],
  [
    "a claimed user id, and escapes what a terminal would interpret",
    {
      type: "session-end",
      reason: "refused",
      session: session({
        version: 4,
        userId: "a b\n\x1b[31m\u202e\\\u{e0041}",
        command: "connect",
        target: { hostname: "e\x07vil", port: 1 },
        reply: 0x5b,
      }),
      error: new Error("no\r\nsuch\x9b name"),
    },
    `${seconds} refused 192.0.2.7:50123 ` +
    "(a\\x20b\\x0a\\x1b[31m\\u{202e}\\\\\\u{e0041}) e\\x07vil:1 0/0 1.2s " +
    "rejected or failed (no\\x0d\\x0asuch\\x9b name)",
  ],
  [
    "an IPv6 target in brackets",
    {
      type: "session-end",
      reason: "idle",
      session: session({
        command: "connect",
        target: { hostname: "::1", port: 80 },
      }),
    },
    `${seconds} idle 192.0.2.7:50123 - [::1]:80 0/0 1.2s`,
  ],
  [
    "a rejected client",
    rejected,
    `${seconds} rejected 192.0.2.7:50123 too many connections`,
  ],
  [
    "why a client could not be admitted",
    unanswered,
    `${seconds} rejected 192.0.2.7:50123 the store failed (no\\x0aanswer)`,
  ],
  [
    "that accepting a connection failed",
    { type: "accept-error", error: new NetError("descriptors", "EMFILE\nx") },
    `${seconds} accepting a connection failed: EMFILE\\x0ax`,
  ],
  [
    "that it still accepts clients",
    { type: "drain", signal: "SIGTERM", delay: 10_000 },
    `${seconds} SIGTERM: not ready, new clients are accepted for 10s`,
  ],
  [
    "the number of sessions that it waits for",
    { type: "shutdown", signal: "SIGTERM", sessions: 3, grace: 10_000 },
    `${seconds} SIGTERM: no new clients, 10s for 3 sessions to end (a second signal exits immediately)`,
  ],
  [
    "that no sessions are open",
    { type: "shutdown", signal: "SIGINT", sessions: 0, grace: 10_000 },
    `${seconds} SIGINT: no open sessions, exiting`,
  ],
  [
    "that it does not wait",
    { type: "shutdown", signal: "SIGINT", sessions: 1, grace: 0 },
    `${seconds} SIGINT: closing 1 session`,
  ],
  [
    "the rule that denied a datagram",
    denied,
    `${seconds} denied 192.0.2.7:50123 alice udp db.internal:53 datagram as 10.0.0.1 (denied by: deny to 10.0.0.0/8)`,
  ],
  [
    "that a datagram was denied without a rule",
    { ...denied, hostname: "10.0.0.1", rule: undefined },
    `${seconds} denied 192.0.2.7:50123 alice udp 10.0.0.1:53 datagram`,
  ],
  [
    "nothing about a denied CONNECT, which the line of its session has",
    { ...denied, session: session({ command: "connect" }) },
    undefined,
  ],
  [
    "an act of the Admin API",
    {
      type: "admin",
      act: "end",
      filter: { user: "al ice\n", target: "a:1" },
      count: 2,
      origin: { hostname: "::1", port: 5 },
    },
    `${seconds} admin [::1]:5 end 2 user=al\\x20ice\\x0a target=a:1`,
  ],
  [
    "an act through the Unix socket",
    { type: "admin", act: "drain", origin: "unix" },
    `${seconds} admin unix drain`,
  ],
  [
    "that a line was dropped",
    { type: "lines-dropped", lines: 1 },
    `${seconds} 1 line dropped here: the reader of the log was too slow`,
  ],
  [
    "that lines were dropped",
    { type: "lines-dropped", lines: 7 },
    `${seconds} 7 lines dropped here: the reader of the log was too slow`,
  ],
  [
    "a failed login",
    failed,
    `${seconds} login-failed 192.0.2.7:50123 mallory - 0/0 1.2s`,
  ],
  [
    "the number of sessions that a second signal cuts off",
    { type: "terminated", signal: "SIGTERM", sessions: 1 },
    `${seconds} SIGTERM: exiting at once, 1 session cut off`,
  ],
  [
    "the start of a session, when its request is complete",
    { type: "request", session: session({ command: "connect", target }) },
    `${seconds} start 192.0.2.7:50123 - example.com:443`,
  ],
  ["nothing before the request of a session", {
    type: "session-start",
    session: session(),
  }, undefined],
];

test("formatRecord() leaves the backslashes of a message, which may quote escaped text", () => {
  const record: LogRecord = {
    type: "session-end",
    reason: "refused",
    error: new Error('"a\\\\b" is no name\x1b'),
    session: session({ target: { hostname: "a\\b", port: 1 } }),
  };
  assertEquals(
    formatRecord({ format: "text" }, record, now),
    `${seconds} refused 192.0.2.7:50123 - a\\\\b:1 0/0 1.2s ` +
      '("a\\\\b" is no name\\x1b)',
  );
});

for (const [name, record, line] of texts) {
  test(`formatRecord() formats as text ${name}`, () => {
    assertEquals(formatRecord({ format: "text" }, record, now), line);
  });
}

for (
  const [reason, color, error] of [
    ["finished", 32],
    ["refused", 33, new NetError("refused", "ECONNREFUSED")],
    ["refused", 31, new Denial("deny to *")],
    ["login-failed", 31],
    ["no-method", 31],
    ["protocol-error", 31],
    ["idle", 33],
    ["client-gone", 33],
  ] as [SessionEndReason, number, Error?][]
) {
  test(`formatRecord() colours ${error?.message ?? reason} with ${color}`, () => {
    const record: LogRecord = {
      type: "session-end",
      reason,
      error,
      session: session(),
    };
    const line = formatRecord({ format: "text", colors: true }, record, now)!;
    assertStringIncludes(line, `\x1b[${color}m${reason}`);
    assert(line.startsWith(`\x1b[2m${seconds}\x1b[0m \x1b[${color}m`));
    assertEquals(
      stripVTControlCharacters(line),
      formatRecord({ format: "text" }, record, now),
    );
  });
}

const columns: [name: string, record: LogRecord, line: string][] = [
  [
    "the end of a session",
    finished,
    "finished    192.0.2.7:50123       alice example.com:443          1.2k/567k 1.2s",
  ],
  [
    "the start of a session",
    { type: "request", session: session({ command: "bind", target }) },
    "start       192.0.2.7:50123       -     bind example.com:443",
  ],
  [
    "a failed login",
    failed,
    "login-failed 192.0.2.7:50123       mallory -                        0/0       1.2s",
  ],
  [
    "a rejected client",
    rejected,
    "rejected    192.0.2.7:50123       too many connections",
  ],
  [
    "a denied datagram",
    { ...denied, rule: undefined },
    "denied      192.0.2.7:50123       alice udp db.internal:53       datagram as 10.0.0.1",
  ],
];

for (const [name, record, rest] of columns) {
  test(`formatRecord() formats for a terminal ${name}, in columns and with the time of day`, () => {
    const options = { format: "text", isTerminal: true } as const;
    const clock = now.toTimeString().slice(0, 8);
    assertEquals(formatRecord(options, record, now), `${clock} ${rest}`);
    const colored = formatRecord({ ...options, colors: true }, record, now)!;
    assertEquals(stripVTControlCharacters(colored), `${clock} ${rest}`);
  });
}

for (const isTerminal of [true, false]) {
  test(`formatRecord() keeps a session within 100 columns ${isTerminal ? "on" : "off"} a terminal`, () => {
    const record: LogRecord = {
      type: "session-end",
      reason: "finished",
      session: session({
        client: isTerminal
          ? { hostname: "255.255.255.255", port: 65535 }
          : { hostname: "203.0.113.9", port: 54321 },
        user: "alice",
        command: "connect",
        target: { hostname: "a-rather-long.example.test", port: 443 },
        sent: 12_345_678,
        received: 9_876_543_210,
        duration: 59_999,
      }),
    };
    assert(record.session.target!.hostname.length + ":443".length === 30);
    const line = formatRecord({ format: "text", isTerminal }, record, now)!;
    assert(line.length <= 100, `${line.length}: ${line}`);
  });
}

test("formatRecord() colours neither the listening line nor JSON", () => {
  const listening: LogRecord = { type: "listening", addr: client, logins: 0 };
  for (
    const [format, record] of [
      ["text", listening],
      ["json", finished],
    ] as const
  ) {
    assertEquals(
      formatRecord({ format, colors: true }, record, now),
      formatRecord({ format }, record, now),
    );
  }
});

const objects: [record: LogRecord, facts: unknown][] = [
  [
    { type: "listening", addr: { hostname: "::1", port: 1080 }, logins: 1 },
    { hostname: "::1", port: 1080, url: "socks5://[::1]:1080", logins: 1 },
  ],
  [finished, {
    client,
    id: 7,
    protocol: "socks5",
    version: 5,
    method: "password",
    user: "alice",
    command: "connect",
    target,
    targetAddr: { hostname: "2001:db8::1", port: 443 },
    verdict: "allow",
    reply: 0,
    reason: "finished",
    sent: 1234,
    received: 567890,
    duration: 1234,
  }],
  [
    {
      type: "session-end",
      reason: "protocol-error",
      session: session({ userId: "a\nb" }),
      error: new Error("no SOCKS"),
    },
    {
      id: 7,
      client,
      userId: "a\nb",
      reason: "protocol-error",
      error: "no SOCKS",
      sent: 0,
      received: 0,
      duration: 1234,
    },
  ],
  [
    {
      type: "session-end",
      reason: "finished",
      session: session({
        version: 5,
        command: "udp-associate",
        target: { hostname: "0.0.0.0", port: 0 },
        boundAddr: { hostname: "192.0.2.1", port: 40_000 },
        reply: 0,
        datagrams: { sent: 2, received: 3, dropped: 1 },
      }),
    },
    {
      id: 7,
      client,
      version: 5,
      command: "udp-associate",
      target: { hostname: "0.0.0.0", port: 0 },
      boundAddr: { hostname: "192.0.2.1", port: 40_000 },
      verdict: "allow",
      reply: 0,
      reason: "finished",
      sent: 0,
      received: 0,
      datagrams: { sent: 2, received: 3, dropped: 1 },
      duration: 1234,
    },
  ],
  [rejected, { client, reason: "too many connections" }],
  [unanswered, { client, reason: "the store failed", error: "no\nanswer" }],
  [denied, {
    id: 7,
    client,
    user: "alice",
    command: "udp-associate",
    target: { hostname: "db.internal", port: 53 },
    address: "10.0.0.1",
    rule: "deny to 10.0.0.0/8",
  }],
  [
    {
      type: "session-end",
      reason: "refused",
      session: session({ version: 5, command: "connect", target, reply: 2 }),
      error: new Denial("deny to *.com"),
    },
    {
      id: 7,
      client,
      version: 5,
      command: "connect",
      target,
      verdict: "deny",
      rule: "deny to *.com",
      reply: 2,
      reason: "refused",
      error: "denied by: deny to *.com",
      sent: 0,
      received: 0,
      duration: 1234,
    },
  ],
  [
    {
      type: "session-end",
      reason: "refused",
      session: session({ version: 5, command: "connect", target, reply: 5 }),
      error: new NetError("refused", "ECONNREFUSED"),
    },
    {
      id: 7,
      client,
      version: 5,
      command: "connect",
      target,
      verdict: "allow",
      reply: 5,
      reason: "refused",
      error: "ECONNREFUSED",
      sent: 0,
      received: 0,
      duration: 1234,
    },
  ],
  [
    {
      type: "session-end",
      reason: "refused",
      session: session({ version: 5, command: "connect", target, reply: 2 }),
      error: new LimitsError("other", "the usage store failed"),
    },
    {
      id: 7,
      client,
      version: 5,
      command: "connect",
      target,
      reply: 2,
      reason: "refused",
      error: "the usage store failed",
      sent: 0,
      received: 0,
      duration: 1234,
    },
  ],
  [
    {
      type: "session-end",
      reason: "refused",
      session: session({ version: 5, command: "connect", target, reply: 2 }),
      error: new NetError("denied", "too many sessions of this user"),
    },
    {
      id: 7,
      client,
      version: 5,
      command: "connect",
      target,
      reply: 2,
      reason: "refused",
      error: "too many sessions of this user",
      sent: 0,
      received: 0,
      duration: 1234,
    },
  ],
  [
    { type: "terminated", signal: "SIGINT", sessions: 3 },
    { signal: "SIGINT", sessions: 3 },
  ],
  [{ type: "lines-dropped", lines: 3 }, { lines: 3 }],
  [
    { type: "admin", act: "unlock", count: 1, filter: {}, origin: "unix" },
    { act: "unlock", client: "unix", filter: {}, count: 1 },
  ],
  [
    {
      type: "admin",
      act: "login-failed",
      origin: { hostname: "::1", port: 5 },
    },
    { act: "login-failed", client: { hostname: "::1", port: 5 } },
  ],
  [
    { type: "worker-ended", worker: 2, code: 1, delay: 0 },
    { worker: 2, code: 1, delay: 0 },
  ],
  [
    { type: "worker-started", worker: 3, replaces: 2, pid: 7 },
    { worker: 3, replaces: 2, pid: 7 },
  ],
  [
    { type: "accept-error", error: new NetError("descriptors", "EMFILE") },
    { kind: "descriptors", error: "EMFILE" },
  ],
  [
    { type: "drain", signal: "SIGTERM", delay: 10_000 },
    { signal: "SIGTERM", delay: 10_000 },
  ],
  [
    { type: "shutdown", signal: "SIGTERM", sessions: 3, grace: 10_000 },
    { signal: "SIGTERM", sessions: 3, grace: 10_000 },
  ],
];

for (const [record, facts] of objects) {
  test(`formatRecord() formats ${record.type} as JSON: ${JSON.stringify(facts).slice(0, 40)}`, () => {
    assertEquals(JSON.parse(formatRecord({ format: "json" }, record, now)!), {
      time,
      type: record.type,
      ...facts as object,
    });
  });
}

test("formatRecord() writes JSON without characters that break lines or terminals", () => {
  const error = new Error("a\nb\x1b\x7f\x9b\u2028\u202e\u{e0041}c");
  const record: LogRecord = {
    type: "session-end",
    reason: "protocol-error",
    session: session(),
    error,
  };
  const line = formatRecord({ format: "json" }, record, now)!;
  assertEquals(/[^ -~]/.test(line), false);
  assertEquals(JSON.parse(line).error, error.message);
});

test("formatRecord() formats a request as JSON of the type session-start", () => {
  const facts = { user: "alice", version: 5, command: "connect", target };
  const record = {
    type: "request",
    session: session(facts as Partial<Session>),
  } as const;
  assertEquals(JSON.parse(formatRecord({ format: "json" }, record, now)!), {
    time,
    type: "session-start",
    client,
    id: 7,
    ...facts,
  });
});

test("formatRecord() begins the JSON of a failed login with its reason and client", () => {
  for (const worker of [undefined, 2]) {
    const line = formatRecord({ format: "json", worker }, failed, now)!;
    const start = `{"time":"${time}","type":"session-end",` +
      '"reason":"login-failed",' +
      '"client":{"hostname":"192.0.2.7","port":50123},"id":7,';
    assertEquals(line.slice(0, start.length), start);
  }
});

test("formatRecord() adds the number of the worker to JSON", () => {
  const options = { format: "json", worker: 2 } as const;
  const line = formatRecord(options, rejected, now)!;
  assertEquals(JSON.parse(line).worker, 2);
});

test("formatRecord() formats only records of the program when the log is off", () => {
  const off = { format: "off" } as const;
  const shutdown = {
    type: "shutdown",
    signal: "SIGINT",
    sessions: 0,
    grace: 0,
  } as const;
  assertEquals(formatRecord(off, finished, now), undefined);
  assertEquals(
    formatRecord(off, rejected, now),
    undefined,
  );
  assertEquals(
    formatRecord(off, shutdown, now),
    formatRecord({ format: "text" }, shutdown, now),
  );
  const cut = { type: "terminated", signal: "SIGINT", sessions: 2 } as const;
  assertEquals(
    formatRecord(off, cut, now),
    `${seconds} SIGINT: exiting at once, 2 sessions cut off`,
  );
});

for (
  const [milliseconds, text] of [
    [0, "0ms"],
    [-5, "0ms"],
    [999, "999ms"],
    [1_000, "1s"],
    [1_999, "1.9s"],
    [59_999, "59.9s"],
    [60_000, "1m00s"],
    [125_000, "2m05s"],
    [3_599_999, "59m59s"],
    [3_600_000, "1h00m"],
    [360_000_000, "100h00m"],
  ] as const
) {
  test(`formatDuration() formats ${milliseconds} as ${text}`, () => {
    assertEquals(formatDuration(milliseconds), text);
  });
}

for (
  const [bytes, text] of [
    [0, "0"],
    [999, "999"],
    [1_000, "1k"],
    [1_999, "1.9k"],
    [9_999, "9.9k"],
    [10_999, "10k"],
    [999_999, "999k"],
    [1_000_000, "1M"],
    [34_567_890, "34M"],
    [1_500_000_000, "1.5G"],
    [2 ** 53 - 1, "9P"],
  ] as const
) {
  test(`formatBytes() formats ${bytes} as ${text}`, () => {
    assertEquals(formatBytes(bytes), text);
    assert(text.length <= 4);
  });
}

test("parseRate() reads what formatBytes() writes", () => {
  for (let bytes = 1; bytes < 2 ** 31; bytes = Math.ceil(bytes * 1.07)) {
    const text = formatBytes(bytes);
    const back = parseRate(text)!;
    assert(back <= bytes && back > bytes * 0.9, `${bytes}: ${text}`);
    assertEquals(formatBytes(back), text);
  }
});

test("Log prints at most ten denials of a session per second", async () => {
  let lines = 0;
  const host = {
    hasTerminal: () => Promise.resolve(false),
    wantsColors: false,
    write: (text: string) => {
      lines += text.split("\n").length - 1;
      return Promise.resolve();
    },
  } as unknown as Host;
  const { onEvent, output } = await openLog(host, {
    log: "json",
    logStart: false,
  });
  assert(denied.type === "denied");
  const other = { ...denied, session: { ...denied.session } };
  for (let i = 0; i < 1_000; i++) onEvent!(denied);
  onEvent!(other);
  await output.finish();
  assertEquals(lines, 11);
});
