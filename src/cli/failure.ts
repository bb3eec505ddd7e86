/**
 * Exit codes, and error messages for a program that cannot start.
 *
 * @module
 */

import { OptionError } from "../server/option_error.ts";
import type { ServeOptions } from "../server/options.ts";
import { NetError } from "../transport/errors.ts";
import { localPlace } from "../transport/local_place.ts";
import { plainHostname } from "../transport/socket.ts";
import { showMessage } from "./output/escape.ts";
import { addressText } from "./output/record.ts";
import { USERS_VARIABLE } from "./config/flag_table.ts";
import { UsageError } from "./usage_error.ts";

/** The exit codes of the program. */
export const EXIT = {
  /**
   * The server has shut down after its sessions, another command has succeeded, or
   * `--explain` answers "allowed".
   */
  ok: 0,
  /** The server cannot listen, an unexpected error occurred, or `--explain` answers "denied". */
  failed: 1,
  /** The flags, the environment or the configuration are invalid. */
  usage: 2,
  /** The port is in use. */
  portInUse: 3,
} as const;

/** An error message and an exit code. */
export interface Failure {
  /**
   * The problem and how to correct it, on one line. An invalid configuration has a
   * line for each problem.
   */
  readonly message: string;
  /** One of {@linkcode EXIT}. */
  readonly code: number;
}

/** An error at the start of the program that is not a mistake in the configuration. */
export class StartError extends Error {
  /** Always `"StartError"`. */
  override readonly name = "StartError";
  /** One of {@linkcode EXIT}. */
  readonly code: number;

  /** Takes a message of one line that says how to correct the error. */
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/**
 * Describes an error of `parseFlags()`, `load()` or `serve()`. Returns `undefined`
 * for an unexpected error, which is a bug.
 */
export function describeFailure(
  error: unknown,
  options: ServeOptions = {},
  mayReadEnv = true,
): Failure | undefined {
  if (error instanceof NetError) return explainNetError(error, options);
  if (error instanceof StartError) {
    return { message: showMessage(error.message), code: error.code };
  }
  if (error instanceof UsageError) {
    return { message: error.message, code: EXIT.usage };
  }
  if (!(error instanceof TypeError)) return undefined;
  const isOpen = error instanceof OptionError && error.code === "open-proxy";
  const message = !isOpen
    ? error.message
    : error.option === "plainPort"
    ? plainPortText(options)
    : error.option === "socks4"
    ? claimedText(options)
    : openProxyText(options, mayReadEnv);
  return { message: showMessage(message), code: EXIT.usage };
}

/** Why clients of the server may be on other machines. */
function exposedText({ hostname, proxyFrom = [] }: ServeOptions): string {
  return proxyFrom.length > 0
    ? "a server behind a load balancer (--proxy-from)"
    : `a server on ${hostname}`;
}

function claimedText(options: ServeOptions): string {
  return `${
    exposedText(options)
  } that accepts the unverified user id of SOCKS4 ` +
    "as a login would be an open proxy: leave out --socks4-user-id and " +
    '--socks4-ident ("socks4" in the --config file), or add --open-proxy if that ' +
    "is what you want";
}

function plainPortText({ hostname }: ServeOptions): string {
  return `the plain port of a server on ${hostname} would be an open proxy, because ` +
    "it asks for no certificate: add logins with --user or --users-file, leave out " +
    "--plain-port, or add --open-proxy if that is what you want";
}

function openProxyText(options: ServeOptions, mayReadEnv: boolean): string {
  const unread = mayReadEnv
    ? ""
    : `; ${USERS_VARIABLE} was not read, because --allow-env=${USERS_VARIABLE} is missing`;
  return `${exposedText(options)} without a login would be an open proxy: ` +
    `add logins with --user, ${USERS_VARIABLE}, --auth-command, --chap-secrets, ` +
    `--gssapi-keytab, --users-file or "users" in the --config file, or add --open-proxy if that is ` +
    `what you want${unread}`;
}

function explainNetError(
  { kind, message }: NetError,
  { hostname = "127.0.0.1", port = 1080, plainPort }: ServeOptions,
): Failure {
  const first = addressText({ hostname: plainHostname(hostname), port });
  const where = plainPort === undefined ? first : `${first} or ${plainPort}`;
  switch (kind) {
    case "addr-in-use":
      if (localPlace(hostname)) {
        const text = `cannot listen on ${where}: ${showMessage(message)}`;
        return { message: text, code: EXIT.portInUse };
      }
      return {
        message: `${where} is in use: stop the program that listens there, ` +
          "or choose another --port (0 for any free one)",
        code: EXIT.portInUse,
      };
    case "addr-not-available":
      return {
        message:
          `cannot listen on ${where}: ${hostname} is not an address of ` +
          "this machine, choose another --hostname",
        code: EXIT.failed,
      };
    case "denied":
      return {
        message: `may not listen on ${where} (${showMessage(message)}): ` +
          (port > 0 && port < 1024
            ? "ports below 1024 require a privilege, choose a higher --port"
            : "the system or the permissions of the runtime forbid it"),
        code: EXIT.failed,
      };
    default:
      return {
        message: `cannot listen on ${where}: ${showMessage(message)}`,
        code: EXIT.failed,
      };
  }
}
