/**
 * Finds sessions.
 *
 * @module
 */

import { formatEndpoint } from "../../../protocol/address.ts";
import type { Session } from "../../../server/events.ts";
import type { Address } from "../../../transport/transport.ts";
import type {
  SessionFilter,
  SessionKey,
  SessionQuery,
  SessionRow,
  SessionTexts,
} from "./control.ts";
import { firstOf, type SortKey } from "./first_of.ts";

/** The sessions of one server. */
export interface SessionSource {
  readonly sessions: readonly Session[];
  /** The number of the worker. */
  readonly worker: number | undefined;
}

/** Finds the sessions of one server. */
export function findSessions(
  source: SessionSource,
  query: SessionQuery,
): SessionTexts {
  const { sessions, worker } = source;
  const found = matching(source, query);
  const { key, sign } = orderOf(query);
  const sortKey = keyOf(key, worker);
  const first = firstOf(found, query.limit, sortKey, sign);
  return {
    total: sessions.length,
    matched: found.length,
    keys: first.map(sortKey),
    rows: first.map((it) => JSON.stringify(rowOf(it, worker))),
  };
}

/** The sessions of one server that a filter means. */
export function matching(
  { sessions, worker }: SessionSource,
  filter: SessionFilter,
): readonly Session[] {
  const conditions = conditionsOf(filter, worker);
  if (conditions.length === 0) return sessions;
  return sessions.filter((it) => conditions.every((holds) => holds(it)));
}

/** Puts the sessions of several servers together. */
export function mergeTexts(
  lists: readonly SessionTexts[],
  query: SessionQuery,
): SessionTexts {
  const { sign } = orderOf(query);
  const all = lists.flatMap(({ keys, rows }) =>
    rows.map((row, i) => ({ key: keys[i], row }))
  );
  const first = firstOf(all, query.limit, ({ key }) => key, sign);
  const sum = (name: "total" | "matched") =>
    lists.reduce((all, it) => all + it[name], 0);
  return {
    total: sum("total"),
    matched: sum("matched"),
    keys: first.map(({ key }) => key),
    rows: first.map(({ row }) => row),
  };
}

type Condition = (session: Session) => boolean;

/** What has to hold for a session, without the members that are not given. */
function conditionsOf(
  filter: SessionFilter,
  worker: number | undefined,
): readonly Condition[] {
  const { id, user, client, target, command, phase } = filter;
  const text = filter.text?.toLowerCase();
  const conditions: readonly (Condition | false)[] = [
    id !== undefined && ((it) => idOf(it, worker) === id),
    user !== undefined && ((it) => it.user === user),
    command !== undefined && ((it) => it.command === command),
    phase !== undefined && ((it) => it.phase === phase),
    client !== undefined && ((it) => isAt(it.client, client)),
    target !== undefined &&
    ((it) => it.target !== undefined && isAt(it.target, target)),
    text !== undefined && ((it) => contains(it, text)),
  ];
  return conditions.filter((it) => it !== false);
}

function isAt(address: Address, text: string): boolean {
  return address.hostname === text || endpointText(address) === text;
}

function contains({ user, userId, client, target }: Session, text: string) {
  const texts = [user, userId, endpointText(client), endpointText(target)];
  return texts.some((it) => it?.toLowerCase().includes(text));
}

function endpointText(address: Address | undefined): string | undefined {
  return address && formatEndpoint(address);
}

function idOf({ id }: Session, worker: number | undefined): string {
  return worker === undefined ? `${id}` : `${worker}-${id}`;
}

/** All members, also those that are not set, which JSON leaves out. */
type FullRow = {
  readonly [K in keyof Required<SessionRow>]: SessionRow[K] | undefined;
};

function rowOf(session: Session, worker: number | undefined): FullRow {
  return {
    id: idOf(session, worker),
    client: plain(session.client),
    protocol: session.protocol,
    tls: session.tls,
    version: session.version,
    method: session.method,
    user: session.user,
    sessionWord: session.sessionWord,
    userId: session.userId,
    phase: session.phase,
    command: session.command,
    target: plain(session.target),
    targetAddr: plain(session.targetAddr),
    boundAddr: plain(session.boundAddr),
    via: session.via,
    reply: session.reply,
    sent: session.sent,
    received: session.received,
    datagrams: session.datagrams,
    startedAt: session.startedAt,
    duration: Math.round(session.duration),
  };
}

/** Only these two members: an address may have others. */
function plain(address: Address | undefined): Address | undefined {
  return address && { hostname: address.hostname, port: address.port };
}

function orderOf({ sort }: SessionQuery): { key: SessionKey; sign: 1 | -1 } {
  return sort.startsWith("-")
    ? { key: sort.slice(1) as SessionKey, sign: -1 }
    : { key: sort as SessionKey, sign: 1 };
}

/** Returns what sessions are sorted by: chosen once, not for each of thousands of them. */
function keyOf(
  key: SessionKey,
  worker: number | undefined,
): (session: Session) => SortKey {
  switch (key) {
    case "id": { // by the worker first
      const first = (worker ?? 0) * 2 ** 40;
      return (it) => first + it.id;
    }
    case "client":
    case "target":
      return (it) => endpointText(it[key]) ?? "";
    case "user":
      return (it) => it.user ?? "";
    case "sent":
      return (it) => it.sent;
    case "received":
      return (it) => it.received;
    case "startedAt":
      return (it) => it.startedAt;
    case "duration":
      return (it) => it.duration;
  }
}
