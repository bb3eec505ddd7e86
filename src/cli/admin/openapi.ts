/**
 * The OpenAPI description of the Admin API.
 *
 * @module
 */

import { SESSION_KEYS } from "../serve/control/control.ts";
import { VERSION } from "../version.ts";
import { COMMANDS, LIMIT, MAX_BATCH, PHASES, USER_KEYS } from "./query.ts";
import { type Schema, SCHEMAS } from "./schemas.ts";

const DESCRIPTION = `\
All workers together. On a TCP port each request needs the token:

    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:PORT/status
    curl --unix-socket /run/socks5/admin.sock http://localhost/status

Requests of other web sites are refused (403, 421). Unknown, repeated and empty
parameters are refused (400). DELETE and POST are logged.`;

/** Statuses of errors that any request may get. */
const ERRORS: Readonly<Record<string, string>> = {
  400: "A parameter is not valid",
  401: "The token is missing or wrong",
  403: "The request is from another web site",
  421: "The Host is not this listener",
  429: "Too many wrong tokens",
  503: "The server is starting, or a worker does not answer",
};

/** An operation of the table below. */
interface Operation {
  readonly summary: string;
  /** The name of the schema of its answer. */
  readonly answer: string;
  readonly parameters?: readonly Schema[];
  /** Further errors. */
  readonly errors?: Readonly<Record<string, string>>;
}

const FILTERS = [
  query("user", {}, "The user's name"),
  query("client", {}, "The client's address, with or without its port"),
  query("target", {}, "The target, with or without its port"),
  query("command", { enum: COMMANDS }, "The command"),
  query("phase", { enum: PHASES }, "The state"),
  query("text", {}, "A part of the user, the client or the target"),
];

const LIMITED = query(
  "limit",
  { type: "integer", minimum: 0, maximum: LIMIT.max, default: LIMIT.standard },
  "How many to list",
);

const SINCE = query(
  "since",
  { type: "integer", minimum: 0, default: 0 },
  "Only samples that are later, in milliseconds since the epoch",
);

const TARGETS: Schema = {
  ...query(
    "get",
    {
      type: "array",
      items: { type: "string" },
      minItems: 1,
      maxItems: MAX_BATCH,
    },
    "The path and the parameters of each, such as /sessions?limit=3",
  ),
  required: true,
};

const ALL = query("all", { const: "true" }, "Needed if there is no filter");
const NOT_LISTED = { 501: "The store of failed logins does not list them" };

const OPERATIONS: Readonly<
  Record<string, Readonly<Record<string, Operation>>>
> = {
  "/status": {
    get: { summary: "The state and the totals", answer: "Status" },
  },
  "/history": {
    get: {
      summary: "The last ten minutes",
      answer: "History",
      parameters: [SINCE],
    },
  },
  "/sessions": {
    get: {
      summary: "Lists open sessions",
      answer: "Sessions",
      parameters: [...FILTERS, sorted(SESSION_KEYS), LIMITED],
    },
    delete: {
      summary: "Ends all sessions that match",
      answer: "Ended",
      parameters: [...FILTERS, ALL],
    },
  },
  "/sessions/{id}": {
    delete: {
      summary: "Ends a session",
      answer: "Ended",
      parameters: [inPath("id")],
      errors: { 404: "There is no such session" },
    },
  },
  "/users": {
    get: {
      summary:
        "Lists the users of open sessions, and those whose traffic is counted",
      answer: "Users",
      parameters: [sorted(USER_KEYS), LIMITED],
    },
  },
  "/lockouts": {
    get: {
      summary: "Lists the clients that are locked out",
      answer: "Lockouts",
      parameters: [LIMITED],
      errors: NOT_LISTED,
    },
    delete: {
      summary: "Unlocks all clients",
      answer: "Unlocked",
      parameters: [{ ...ALL, required: true }],
      errors: NOT_LISTED,
    },
  },
  "/lockouts/{client}": {
    delete: {
      summary: "Unlocks a client, and forgets its failed logins",
      answer: "Unlocked",
      parameters: [inPath("client")],
      errors: NOT_LISTED,
    },
  },
  "/reload": {
    post: {
      summary: "Reloads the files, as SIGHUP does",
      answer: "Reloaded",
      errors: { 409: "The new configuration is not valid, the old one stays" },
    },
  },
  "/drain": {
    post: {
      summary: "Shuts down as SIGTERM does: drain delay, grace time, end",
      answer: "Draining",
    },
  },
  "/batch": {
    get: {
      summary: "Answers several GET requests at once",
      answer: "Batch",
      parameters: [TARGETS],
    },
  },
  "/openapi.json": {
    get: { summary: "This document", answer: "Document" },
  },
};

/** The document, in OpenAPI 3.1. */
export function openapiDocument(): Readonly<Record<string, unknown>> {
  return {
    openapi: "3.1.0",
    info: {
      title: "socks5 Admin API",
      version: VERSION,
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    security: [{ token: [] }],
    paths: mapValues(OPERATIONS, (path) => mapValues(path, operation)),
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: { ...SCHEMAS, Document: { type: "object" } },
    },
  };
}

function operation(
  { summary, answer, parameters, errors }: Operation,
): Record<string, unknown> {
  return {
    summary,
    ...parameters && { parameters },
    responses: {
      200: response("Done", answer),
      ...mapValues({ ...ERRORS, ...errors }, (it) => response(it, "Error")),
    },
  };
}

function response(description: string, name: string) {
  const schema = { $ref: `#/components/schemas/${name}` };
  return { description, content: { "application/json": { schema } } };
}

function query(name: string, schema: Schema, description: string): Schema {
  const type = "enum" in schema || "const" in schema ? {} : { type: "string" };
  return { name, in: "query", description, schema: { ...type, ...schema } };
}

function inPath(name: string): Schema {
  return { name, in: "path", required: true, schema: { type: "string" } };
}

function sorted(keys: readonly string[]): Schema {
  const values = [...keys, ...keys.map((it) => `-${it}`)];
  const schema = { enum: values, default: "-received" };
  return query("sort", schema, "The order; - reverses it");
}

function mapValues<T, U>(
  values: Readonly<Record<string, T>>,
  map: (value: T) => U,
): Record<string, U> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, map(value)]),
  );
}
