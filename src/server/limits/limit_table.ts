/**
 * The table of limits. A limit is declared by its row here and by its member of
 * {@linkcode Limits}; types, counters, defaults and error texts follow from the row.
 *
 * @module
 */

import type { Limits } from "./limits.ts";

/** How long a slot of a counted limit is held. */
type Held =
  /** From accept to the end of the session. */
  | "session"
  /** From accept to the complete request, or to the end of the session. */
  | "handshake"
  /** From the login to the end of the session. */
  | "login"
  /** Until the command that acquired it releases it. */
  | "command";

interface LimitRow {
  /** Whether the limit applies to everyone together, or to each client, user and so on. */
  readonly scope: "everyone" | "client" | "user" | "session" | "association";
  /** For counted limits, which bound how many slots of each key are held at the same time. */
  readonly held?: Held;
  /** The default; 0 means no limit. */
  readonly default: number;
  /** The default of a server beyond loopback, if it is another one. */
  readonly exposedDefault?: number;
  /** The reason that a client or request beyond the limit is rejected with. */
  readonly rejection?: string;
}

/**
 * The rows; a row without a member of {@linkcode Limits}, and a member without a row, are
 * type errors. A client is rejected for the first limit in this order that is reached;
 * the rate of its connections is checked last.
 */
export const LIMITS = {
  sessions: {
    scope: "everyone",
    held: "session",
    default: 10_000, // or fewer, see resolveLimits()
    rejection: "too many sessions",
  },
  sessionsPerClient: {
    scope: "client",
    held: "session",
    default: 0,
    rejection: "too many sessions from this address",
  },
  handshakesPerClient: {
    scope: "client",
    held: "handshake",
    default: 0,
    exposedDefault: 1_000,
    rejection: "too many unfinished handshakes from this address",
  },
  connectionsPerSecondPerClient: {
    scope: "client",
    default: 0,
    rejection: "too many connections per second from this address",
  },
  sessionsPerUser: {
    scope: "user",
    held: "login",
    default: 0,
    rejection: "too many sessions of this user",
  },
  associationsPerClient: {
    scope: "client",
    held: "command",
    default: 1_000,
    rejection: "too many UDP associations from this address",
  },
  targetsPerAssociation: { scope: "association", default: 256 },
  bytesPerSecondPerSession: { scope: "session", default: 0 },
  bytesPerSecondPerUser: { scope: "user", default: 0 },
} as const satisfies Readonly<Record<keyof Limits, LimitRow>>;

type Rows = typeof LIMITS;

type HeldFor<H extends Held> = {
  [N in keyof Rows]: Rows[N] extends { readonly held: H } ? N : never;
}[keyof Rows];

/** The name of a limit. */
export type LimitName = keyof Limits;
/** Limits whose slots are acquired at accept. */
export type AcceptLimit = HeldFor<"session" | "handshake">;
/** Limits whose slots are acquired at the login. */
export type LoginLimit = HeldFor<"login">;
/** Limits whose slots are acquired by a command. */
export type CommandLimit = HeldFor<"command">;
/** Limits whose slots are counted. */
export type CountedLimit = AcceptLimit | LoginLimit | CommandLimit;
/** The limit that a client is rejected for. */
export type RejectionReason = AcceptLimit | "connectionsPerSecondPerClient";

/** The values of some limits; `Infinity` means no limit. */
export type LimitValues<N extends LimitName = LimitName> = Readonly<
  Record<N, number>
>;

/** The limits that are checked for each connection and each login. */
export type ConnectionLimits = LimitValues<RejectionReason | LoginLimit>;

/** The key of everything that is counted for everyone together. */
export const EVERYONE = "";

/** The names of all limits. */
export const LIMIT_NAMES = Object.keys(LIMITS) as readonly LimitName[];
/** Limits whose slots are acquired at accept, in the order of the table. */
export const ACCEPT_LIMITS = namesOf("session", "handshake") as AcceptLimit[];
/** Limits whose slots are acquired by a command. */
export const COMMAND_LIMITS = namesOf("command") as CommandLimit[];

function namesOf(...held: Held[]): LimitName[] {
  return LIMIT_NAMES.filter((name) => {
    const row: LimitRow = LIMITS[name];
    return row.held !== undefined && held.includes(row.held);
  });
}

/** The defaults of a server, which may be exposed beyond loopback; 0 means no limit. */
export function defaultLimits(isExposed: boolean): LimitValues {
  return Object.fromEntries(LIMIT_NAMES.map((name) => {
    const row: LimitRow = LIMITS[name];
    return [name, isExposed && row.exposedDefault || row.default];
  })) as LimitValues;
}
