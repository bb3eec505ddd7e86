/**
 * Finds sessions.
 *
 * @module
 */

import { formatEndpoint } from "../../../protocol/address.ts";
import type { Session, SessionFacts } from "../../../server/events.ts";
import type { Address } from "../../../transport/transport.ts";
import type {
  SessionFilter,
  SessionKey,
  SessionPage,
  SessionQuery,
  SessionRow,
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
): SessionPage {
  const { sessions, worker } = source;
  const found = matching(source, query);
  const { key, sign } = orderOf(query);
  const first = firstOf(found, query.limit, (it) => keyOf(key, it), sign);
  return {
    total: sessions.length,
    matched: found.length,
    sessions: first.map((it) => rowOf(it, worker)),
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

/** Puts pages of several servers together. */
export function mergePages(
  pages: readonly SessionPage[],
  query: SessionQuery,
): SessionPage {
  const { key, sign } = orderOf(query);
  const sum = (name: "total" | "matched") =>
    pages.reduce((all, it) => all + it[name], 0);
  return {
    total: sum("total"),
    matched: sum("matched"),
    sessions: firstOf(
      pages.flatMap(({ sessions }) => sessions),
      query.limit,
      (it) => keyOf(key, it),
      sign,
    ),
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

function rowOf(session: Session, worker: number | undefined): SessionRow {
  const { client, target, targetAddr, boundAddr, ...facts } = session.toJSON();
  return {
    ...facts,
    id: idOf(session, worker),
    client: plain(client),
    ...target && { target: plain(target) },
    ...targetAddr && { targetAddr: plain(targetAddr) },
    ...boundAddr && { boundAddr: plain(boundAddr) },
    duration: Math.round(facts.duration),
  };
}

/** Only these two members: an address may have others. */
function plain({ hostname, port }: Address): Address {
  return { hostname, port };
}

function orderOf({ sort }: SessionQuery): { key: SessionKey; sign: 1 | -1 } {
  return sort.startsWith("-")
    ? { key: sort.slice(1) as SessionKey, sign: -1 }
    : { key: sort as SessionKey, sign: 1 };
}

function keyOf(
  key: SessionKey,
  session: Omit<SessionFacts, "id"> & { readonly id: number | string },
): SortKey {
  switch (key) {
    case "id":
      return numberOf(session.id);
    case "client":
    case "target":
      return endpointText(session[key]) ?? "";
    case "user":
      return session.user ?? "";
    default:
      return session[key];
  }
}

/** Sorts by the worker first. */
function numberOf(id: number | string): number {
  if (typeof id === "number") return id;
  const [number, worker] = id.split("-").reverse().map(Number);
  return (worker ?? 0) * 2 ** 40 + number;
}
