/**
 * The protection levels of RFC 1961.
 *
 * @module
 */

import type { GssContext } from "./provider.ts";

/**
 * How everything after the login is protected (RFC 1961 section 4.1):
 *
 * - 2: encrypted and signed
 * - 1: signed, in clear
 * - 0: not at all, as after any other login. The RFC does not have it; curl before
 *   8.15 and Dante do
 *
 * Level 3, which protects each message in a way of its own, is not supported.
 */
export type ProtectionLevel = 0 | 1 | 2;

/** The levels by default, in the order of preference. */
export const DEFAULT_LEVELS: readonly ProtectionLevel[] = [2, 1];

/**
 * Checks a list of levels, which JavaScript or a configuration has given.
 *
 * @throws {TypeError} if it is not a list of different levels, at least one.
 */
export function checkLevels(levels: readonly ProtectionLevel[]): void {
  const isList = Array.isArray(levels) && levels.length > 0 &&
    new Set(levels).size === levels.length &&
    levels.every((it) => it === 0 || it === 1 || it === 2);
  if (isList) return;
  throw new TypeError(
    "levels must be a list of 2, 1 or 0, each at most once, in the order of preference",
  );
}

/** Whether an established context can protect messages at a level. */
export function supports(
  { integrity, confidentiality }: GssContext,
  level: ProtectionLevel,
): boolean {
  return level === 0 || integrity && (level === 1 || confidentiality);
}
