/**
 * All limiters of one server.
 *
 * @module
 */

import type { Clock } from "../../transport/clock.ts";
import {
  type ConnectionLimiter,
  LocalConnectionLimiter,
} from "./connection_limiter.ts";
import { type KeyedLimit, LocalKeyedLimit } from "./keyed_limit.ts";
import {
  COMMAND_LIMITS,
  type CommandLimit,
  type LimitValues,
} from "./limit_table.ts";
import { RateLimiters } from "./rate_limiters.ts";

/** The limits whose slots commands acquire. */
export type CommandLimits = Readonly<Record<CommandLimit, KeyedLimit>>;

/** The limiters of one server. */
export interface ServerLimits {
  /** Sessions. */
  readonly connections: ConnectionLimiter;
  /** Resources of commands. */
  readonly commands: CommandLimits;
  /** Bytes per second. */
  readonly rateLimiters: RateLimiters;
}

/** Creates the limiters of a server that shares its limits with no other server. */
export function localLimits(limits: LimitValues, clock: Clock): ServerLimits {
  return {
    connections: new LocalConnectionLimiter(limits, clock),
    commands: commandLimits((name) => new LocalKeyedLimit(limits[name])),
    rateLimiters: new RateLimiters(limits, clock),
  };
}

/** Makes each of the limits whose slots commands acquire. */
export function commandLimits(
  make: (name: CommandLimit) => KeyedLimit,
): CommandLimits {
  const entries = COMMAND_LIMITS.map((name) => [name, make(name)]);
  return Object.fromEntries(entries) as CommandLimits;
}

/** Replaces the values of all limits. */
export function updateLimits(
  { connections, commands, rateLimiters }: ServerLimits,
  limits: LimitValues,
): void {
  connections.limits = limits;
  for (const name of COMMAND_LIMITS) commands[name].limit = limits[name];
  rateLimiters.limits = limits;
}

/** Limits that users have of their own; `undefined` for a user who has none. */
export interface UserLimits {
  readonly sessionsOf: (user: string) => number | undefined;
  readonly rateOf: (user: string) => number | undefined;
}

/** Makes the limits of users ask for those that they have of their own. */
export function setUserLimits(
  { connections, rateLimiters }: ServerLimits,
  { sessionsOf, rateOf }: UserLimits,
): void {
  connections.sessionsOf = sessionsOf;
  rateLimiters.rateOf = rateOf;
}
