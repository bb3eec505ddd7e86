/**
 * Ports as arguments.
 *
 * @module
 */

import { UsageError } from "../../cli/usage_error.ts";
import { isPort } from "../../protocol/octets.ts";

/** Reads a port. @throws {UsageError} if it is not 0 to 65535. */
export function parsePort(subject: string, text: string): number {
  if (/^\d{1,5}$/.test(text) && isPort(Number(text))) return Number(text);
  throw new UsageError(`${subject} must be a number from 0 to 65535`);
}
