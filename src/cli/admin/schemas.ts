/**
 * The JSON Schemas of the answers of the Admin API.
 *
 * @module
 */

import { COMMANDS, PHASES } from "./query.ts";

/** A JSON Schema (draft 2020-12). */
export type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: "string" };
const flag: Schema = { type: "boolean" };
const texts: Schema = { type: "array", items: text };

function whole(description: string): Schema {
  return { type: "integer", minimum: 0, description };
}

const time = (description: string) =>
  whole(`${description}, in milliseconds since the epoch`);

/** An object whose members are required, unless their name ends with `?`. */
function object(members: Readonly<Record<string, Schema>>): Schema {
  const entries = Object.entries(members);
  const names = entries.map(([name]) => name);
  return {
    type: "object",
    properties: Object.fromEntries(
      entries.map(([name, schema]) => [name.replace("?", ""), schema]),
    ),
    required: names.filter((it) => !it.endsWith("?")),
    additionalProperties: false,
  };
}

function list(items: Schema): Schema {
  return { type: "array", items };
}

function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const missing = {
  "missing?": whole("Workers that have not answered in time, if there are any"),
};

const address = object({ hostname: text, port: whole("The port") });

const session = object({
  id: {
    type: "string",
    pattern: "^(\\d+-)?\\d+$",
    description:
      "With several workers, the number of the worker comes first. " +
      "No other session gets this id while the program runs.",
  },
  client: ref("Address"),
  startedAt: time("The start"),
  duration: whole("How long the session has lasted, in milliseconds"),
  phase: { enum: PHASES },
  "protocol?": { enum: ["socks4", "socks5", "http"] },
  "version?": { enum: [4, 5] },
  "tls?": object({ version: text, "clientName?": text, "alpn?": text }),
  "method?": text,
  "user?": { ...text, description: "Only a claim in the phase handshake" },
  "sessionWord?": {
    ...text,
    description: "The session word of the login, which chooses `via`",
  },
  "userId?": {
    ...text,
    description: "The user id that a SOCKS4 client claims",
  },
  "command?": { enum: COMMANDS },
  "target?": ref("Address"),
  "targetAddr?": ref("Address"),
  "boundAddr?": ref("Address"),
  "via?": {
    ...text,
    description: "The address of the server's machine to connect from",
  },
  "reply?": whole("The number of the reply that was sent, or the HTTP status"),
  sent: whole("Bytes from the client to the target so far"),
  received: whole("Bytes from the target to the client so far"),
  "datagrams?": object({
    sent: whole("Datagrams to targets"),
    received: whole("Datagrams from targets"),
    dropped: whole("Datagrams that were dropped"),
  }),
});

const usage = object({
  sent: whole("Bytes from the user"),
  received: whole("Bytes to the user"),
  sessions: whole("Sessions that have started"),
});

/** The schemas by their names. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Error: object({ error: text, "problems?": texts }),
  Address: address,
  Session: session,
  Status: object({
    version: text,
    runtime: text,
    startedAt: time("The start of the program"),
    workers: whole("The workers that are listening"),
    listening: { ...text, description: "The address of the proxy" },
    isDraining: flag,
    sessions: whole("Open sessions that have sent their first byte"),
    sent: whole("Bytes from clients to targets since the start"),
    received: whole("Bytes from targets to clients since the start"),
    started: whole("Sessions that have started"),
    rejected: whole("Clients that were rejected before their handshake"),
    denied: whole("Targets that were denied"),
  }),
  History: object({
    interval: { const: 1000, description: "Milliseconds between samples" },
    samples: {
      type: "array",
      maxItems: 600,
      items: {
        type: "array",
        description: "Time, open sessions, bytes sent and received since the " +
          "sample before. There are none while nobody asks.",
        prefixItems: [
          time("The time"),
          whole("Open sessions"),
          whole("Bytes sent"),
          whole("Bytes received"),
        ],
        minItems: 4,
        maxItems: 4,
      },
    },
  }),
  Sessions: object({
    total: whole("Open sessions"),
    matched: whole("Those that match the filter"),
    sessions: list(ref("Session")),
    ...missing,
  }),
  Ended: object({ ended: whole("Sessions that were ended"), ...missing }),
  Users: object({
    total: whole("Users with open sessions, or with totals"),
    users: list(object({
      name: text,
      sessions: whole("Open sessions"),
      sent: whole("Bytes of these sessions so far"),
      received: whole("Bytes of these sessions so far"),
      "quota?": object({
        bytes: whole("Bytes in both directions"),
        per: { enum: ["day", "month"] },
        used: whole("Those that are used"),
      }),
      "until?": time("When the account expires"),
      "totals?": object({ total: usage, day: usage, month: usage }),
    })),
    ...missing,
  }),
  Lockouts: object({
    total: whole("Clients that are locked out"),
    lockouts: list(object({
      client: { ...text, description: "An IPv4 address or an IPv6 /64" },
      failed: whole("Failed logins"),
      until: time("The end of the lockout"),
    })),
  }),
  Unlocked: object({ unlocked: whole("Clients that were locked out") }),
  Reloaded: object({
    reloaded: { const: true },
    logins: whole("Logins"),
    rules: whole("Rules"),
    ignored: { ...texts, description: "Options that need a restart" },
    "validTo?": { ...text, format: "date-time" },
    "warnings?": texts,
  }),
  Batch: object({
    answers: list(object({
      status: whole("The status that the request would have got alone"),
      body: { type: "object", description: "Its answer, or its error" },
    })),
  }),
  Draining: object({ draining: { const: true } }),
};
