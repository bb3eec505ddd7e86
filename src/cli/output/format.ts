/**
 * What the program prints of what happens, as lines.
 *
 * @module
 */

import { type Endpoint, formatEndpoint, isIp } from "../../protocol/address.ts";
import { replyText } from "../../protocol/reply.ts";
import type { ServerEvent, Session } from "../../server/events.ts";
import { Denial } from "../../server/policy/policy.ts";
import type { Address } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import { formatDuration } from "../config/duration.ts";
import { escapeField, escapeText } from "./escape.ts";

/** The values of `--log`; `auto` is `text` on a terminal and `json` elsewhere. */
export const LOG_FORMATS = ["auto", "text", "json", "off"] as const;

/** How much is printed, and in which form. */
export type LogFormat = typeof LOG_FORMATS[number];

/** Options of {@linkcode formatRecord}. */
export interface LineOptions {
  /** `auto` has been decided before. */
  readonly format: Exclude<LogFormat, "auto">;
  /**
   * Whether text has colours, for a terminal.
   *
   * @default {false}
   */
  readonly colors?: boolean;
  /** Of several workers, whose log it is; only JSON tells it. */
  readonly worker?: number;
}

/** What may be printed: some of the server's events, and what the program itself does. */
export type LogRecord =
  | Exclude<ServerEvent, { type: "listening" | "shutdown" }>
  | {
    readonly type: "listening";
    readonly addr: Address;
    /** How many logins there are; 0 means that none is needed. */
    readonly logins: number;
    /** How many workers, if there are several. */
    readonly workers?: number;
    /** The ids of their processes. */
    readonly pids?: readonly number[];
    /** The URL of the metrics, if they are told. */
    readonly metrics?: string;
  }
  | {
    readonly type: "worker-ended";
    readonly worker: number;
    readonly code?: number;
    readonly signal?: string;
    readonly error?: string;
    /** Milliseconds until another one is started. */
    readonly delay: number;
  }
  | {
    readonly type: "worker-started";
    readonly worker: number;
    /** The id of its process, if it is one. */
    readonly pid?: number;
  }
  | {
    readonly type: "shutdown";
    readonly signal: string;
    /** How many sessions are open. */
    readonly sessions: number;
    readonly grace: number;
  }
  | {
    readonly type: "reloaded";
    /** How many logins and rules there are now. */
    readonly logins: number;
    readonly rules: number;
    /** What has changed in the configuration and counts only after a new start. */
    readonly ignored: readonly string[];
  }
  | {
    readonly type: "reload-failed";
    /** All that is wrong with the configuration, which is not used. */
    readonly problems: readonly string[];
  }
  | {
    readonly type: "lines-dropped";
    /** How many lines the reader of the log was too slow for. */
    readonly lines: number;
  };

type SessionEnd = Extract<LogRecord, { type: "session-end" }>;
type Denied = Extract<LogRecord, { type: "denied" }>;
type Listening = Extract<LogRecord, { type: "listening" }>;
type WorkerEnded = Extract<LogRecord, { type: "worker-ended" }>;

/** The line for a record, or `undefined` when it has none. */
export function formatRecord(
  { format, colors = false, worker }: LineOptions,
  record: LogRecord,
  now: Date,
): string | undefined {
  if (format === "json") return formatJson(record, now, worker);
  if (format === "off" && !OF_PROGRAM.includes(record.type)) return undefined;
  return formatText(record, now, colors ? paint : (_, text) => text);
}

/** What is printed in any case. */
const OF_PROGRAM: readonly LogRecord["type"][] = [
  "listening",
  "worker-ended",
  "worker-started",
  "reloaded",
  "reload-failed",
  "shutdown",
];

/** The escape sequences of the few colours there are. */
const COLORS = { dim: 2, red: 31, green: 32, yellow: 33 } as const;

type Color = keyof typeof COLORS;
type Paint = (color: Color, text: string) => string;

const paint: Paint = (color, text) => `\x1b[${COLORS[color]}m${text}\x1b[0m`;

function formatText(
  record: LogRecord,
  now: Date,
  paint: Paint,
): string | undefined {
  if (record.type === "listening") {
    return listeningText(record);
  }
  const text = eventText(record, now, paint);
  return text && `${paint("dim", now.toISOString())}  ${text}`;
}

function eventText(
  record: Exclude<LogRecord, { type: "listening" }>,
  now: Date,
  paint: Paint,
): string | undefined {
  switch (record.type) {
    case "session-end":
      return sessionText(record, now, paint);
    case "denied":
      // Of the other commands the session's own line tells it.
      return record.session.command === "udp-associate"
        ? deniedText(record, paint)
        : undefined;
    case "session-rejected":
      return `${formatEndpoint(record.client).padEnd(21)}  ` +
        paint("red", `rejected: ${escapeText(record.reason)}`);
    case "accept-error":
      return paint(
        "red",
        `accepting a connection failed: ${escapeText(record.error.message)}`,
      );
    case "shutdown":
      return shutdownText(record);
    case "worker-ended":
      return paint("red", workerEndedText(record));
    case "worker-started":
      return `worker ${record.worker} listens again`;
    case "reloaded":
      return reloadedText(record);
    case "reload-failed":
      return paint(
        "red",
        `the old configuration stays: ${record.problems.join("; ")}`,
      );
    case "lines-dropped":
      return paint("yellow", droppedText(record.lines));
  }
}

function reloadedText(
  { logins, rules, ignored }: Extract<LogRecord, { type: "reloaded" }>,
): string {
  const restart = ignored.length > 0
    ? `; ${ignored.join(" and ")} will change only with a restart`
    : "";
  return `reloaded: logins ${logins}, rules ${rules}${restart}`;
}

function droppedText(lines: number): string {
  const number = lines === 1 ? "1 line is" : `${lines} lines are`;
  return `${number} missing here: the log was not read fast enough`;
}

function workerEndedText(
  { worker, code, signal, error, delay }: WorkerEnded,
): string {
  const why = escapeText(error ?? signal ?? `exit code ${code}`);
  const when = delay > 0 ? ` in ${formatDuration(delay)}` : "";
  return `worker ${worker} ended (${why}), and starts again${when}`;
}

function listeningText(
  { addr, logins, workers, metrics }: Listening,
): string {
  const login = logins > 0 ? ", login needed" : "";
  const several = workers ? `, ${workers} workers` : "";
  return `socks5-server listens on ${formatEndpoint(addr)} ` +
    `(${proxyUrl(addr)}${login}${several})` +
    (metrics ? `, metrics are on ${metrics}` : "");
}

/** The URL that clients on this machine use. */
function proxyUrl({ hostname, port }: Address): string {
  const here = { "0.0.0.0": "127.0.0.1", "::": "::1" }[hostname] ?? hostname;
  return `socks5://${formatEndpoint({ hostname: here, port })}`;
}

function shutdownText(
  { signal, sessions, grace }: Extract<LogRecord, { type: "shutdown" }>,
): string {
  if (sessions === 0) return `${signal}: no session is open, the end`;
  const number = sessions === 1 ? "1 session" : `${sessions} sessions`;
  return grace === 0
    ? `${signal}: ending ${number}`
    : `${signal}: no new clients, ${formatDuration(grace)} for ${number} ` +
      "to end (a second signal ends at once)";
}

function sessionText(end: SessionEnd, now: Date, paint: Paint): string {
  const { session } = end;
  return [
    ...whoText(session),
    targetText(session.target).padEnd(24),
    `up ${String(session.sent).padStart(9)}`,
    `down ${String(session.received).padStart(10)}`,
    formatDuration(now.getTime() - session.startedAt).padStart(6),
    paint(outcomeColor(end), outcomeText(end)),
  ].join("  ");
}

function deniedText(
  { session, hostname, port, address, rule }: Denied,
  paint: Paint,
): string {
  const where = address && address !== hostname ? ` as ${address}` : "";
  const why = rule ? ` (denied by: ${rule})` : "";
  return [
    ...whoText(session),
    targetText({ hostname, port }).padEnd(24),
    paint("red", escapeText(`datagram denied${where}${why}`)),
  ].join("  ");
}

/** The client, the user and the command, as columns. */
function whoText(session: Session): string[] {
  const { client, command = "-" } = session;
  return [
    formatEndpoint(client).padEnd(21),
    userText(session).padEnd(8),
    (command === "udp-associate" ? "udp" : command).padEnd(7),
  ];
}

/** The user id of SOCKS4 is only claimed: it stands in parentheses. */
function userText({ user, userId }: Session): string {
  if (user) return escapeField(user);
  return userId ? `(${escapeField(userId)})` : "-";
}

function targetText(target: Endpoint | undefined): string {
  if (!target) return "-";
  const { hostname, port } = target;
  return formatEndpoint({
    hostname: isIp(hostname) ? hostname : escapeField(hostname),
    port,
  });
}

function outcomeColor(end: SessionEnd): Color {
  switch (end.reason) {
    case "finished":
      return "green";
    case "no-method":
    case "login-failed":
    case "protocol-error":
      return "red";
    default:
      return isDenied(end) ? "red" : "yellow";
  }
}

/** Whether the policy forbade what the client asked for. */
function isDenied({ reason, error }: SessionEnd): boolean {
  return reason === "refused" && error instanceof Denial;
}

function outcomeText({ session, reason, error }: SessionEnd): string {
  const { version, reply } = session;
  const isRefused = reason === "refused" && version && reply !== undefined;
  const outcome = isRefused
    ? `${reason}: ${replyText(version, reply)}`
    : reason + datagramsText(session);
  return error ? `${outcome} (${escapeText(error.message)})` : outcome;
}

function datagramsText({ datagrams }: Session): string {
  if (!datagrams) return "";
  const { sent, received, dropped } = datagrams;
  return `, datagrams: ${sent} up, ${received} down, ${dropped} dropped`;
}

function formatJson(
  record: LogRecord,
  now: Date,
  worker: number | undefined,
): string | undefined {
  const facts = factsOf(record, now);
  if (!facts) return undefined;
  const line = JSON.stringify({
    time: now.toISOString(),
    type: record.type,
    worker,
    ...facts,
  });
  // What JSON leaves as it is and a terminal or a reader of lines may not.
  return line.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function factsOf(
  record: LogRecord,
  now: Date,
): Record<string, unknown> | undefined {
  switch (record.type) {
    case "listening": {
      const { addr, ...rest } = record;
      return { ...endpoint(addr), url: proxyUrl(addr), ...rest };
    }
    case "worker-ended": {
      const { worker, code, signal, error, delay } = record;
      return { worker, code, signal, error, delay };
    }
    case "worker-started":
      return { worker: record.worker, pid: record.pid };
    case "session-end":
      return sessionFacts(record, now);
    case "session-rejected":
      return { client: endpoint(record.client), reason: record.reason };
    case "denied":
      return deniedFacts(record);
    case "accept-error":
      return { kind: record.error.kind, error: record.error.message };
    case "shutdown": {
      const { signal, sessions, grace } = record;
      return { signal, sessions, grace };
    }
    case "reloaded": {
      const { logins, rules, ignored } = record;
      return { logins, rules, ignored };
    }
    case "reload-failed":
      return { problems: record.problems };
    case "lines-dropped":
      return { lines: record.lines };
  }
}

function deniedFacts({ session, hostname, port, address, rule }: Denied) {
  return {
    id: session.id,
    client: endpoint(session.client),
    user: session.user,
    userId: session.userId,
    command: session.command,
    target: { hostname, port },
    address,
    rule,
  };
}

function sessionFacts(end: SessionEnd, now: Date) {
  const { session, reason, error } = end;
  return {
    id: session.id,
    client: endpoint(session.client),
    version: session.version,
    method: session.method,
    user: session.user,
    userId: session.userId,
    command: session.command,
    target: session.target && endpoint(session.target),
    targetAddress: session.targetAddr && endpoint(session.targetAddr),
    bound: session.boundAddr && endpoint(session.boundAddr),
    verdict: verdictOf(end),
    rule: error instanceof Denial ? error.rule : undefined,
    reply: session.reply,
    reason,
    error: error?.message,
    sent: session.sent,
    received: session.received,
    datagrams: session.datagrams,
    duration: Math.max(0, now.getTime() - session.startedAt),
  };
}

/** What the policy said; nothing when it was not asked. */
function verdictOf(end: SessionEnd): "allow" | "deny" | undefined {
  const { command, reply } = end.session;
  if (isDenied(end)) return "deny";
  const wasAsked = command && reply !== undefined && !isRefusedUnasked(end);
  return wasAsked ? "allow" : undefined;
}

/** Whether it was a limit that forbade it, or there is no such service. */
function isRefusedUnasked({ reason, error }: SessionEnd): boolean {
  if (reason !== "refused") return false;
  return !error || error instanceof NetError && error.kind === "denied";
}

/** Nothing but these two, whatever else an address may carry. */
function endpoint({ hostname, port }: Address): Address {
  return { hostname, port };
}
