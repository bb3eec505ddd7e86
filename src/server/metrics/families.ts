/**
 * The metrics of a server: their names, types, labels and descriptions.
 *
 * @module
 */

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

/** The counters of events: the description and the names of the labels. */
export const COUNTERS = {
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

/** The key of a counter in {@linkcode COUNTERS}. */
export type CounterName = keyof typeof COUNTERS;

/** The names of all other metrics. */
export const NAMES = {
  active: "socks5_active_sessions",
  ownAddressesUnknown: "socks5_own_addresses_unknown",
  bytes: "socks5_relayed_bytes_total",
  datagrams: "socks5_relayed_datagrams_total",
  dropped: "socks5_dropped_datagrams_total",
  handshake: "socks5_handshake_duration_seconds",
  dial: "socks5_dial_duration_seconds",
  reply: "socks5_reply_duration_seconds",
} as const;

/** The name of a counter of events. */
export function nameOf(counter: string): string {
  return `socks5_${counter}_total`;
}

/** The metrics that {@linkcode Metrics} reports. */
export const METRICS: readonly MetricFamily[] = [
  { name: NAMES.active, type: "gauge", help: "Open sessions, by phase" },
  {
    name: NAMES.ownAddressesUnknown,
    type: "gauge",
    help: "Exposed servers that cannot list the addresses of their machine",
  },
  ...Object.entries(COUNTERS).map(([counter, [help]]) => (
    { name: nameOf(counter), type: "counter", help } as const
  )),
  {
    name: NAMES.bytes,
    type: "counter",
    help: "Bytes relayed, by direction: sent or received by clients",
  },
  {
    name: NAMES.datagrams,
    type: "counter",
    help: "UDP datagrams relayed, by direction: sent or received by clients",
  },
  { name: NAMES.dropped, type: "counter", help: "UDP datagrams dropped" },
  {
    name: NAMES.handshake,
    type: "histogram",
    help: "Time from accept to the complete request",
  },
  {
    name: NAMES.dial,
    type: "histogram",
    help: "Time from a CONNECT request to its reply, by result",
  },
  {
    name: NAMES.reply,
    type: "histogram",
    help:
      "Time from accept to the first reply to a request, unless a target sends it",
  },
];
