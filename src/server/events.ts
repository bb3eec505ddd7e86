/**
 * What a server tells its owner: live sessions and typed events.
 *
 * @module
 */

import type { Endpoint } from "../protocol/address.ts";
import type { Address } from "../transport/transport.ts";
import type { NetError } from "../transport/errors.ts";

/** What a client may ask for. */
export type CommandName = "connect" | "bind" | "udp-associate";

/**
 * Where a session stands: `handshake` until the request is complete, then
 * `dial` or, while a BIND waits for its peer, `bind`; then `relay`, and `ended`.
 */
export type SessionPhase = "handshake" | "dial" | "bind" | "relay" | "ended";

/** How many datagrams a UDP association has relayed, and how many not. */
export interface DatagramCounts {
  /** From the client to targets, those included that the system could not send on. */
  readonly sent: number;
  /** From targets to the client. */
  readonly received: number;
  /** From others than the client or its targets, malformed, too long, not allowed, to names without an address, or more than may wait or the rate lets through. */
  readonly dropped: number;
}

/**
 * Why a session ended.
 *
 * - `finished`: both directions ended, every octet delivered; or the client ended its UDP association
 * - `refused`: the request got an error reply (`session.reply`, `error`)
 * - `no-method`: the client offered no authentication method that is served
 * - `login-failed`: the authentication failed
 * - `protocol-error`: the client sent octets that are no SOCKS message
 * - `handshake-timeout`: the request was not complete in time
 * - `idle`: nothing moved for the idle or half-closed time
 * - `client-gone`, `target-gone`: that side reset or dropped its connection
 * - `closed`: `session.close()` or the server's shutdown
 */
export type SessionEndReason =
  | "finished"
  | "refused"
  | "no-method"
  | "login-failed"
  | "protocol-error"
  | "handshake-timeout"
  | "idle"
  | "client-gone"
  | "target-gone"
  | "closed";

/** One client connection, as it stands when it is looked at. */
export interface Session {
  /** Counts up from 1 in each server. */
  readonly id: number;
  /** The client's address. */
  readonly client: Address;
  /** When it was accepted, in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Where it stands. */
  readonly phase: SessionPhase;
  /** The SOCKS version, once known. */
  readonly version?: 4 | 5;
  /** The name of the authentication method, once chosen (SOCKS5). */
  readonly method?: string;
  /** Who logged in; before the login is verified and after it failed, who tried. */
  readonly user?: string;
  /** The user id that a SOCKS4 client claims. */
  readonly userId?: string;
  /** What was asked for; `undefined` also when the command has no name. */
  readonly command?: CommandName;
  /** What the client wants to reach, by the name or address that it gave. */
  readonly target?: Endpoint;
  /** The address that was dialled for it, or of the peer that came to a BIND. */
  readonly targetAddr?: Address;
  /** Where a BIND or a UDP association listens, as the client was told. */
  readonly boundAddr?: Address;
  /** The reply sent, as the number of the session's version. */
  readonly reply?: number;
  /** Octets from the client to the target so far, handshake not counted. */
  readonly sent: number;
  /** Octets from the target to the client so far, replies not counted. */
  readonly received: number;
  /** The same in datagrams; only of a UDP association. */
  readonly datagrams?: DatagramCounts;
  /** Ends the session now. Idempotent. */
  close(): void;
}

/** What happens in a server, told as it happens. */
export type ServerEvent =
  /** The server listens. */
  | { readonly type: "listening"; readonly addr: Address }
  /** A client connected. */
  | { readonly type: "session-start"; readonly session: Session }
  /** A client was turned away at once, for the limit that `reason` tells. */
  | {
    readonly type: "session-rejected";
    readonly client: Address;
    readonly reason: string;
    /** The error of an `accept` hook. */
    readonly error?: Error;
  }
  /** An authentication method was chosen and done. */
  | {
    readonly type: "auth";
    readonly session: Session;
    readonly ok: boolean;
  }
  /** The client's request is complete; the target is about to be dialled. */
  | { readonly type: "request"; readonly session: Session }
  /** A target, one of its addresses, or a BIND's peer is not allowed. */
  | {
    readonly type: "denied";
    readonly session: Session;
    /** The target, by the name or address that the client gave. */
    readonly hostname: string;
    readonly port: number;
    /** Which of its addresses; none when the name itself is not allowed. */
    readonly address?: string;
    /** The rule that says so. */
    readonly rule?: string;
  }
  /** The request was answered (`session.reply`), be it that it could not be read; a BIND is answered twice. */
  | { readonly type: "reply"; readonly session: Session }
  /** The session is over and all its sockets are closed. */
  | {
    readonly type: "session-end";
    readonly session: Session;
    readonly reason: SessionEndReason;
    readonly error?: Error;
  }
  /** Accepting a connection failed; the server goes on. Only Deno tells: elsewhere the runtime keeps it to itself. */
  | { readonly type: "accept-error"; readonly error: NetError }
  /** The server takes no more clients. */
  | { readonly type: "shutdown" };
