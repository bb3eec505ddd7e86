/**
 * Why the program could not start, for the person who started it.
 *
 * @module
 */

import { formatEndpoint } from "../protocol/address.ts";
import { OptionError, type ServeOptions } from "../server/options.ts";
import { NetError } from "../transport/errors.ts";
import { plainHostname } from "../transport/common/checks.ts";
import { escapeText } from "./output/escape.ts";
import { USERS_VARIABLE } from "./config/flags.ts";
import { UsageError } from "./usage_error.ts";

/** The exit codes and what they mean. */
export const EXIT = {
  /** All sessions ended, nothing was to be served, or `--explain` says that it is allowed. */
  ok: 0,
  /** It cannot listen, something unforeseen happened, or `--explain` does not say that it is allowed. */
  failed: 1,
  /** The flags, the environment or the configuration are wrong. */
  usage: 2,
  /** The port is in use. */
  portInUse: 3,
} as const;

/** What is said of a failure, and the exit code. */
export interface Failure {
  /** What happened and what to do about it, on one line; of a configuration a line for all that is wrong with it. */
  readonly message: string;
  /** One of {@linkcode EXIT}. */
  readonly code: number;
}

/** Why something that the program was told to do at its start cannot be done, in words for the person who told it. */
export class StartError extends Error {
  /** Always `"StartError"`. */
  override readonly name = "StartError";
  /** One of {@linkcode EXIT}. */
  readonly code: number;

  /** The message is one line and says what to do. */
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** Explains an error of `parseFlags()`, `load()` or `serve()`; `undefined` is a mistake of ours. */
export function describeFailure(
  error: unknown,
  options: ServeOptions = {},
  mayReadEnv = true,
): Failure | undefined {
  if (error instanceof NetError) return explainNetError(error, options);
  if (error instanceof StartError) {
    return { message: escapeText(error.message), code: error.code };
  }
  if (error instanceof UsageError) {
    return { message: error.message, code: EXIT.usage };
  }
  if (!(error instanceof TypeError)) return undefined;
  const isOpen = error instanceof OptionError && error.code === "open-proxy";
  const message = !isOpen
    ? error.message
    : error.option === "socks4"
    ? claimedText(options)
    : openProxyText(options, mayReadEnv);
  return { message: escapeText(message), code: EXIT.usage };
}

function claimedText({ hostname }: ServeOptions): string {
  return `a server on ${hostname} that takes a claimed user id of SOCKS4 for ` +
    "a login would be an open proxy: leave out --socks4-user-id and --socks4-ident " +
    '("socks4" in the --config file), or give --open-proxy if that is what ' +
    "you want";
}

function openProxyText(
  { hostname }: ServeOptions,
  mayReadEnv: boolean,
): string {
  const unread = mayReadEnv
    ? ""
    : `; ${USERS_VARIABLE} was not read, for --allow-env=${USERS_VARIABLE} is missing`;
  return `a server on ${hostname} without a login would be an open proxy: ` +
    `give logins with --user, ${USERS_VARIABLE}, --users-file or "users" in ` +
    `the --config file, or --open-proxy if that is what you want${unread}`;
}

function explainNetError(
  { kind, message }: NetError,
  { hostname = "127.0.0.1", port = 1080 }: ServeOptions,
): Failure {
  const where = formatEndpoint({ hostname: plainHostname(hostname), port });
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
