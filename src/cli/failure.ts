/**
 * Why the program could not start, for the person who started it.
 *
 * @module
 */

import { formatEndpoint } from "../protocol/address.ts";
import type { ServeOptions } from "../server/options.ts";
import { NetError } from "../transport/transport.ts";
import { escapeText } from "./escape.ts";
import { USERS_VARIABLE } from "./flags.ts";
import { UsageError } from "./usage_error.ts";

/** The exit codes and what they mean. */
export const EXIT = {
  /** All sessions ended, or nothing was to be served. */
  ok: 0,
  /** It cannot listen, or something unforeseen happened. */
  failed: 1,
  /** The flags or the environment are wrong. */
  usage: 2,
  /** The port is in use. */
  portInUse: 3,
} as const;

/** What is said of a failure, on one line, and the exit code. */
export interface Failure {
  /** What happened and what to do about it. */
  readonly message: string;
  /** One of {@linkcode EXIT}. */
  readonly code: number;
}

/** Explains an error of `parseFlags()` or `serve()`; `undefined` is a mistake of ours. */
export function explain(
  error: unknown,
  options: ServeOptions = {},
  mayReadEnv = true,
): Failure | undefined {
  if (error instanceof NetError) return explainNetError(error, options);
  if (error instanceof UsageError) {
    return { message: error.message, code: EXIT.usage };
  }
  if (!(error instanceof TypeError)) return undefined;
  const message = explainTypeError(error, options, mayReadEnv);
  return { message: escapeText(message), code: EXIT.usage };
}

function explainTypeError(
  { message }: TypeError,
  { hostname }: ServeOptions,
  mayReadEnv: boolean,
): string {
  if (message.startsWith("hostname ")) return `--${message}`;
  if (!message.includes("open proxy")) return message;
  const unread = mayReadEnv
    ? ""
    : `; ${USERS_VARIABLE} was not read, for --allow-env=${USERS_VARIABLE} is missing`;
  return `a server on ${hostname} without a login would be an open proxy: ` +
    `give logins with --user or ${USERS_VARIABLE}, ` +
    `or --open-proxy if that is what you want${unread}`;
}

function explainNetError(
  { kind, message }: NetError,
  { hostname = "127.0.0.1", port = 1080 }: ServeOptions,
): Failure {
  const where = formatEndpoint({ hostname, port });
  switch (kind) {
    case "addr-in-use":
      return {
        message: `${where} is in use: stop what listens there, ` +
          "or choose another --port (0 for any free one)",
        code: EXIT.portInUse,
      };
    case "addr-not-available":
      return {
        message: `cannot listen on ${where}: ${hostname} is no address of ` +
          "this machine, choose another --hostname",
        code: EXIT.failed,
      };
    case "denied":
      return {
        message: `may not listen on ${where} (${escapeText(message)}): ` +
          (port > 0 && port < 1024
            ? "ports below 1024 need a privilege, choose a higher --port"
            : "the system or the runtime's permissions forbid it"),
        code: EXIT.failed,
      };
    default:
      return {
        message: `cannot listen on ${where}: ${escapeText(message)}`,
        code: EXIT.failed,
      };
  }
}
