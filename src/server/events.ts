/**
 * Live sessions and typed events of a server.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { TlsFacts } from "../transport/tls_options.ts";
import type { Address } from "../transport/transport.ts";
import type { NetError } from "../transport/errors.ts";

/**
 * A command of a client. `forward` is an HTTP request that the server forwards, with the
 * option `http`; policies get it as `connect`. `resolve` and `resolve-ptr` are Tor's
 * look-ups of a name and of an IP address, which the option `resolve` enables.
 */
export type CommandName =
  | "connect"
  | "forward"
  | "bind"
  | "udp-associate"
  | "resolve"
  | "resolve-ptr";

/** A protocol that clients speak; `http` is CONNECT and forwarded requests. */
export type ProtocolName = "socks4" | "socks5" | "http";

/**
 * The state of a session: `handshake` until the request is complete, then `dial`
 * (also during a look-up) or, while a BIND waits for its peer, `bind`; then `relay`,
 * and `ended`.
 */
export type SessionPhase = "handshake" | "dial" | "bind" | "relay" | "ended";

/** How many datagrams a UDP association has relayed and dropped. */
export interface DatagramCounts {
  /** Datagrams from the client to targets, including those that the system failed to send. */
  readonly sent: number;
  /** Datagrams from targets to the client. */
  readonly received: number;
  /**
   * Datagrams that were dropped: from senders other than the client and its targets,
   * malformed, too long, denied, to names without an address, beyond the size of the
   * queue, or beyond the rate limit.
   */
  readonly dropped: number;
}

/**
 * Why a session ended.
 *
 * - `finished`: both directions ended and all bytes were delivered, the client ended
 *   its UDP association, or a look-up was answered
 * - `refused`: the request got an error reply (`session.reply`, `error`)
 * - `no-method`: the client offered no authentication method that the server accepts,
 *   or an HTTP client sent no login
 * - `login-failed`: the authentication failed, or the client is locked out (`error` says
 *   so)
 * - `login-error`: the login could not be verified, because the verifier or the
 *   authentication method failed (the `cause` of `error`, unless that contains the
 *   password)
 * - `protocol-error`: the client sent bytes that are not a SOCKS message, or with `http`
 *   an HTTP request that is malformed or has no absolute URL; `error` says if it speaks
 *   TLS, or HTTP to a server without `http`
 * - `tls-failed`: the TLS handshake failed, for example because the client does not speak TLS
 *   or has no valid certificate (`error`)
 * - `handshake-timeout`: the request was not complete in time
 * - `idle`: no data was transferred for the idle or half-closed time
 * - `client-gone`, `target-gone`: that side reset or dropped its connection
 * - `quota`: the quota of the user was used up (`error`)
 * - `expired`: the account of the user expired (`error`)
 * - `closed`: `session.close()`, the server's shutdown, or a shared limits store that
 *   failed (`error`)
 */
export type SessionEndReason =
  | "finished"
  | "refused"
  | "no-method"
  | "login-failed"
  | "login-error"
  | "protocol-error"
  | "tls-failed"
  | "handshake-timeout"
  | "idle"
  | "client-gone"
  | "target-gone"
  | "quota"
  | "expired"
  | "closed";

/**
 * One client connection, or one of the HTTP requests that are forwarded for a connection.
 * Its members change as it proceeds.
 */
export interface Session {
  /** Counts from 1 in each server. */
  readonly id: number;
  /** The client's address. */
  readonly client: Address;
  /**
   * The time of accept or, of a later request of an HTTP connection, that of its first
   * byte, in milliseconds since the epoch.
   */
  readonly startedAt: number;
  /**
   * How long the session has lasted, until now or until its end, in milliseconds. It
   * follows a monotonic clock, so that a change of the system's time does not affect it.
   */
  readonly duration: number;
  /** The current state. */
  readonly phase: SessionPhase;
  /** The client's protocol, once known. */
  readonly protocol?: ProtocolName;
  /** The SOCKS version, once known; `undefined` for HTTP. */
  readonly version?: 4 | 5;
  /** The facts of TLS, if the client uses it, once its handshake is complete. */
  readonly tls?: TlsFacts;
  /** The name of the authentication method, once chosen (SOCKS5, HTTP). */
  readonly method?: string;
  /**
   * The user's name: that of the login or, if that has none, of the client's certificate.
   * Not verified while the login is pending, nor after it failed.
   */
  readonly user?: string;
  /**
   * The session word of the login, such as `7` of `alice-session-7`, whose user is `alice`; see
   * {@linkcode ServeOptions.sessionWords}.
   */
  readonly sessionWord?: string;
  /** The user id that a SOCKS4 client claims. */
  readonly userId?: string;
  /** The command; `undefined` until it is known, and if it has no name. */
  readonly command?: CommandName;
  /** The target, by the name or address that the client gave. */
  readonly target?: Endpoint;
  /** The address that was dialled for the target, or of the peer that connected to a BIND. */
  readonly targetAddr?: Address;
  /**
   * The address in the reply to a BIND or UDP ASSOCIATE, at which the server listens, or
   * the answer to a look-up, with port 0.
   */
  readonly boundAddr?: Address;
  /**
   * The address of this machine that the session connects from, sends its last datagrams from,
   * or listens on for the peer of a BIND, if the policy or the user's attributes choose it.
   */
  readonly via?: string;
  /**
   * The number of the reply that was sent, in the session's SOCKS version, or the HTTP
   * status, which a target may have chosen.
   */
  readonly reply?: number;
  /**
   * Bytes from the client to the target so far, without the handshake; of a forwarded
   * request with its header, as for `received`.
   */
  readonly sent: number;
  /** Bytes from the target to the client so far, without replies. */
  readonly received: number;
  /** Datagrams so far; set for UDP associations only. */
  readonly datagrams?: DatagramCounts;
  /** Ends the session now. Idempotent. */
  close(): void;
  /** The current facts as a plain object, which `JSON.stringify()` and `console.log()` show. */
  toJSON(): SessionFacts;
}

/** A copy of the members of a {@linkcode Session}, without those that are not set. */
export type SessionFacts = Omit<Session, "close" | "toJSON">;

/** An event of a server, reported as it happens. */
export type ServerEvent =
  /** The server listens; one with a plain port emits it twice. */
  | {
    readonly type: "listening";
    readonly addr: Address;
    /** Whether the port speaks TLS. */
    readonly tls: boolean;
  }
  /**
   * A client has sent its first byte, or was connected without one until the session
   * ended by a timeout, `session.close()` or a shutdown.
   */
  | { readonly type: "session-start"; readonly session: Session }
  /**
   * A connection ended before its first byte, as those of health checks do. It does not
   * count as a session: there is no other event. Deno does not report connections that
   * were reset before it accepted them, which most of HAProxy's health checks are.
   */
  | { readonly type: "probe"; readonly client: Address }
  /** A client was rejected before its handshake; there is no session. */
  | {
    readonly type: "session-rejected";
    readonly client: Address;
    /**
     * The reason, as one of a few texts: a limit is reached (`too many sessions`, `too
     * many sessions from this address`, `too many unfinished handshakes from this
     * address`, `too many connections per second from this address`), the client is
     * exposed and not everyone needs a login, the server is shutting down, `the accept
     * hook failed`, or `the shared limits store failed`.
     */
    readonly reason: string;
    /** The error of the `accept` hook or the shared limits store. */
    readonly error?: Error;
  }
  /** An authentication method was completed. */
  | {
    readonly type: "auth";
    readonly session: Session;
    readonly ok: boolean;
  }
  /** The client's request is complete; the command is about to run. */
  | { readonly type: "request"; readonly session: Session }
  /** A target, one of its addresses, or a BIND's peer is not allowed. */
  | {
    readonly type: "denied";
    readonly session: Session;
    /** The target, by the name or address that the client gave. */
    readonly hostname: string;
    readonly port: number;
    /** The address of the target that is denied; `undefined` if the name itself is. */
    readonly address?: string;
    /** The rule that denies it, if it was one. */
    readonly rule?: string;
  }
  /**
   * An address to connect from could not be used, and the next one of the list or the prefix
   * is tried if there is one. `exhausted`: it has no free source port; `unavailable`: this
   * machine does not have the address, or prefixes are not set up.
   */
  | {
    readonly type: "egress-failed";
    readonly session: Session;
    readonly address: string;
    readonly problem: "exhausted" | "unavailable";
  }
  /**
   * A reply was sent (`session.reply`), also to a request that could not be read. A
   * BIND gets two.
   */
  | { readonly type: "reply"; readonly session: Session }
  /**
   * The session has ended and all its sockets are closed, except that a client may send
   * another HTTP request on its connection, which is then a session of its own.
   */
  | {
    readonly type: "session-end";
    readonly session: Session;
    readonly reason: SessionEndReason;
    readonly error?: Error;
  }
  /**
   * Accepting a connection failed; the server continues. Reported on Deno only: the
   * other runtimes do not report it.
   */
  | { readonly type: "accept-error"; readonly error: NetError }
  /**
   * A call of the shared limits store failed that ended no session and rejected
   * no client, or a call of the usage store or of `userAttributes`. Not reported again until
   * a call succeeds.
   */
  | { readonly type: "limits-error"; readonly error: NetError }
  /**
   * The server has exposed sessions, or listens for them, but the system or the runtime
   * does not list the addresses of this machine. The default policy then closes only the
   * one at which a client reached the server, besides special-purpose addresses. Emitted
   * once for a server.
   */
  | { readonly type: "own-addresses-unknown" }
  /** The server accepts clients only for the drain delay of its shutdown. */
  | { readonly type: "drain" }
  /** The server stopped accepting clients. */
  | { readonly type: "shutdown" };
