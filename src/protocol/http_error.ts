/**
 * The responses to HTTP messages that are not valid.
 *
 * @module
 */

import { ProtocolError } from "./decode.ts";

/**
 * A message that is answered with a status of its own, unlike those that are malformed or
 * too large.
 */
export class HttpError extends ProtocolError {
  /** The status of the response. */
  readonly status: number;

  constructor(status: number, message: string) {
    super("header", message);
    this.status = status;
  }
}

/** The error of a message that is not valid HTTP, or ambiguous. */
export function malformed(message: string): ProtocolError {
  return new ProtocolError("header", message);
}

/** The status of the response to a message that is not valid. */
export function statusOfError(error: ProtocolError): number {
  if (error instanceof HttpError) return error.status;
  const { code } = error;
  return code === "size" ? 431 : code === "version" ? 505 : 400;
}

/** The text of that response, for users. */
export function textOfError({ message }: ProtocolError): string {
  return `The request is not valid: ${message}.\n`;
}
