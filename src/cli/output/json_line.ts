/**
 * The lines of the log as JSON.
 *
 * @module
 */

import type { Session } from "../../server/events.ts";
import { LimitsError } from "../../server/limits/limits_error.ts";
import { Denial } from "../../server/policy/policy.ts";
import { NetError } from "../../transport/errors.ts";
import type { Address } from "../../transport/transport.ts";
import { escapeJson } from "./escape.ts";
import {
  isDenied,
  type LogRecord,
  OWN_ADDRESSES_UNKNOWN,
  proxyUrl,
  type SessionEnd,
} from "./record.ts";

type Denied = Extract<LogRecord, { type: "denied" }>;

/** Formats a record as an object on one line, without characters that a terminal interprets. */
export function formatJson(
  record: LogRecord,
  now: Date,
  worker: number | undefined,
): string | undefined {
  const fields = fieldsOf(record);
  if (!fields) return undefined;
  const line = JSON.stringify({
    time: now.toISOString(),
    type: record.type === "request" ? "session-start" : record.type,
    ...fields,
    ...worker !== undefined && { worker },
  });
  return escapeJson(line);
}

function fieldsOf(record: LogRecord): Record<string, unknown> | undefined {
  switch (record.type) {
    case "listening": {
      const { addr, ...rest } = record;
      return { ...endpoint(addr), url: proxyUrl(addr, rest.tls), ...rest };
    }
    case "worker-ended": {
      const { worker, code, signal, error, delay } = record;
      return { worker, code, signal, error, delay };
    }
    case "worker-started": {
      const { worker, replaces, pid } = record;
      return { worker, replaces, pid };
    }
    case "request":
      return startFields(record.session);
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
    case "drain":
      return { signal: record.signal, delay: record.delay };
    case "shutdown": {
      const { signal, sessions, grace } = record;
      return { signal, sessions, grace };
    }
    case "terminated":
      return { signal: record.signal, sessions: record.sessions };
    case "reloaded": {
      const { logins, rules, validTo, ignored, warnings } = record;
      return { logins, rules, validTo, ignored, warnings };
    }
    case "reload-failed":
      return { problems: record.problems };
    case "usage": {
      const { user, sent, received, sessions } = record;
      return { user, sent, received, sessions };
    }
    case "accounting-failed":
      return { error: record.error };
    case "shared-lost":
      return { error: record.error, strict: record.isStrict };
    case "shared-found":
      return {};
    case "admin": {
      const { act, origin, filter, count } = record;
      const client = origin === "unix" ? origin : endpoint(origin);
      return { act, client, filter, count };
    }
    case "lines-dropped":
      return { lines: record.lines };
  }
}

/** The members of a session that are known when its request is complete. */
function startFields(session: Session) {
  return {
    client: endpoint(session.client),
    id: session.id,
    protocol: session.protocol,
    tls: session.tls,
    version: session.version,
    method: session.method,
    user: session.user,
    sessionWord: session.sessionWord,
    userId: session.userId,
    command: session.command,
    target: session.target && endpoint(session.target),
  };
}

function deniedFields({ session, hostname, port, address, rule }: Denied) {
  return {
    client: endpoint(session.client),
    id: session.id,
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
    // The reason and the client come first: the filter of fail2ban relies on it.
    reason,
    ...startFields(session),
    targetAddr: session.targetAddr && endpoint(session.targetAddr),
    boundAddr: session.boundAddr && endpoint(session.boundAddr),
    via: session.via,
    verdict: verdictOf(end),
    rule: error instanceof Denial ? error.rule : undefined,
    reply: session.reply,
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

/**
 * Whether a limit refused the request or could not be checked, or the server does not have
 * the command.
 */
function isRefusedBefore({ reason, error }: SessionEnd): boolean {
  if (reason !== "refused") return false;
  return !error || error instanceof LimitsError ||
    error instanceof NetError && error.kind === "denied";
}

/** Only these two fields: an address may have others. */
function endpoint({ hostname, port }: Address): Address {
  return { hostname, port };
}
