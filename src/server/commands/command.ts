/**
 * The interface between a session and its command.
 *
 * @module
 */

import type { AbortSwitch } from "../../transport/signal.ts";
import type { Address, Conn, Relay } from "../../transport/transport.ts";
import type { DatagramCounts, Session, SessionPhase } from "../events.ts";
import type { PolicySubject } from "../policy/authorize.ts";
import type { Settings } from "../settings.ts";
import type { NetError } from "../../transport/errors.ts";
import type { CommandLimit } from "../limits/limit_table.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import type { Ending } from "./ending.ts";
import type { SessionRateLimiter } from "../limits/session_rate_limiter.ts";

/**
 * Runs a request. Resolves with the relay that it starts, or with the end of
 * the session if it starts none.
 */
export type Command = (
  session: CommandSession,
  request: ClientRequest,
) => Promise<Relay | Ending>;

/** The traffic of a command without a relay. */
export interface Traffic {
  readonly sent: number;
  readonly received: number;
  /** Whether the client's connection stays open for another request. */
  readonly keepsClient: boolean;
}

/** A session as its command sees it. */
export interface CommandSession extends Session, PolicySubject {
  readonly settings: Settings;
  /** Limits the rate of the session, if there is a limit. */
  readonly rateLimiter: SessionRateLimiter | undefined;
  /** Aborts when the session is closed, and when the command's timeout expires. */
  readonly stopping: AbortSwitch;
  /**
   * Set when the session or its client's connection is closed. Takes precedence
   * over the outcome of the command.
   */
  ending: Ending | undefined;
  phase: SessionPhase;
  targetAddr?: Address;
  boundAddr?: Address;
  via?: string;
  datagrams?: DatagramCounts;
  /** The counts of a command that has no relay. */
  traffic?: Traffic;
  /**
   * The address that the client used to reach the server, given the connection of its
   * request. If a wrapper does not report it, it is that of the underlying connection.
   */
  reachedAt(conn: Conn): Address;
  /** Acquires a slot of a limit. Resolves with an error if there is none. */
  acquire(limit: CommandLimit): Promise<NetError | undefined>;
  /** Releases a slot that was acquired. */
  release(limit: CommandLimit): void;
  /** Sends a reply, given its SOCKS5 number. */
  answer(request: ClientRequest, reply: number, bound?: Address): Promise<void>;
  /**
   * Sends the reply of a command that has no relay, waits until the client has read it,
   * and resolves with the end of the session.
   */
  complete(request: ClientRequest, bound: Address): Promise<Ending>;
  /**
   * Sends an error reply, waits until the client has read it, and resolves with
   * the end of the session.
   */
  refuse(
    request: ClientRequest,
    reply: number,
    error?: unknown,
  ): Promise<Ending>;
  /** Reports a reply that the command sends itself, by its number in the client's protocol. */
  replied(reply: number): void;
  /** Sends FIN after a last reply, and waits until the client has read it. */
  linger(conn: Conn): Promise<void>;
  /** Whether the client may send another request on its connection. */
  readonly servesMore: boolean;
  /** Relays between the client and its target. */
  relay(client: Conn, target: Conn): Relay;
}
