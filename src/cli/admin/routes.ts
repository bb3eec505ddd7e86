/**
 * What the Admin API answers.
 *
 * @module
 */

import type { LogRecord } from "../output/record.ts";
import { addressText } from "../output/record.ts";
import type { RunningServer } from "../serve/running_server.ts";
import type { ReloadRecord } from "../serve/reload.ts";
import { firstOf } from "../serve/control/first_of.ts";
import { withTotals } from "../serve/control/users.ts";
import { VERSION } from "../version.ts";
import { type Answer, errorAnswer, jsonOf, RequestError } from "./answer.ts";
import type { CounterReader } from "./counters.ts";
import { findRoute } from "./find_route.ts";
import type { History } from "./history.ts";
import {
  FILTERS,
  MAX_BATCH,
  readLimit,
  readParameters,
  readSort,
  readTime,
  sessionFilter,
  sessionQuery,
  USER_KEYS,
} from "./query.ts";

/** An act that is logged. */
export type Act = Omit<
  Extract<LogRecord, { type: "admin" }>,
  "type" | "origin"
>;

/** What routes work with. */
export interface AdminContext {
  readonly server: RunningServer;
  readonly counters: CounterReader;
  readonly history: History;
  /** The time of the start, in milliseconds since the epoch. */
  readonly startedAt: number;
  readonly runtime: string;
  readonly isDraining: boolean;
  reload(): Promise<ReloadRecord>;
  /** Begins the shutdown. */
  drain(): void;
}

/** A request to a route. */
export interface RouteRequest {
  readonly context: AdminContext;
  /** The part of the path that the route leaves open. */
  readonly item: string;
  /** What follows `?`. */
  readonly query: string;
  /** Logs an act. */
  log(act: Act): void;
}

/** A route. */
export interface Route {
  readonly method: "GET" | "DELETE" | "POST";
  /** `{item}` at its end stands for any text without a slash. */
  readonly path: string;
  answer(request: RouteRequest): Answer | Promise<Answer>;
}

/** All routes, except for the console. */
export const ROUTES: readonly Route[] = [
  { method: "GET", path: "/status", answer: status },
  { method: "GET", path: "/history", answer: history },
  { method: "GET", path: "/sessions", answer: listSessions },
  { method: "DELETE", path: "/sessions", answer: endSessions },
  { method: "DELETE", path: "/sessions/{id}", answer: endSession },
  { method: "GET", path: "/users", answer: listUsers },
  { method: "GET", path: "/lockouts", answer: listLockouts },
  { method: "DELETE", path: "/lockouts", answer: unlockAll },
  { method: "DELETE", path: "/lockouts/{client}", answer: unlockClient },
  { method: "POST", path: "/reload", answer: reload },
  { method: "POST", path: "/drain", answer: drain },
  { method: "GET", path: "/batch", answer: batch },
  { method: "GET", path: "/openapi.json", answer: openapi },
];

async function status({ context, query }: RouteRequest): Promise<Answer> {
  readParameters(query, []);
  const { server, counters, startedAt, runtime, isDraining } = context;
  const { workers, ...totals } = await counters.recent();
  const body = {
    version: VERSION,
    runtime,
    startedAt,
    workers,
    listening: addressText(server.addr),
    isDraining,
    ...totals,
  };
  return { body };
}

function history({ context, query }: RouteRequest): Answer {
  const { since } = readParameters(query, ["since"]);
  return { body: context.history.read(readTime(since)) };
}

async function listSessions(
  { context, query }: RouteRequest,
): Promise<Answer> {
  const parameters = readParameters(query, [...FILTERS, "sort", "limit"]);
  const { control } = context.server;
  const { keys: _, rows, ...counts } = await control.sessions(
    sessionQuery(parameters),
  );
  const members = JSON.stringify(counts).slice(1, -1);
  return { text: `{${members},"sessions":[${rows.join()}]}` };
}

async function endSessions(
  { context, query, log }: RouteRequest,
): Promise<Answer> {
  const { all, ...filter } = readParameters(query, [...FILTERS, "all"]);
  checkAll(all, Object.keys(filter).length > 0);
  const ended = await context.server.control.end(sessionFilter(filter));
  log({ act: "end", filter, count: ended.ended });
  return { body: ended };
}

async function endSession(
  { context, item: id, query, log }: RouteRequest,
): Promise<Answer> {
  readParameters(query, []);
  const { ended, missing } = await context.server.control.end({ id });
  if (ended === 0) {
    throw missing
      ? new RequestError(503, "not all workers have answered")
      : new RequestError(404, "no such session");
  }
  log({ act: "end", filter: { id }, count: 1 });
  return { body: { ended: 1 } };
}

async function listUsers({ context, query }: RouteRequest): Promise<Answer> {
  const { sort, limit } = readParameters(query, ["sort", "limit"]);
  const order = readSort(sort, USER_KEYS, "-received");
  const { server } = context;
  const [{ users: open, ...rest }, totals] = await Promise.all([
    server.control.users(),
    server.userTotals(),
  ]);
  const users = withTotals(open, totals);
  const sign = order.startsWith("-") ? -1 : 1;
  const key = order.replace(/^-/, "") as typeof USER_KEYS[number];
  const first = firstOf(
    users,
    readLimit(limit),
    (it) => it[key],
    sign,
  );
  return { body: { total: users.length, users: first, ...rest } };
}

async function listLockouts({ context, query }: RouteRequest): Promise<Answer> {
  const { limit } = readParameters(query, ["limit"]);
  const lockouts = await context.server.control.lockouts();
  if (!lockouts) throw notListed();
  const first = lockouts.slice(0, readLimit(limit));
  return { body: { total: lockouts.length, lockouts: first } };
}

async function unlockAll(
  { context, query, log }: RouteRequest,
): Promise<Answer> {
  const { all } = readParameters(query, ["all"]);
  checkAll(all, false);
  return await unlock(context, undefined, log);
}

async function unlockClient(
  { context, item: client, query, log }: RouteRequest,
): Promise<Answer> {
  readParameters(query, []);
  return await unlock(context, client, log);
}

async function unlock(
  { server }: AdminContext,
  client: string | undefined,
  log: RouteRequest["log"],
): Promise<Answer> {
  const unlocked = await server.control.unlock(client);
  if (unlocked === undefined) throw notListed();
  const filter = client === undefined ? undefined : { client };
  log({ act: "unlock", filter, count: unlocked });
  return { body: { unlocked } };
}

function notListed(): RequestError {
  return new RequestError(501, "the store of failed logins does not list them");
}

function checkAll(all: string | undefined, isFiltered: boolean): void {
  if (all !== undefined && all !== "true") {
    throw new RequestError(400, "all must be true");
  }
  if (isFiltered === (all === undefined)) return;
  throw new RequestError(
    400,
    isFiltered
      ? "all and filters exclude each other"
      : "give a filter, or all=true for all of them",
  );
}

async function reload({ context, query, log }: RouteRequest): Promise<Answer> {
  readParameters(query, []);
  log({ act: "reload" });
  const { type, ...result } = await context.reload();
  return type === "reloaded" ? { body: { reloaded: true, ...result } } : {
    status: 409,
    body: { error: "the old configuration stays in use", ...result },
  };
}

function drain({ context, query, log }: RouteRequest): Answer {
  readParameters(query, []);
  if (!context.isDraining) log({ act: "drain" });
  return { body: { draining: true }, afterwards: () => context.drain() };
}

/** Answers several requests at once: the console asks once a second. */
async function batch(request: RouteRequest): Promise<Answer> {
  const parameters = [...new URLSearchParams(request.query)];
  if (parameters.some(([name]) => name !== "get")) {
    throw new RequestError(400, "unknown parameter: known is get");
  }
  const { length } = parameters;
  if (length === 0 || length > MAX_BATCH) {
    throw new RequestError(400, `give get from 1 to ${MAX_BATCH} times`);
  }
  const answers = await Promise.all(
    parameters.map(async ([, target]) => {
      const answer = await answerOf(request, target);
      return `{"status":${answer.status ?? 200},"body":${jsonOf(answer)}}`;
    }),
  );
  return { text: `{"answers":[${answers.join()}]}` };
}

async function answerOf(
  { context, log }: RouteRequest,
  target: string,
): Promise<Answer> {
  try {
    const { route, ...rest } = findRoute(ROUTES, "GET", target);
    if (route.answer === batch) {
      throw new RequestError(400, "a batch cannot contain another one");
    }
    return await route.answer({ context, log, ...rest });
  } catch (error) {
    if (error instanceof RequestError) return errorAnswer(error);
    throw error;
  }
}

async function openapi({ query }: RouteRequest): Promise<Answer> {
  readParameters(query, []);
  const { openapiDocument } = await import("./openapi.ts");
  return { body: openapiDocument() };
}
