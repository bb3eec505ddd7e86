/**
 * The values of metrics, and their sums over several processes.
 *
 * @module
 */

/**
 * The value of each series by its name and labels, such as
 * `socks5_requests_total{version="5",command="connect"}`.
 */
export type MetricValues = Readonly<Record<string, number>>;

/** The sum of the values of several processes. */
export function sumMetrics(all: Iterable<MetricValues>): MetricValues {
  const sum = new Map<string, number>();
  for (const values of all) {
    for (const [key, value] of Object.entries(values)) {
      sum.set(key, (sum.get(key) ?? 0) + value);
    }
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
