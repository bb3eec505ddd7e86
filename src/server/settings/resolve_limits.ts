/**
 * Checks the option `limits`.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import type { Transport } from "../../transport/transport.ts";
import {
  defaultLimits,
  LIMIT_NAMES,
  type LimitName,
  LIMITS,
} from "../limits/limit_table.ts";
import type { Limits } from "../limits/limits.ts";
import { whole } from "./whole.ts";

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
