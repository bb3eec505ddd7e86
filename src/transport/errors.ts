/**
 * Why network operations fail, in the same words on every runtime.
 *
 * @module
 */

import type { AbortSignalLike } from "./signal.ts";

/**
 * Why a network operation failed, the same on every runtime.
 *
 * - `refused`: the target answered the connection attempt with a reset
 * - `net-unreachable`, `host-unreachable`: no route, or a router reported it
 * - `timeout`: no answer within the time limit
 * - `denied`: forbidden by the system or by the runtime's permissions
 * - `dns`: the name has no address, or the resolver failed
 * - `addr-in-use`, `addr-not-available`: the local address cannot be used
 * - `reset`: the peer reset the connection, or is gone
 * - `ended`: the peer sent FIN although more bytes were expected
 * - `aborted`: ended by a signal or by a call of this process
 * - `closed`: this process had closed the connection or listener before
 * - `descriptors`: the process has no file descriptor left
 * - `tls`: the TLS handshake failed; the error is a {@linkcode TlsError}
 * - `invalid`: the arguments cannot identify a connection (port 0, malformed address)
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
  | "tls"
  | "invalid"
  | "other";

/** Every rejection of a transport is a `NetError`; its `cause` is the runtime's own error. */
export class NetError extends Error {
  /** Always `"NetError"`. */
  override readonly name = "NetError";
  /** Why the operation failed. */
  readonly kind: NetErrorKind;

  /** Creates an error of this kind; `cause` is the runtime's error, if there is one. */
  constructor(kind: NetErrorKind, message: string = kind, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/**
 * Why a TLS handshake failed.
 *
 * - `name`: the server's certificate is for another name
 * - `untrusted`: no trusted authority has issued the peer's certificate, or it is expired,
 *   not valid yet, or not meant for this use
 * - `pin`: the server's certificate is not the pinned one
 * - `refused`: the peer refused this side's certificate, or requires one
 * - `no-certificate`: the client has sent no certificate
 * - `handshake`: the peer does not speak TLS, there is no common version or cipher, or a
 *   certificate or key of this side cannot be used
 */
export type TlsProblem =
  | "name"
  | "untrusted"
  | "pin"
  | "refused"
  | "no-certificate"
  | "handshake";

/** A TLS handshake that failed; its kind is `tls`. */
export class TlsError extends NetError {
  /** Why it failed. */
  readonly problem: TlsProblem;

  /** Creates an error; `cause` is the runtime's error, if there is one. */
  constructor(problem: TlsProblem, message: string, cause?: unknown) {
    super("tls", message, cause);
    this.problem = problem;
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
  NotCapable: "denied", // a name: the error of Deno's permissions has no code
};

/**
 * Returns the {@linkcode NetError} for a runtime's error, by its Unix `code` or its
 * name. A `NetError` is returned as it is. `kind` overrides the kind that is found.
 *
 * @example
 * ```ts
 * import { toNetError } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const error = Object.assign(new Error("no answer"), { code: "ETIMEDOUT" });
 * assertEquals(toNetError(error).kind, "timeout");
 * assertEquals(toNetError(error).cause, error);
 * assertEquals(toNetError(new Error("odd")).kind, "other");
 * assertEquals(toNetError(new Error("odd"), "dns").kind, "dns");
 * ```
 */
export function toNetError(
  error: unknown,
  kind?: NetErrorKind,
): NetError {
  if (error instanceof NetError) return error;
  const { message } = (error ?? {}) as { message?: unknown };
  return new NetError(
    kind ?? kindOf(error) ?? "other",
    typeof message === "string" ? message : String(error),
    error,
  );
}

function kindOf(error: unknown): NetErrorKind | undefined {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return KINDS[String(code ?? name)];
}

/** As {@linkcode toNetError}, for connection attempts: a blackhole route fails with EINVAL. */
export function toConnectError(error: unknown): NetError {
  const { code } = (error ?? {}) as { code?: unknown };
  return toNetError(error, code === "EINVAL" ? "net-unreachable" : undefined);
}

/** As {@linkcode toNetError}, for streams: an unknown error means that the peer is gone. */
export function toStreamError(error: unknown): NetError {
  return toNetError(error, kindOf(error) ?? "reset");
}

/** Returns the error for a call on a connection that this process has closed. */
export function closedError(): NetError {
  return new NetError("closed", "the connection is closed");
}

/** Returns the error for bytes that the peer will never receive, because it has reset. */
export function peerGone(): NetError {
  return new NetError("reset", "the peer is gone");
}

/** Returns the error for a stream that yields values other than bytes. */
export function notBytes(): NetError {
  const message = "the stream yields text or objects, not bytes";
  return new NetError("invalid", message);
}

/**
 * Returns the {@linkcode NetError} for a signal that has fired: its reason if that is
 * one, else one of kind `timeout` (for `AbortSignal.timeout()`) or `aborted`.
 *
 * @example
 * ```ts
 * import { abortError } from "@x/socks5/transport";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(abortError(AbortSignal.abort()).kind, "aborted");
 * ```
 */
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
