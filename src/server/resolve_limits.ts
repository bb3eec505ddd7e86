/**
 * Checks the options that are numbers: limits and timeouts.
 *
 * @module
 */

import { checkKeys } from "../transport/check_keys.ts";
import type { Transport } from "../transport/transport.ts";
import type { SharedLimitsStore } from "./cluster/store.ts";
import {
  defaultLimits,
  LIMIT_NAMES,
  type LimitName,
  LIMITS,
} from "./limits/limit_table.ts";
import type { Limits } from "./limits/limits.ts";
import { ANY_NUMBER, NOT_SHARED, type Sharing } from "./limits/sharing.ts";
import {
  type AccountingOptions,
  OptionError,
  type SharedLimits,
  type Timeouts,
} from "./options.ts";

/** The defaults. */
const TIMEOUTS: Required<Timeouts> = {
  handshake: 10_000,
  connect: 15_000,
  idle: 300_000,
  halfClosed: 60_000,
  bind: 60_000,
  association: 300_000,
};

export function resolveTimeouts(given: Timeouts = {}): Required<Timeouts> {
  const names = Object.keys(TIMEOUTS) as (keyof Timeouts)[];
  checkKeys(given, names, "timeouts");
  const timeouts = { ...TIMEOUTS };
  for (const name of names) {
    timeouts[name] = whole(`timeouts.${name}`, given[name] ?? TIMEOUTS[name]);
  }
  return timeouts;
}

/** Descriptors reserved for everything except sessions. */
const SPARE_DESCRIPTORS = 32;

/** Returns the limits; `Infinity` means no limit. */
export async function resolveLimits(
  given: Limits = {},
  isExposed: boolean,
  transport: Transport,
): Promise<Required<Limits>> {
  checkKeys(given, LIMIT_NAMES, "limits");
  const defaults = {
    ...defaultLimits(isExposed),
    sessions: given.sessions ?? await possibleSessions(transport),
  };
  const limits = {} as Record<LimitName, number>;
  for (const name of LIMIT_NAMES) {
    const value = given[name] ?? defaults[name];
    limits[name] = whole(`limits.${name}`, value) || Infinity;
  }
  return limits;
}

/** The default of `limits.sessions`, or fewer if this process may not open enough descriptors. */
async function possibleSessions(transport: Transport): Promise<number> {
  const descriptors = await transport.descriptorLimit?.() ?? Infinity;
  const possible = Math.floor((descriptors - SPARE_DESCRIPTORS) / 2);
  return Math.max(1, Math.min(LIMITS.sessions.default, possible));
}

/** {@linkcode SharedLimits}, checked. */
export interface SharingSettings {
  readonly store: SharedLimitsStore;
  readonly servers: Sharing;
}

export function resolveSharedLimits(
  given: SharedLimits | undefined,
): SharingSettings | undefined {
  if (!given) return undefined;
  const { store } = given;
  checkKeys(given, ["store", "servers", "limits", "exact"], "sharedLimits");
  const missing = STORE_METHODS.find((it) => typeof store?.[it] !== "function");
  if (missing) {
    throw new OptionError(
      "sharedLimits.store",
      `sharedLimits.store must have a method ${missing}()`,
    );
  }
  const servers = given.servers === undefined
    ? ANY_NUMBER
    : whole("sharedLimits.servers", given.servers, { min: 1 });
  const { limits = LIMIT_NAMES, exact = [] } = given;
  checkLimitNames("limits", limits);
  checkLimitNames("exact", exact);
  const entries = LIMIT_NAMES.map((name) => [
    name,
    !limits.includes(name)
      ? NOT_SHARED
      : exact.includes(name)
      ? ANY_NUMBER
      : servers,
  ]);
  return { store, servers: Object.fromEntries(entries) as Sharing };
}

function checkLimitNames(
  option: "limits" | "exact",
  names: readonly LimitName[],
): void {
  const name = `sharedLimits.${option}`;
  if (!Array.isArray(names)) {
    throw new OptionError(name, `${name} must be a list of limits`);
  }
  const unknown = names.find((it) => !LIMIT_NAMES.includes(it));
  if (unknown === undefined) return;
  throw new OptionError(name, `${name} has no limit ${String(unknown)}`);
}

const STORE_METHODS = [
  "acquire",
  "release",
  "forceAcquire",
  "pass",
  "cancel",
] as const satisfies readonly (keyof SharedLimitsStore)[];

/** Without the option, sessions are not looked at between their beginning and their end. */
export function resolveAccounting(given: AccountingOptions | undefined) {
  checkKeys(given ?? {}, ["store", "interval"], "accounting");
  const { store, interval = given ? 60_000 : 0 } = given ?? {};
  if (store !== undefined && typeof store?.add !== "function") {
    const text = "accounting.store must have a method add()";
    throw new OptionError("accounting.store", text);
  }
  return { store, interval: whole("accounting.interval", interval) };
}

/** The longest timeout that the timers of all runtimes support, in milliseconds. */
const MAX = 2 ** 31 - 1;

/** Checks a whole number, by default one that a timeout or a limit may have. */
export function whole(
  name: string,
  value: number,
  { min = 0, max = MAX }: { min?: number; max?: number } = {},
): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new OptionError(
    name,
    `${name} must be a whole number from ${min} to ${max}`,
  );
}
