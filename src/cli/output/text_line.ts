/**
 * The lines of the log as text.
 *
 * @module
 */

import { type Endpoint, formatEndpoint, isIp } from "../../protocol/address.ts";
import { statusText } from "../../protocol/http_status.ts";
import { replyText } from "../../protocol/reply.ts";
import type { Session } from "../../server/events.ts";
import { escapeField, escapeText, showMessage } from "./escape.ts";
import { formatBytes } from "./format_bytes.ts";
import { formatDuration } from "./format_duration.ts";
import {
  addressText,
  isDenied,
  type LogRecord,
  OWN_ADDRESSES_UNKNOWN,
  proxyUrl,
  type SessionEnd,
  validText,
} from "./record.ts";

/** Options of {@linkcode formatText}. */
export interface TextOptions {
  /** Whether the line is for a terminal: in columns, and without the date. */
  readonly isTerminal?: boolean;
  readonly colors?: boolean;
}

/** A record and its type. */
type RecordOf<T extends LogRecord["type"]> = Extract<LogRecord, { type: T }>;

/** The parameters of the escape sequences of colours. */
const COLORS = { dim: 2, red: 31, green: 32, yellow: 33 } as const;

type Color = keyof typeof COLORS;
type Paint = (color: Color, text: string) => string;

const paint: Paint = (color, text) => `\x1b[${COLORS[color]}m${text}\x1b[0m`;

/**
 * The columns of a session on a terminal: the usual lengths, so that a line has at most
 * 100 columns unless a value is longer.
 */
const WIDTHS = { outcome: 11, client: 21, user: 5, target: 24, bytes: 9 };

type Column = keyof typeof WIDTHS;

/** How the parts of a line look. */
interface Style {
  readonly paint: Paint;
  /** Text in a column. Elsewhere than on a terminal, columns have no width. */
  column(name: Column, text: string, color?: Color): string;
}

function styleOf({ isTerminal = false, colors = false }: TextOptions): Style {
  const style: Style = {
    paint: colors ? paint : (_, text) => text,
    column(name, text, color) {
      const missing = isTerminal ? Math.max(0, WIDTHS[name] - text.length) : 0;
      const shown = color ? style.paint(color, text) : text;
      return shown + " ".repeat(missing);
    },
  };
  return style;
}

/** Formats a record as text. Returns `undefined` for a record that is not printed. */
export function formatText(
  record: LogRecord,
  now: Date,
  options: TextOptions,
): string | undefined {
  if (record.type === "listening") return listeningText(record);
  const style = styleOf(options);
  const text = eventText(record, style);
  const time = options.isTerminal ? localTime(now) : isoTime(now);
  return text && `${style.paint("dim", time)} ${text}`;
}

/** The time of day, such as `10:22:31`. */
function localTime(now: Date): string {
  return now.toTimeString().slice(0, 8);
}

/** Without milliseconds, such as `2026-11-03T10:22:31Z`. */
function isoTime(now: Date): string {
  return now.toISOString().replace(/\.\d+/, "");
}

function eventText(
  record: Exclude<LogRecord, { type: "listening" }>,
  style: Style,
): string | undefined {
  const { paint } = style;
  switch (record.type) {
    case "session-end":
      return endText(record, style);
    case "request":
      return startText(record.session, style);
    case "denied":
      // Of the other commands, the line of the session's end has it.
      return record.session.command === "udp-associate"
        ? deniedText(record, style)
        : undefined;
    case "session-rejected":
      return rejectedText(record, style);
    case "accept-error":
      return paint(
        "red",
        `accepting a connection failed: ${showMessage(record.error.message)}`,
      );
    case "limits-error":
      return paint("red", showMessage(record.error.message));
    case "own-addresses-unknown":
      return paint("yellow", OWN_ADDRESSES_UNKNOWN);
    case "drain":
      return `${record.signal}: not ready, new clients are accepted for ` +
        formatDuration(record.delay);
    case "shutdown":
      return shutdownText(record);
    case "terminated":
      return `${record.signal}: exiting at once, ` +
        `${sessionsText(record.sessions)} cut off`;
    case "worker-ended":
      return paint("red", workerEndedText(record));
    case "worker-started":
      return `worker ${record.worker} started in place of worker ${record.replaces}`;
    case "reloaded":
      return reloadedText(record);
    case "reload-failed":
      return paint(
        "red",
        `not reloaded, the old configuration stays in use: ${
          record.problems.join("; ")
        }`,
      );
    case "usage":
      return usageText(record, style);
    case "accounting-failed":
      return paint(
        "red",
        `the accounting file is not written: ${showMessage(record.error)}`,
      );
    case "shared-lost":
      return paint("yellow", sharedLostText(record));
    case "shared-found":
      return "limits are shared again: Redis answers";
    case "admin":
      return adminText(record, style);
    case "lines-dropped":
      return paint("yellow", droppedText(record.lines));
  }
}

function usageText(record: RecordOf<"usage">, { column }: Style): string {
  const { user, sent, received, sessions } = record;
  return [
    column("outcome", "usage"),
    column("user", escapeField(user)),
    column("bytes", `${formatBytes(sent)}/${formatBytes(received)}`),
    sessionsText(sessions),
  ].join(" ");
}

function reloadedText(
  { logins, rules, validTo, ignored, warnings = [] }: RecordOf<"reloaded">,
): string {
  const restart = ignored.length > 0
    ? `; a restart is needed to change ${ignored.join(", ")}`
    : "";
  const doubts = warnings.map((it) => `; warning: ${it}`).join("");
  const until = validTo ? `, ${validText(validTo)}` : "";
  return `reloaded: logins ${logins}, rules ${rules}${until}${restart}${doubts}`;
}

function sharedLostText({ error, isStrict }: RecordOf<"shared-lost">): string {
  const result = isStrict
    ? "logins with shared limits are refused"
    : "limits hold for this machine alone";
  return `${result}: Redis does not answer (${showMessage(error)})`;
}

function adminText(
  { act, filter = {}, count, origin }: RecordOf<"admin">,
  { paint }: Style,
): string {
  const words = Object.entries(filter).map(([key, value]) =>
    `${key}=${escapeField(value)}`
  );
  const what = count === undefined ? [] : [`${count}`];
  const from = origin === "unix" ? origin : addressText(origin);
  const text = ["admin", from, act, ...what, ...words].join(" ");
  return act === "login-failed" ? paint("red", text) : text;
}

function droppedText(lines: number): string {
  const number = lines === 1 ? "1 line" : `${lines} lines`;
  return `${number} dropped here: the reader of the log was too slow`;
}

function workerEndedText(
  { worker, code, signal, error, delay }: RecordOf<"worker-ended">,
): string {
  const cause = showMessage(error ?? signal ?? `exit code ${code}`);
  const when = delay > 0 ? ` in ${formatDuration(delay)}` : "";
  return `worker ${worker} ended (${cause}), restarting${when}`;
}

function listeningText(record: RecordOf<"listening">): string {
  const { addr, tls, plainAddr, unreadVariable, workers } = record;
  const { metrics, admin } = record;
  const certificate = tls ? `, ${validText(tls.validTo)}` : "";
  const unread = unreadVariable
    ? `, ${unreadVariable} not read: --allow-env=${unreadVariable} is missing`
    : "";
  const count = workers ? `, ${workers} workers` : "";
  const url = proxyUrl(addr, tls);
  const facts = `${loginText(record)}${certificate}${unread}${count}`;
  return `socks5 listens on ${addressText(addr)} ` +
    `(${url === undefined ? facts.slice(2) : url + facts})` +
    (plainAddr ? `, without TLS on ${addressText(plainAddr)}` : "") +
    (metrics ? `, metrics on ${metrics}` : "") +
    (admin ? `, admin on ${admin}` : "");
}

function loginText(
  { logins, gssapi, authCommand, tls }: RecordOf<"listening">,
): string {
  const login = logins > 0 || gssapi || authCommand ? ", login required" : "";
  const certificate = tls?.asksClients ? ", client certificate required" : "";
  return `${login}${certificate}` || ", no login";
}

function shutdownText(
  { signal, sessions, grace }: RecordOf<"shutdown">,
): string {
  if (sessions === 0) return `${signal}: no open sessions, exiting`;
  const number = sessionsText(sessions);
  return grace === 0
    ? `${signal}: closing ${number}`
    : `${signal}: no new clients, ${formatDuration(grace)} for ${number} ` +
      "to end (a second signal exits immediately)";
}

function sessionsText(sessions: number): string {
  return sessions === 1 ? "1 session" : `${sessions} sessions`;
}

function endText(end: SessionEnd, { column }: Style): string {
  const { session, reason } = end;
  const { sent, received, duration } = session;
  const bytes = `${formatBytes(sent)}/${formatBytes(received)}`;
  return [
    column("outcome", reason, outcomeColor(end)),
    column("client", addressText(session.client)),
    column("user", userText(session)),
    column("target", requestText(session)),
    column("bytes", bytes),
    formatDuration(duration),
    ...detailsOf(end),
  ].join(" ");
}

function startText(session: Session, { column }: Style): string {
  return [
    column("outcome", "start"),
    column("client", addressText(session.client)),
    column("user", userText(session)),
    requestText(session),
  ].join(" ");
}

function deniedText(
  { session, hostname, port, address, rule }: RecordOf<"denied">,
  { column }: Style,
): string {
  const where = address && address !== hostname ? ` as ${address}` : "";
  const cause = rule ? ` (denied by: ${rule})` : "";
  return [
    column("outcome", "denied", "red"),
    column("client", addressText(session.client)),
    column("user", userText(session)),
    column("target", requestText({ ...session, target: { hostname, port } })),
    escapeText(`datagram${where}${cause}`),
  ].join(" ");
}

function rejectedText(
  { client, reason, error }: RecordOf<"session-rejected">,
  { column }: Style,
): string {
  const cause = error ? ` (${error.message})` : "";
  return [
    column("outcome", "rejected", "red"),
    column("client", addressText(client)),
    showMessage(`${reason}${cause}`),
  ].join(" ");
}

/** The user. A user id of SOCKS4 is in parentheses, because it is only a claim. */
function userText({ user, userId }: Session): string {
  if (user) return escapeField(user);
  return userId ? `(${escapeField(userId)})` : "-";
}

/** The target, after the command if that is not CONNECT. */
function requestText(
  { command, target }: Pick<Session, "command" | "target">,
): string {
  switch (command) {
    case "bind":
      return `bind ${targetText(target)}`;
    case "udp-associate":
      return `udp ${targetText(target)}`;
    case "resolve":
      return `resolve ${targetText(target)}`;
    case "resolve-ptr":
      return `reverse ${targetText(target)}`;
    default:
      return targetText(target);
  }
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
    case "tls-failed":
      return "red";
    default:
      return isDenied(end) ? "red" : "yellow";
  }
}

/** The reply of a refused request, the datagrams of an association, and the error. */
function detailsOf({ session, reason, error }: SessionEnd): string[] {
  const { version, reply, datagrams } = session;
  const details: string[] = [];
  if (reason === "refused" && reply !== undefined) {
    details.push(version ? replyText(version, reply) : statusText(reply));
  } else if (datagrams) {
    const { sent, received, dropped } = datagrams;
    details.push(
      `datagrams: ${sent} up, ${received} down, ${dropped} dropped`,
    );
  }
  if (error) details.push(`(${showMessage(error.message)})`);
  return details;
}
