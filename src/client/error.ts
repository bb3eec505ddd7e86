/**
 * What can go wrong between a client and its proxy.
 *
 * @module
 */

import { replyText } from "../protocol/reply.ts";

/**
 * - `proxy-unreachable`: the proxy, or in phase `udp` its relay, can't be reached (`cause` says why)
 * - `proxy-closed`: the proxy ended the connection before its answer was complete
 * - `protocol`: the proxy answered with what is no SOCKS
 * - `no-method`: the proxy accepts none of the authentication methods we have
 * - `login-failed`: the proxy refused the user name or password
 * - `rejected`: the proxy refused the request, or could not fulfil it (`reply`)
 * - `dns`: a name was to be resolved here, and was not
 * - `address-type`: this protocol can't carry such a target (IPv6 over `socks4:`, or only an address with a zone)
 * - `unsupported`: this protocol has no such command (UDP over `socks4:`)
 * - `closed`: the listener or association is over: you closed it, or its one peer or its proxy has come and gone
 * - `timeout`: it took longer than `timeout`
 * - `aborted`: the signal fired
 */
export type SocksErrorCode =
  | "proxy-unreachable"
  | "proxy-closed"
  | "protocol"
  | "no-method"
  | "login-failed"
  | "rejected"
  | "dns"
  | "address-type"
  | "unsupported"
  | "closed"
  | "timeout"
  | "aborted";

/**
 * How far a client had come: reaching the proxy, agreeing on a method, logging
 * in, asking; with BIND waiting for the peer, with UDP ASSOCIATE reaching the
 * relay and sending datagrams.
 */
export type SocksPhase =
  | "dial"
  | "method"
  | "auth"
  | "request"
  | "bind"
  | "udp";

/** What more there is to say of an error. */
export interface SocksErrorDetails {
  /** How far it had come. */
  readonly phase: SocksPhase;
  /** The proxy's reply, as the number on the wire. */
  readonly reply?: number;
  /** The error behind it. */
  readonly cause?: unknown;
}

/**
 * Every rejection of the client that is not a `TypeError` of its arguments.
 *
 * @example
 * ```ts
 * import { connect } from "./connect.ts";
 *
 * try {
 *   await connect("socks5h://127.0.0.1:1", { hostname: "example.com", port: 80 });
 * } catch (error) {
 *   if (!(error instanceof SocksError)) throw error;
 *   console.log(error.code, error.phase); // proxy-unreachable dial
 * }
 * ```
 */
export class SocksError extends Error {
  /** Always `"SocksError"`. */
  override readonly name = "SocksError";
  /** What happened. */
  readonly code: SocksErrorCode;
  /** How far it had come. */
  readonly phase: SocksPhase;
  /** The proxy's reply, as the number on the wire; only with `rejected`. */
  readonly reply: number | undefined;

  /** Says what happened and when. */
  constructor(
    code: SocksErrorCode,
    message: string,
    { phase, reply, cause }: SocksErrorDetails,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.phase = phase;
    this.reply = reply;
  }
}

/** The error for a proxy's reply other than success. */
export function rejected(
  version: 4 | 5,
  reply: number,
  phase: SocksPhase,
): SocksError {
  const what = phase === "bind" ? "let no peer in" : "rejected the request";
  const message = `the proxy ${what}: ${replyText(version, reply)}`;
  return new SocksError("rejected", message, { phase, reply });
}

/** The error for a name that was to be resolved here. */
export function unresolved(
  hostname: string,
  phase: SocksPhase,
  cause: Error,
): SocksError {
  const message = `${hostname} can't be resolved: ${cause.message}`;
  return new SocksError("dns", message, { phase, cause });
}
