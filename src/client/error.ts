/**
 * The errors of the client.
 *
 * @module
 */

/**
 * Why an operation of the client failed.
 *
 * - `proxy-unreachable`: the proxy, or in phase `udp` its relay, cannot be reached (see `cause`)
 * - `tls-name`: the proxy's certificate is for another name; this and the other codes of TLS
 *   are those of the target's in phase `target-tls`
 * - `tls-untrusted`: no trusted authority has issued the proxy's certificate, or it is expired
 * - `tls-pin`: the proxy's certificate is not the pinned one
 * - `tls-refused`: the proxy refuses the client's certificate or requires one. With TLS 1.3
 *   that is known only after the handshake, and from many proxies only by the end of the
 *   connection before their first answer.
 * - `tls-failed`: the TLS handshake failed for another reason, for example because the proxy
 *   does not speak TLS, or a certificate or key of the option `tls` cannot be used
 * - `proxy-closed`: the connection to the proxy ended before its answer was complete
 * - `protocol`: the answer of the proxy is not SOCKS (with `http:` not HTTP), or lacks the
 *   answer to a look-up
 * - `no-method`: the proxy accepts none of the offered authentication methods
 * - `login-failed`: the proxy refused the login, or an authentication method rejected (see `cause`)
 * - `rejected`: the proxy refused the request or could not fulfil it (see `reply`)
 * - `dns`: a name that this client resolves could not be resolved
 * - `address-type`: the protocol cannot carry such a target (IPv6 over `socks4:`,
 *   or only an address with a zone)
 * - `unsupported`: the protocol has no such command (UDP and `reverse()` over `socks4:`
 *   and `socks4a:`, `resolve()` over `socks4:`; everything but `connect()` over `http:`), or
 *   it would not be encrypted (UDP with `socks5+tls:`)
 * - `closed`: the listener or association is over: it was closed, its one peer has
 *   come, or its proxy has ended it
 * - `timeout`: the operation took longer than `timeout`
 * - `aborted`: the signal fired
 */
export type SocksErrorCode =
  | "proxy-unreachable"
  | "tls-name"
  | "tls-untrusted"
  | "tls-pin"
  | "tls-refused"
  | "tls-failed"
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
 * The phase in which an operation failed:
 *
 * - `dial`: connecting to the proxy
 * - `method`: agreeing on an authentication method
 * - `auth`: authenticating
 * - `request`: sending the request and waiting for the reply
 * - `target-tls`: the TLS handshake with the target
 * - `bind`: waiting for the peer of a BIND
 * - `udp`: reaching the relay of an association, and sending datagrams
 */
export type SocksPhase =
  | "dial"
  | "method"
  | "auth"
  | "request"
  | "target-tls"
  | "bind"
  | "udp";

/** The details of a {@linkcode SocksError}. */
export interface SocksErrorDetails {
  /** The phase in which the operation failed. */
  readonly phase: SocksPhase;
  /** The number of the proxy's reply on the wire; with `http:` the status. */
  readonly reply?: number;
  /** The underlying error. */
  readonly cause?: unknown;
  /** The proxy at which it failed. */
  readonly hop?: SocksHop;
}

/** One proxy of a chain. */
export interface SocksHop {
  /** Its place in the chain: 1 is the first proxy, which this machine connects to. */
  readonly number: number;
  /** `HOSTNAME:PORT`, without credentials; an IPv6 address is in brackets. */
  readonly address: string;
}

/**
 * The error of every rejection of the client, except that invalid arguments are a
 * `TypeError`, and a datagram that is too long is a `RangeError`.
 *
 * @example
 * ```ts
 * import { connect, SocksError } from "@x/socks5/client";
 *
 * try {
 *   await connect("socks5h://127.0.0.1:1", { hostname: "example.com", port: 80 });
 * } catch (error) {
 *   if (!(error instanceof SocksError)) throw error;
 *   console.log(error.code, error.phase); // proxy-unreachable dial
 * }
 * ```
 *
 * @example Invalid arguments
 * ```ts
 * import { connect, SocksError } from "@x/socks5/client";
 *
 * const error = await connect("socks5h://127.0.0.1:1", "no-port.example")
 *   .catch((error) => error);
 * console.log(error instanceof TypeError, error instanceof SocksError); // true false
 * ```
 */
export class SocksError extends Error {
  /** Always `"SocksError"`. */
  override readonly name = "SocksError";
  /** Why the operation failed. */
  readonly code: SocksErrorCode;
  /** The phase in which the operation failed. */
  readonly phase: SocksPhase;
  /** The number of the proxy's reply on the wire, with `http:` the status; only with `rejected`. */
  readonly reply: number | undefined;
  /**
   * The proxy at which the operation failed. If one of a chain cannot reach the next one, that
   * is the former. `undefined` if no attempt has failed, for example of a datagram that is
   * sent too late.
   */
  readonly hop: SocksHop | undefined;

  /** Creates an error with this code. */
  constructor(
    code: SocksErrorCode,
    message: string,
    { phase, reply, cause, hop }: SocksErrorDetails,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.phase = phase;
    this.reply = reply;
    this.hop = hop;
  }
}
