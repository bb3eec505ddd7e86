/**
 * Errors of commands that listen.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { NetError } from "../../transport/errors.ts";
import type { Address } from "../../transport/transport.ts";
import { ToolError } from "./failure.ts";

/**
 * Resolves like `listening`.
 *
 * @throws {ToolError} in place of a `NetError`, with the same text on every runtime.
 */
export async function whileListening<T>(
  place: Address,
  listening: Promise<T>,
): Promise<T> {
  try {
    return await listening;
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    const { kind, message } = error;
    const where = formatEndpoint(place);
    if (kind === "addr-in-use") {
      throw new ToolError(`${where} is in use`, EXIT.portInUse);
    }
    throw new ToolError(`cannot listen on ${where}: ${message}`);
  }
}
