/**
 * The errors of the client's commands, and how to correct them.
 *
 * @module
 */

import { EXIT } from "../../cli/failure.ts";
import { showMessage } from "../../cli/output/escape.ts";
import { UsageError } from "../../cli/usage_error.ts";
import { SocksError } from "../../client/error.ts";
import { NetError } from "../../transport/errors.ts";
import { adviceOn } from "../advice.ts";

/** A command failed, and no more is to be said than the message, which is one line. */
export class ToolError extends Error {
  /** Always `"ToolError"`. */
  override readonly name = "ToolError";
  /** The exit code. */
  readonly code: number;

  constructor(message: string, code: number = EXIT.failed) {
    super(message);
    this.code = code;
  }
}

/** The text for the standard error, and the exit code. */
export interface ToolFailure {
  readonly lines: readonly string[];
  readonly code: number;
}

/** Describes an error of a command; `undefined` for an unexpected one, which is a bug. */
export function describeToolFailure(error: unknown): ToolFailure | undefined {
  if (error instanceof UsageError) {
    return { lines: [error.message], code: EXIT.usage };
  }
  const isExpected = error instanceof SocksError || error instanceof NetError ||
    error instanceof ToolError;
  if (!isExpected) return undefined;
  const lines = [error.message, ...adviceOn(error)];
  const code = error instanceof ToolError ? error.code : EXIT.failed;
  return { lines: lines.map(showMessage), code };
}
