/**
 * Checks the option `timeouts`.
 *
 * @module
 */

import { checkKeys } from "../../transport/check_keys.ts";
import type { Timeouts } from "../options.ts";
import { whole } from "./whole.ts";

/** The defaults, in milliseconds. */
const TIMEOUTS: Required<Timeouts> = {
  handshake: 10_000,
  connect: 15_000,
  idle: 300_000,
  halfClosed: 60_000,
  bind: 60_000,
  association: 300_000,
};

/**
 * Returns all timeouts, in milliseconds; 0 means no limit.
 *
 * @throws {OptionError} if one is not a whole number.
 */
export function resolveTimeouts(given: Timeouts = {}): Required<Timeouts> {
  const names = Object.keys(TIMEOUTS) as (keyof Timeouts)[];
  checkKeys(given, names, "timeouts");
  const timeouts = { ...TIMEOUTS };
  for (const name of names) {
    timeouts[name] = whole(`timeouts.${name}`, given[name] ?? TIMEOUTS[name]);
  }
  return timeouts;
}
