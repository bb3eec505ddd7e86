/**
 * The lines of the log.
 *
 * @module
 */

import { type Endpoint, formatEndpoint, isIp } from "../../protocol/address.ts";
import { replyText } from "../../protocol/reply.ts";
import type { ServerEvent, Session } from "../../server/events.ts";
import { Denial } from "../../server/policy/policy.ts";
import type { Address } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import { escapeField, escapeText } from "./escape.ts";
import { formatDuration } from "./format_duration.ts";

/** The values of `--log`; `auto` is `text` on a terminal and `json` elsewhere. */
export const LOG_FORMATS = ["auto", "text", "json", "off"] as const;

/** The format of the log; `off` leaves only the lines about the program itself. */
export type LogFormat = typeof LOG_FORMATS[number];

/** Options of {@linkcode formatRecord}. */
export interface LineOptions {
  /** Without `auto`, which depends on the standard output. */
  readonly format: Exclude<LogFormat, "auto">;
  /**
   * Whether text is coloured, for a terminal.
   *
   * @default {false}
   */
  readonly colors?: boolean;
  /** The number of the worker, if there are several. Only JSON has it. */
  readonly worker?: number;
}

/** An entry of the log: an event of the server, or of the program itself. */
export type LogRecord =
  | Exclude<ServerEvent, { type: "listening" | "shutdown" }>
  | {
    readonly type: "listening";
    readonly addr: Address;
    /** The number of logins; if it is 0, and there is no `gssapi`, clients need none. */
    readonly logins: number;
    /** Whether Kerberos logins are accepted. */
    readonly gssapi?: true;
    /** The environment variable with logins, if the program may not read it (on Deno). */
    readonly unreadVariable?: string;
    /** The number of workers, if there are several. */
    readonly workers?: number;
    /** The process ids of the workers. */
    readonly pids?: readonly number[];
    /** The URL of the metrics, if they are served. */
    readonly metrics?: string;
  }
  | {
    readonly type: "worker-ended";
    readonly worker: number;
    readonly code?: number;
    readonly signal?: string;
    readonly error?: string;
    /** The delay until it is restarted, in milliseconds. */
    readonly delay: number;
  }
  | {
    readonly type: "worker-started";
    readonly worker: number;
    /** Its process id; a thread has none. */
    readonly pid?: number;
  }
  | {
    readonly type: "shutdown";
    readonly signal: string;
    /** The number of open sessions. */
    readonly sessions: number;
    /** How long they may take to end, in milliseconds. */
    readonly grace: number;
  }
  | {
    readonly type: "reloaded";
    /** The new numbers of logins and rules. */
    readonly logins: number;
    readonly rules: number;
    /** The options that have changed, but take effect only after a restart. */
    readonly ignored: readonly string[];
    /** Parts of the configuration that may be mistakes, if there are any. */
    readonly warnings?: readonly string[];
  }
  | {
    readonly type: "reload-failed";
    /** The problems of the new configuration, which is not used. */
    readonly problems: readonly string[];
  }
  | {
    readonly type: "lines-dropped";
    /** The number of lines that are missing, because the reader of the log was too slow. */
    readonly lines: number;
  };

type SessionEnd = Extract<LogRecord, { type: "session-end" }>;
type Denied = Extract<LogRecord, { type: "denied" }>;
type Rejected = Extract<LogRecord, { type: "session-rejected" }>;
type Listening = Extract<LogRecord, { type: "listening" }>;
type WorkerEnded = Extract<LogRecord, { type: "worker-ended" }>;

/** Formats a record as a line. Returns `undefined` for a record that is not printed. */
export function formatRecord(
  { format, colors = false, worker }: LineOptions,
  record: LogRecord,
  now: Date,
): string | undefined {
  if (format === "json") return formatJson(record, now, worker);
  if (format === "off" && !ALWAYS.includes(record.type)) return undefined;
  return formatText(record, now, colors ? paint : (_, text) => text);
}

/** The records that are printed even if the log is off. */
const ALWAYS: readonly LogRecord["type"][] = [
  "listening",
  "worker-ended",
  "worker-started",
  "reloaded",
  "reload-failed",
  "shutdown",
];

/** The parameters of the escape sequences of colours. */
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
  const text = eventText(record, paint);
  return text && `${paint("dim", now.toISOString())}  ${text}`;
}

function eventText(
  record: Exclude<LogRecord, { type: "listening" }>,
  paint: Paint,
): string | undefined {
  switch (record.type) {
    case "session-end":
      return sessionText(record, paint);
    case "denied":
      // Of the other commands, the line of the session's end has it.
      return record.session.command === "udp-associate"
        ? deniedText(record, paint)
        : undefined;
    case "session-rejected":
      return `${formatEndpoint(record.client).padEnd(21)}  ` +
        paint("red", rejectedText(record));
    case "accept-error":
      return paint(
        "red",
        `accepting a connection failed: ${escapeText(record.error.message)}`,
      );
    case "limits-error":
      return paint("red", escapeText(record.error.message));
    case "own-addresses-unknown":
      return paint("yellow", OWN_ADDRESSES_UNKNOWN);
    case "shutdown":
      return shutdownText(record);
    case "worker-ended":
      return paint("red", workerEndedText(record));
    case "worker-started":
      return `worker ${record.worker} restarted`;
    case "reloaded":
      return reloadedText(record);
    case "reload-failed":
      return paint(
        "red",
        `not reloaded, the old configuration stays in use: ${
          record.problems.join("; ")
        }`,
      );
    case "lines-dropped":
      return paint("yellow", droppedText(record.lines));
  }
}

function rejectedText({ reason, error }: Rejected): string {
  const cause = error ? ` (${error.message})` : "";
  return escapeText(`rejected: ${reason}${cause}`);
}

const OWN_ADDRESSES_UNKNOWN =
  "the addresses of this machine cannot be listed: clients can reach all of them " +
  "except the one that they used (on Deno, allow --allow-sys=networkInterfaces)";

function reloadedText(
  { logins, rules, ignored, warnings = [] }: Extract<
    LogRecord,
    { type: "reloaded" }
  >,
): string {
  const restart = ignored.length > 0
    ? `; a restart is needed to change ${ignored.join(", ")}`
    : "";
  const doubts = warnings.map((it) => `; warning: ${it}`).join("");
  return `reloaded: logins ${logins}, rules ${rules}${restart}${doubts}`;
}

function droppedText(lines: number): string {
  const number = lines === 1 ? "1 line" : `${lines} lines`;
  return `${number} dropped here: the reader of the log was too slow`;
}

function workerEndedText(
  { worker, code, signal, error, delay }: WorkerEnded,
): string {
  const cause = escapeText(error ?? signal ?? `exit code ${code}`);
  const when = delay > 0 ? ` in ${formatDuration(delay)}` : "";
  return `worker ${worker} ended (${cause}), restarting${when}`;
}

function listeningText(
  { addr, logins, gssapi, unreadVariable, workers, metrics }: Listening,
): string {
  const login = logins > 0 || gssapi ? ", login required" : ", no login";
  const unread = unreadVariable
    ? `, ${unreadVariable} not read: --allow-env=${unreadVariable} is missing`
    : "";
  const count = workers ? `, ${workers} workers` : "";
  return `socks5-server listens on ${formatEndpoint(addr)} ` +
    `(${proxyUrl(addr)}${login}${unread}${count})` +
    (metrics ? `, metrics on ${metrics}` : "");
}

/** The URL for clients on this machine. */
function proxyUrl({ hostname, port }: Address): string {
  const loopback = { "0.0.0.0": "127.0.0.1", "::": "::1" }[hostname] ??
    hostname;
  return `socks5://${formatEndpoint({ hostname: loopback, port })}`;
}

function shutdownText(
  { signal, sessions, grace }: Extract<LogRecord, { type: "shutdown" }>,
): string {
  if (sessions === 0) return `${signal}: no open sessions, exiting`;
  const number = sessions === 1 ? "1 session" : `${sessions} sessions`;
  return grace === 0
    ? `${signal}: closing ${number}`
    : `${signal}: no new clients, ${formatDuration(grace)} for ${number} ` +
      "to end (a second signal exits immediately)";
}

function sessionText(end: SessionEnd, paint: Paint): string {
  const { session } = end;
  return [
    ...sessionColumns(session),
    targetText(session.target).padEnd(24),
    `up ${String(session.sent).padStart(9)}`,
    `down ${String(session.received).padStart(10)}`,
    formatDuration(session.duration).padStart(6),
    paint(outcomeColor(end), outcomeText(end)),
  ].join("  ");
}

function deniedText(
  { session, hostname, port, address, rule }: Denied,
  paint: Paint,
): string {
  const where = address && address !== hostname ? ` as ${address}` : "";
  const cause = rule ? ` (denied by: ${rule})` : "";
  return [
    ...sessionColumns(session),
    targetText({ hostname, port }).padEnd(24),
    paint("red", escapeText(`datagram denied${where}${cause}`)),
  ].join("  ");
}

/** The client, the user and the command, as columns. */
function sessionColumns(session: Session): string[] {
  const { client, command = "-" } = session;
  return [
    formatEndpoint(client).padEnd(21),
    userText(session).padEnd(8),
    (command === "udp-associate" ? "udp" : command).padEnd(7),
  ];
}

/** The user. A user id of SOCKS4 is in parentheses, because it is only a claim. */
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
    case "login-error":
    case "protocol-error":
      return "red";
    default:
      return isDenied(end) ? "red" : "yellow";
  }
}

/** Whether the policy denied the request. */
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
  const fields = fieldsOf(record);
  if (!fields) return undefined;
  const line = JSON.stringify({
    time: now.toISOString(),
    type: record.type,
    worker,
    ...fields,
  });
  // JSON allows these characters; a terminal or a reader of lines may interpret them.
  return line.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escapeUnits);
}

function fieldsOf(record: LogRecord): Record<string, unknown> | undefined {
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
      return sessionFields(record);
    case "session-rejected":
      return {
        client: endpoint(record.client),
        reason: record.reason,
        error: record.error?.message,
      };
    case "denied":
      return deniedFields(record);
    case "accept-error":
    case "limits-error":
      return { kind: record.error.kind, error: record.error.message };
    case "own-addresses-unknown":
      return { warning: OWN_ADDRESSES_UNKNOWN };
    case "shutdown": {
      const { signal, sessions, grace } = record;
      return { signal, sessions, grace };
    }
    case "reloaded": {
      const { logins, rules, ignored, warnings } = record;
      return { logins, rules, ignored, warnings };
    }
    case "reload-failed":
      return { problems: record.problems };
    case "lines-dropped":
      return { lines: record.lines };
  }
}

function deniedFields({ session, hostname, port, address, rule }: Denied) {
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

function sessionFields(end: SessionEnd) {
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
    targetAddr: session.targetAddr && endpoint(session.targetAddr),
    boundAddr: session.boundAddr && endpoint(session.boundAddr),
    verdict: verdictOf(end),
    rule: error instanceof Denial ? error.rule : undefined,
    reply: session.reply,
    reason,
    error: error?.message,
    sent: session.sent,
    received: session.received,
    datagrams: session.datagrams,
    duration: Math.round(session.duration),
  };
}

/** The decision of the policy, or `undefined` if there was none. */
function verdictOf(end: SessionEnd): "allow" | "deny" | undefined {
  const { command, reply } = end.session;
  if (isDenied(end)) return "deny";
  const isDecided = command && reply !== undefined && !isRefusedBefore(end);
  return isDecided ? "allow" : undefined;
}

/** Whether a limit refused the request, or the server does not have the command. */
function isRefusedBefore({ reason, error }: SessionEnd): boolean {
  if (reason !== "refused") return false;
  return !error || error instanceof NetError && error.kind === "denied";
}

/** A character as the UTF-16 code units of JSON. */
function escapeUnits(character: string): string {
  return character.split("")
    .map((it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}

/** Only these two fields: an address may have others. */
function endpoint({ hostname, port }: Address): Address {
  return { hostname, port };
}
