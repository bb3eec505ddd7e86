/**
 * Why network operations fail, in the same words on every runtime.
 *
 * @module
 */

import type { AbortSignalLike } from "./signal.ts";

/**
 * Why a network operation failed, the same on every runtime.
 *
 * - `refused`: the target sent a reset to the connection attempt
 * - `net-unreachable`, `host-unreachable`: no route, or a router said so
 * - `timeout`: no answer in the time given
 * - `denied`: the system or the runtime's permissions forbid it
 * - `dns`: the name has no address, or the resolver failed
 * - `addr-in-use`, `addr-not-available`: the local address can't be had
 * - `reset`: the peer ended the connection with a reset, or went away
 * - `ended`: the peer sent its FIN where more octets were due
 * - `aborted`: a signal or a call of ours ended it
 * - `closed`: the connection or listener had been closed before
 * - `descriptors`: the process has no file descriptor left
 * - `invalid`: the arguments can't name a connection (port 0, bad address)
 * - `other`: none of these; see `cause`
 */
export type NetErrorKind =
  | "refused"
  | "net-unreachable"
  | "host-unreachable"
  | "timeout"
  | "denied"
  | "dns"
  | "addr-in-use"
  | "addr-not-available"
  | "reset"
  | "ended"
  | "aborted"
  | "closed"
  | "descriptors"
  | "invalid"
  | "other";

/** Every rejection of a transport is one of these; the runtime's own error is its `cause`. */
export class NetError extends Error {
  /** Always `"NetError"`. */
  override readonly name = "NetError";
  /** What happened. */
  readonly kind: NetErrorKind;

  /** Makes an error of this kind; `cause` is the runtime's error, if there is one. */
  constructor(kind: NetErrorKind, message: string = kind, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

const KINDS: Readonly<Record<string, NetErrorKind>> = {
  ECONNREFUSED: "refused",
  ENETUNREACH: "net-unreachable",
  ENETDOWN: "net-unreachable",
  EHOSTUNREACH: "host-unreachable",
  EHOSTDOWN: "host-unreachable",
  ETIMEDOUT: "timeout",
  EACCES: "denied",
  EPERM: "denied",
  EADDRINUSE: "addr-in-use",
  EADDRNOTAVAIL: "addr-not-available",
  ECONNRESET: "reset",
  ECONNABORTED: "reset",
  EPIPE: "reset",
  ENOTCONN: "reset",
  EMFILE: "descriptors",
  ENFILE: "descriptors",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  ENODATA: "dns",
  NotCapable: "denied", // a name: Deno's own refusal has no code
};

/** The {@linkcode NetError} for a runtime's error, by its Unix `code` or its name; one that is a NetError already is returned as it is. */
export function toNetError(
  error: unknown,
  kind?: NetErrorKind,
): NetError {
  if (error instanceof NetError) return error;
  const { code, name, message } = (error ?? {}) as {
    code?: unknown;
    name?: unknown;
    message?: unknown;
  };
  const known = KINDS[String(code ?? name)];
  return new NetError(
    kind ?? known ?? "other",
    typeof message === "string" ? message : String(error),
    error,
  );
}

/** As {@linkcode toNetError}, for attempts to connect: a blackhole route fails with EINVAL. */
export function toConnectError(error: unknown): NetError {
  const { code } = (error ?? {}) as { code?: unknown };
  return toNetError(error, code === "EINVAL" ? "net-unreachable" : undefined);
}

/** The error of a call on a connection that we have closed. */
export function closedError(): NetError {
  return new NetError("closed", "the connection is closed");
}

/** What a signal that has fired means as a {@linkcode NetError}. */
export function abortError(signal: AbortSignalLike): NetError {
  const reason = signal.reason;
  if (reason instanceof NetError) return reason;
  const timeout = (reason as Error | undefined)?.name === "TimeoutError";
  return new NetError(
    timeout ? "timeout" : "aborted",
    timeout ? "timed out" : "aborted",
    reason,
  );
}
