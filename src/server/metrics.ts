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

/** What {@linkcode Metrics} counts. */
export const METRICS: readonly MetricFamily[] = [
  gauge("socks5_open_sessions", "Sessions that are open, by where they stand"),
  counter("socks5_sessions_total", "Clients that were let in"),
  counter("socks5_rejected_total", "Clients turned away at once, by the limit"),
  counter("socks5_logins_total", "Authentications, by method and result"),
  counter("socks5_requests_total", "Requests, by SOCKS version and command"),
  counter("socks5_replies_total", "Replies, by SOCKS version and reply number"),
  counter("socks5_denied_total", "Targets that a rule or the policy denied"),
  counter("socks5_ended_total", "Sessions that are over, by why they ended"),
  counter("socks5_octets_total", "Octets relayed: sent by clients, received"),
  counter("socks5_datagrams_total", "Datagrams by what became of them"),
  counter(
    "socks5_accept_errors_total",
    "Connections that accepting failed for",
  ),
];

function counter(name: string, help: string): MetricFamily {
  return { name, type: "counter", help };
}

function gauge(name: string, help: string): MetricFamily {
  return { name, type: "gauge", help };
}

type Labels = Readonly<Record<string, string | number>>;

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
  readonly #values = startValues();
  readonly #open = new Set<Session>();

  /** The `onEvent` of the servers, or to be called by it. */
  readonly onEvent = (event: ServerEvent): void => {
    switch (event.type) {
      case "session-start":
        this.#open.add(event.session);
        return this.#count("sessions");
      case "session-rejected":
        return this.#count("rejected", { reason: event.reason });
      case "auth": {
        const { method = "" } = event.session;
        const result = event.ok ? "ok" : "failed";
        return this.#count("logins", { method, result });
      }
      case "request":
        return this.#countOf(event.session, "requests", {
          command: event.session.command ?? "unknown",
        });
      case "reply":
        return this.#countOf(event.session, "replies", {
          reply: event.session.reply!,
        });
      case "denied":
        return this.#count("denied");
      case "session-end":
        this.#open.delete(event.session);
        addTraffic(this.#values, event.session);
        return this.#count("ended", { reason: event.reason });
      case "accept-error":
        return this.#count("accept_errors");
    }
  };

  /** What there is to tell now; open sessions count with what they have relayed so far. */
  read(): MetricValues {
    const values = new Map(this.#values);
    for (const phase of PHASES) add(values, openIn(phase), 0);
    for (const session of this.#open) {
      add(values, openIn(session.phase), 1);
      addTraffic(values, session);
    }
    return Object.fromEntries(values);
  }

  /** The same in the text format of Prometheus, version 0.0.4. */
  text(): string {
    return formatMetrics(this.read());
  }

  #countOf({ version }: Session, what: string, labels: Labels): void {
    this.#count(what, { version: version!, ...labels });
  }

  #count(what: string, labels?: Labels): void {
    add(this.#values, series(`socks5_${what}_total`, labels), 1);
  }
}

/** Those that can be told before anything has happened, as they should be. */
function startValues(): Map<string, number> {
  const values = new Map<string, number>();
  for (const what of ["sessions", "denied", "accept_errors"]) {
    values.set(`socks5_${what}_total`, 0);
  }
  const datagrams = { sent: 0, received: 0, dropped: 0 };
  addTraffic(values, { sent: 0, received: 0, datagrams });
  return values;
}

type Traffic = Pick<Session, "sent" | "received" | "datagrams">;

function addTraffic(
  values: Map<string, number>,
  { sent, received, datagrams }: Traffic,
): void {
  for (const [direction, octets] of Object.entries({ sent, received })) {
    add(values, series("socks5_octets_total", { direction }), octets);
  }
  for (const [fate, count] of Object.entries(datagrams ?? {})) {
    add(values, series("socks5_datagrams_total", { fate }), count);
  }
}

function openIn(phase: SessionPhase): string {
  return series("socks5_open_sessions", { phase });
}

function add(values: Map<string, number>, key: string, more: number): void {
  values.set(key, (values.get(key) ?? 0) + more);
}

/** The key of a series in {@linkcode MetricValues}. */
export function series(name: string, labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([label, value]) =>
    `${label}="${escapeLabel(String(value))}"`
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
