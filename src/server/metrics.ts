/**
 * Counts the events of a server for a monitoring system.
 *
 * @module
 */

import type { ServerEvent, Session, SessionPhase } from "./events.ts";
import { Histogram } from "./histogram.ts";

/**
 * The value of each series by its name and labels, such as
 * `socks5_requests_total{version="5",command="connect"}`.
 */
export type MetricValues = Readonly<Record<string, number>>;

/** A metric: all series of one name. */
export interface MetricFamily {
  /** The name, without labels. */
  readonly name: string;
  /**
   * A `counter` only increases until the process ends, and so do the series of a
   * `histogram`: `NAME_bucket`, `NAME_sum` and `NAME_count`.
   */
  readonly type: "counter" | "gauge" | "histogram";
  /** The description, one line without a full stop. */
  readonly help: string;
}

/** Sums over all labels. */
export interface MetricTotals {
  /** Sessions that are open, and have sent their first byte. */
  readonly sessions: number;
  /** Bytes from clients to targets, those of open sessions included. */
  readonly sent: number;
  /** Bytes from targets to clients. */
  readonly received: number;
  /** Sessions that have started. */
  readonly started: number;
  /** Clients that were rejected before their handshake. */
  readonly rejected: number;
  /** Targets that were denied. */
  readonly denied: number;
}

/** The totals of a server that counts nothing. */
export const NO_TOTALS: MetricTotals = {
  sessions: 0,
  sent: 0,
  received: 0,
  started: 0,
  rejected: 0,
  denied: 0,
};

/** The sum of the totals of several processes. */
export function sumTotals(all: readonly MetricTotals[]): MetricTotals {
  const sum = (key: keyof MetricTotals) =>
    all.reduce((sum, it) => sum + it[key], 0);
  return {
    sessions: sum("sessions"),
    sent: sum("sent"),
    received: sum("received"),
    started: sum("started"),
    rejected: sum("rejected"),
    denied: sum("denied"),
  };
}

/** The counters of events: the description and the names of the labels. */
const COUNTERS = {
  sessions_started: ["Sessions started"],
  sessions_rejected: [
    "Clients rejected before their handshake, by reason",
    "reason",
  ],
  probes: ["Connections that ended before their first byte"],
  sessions_ended: ["Sessions ended, by reason", "reason"],
  logins: ["Authentications, by method and result", "method", "result"],
  requests: [
    "Requests, by SOCKS version or http, and command",
    "version",
    "command",
  ],
  replies: [
    "Replies, by SOCKS version or http, and reply code",
    "version",
    "reply",
  ],
  targets_denied: ["Targets denied by a rule or the policy"],
  egress_exhausted: [
    "Addresses to connect from that had no free source port",
  ],
  egress_unavailable: [
    "Addresses to connect from that the machine could not use",
  ],
  accept_errors: ["Connections that could not be accepted"],
} as const satisfies Record<
  string,
  readonly [help: string, ...labels: string[]]
>;

type CounterName = keyof typeof COUNTERS;

const ACTIVE = "socks5_active_sessions";
const OWN_ADDRESSES_UNKNOWN = "socks5_own_addresses_unknown";
const BYTES = "socks5_relayed_bytes_total";
const DATAGRAMS = "socks5_relayed_datagrams_total";
const DROPPED = "socks5_dropped_datagrams_total";
const HANDSHAKE = "socks5_handshake_duration_seconds";
const DIAL = "socks5_dial_duration_seconds";
const REPLY = "socks5_reply_duration_seconds";

function nameOf(counter: string): string {
  return `socks5_${counter}_total`;
}

/** The metrics that {@linkcode Metrics} reports. */
export const METRICS: readonly MetricFamily[] = [
  { name: ACTIVE, type: "gauge", help: "Open sessions, by phase" },
  {
    name: OWN_ADDRESSES_UNKNOWN,
    type: "gauge",
    help: "Exposed servers that cannot list the addresses of their machine",
  },
  ...Object.entries(COUNTERS).map(([counter, [help]]) => (
    { name: nameOf(counter), type: "counter", help } as const
  )),
  {
    name: BYTES,
    type: "counter",
    help: "Bytes relayed, by direction: sent or received by clients",
  },
  {
    name: DATAGRAMS,
    type: "counter",
    help: "UDP datagrams relayed, by direction: sent or received by clients",
  },
  { name: DROPPED, type: "counter", help: "UDP datagrams dropped" },
  {
    name: HANDSHAKE,
    type: "histogram",
    help: "Time from accept to the complete request",
  },
  {
    name: DIAL,
    type: "histogram",
    help: "Time from a CONNECT request to its reply, by result",
  },
  {
    name: REPLY,
    type: "histogram",
    help:
      "Time from accept to the first reply to a request, unless a target sends it",
  },
];

/** Counters without a label, which are reported from the start. */
const UNLABELLED = (Object.keys(COUNTERS) as CounterName[])
  .filter((it) => COUNTERS[it].length === 1);

/** The phases of an open session. */
const PHASES: readonly SessionPhase[] = ["handshake", "dial", "bind", "relay"];

/** The replies of success to CONNECT, of all protocols. */
const SUCCESSES: readonly (number | undefined)[] = [0, 90, 200];

/** The current request of a session. */
interface CurrentRequest {
  /** How long the session had lasted when the request was complete, in milliseconds. */
  readonly since: number;
  readonly isFirst: boolean;
  isAnswered: boolean;
}

/**
 * Counts the events of one or more servers. No label identifies a client or a
 * target, so the number of series stays small.
 *
 * @example
 * ```ts
 * import { Metrics, serve } from "@x/socks5/server";
 *
 * const metrics = new Metrics();
 * await using server = await serve({ port: 0, onEvent: metrics.onEvent });
 * // Deno.serve({ port: 9180 }, () => new Response(metrics.text()));
 * console.log(metrics.read()["socks5_sessions_started_total"]); // 0
 * ```
 */
export class Metrics {
  /** By the values of the labels; their names are added when the counts are read. */
  readonly #counts: Readonly<Record<CounterName, Map<string, number>>>;
  readonly #active = new Map<Session, CurrentRequest | undefined>();
  readonly #handshakes = new Histogram();
  readonly #dials = { ok: new Histogram(), failed: new Histogram() };
  readonly #replies = new Histogram();
  /** The traffic of sessions that have ended. */
  readonly #traffic = noTraffic();
  #ownAddressesUnknown = 0;

  /** All counts start at 0. */
  constructor() {
    const names = Object.keys(COUNTERS);
    const counts = names.map((it) => [it, new Map<string, number>()]);
    this.#counts = Object.fromEntries(counts);
    for (const it of UNLABELLED) {
      this.#counts[it].set("", 0);
    }
  }

  /** Pass it to the servers as `onEvent`, or call it from there. */
  readonly onEvent = (event: ServerEvent): void => {
    switch (event.type) {
      case "session-start":
        this.#active.set(event.session, undefined);
        return this.#count("sessions_started");
      case "probe":
        return this.#count("probes");
      case "session-rejected":
        return this.#count("sessions_rejected", event.reason);
      case "auth": {
        const { method = "" } = event.session;
        return this.#count("logins", method, event.ok ? "ok" : "failed");
      }
      case "request": {
        const { command = "unknown" } = event.session;
        this.#requested(event.session);
        return this.#count("requests", versionOf(event.session), command);
      }
      case "reply": {
        const { reply } = event.session;
        this.#replied(event.session);
        return this.#count("replies", versionOf(event.session), reply);
      }
      case "denied":
        return this.#count("targets_denied");
      case "egress-failed":
        return this.#count(`egress_${event.problem}`);
      case "session-end":
        this.#active.delete(event.session);
        addTraffic(this.#traffic, event.session);
        return this.#count("sessions_ended", event.reason);
      case "accept-error":
        return this.#count("accept_errors");
      case "own-addresses-unknown":
        this.#ownAddressesUnknown++;
        return;
    }
  };

  #requested(session: Session): void {
    const since = session.duration;
    const isFirst = !this.#active.get(session);
    if (isFirst) this.#handshakes.observe(since);
    this.#active.set(session, { since, isFirst, isAnswered: false });
  }

  /**
   * Replies to what was no request, the second reply to BIND, and those of the targets of
   * forwarded requests do not count.
   */
  #replied(session: Session): void {
    const request = this.#active.get(session);
    if (!request || request.isAnswered) return;
    request.isAnswered = true;
    const { command, reply, duration } = session;
    if (command === "forward") return;
    if (request.isFirst) this.#replies.observe(duration);
    if (command !== "connect") return;
    const result = SUCCESSES.includes(reply) ? "ok" : "failed";
    this.#dials[result].observe(duration - request.since);
  }

  /**
   * The current values; open sessions count with the bytes and datagrams they have
   * relayed so far.
   */
  read(): MetricValues {
    return {
      ...this.#readActive(),
      ...this.#readCounts(),
      ...histogramSeries(HANDSHAKE, this.#handshakes),
      ...histogramSeries(DIAL, this.#dials.ok, { result: "ok" }),
      ...histogramSeries(DIAL, this.#dials.failed, { result: "failed" }),
      ...histogramSeries(REPLY, this.#replies),
    };
  }

  /** The current totals. They cost much less than all values. */
  totals(): MetricTotals {
    let { sent, received } = this.#traffic;
    for (const session of this.#active.keys()) {
      sent += session.sent;
      received += session.received;
    }
    return {
      sessions: this.#active.size,
      sent,
      received,
      started: this.#sum("sessions_started"),
      rejected: this.#sum("sessions_rejected"),
      denied: this.#sum("targets_denied"),
    };
  }

  /** The current values in the text format of Prometheus, version 0.0.4. */
  text(): string {
    return formatMetrics(this.read());
  }

  #count(
    counter: CounterName,
    first?: string | number,
    second?: string | number,
  ): void {
    const values = second === undefined
      ? `${first ?? ""}`
      : `${first}${SEPARATOR}${second}`;
    add(this.#counts[counter], values, 1);
  }

  #sum(counter: CounterName): number {
    let sum = 0;
    for (const count of this.#counts[counter].values()) sum += count;
    return sum;
  }

  #readCounts(): MetricValues {
    const values: Record<string, number> = {};
    for (const [counter, [, ...names]] of Object.entries(COUNTERS)) {
      for (const [key, count] of this.#counts[counter as CounterName]) {
        const labels = key.split(SEPARATOR);
        const pairs = names.map((it, index) => [it, labels[index]] as const);
        values[series(nameOf(counter), Object.fromEntries(pairs))] = count;
      }
    }
    return values;
  }

  #readActive(): MetricValues {
    const phases = new Map(PHASES.map((it) => [it, 0]));
    const traffic = noTraffic();
    addTraffic(traffic, this.#traffic);
    for (const session of this.#active.keys()) {
      add(phases, session.phase, 1);
      addTraffic(traffic, session);
    }
    const { sent, received, datagrams: { dropped, ...datagrams } } = traffic;
    return {
      ...seriesOf(ACTIVE, "phase", Object.fromEntries(phases)),
      ...seriesOf(BYTES, "direction", { sent, received }),
      ...seriesOf(DATAGRAMS, "direction", datagrams),
      [OWN_ADDRESSES_UNKNOWN]: this.#ownAddressesUnknown,
      [DROPPED]: dropped,
    };
  }
}

/** The label of a protocol: the version of SOCKS, or `http`. */
function versionOf({ version, protocol }: Session): string {
  return `${version ?? protocol}`;
}

/** Separates the values of labels; none contains it. */
const SEPARATOR = "\0";

/** The traffic of sessions. */
interface Traffic {
  sent: number;
  received: number;
  datagrams: { sent: number; received: number; dropped: number };
}

function noTraffic(): Traffic {
  const datagrams = { sent: 0, received: 0, dropped: 0 };
  return { sent: 0, received: 0, datagrams };
}

function addTraffic(
  sum: Traffic,
  more: Pick<Session, "sent" | "received" | "datagrams">,
): void {
  sum.sent += more.sent;
  sum.received += more.received;
  const { datagrams } = more;
  if (!datagrams) return;
  sum.datagrams.sent += datagrams.sent;
  sum.datagrams.received += datagrams.received;
  sum.datagrams.dropped += datagrams.dropped;
}

function add<K>(values: Map<K, number>, key: K, more: number): void {
  values.set(key, (values.get(key) ?? 0) + more);
}

type Labels = Readonly<Record<string, string>>;

/** A series for each value of a label. */
function seriesOf(
  name: string,
  label: string,
  values: Readonly<Record<string, number>>,
): MetricValues {
  const pairs = Object.entries(values).map(([key, value]) =>
    [series(name, { [label]: key }), value] as const
  );
  return Object.fromEntries(pairs);
}

/** The series of a histogram. */
function histogramSeries(
  name: string,
  { buckets, sum }: Histogram,
  labels: Labels = {},
): MetricValues {
  const values: Record<string, number> = {};
  for (const [le, count] of buckets) {
    values[series(`${name}_bucket`, { ...labels, le })] = count;
  }
  values[series(`${name}_sum`, labels)] = sum;
  values[series(`${name}_count`, labels)] = buckets.at(-1)![1];
  return values;
}

/** The key of a series in {@linkcode MetricValues}. */
export function series(name: string, labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([label, value]) =>
    `${label}="${escapeLabel(value)}"`
  );
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n");
}

/** The sum of the values of several processes. */
export function sumMetrics(all: Iterable<MetricValues>): MetricValues {
  const sum = new Map<string, number>();
  for (const values of all) {
    for (const [key, value] of Object.entries(values)) add(sum, key, value);
  }
  return Object.fromEntries(sum);
}

/** The name of a counter, or of a series of a histogram. */
const COUNTER = /_(total|bucket|sum|count)(\{|$)/;

/** The counters alone, which remain valid when their process has ended. */
export function countersOf(values: MetricValues): MetricValues {
  return Object.fromEntries(
    Object.entries(values).filter(([key]) => COUNTER.test(key)),
  );
}

/**
 * Formats values in the text format of Prometheus, version 0.0.4. Families
 * without a value are left out.
 *
 * @example
 * ```ts
 * import { formatMetrics, METRICS, Metrics } from "@x/socks5/server";
 *
 * const family = { name: "up", type: "gauge", help: "Always 1" } as const;
 * const values = { ...new Metrics().read(), up: 1 };
 * console.log(formatMetrics(values, [...METRICS, family]));
 * ```
 */
export function formatMetrics(
  values: MetricValues,
  families: readonly MetricFamily[] = METRICS,
): string {
  const all = Object.entries(values);
  const blocks = families.flatMap(({ name, type, help }) => {
    const lines = type === "histogram"
      ? ["_bucket", "_sum", "_count"].flatMap((it) => linesOf(all, name + it))
      : linesOf(all, name).sort();
    if (lines.length === 0) return [];
    return [`# HELP ${name} ${help}.\n# TYPE ${name} ${type}\n`, ...lines];
  });
  return blocks.join("");
}

function linesOf(
  all: readonly (readonly [key: string, value: number])[],
  name: string,
): string[] {
  return all
    .filter(([key]) => key === name || key.startsWith(`${name}{`))
    .map(([key, value]) => `${key} ${value}\n`);
}
