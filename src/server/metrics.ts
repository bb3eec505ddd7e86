/**
 * Counts the events of a server for a monitoring system.
 *
 * @module
 */

import type { ServerEvent, Session, SessionPhase } from "./events.ts";
import {
  type CounterName,
  COUNTERS,
  nameOf,
  NAMES,
} from "./metrics/families.ts";
import { Histogram } from "./metrics/histogram.ts";
import { histogramSeries, series, seriesOf } from "./metrics/series.ts";
import { formatMetrics } from "./metrics/text_format.ts";
import type { MetricTotals, MetricValues } from "./metrics/values.ts";

export { type MetricFamily, METRICS } from "./metrics/families.ts";
export { series } from "./metrics/series.ts";
export { formatMetrics } from "./metrics/text_format.ts";
export {
  countersOf,
  type MetricTotals,
  type MetricValues,
  NO_TOTALS,
  sumMetrics,
  sumTotals,
} from "./metrics/values.ts";

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
   * Replies to invalid requests, the second reply to BIND, and those of the targets of
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
      ...histogramSeries(NAMES.handshake, this.#handshakes),
      ...histogramSeries(NAMES.dial, this.#dials.ok, { result: "ok" }),
      ...histogramSeries(NAMES.dial, this.#dials.failed, { result: "failed" }),
      ...histogramSeries(NAMES.reply, this.#replies),
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
      ...seriesOf(NAMES.active, "phase", Object.fromEntries(phases)),
      ...seriesOf(NAMES.bytes, "direction", { sent, received }),
      ...seriesOf(NAMES.datagrams, "direction", datagrams),
      [NAMES.ownAddressesUnknown]: this.#ownAddressesUnknown,
      [NAMES.dropped]: dropped,
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
