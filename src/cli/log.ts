/**
 * What the program prints of what happens, as lines.
 *
 * @module
 */

import { formatEndpoint, isIp } from "../protocol/address.ts";
import { replyText } from "../protocol/reply.ts";
import type { ServerEvent, Session } from "../server/events.ts";
import type { Address } from "../transport/transport.ts";
import { formatDuration } from "./duration.ts";
import { escapeField, escapeText } from "./escape.ts";

/** The values of `--log`. */
export const LOG_FORMATS = ["text", "json", "off"] as const;

/** How much is printed, and in which form. */
export type LogFormat = typeof LOG_FORMATS[number];

/** What may be printed: some of the server's events, and what the program itself does. */
export type LogRecord =
  | Exclude<ServerEvent, { type: "listening" | "shutdown" }>
  | {
    readonly type: "listening";
    readonly addr: Address;
    /** How many logins there are; 0 means that none is needed. */
    readonly logins: number;
  }
  | {
    readonly type: "shutdown";
    readonly signal: string;
    /** How many sessions are open. */
    readonly sessions: number;
    readonly graceMs: number;
  };

type SessionEnd = Extract<LogRecord, { type: "session-end" }>;

/** The line for a record, or `undefined` when it has none. */
export function formatRecord(
  format: LogFormat,
  record: LogRecord,
  now: Date,
): string | undefined {
  if (format === "json") return formatJson(record, now);
  const ofProgram = record.type === "listening" || record.type === "shutdown";
  return format === "text" || ofProgram ? formatText(record, now) : undefined;
}

function formatText(record: LogRecord, now: Date): string | undefined {
  const time = now.toISOString();
  switch (record.type) {
    case "listening":
      return listeningText(record.addr, record.logins);
    case "session-end":
      return `${time}  ${sessionText(record, now)}`;
    case "session-rejected":
      return `${time}  ${formatEndpoint(record.client).padEnd(21)}  ` +
        "rejected: too many connections";
    case "accept-error":
      return `${time}  accepting a connection failed: ` +
        escapeText(record.error.message);
    case "shutdown":
      return `${time}  ${shutdownText(record)}`;
  }
}

function listeningText(addr: Address, logins: number): string {
  const login = logins > 0 ? ", login needed" : "";
  return `socks5-server listens on ${formatEndpoint(addr)} ` +
    `(${proxyUrl(addr)}${login})`;
}

/** The URL that clients on this machine use. */
function proxyUrl({ hostname, port }: Address): string {
  const here = { "0.0.0.0": "127.0.0.1", "::": "::1" }[hostname] ?? hostname;
  return `socks5://${formatEndpoint({ hostname: here, port })}`;
}

function shutdownText(
  { signal, sessions, graceMs }: Extract<LogRecord, { type: "shutdown" }>,
): string {
  if (sessions === 0) return `${signal}: no session is open, the end`;
  const number = sessions === 1 ? "1 session" : `${sessions} sessions`;
  return graceMs === 0
    ? `${signal}: ending ${number}`
    : `${signal}: no new clients, ${formatDuration(graceMs)} for ${number} ` +
      "to end (a second signal ends at once)";
}

function sessionText(end: SessionEnd, now: Date): string {
  const { session } = end;
  return [
    formatEndpoint(session.client).padEnd(21),
    userText(session).padEnd(8),
    (session.command ?? "-").padEnd(7),
    targetText(session).padEnd(24),
    `up ${String(session.sent).padStart(9)}`,
    `down ${String(session.received).padStart(10)}`,
    formatDuration(now.getTime() - session.startedAt).padStart(6),
    outcomeText(end),
  ].join("  ");
}

/** The user id of SOCKS4 is only claimed: it stands in parentheses. */
function userText({ user, userId }: Session): string {
  if (user) return escapeField(user);
  return userId ? `(${escapeField(userId)})` : "-";
}

function targetText({ target }: Session): string {
  if (!target) return "-";
  const { hostname, port } = target;
  return formatEndpoint({
    hostname: isIp(hostname) ? hostname : escapeField(hostname),
    port,
  });
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

function formatJson(record: LogRecord, now: Date): string | undefined {
  const facts = factsOf(record, now);
  if (!facts) return undefined;
  const line = JSON.stringify({
    time: now.toISOString(),
    type: record.type,
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
      const { addr, logins } = record;
      return { ...endpoint(addr), url: proxyUrl(addr), logins };
    }
    case "session-end":
      return sessionFacts(record, now);
    case "session-rejected":
      return { client: endpoint(record.client) };
    case "accept-error":
      return { kind: record.error.kind, error: record.error.message };
    case "shutdown": {
      const { signal, sessions, graceMs } = record;
      return { signal, sessions, graceMs };
    }
  }
}

function sessionFacts({ session, reason, error }: SessionEnd, now: Date) {
  return {
    id: session.id,
    client: endpoint(session.client),
    version: session.version,
    method: session.method,
    user: session.user,
    userId: session.userId,
    command: session.command,
    target: session.target && endpoint(session.target),
    targetAddress: session.targetAddress && endpoint(session.targetAddress),
    bound: session.bound && endpoint(session.bound),
    reply: session.reply,
    reason,
    error: error?.message,
    sent: session.sent,
    received: session.received,
    datagrams: session.datagrams,
    durationMs: Math.max(0, now.getTime() - session.startedAt),
  };
}

/** Nothing but these two, whatever else an address may carry. */
function endpoint({ hostname, port }: Address): Address {
  return { hostname, port };
}
