/**
 * What a server has done, as numbers for a monitoring system.
 *
 * @module
 */

import type { ServerEvent, Session, SessionPhase } from "./events.ts";

/** The value of each series by its name and labels, such as `socks5_requests_total{version="5",command="connect"}`. */
export type MetricValues = Readonly<Record<string, number>>;

/** Series of one name and meaning. */
export interface MetricFamily {
  /** The name, without labels. */
  readonly name: string;
  /** A `counter` never falls while what it counts lives. */
  readonly type: "counter" | "gauge";
  /** What it means, on one line. */
  readonly help: string;
}

/** The counters of events: what each means, and what its labels are called. */
const COUNTERS = {
  sessions: ["Clients that were let in"],
  rejected: ["Clients turned away at once, by the limit", "reason"],
  logins: ["Authentications, by method and result", "method", "result"],
  requests: ["Requests, by SOCKS version and command", "version", "command"],
  replies: ["Replies, by SOCKS version and reply number", "version", "reply"],
  denied: ["Targets that a rule or the policy denied"],
  ended: ["Sessions that are over, by why they ended", "reason"],
  accept_errors: ["Connections that accepting failed for"],
} as const satisfies Record<
  string,
  readonly [help: string, ...labels: string[]]
>;

type CounterName = keyof typeof COUNTERS;

const OPEN = "socks5_open_sessions";
const OCTETS = "socks5_relayed_bytes_total";
const DATAGRAMS = "socks5_datagrams_total";

function nameOf(counter: string): string {
  return `socks5_${counter}_total`;
}

/** What {@linkcode Metrics} counts. */
export const METRICS: readonly MetricFamily[] = [
  { name: OPEN, type: "gauge", help: "Sessions that are open, by phase" },
  ...Object.entries(COUNTERS).map(([counter, [help]]) => (
    { name: nameOf(counter), type: "counter", help } as const
  )),
  {
    name: OCTETS,
    type: "counter",
    help: "Octets relayed: sent by clients, received by them",
  },
  {
    name: DATAGRAMS,
    type: "counter",
    help: "Datagrams, by what became of them",
  },
];

/** Where an open session can stand. */
const PHASES: readonly SessionPhase[] = ["handshake", "dial", "bind", "relay"];

/**
 * Counts what happens in a server, or in several. No label tells who a client
 * is or where it goes, so that there are never many of them.
 *
 * @example
 * ```ts
 * import { Metrics, serve } from "@x/socks5/server";
 *
 * const metrics = new Metrics();
 * await using server = await serve({ port: 0, onEvent: metrics.onEvent });
 * // Deno.serve({ port: 9180 }, () => new Response(metrics.text()));
 * console.log(metrics.read()["socks5_sessions_total"]); // 0
 * ```
 */
export class Metrics {
  /** By the values of the labels; what they are called is put to them when somebody asks. */
  readonly #counts: Readonly<Record<CounterName, Map<string, number>>>;
  readonly #open = new Set<Session>();
  /** Of the sessions that are over. */
  readonly #traffic = noTraffic();

  /** All begins with 0. */
  constructor() {
    const names = Object.keys(COUNTERS);
    const counts = names.map((it) => [it, new Map<string, number>()]);
    this.#counts = Object.fromEntries(counts);
    for (const it of ["sessions", "denied", "accept_errors"] as const) {
      this.#counts[it].set("", 0);
    }
  }

  /** The `onEvent` of the servers, or to be called by it. */
  readonly onEvent = (event: ServerEvent): void => {
    switch (event.type) {
      case "session-start":
        this.#open.add(event.session);
        return this.#count("sessions");
      case "session-rejected":
        return this.#count("rejected", event.reason);
      case "auth": {
        const { method = "" } = event.session;
        return this.#count("logins", method, event.ok ? "ok" : "failed");
      }
      case "request": {
        const { version, command = "unknown" } = event.session;
        return this.#count("requests", version, command);
      }
      case "reply": {
        const { version, reply } = event.session;
        return this.#count("replies", version, reply);
      }
      case "denied":
        return this.#count("denied");
      case "session-end":
        this.#open.delete(event.session);
        addTraffic(this.#traffic, event.session);
        return this.#count("ended", event.reason);
      case "accept-error":
        return this.#count("accept_errors");
    }
  };

  /** What there is to tell now; open sessions count with what they have relayed so far. */
  read(): MetricValues {
    return { ...this.#readOpen(), ...this.#readCounts() };
  }

  /** The same in the text format of Prometheus, version 0.0.4. */
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

  #readOpen(): MetricValues {
    const phases = new Map(PHASES.map((it) => [it, 0]));
    const traffic = noTraffic();
    addTraffic(traffic, this.#traffic);
    for (const session of this.#open) {
      add(phases, session.phase, 1);
      addTraffic(traffic, session);
    }
    const { sent, received, datagrams } = traffic;
    return {
      ...seriesOf(OPEN, "phase", Object.fromEntries(phases)),
      ...seriesOf(OCTETS, "direction", { sent, received }),
      ...seriesOf(DATAGRAMS, "fate", datagrams),
    };
  }
}

/** Stands in no value of a label. */
const SEPARATOR = "\0";

/** What sessions have relayed. */
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

/** What several tell together. */
export function sumMetrics(all: Iterable<MetricValues>): MetricValues {
  const sum = new Map<string, number>();
  for (const values of all) {
    for (const [key, value] of Object.entries(values)) add(sum, key, value);
  }
  return Object.fromEntries(sum);
}

/** What stays of one that is gone: what it has counted. */
export function countersOf(values: MetricValues): MetricValues {
  return Object.fromEntries(
    Object.entries(values).filter(([key]) => /_total(\{|$)/.test(key)),
  );
}

/** The text format of Prometheus, version 0.0.4; of a family without values nothing is told. */
export function formatMetrics(
  values: MetricValues,
  families: readonly MetricFamily[] = METRICS,
): string {
  const all = Object.entries(values);
  const blocks = families.flatMap(({ name, type, help }) => {
    const lines = all
      .filter(([key]) => key === name || key.startsWith(`${name}{`))
      .map(([key, value]) => `${key} ${value}\n`)
      .sort();
    if (lines.length === 0) return [];
    return [`# HELP ${name} ${help}.\n# TYPE ${name} ${type}\n`, ...lines];
  });
  return blocks.join("");
}
