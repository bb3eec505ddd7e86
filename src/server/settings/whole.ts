/**
 * The check of options that are whole numbers.
 *
 * @module
 */

import { OptionError } from "../option_error.ts";

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
