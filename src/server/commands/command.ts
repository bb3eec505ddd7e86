/**
 * The interface between a session and the command that it runs.
 *
 * @module
 */

import type { AbortSwitch } from "../../transport/signal.ts";
import type { Address, Conn, Relay } from "../../transport/transport.ts";
import type {
  DatagramCounts,
  Session,
  SessionEndReason,
  SessionPhase,
} from "../events.ts";
import type { PolicySubject } from "../policy/authorize.ts";
import type { Settings } from "../settings.ts";
import type { KeyedLimit } from "../limits/keyed_limit.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import type { SessionRateLimiter } from "../limits/rate_limiters.ts";

/** Why a session ends, and with which error. */
export interface Ending {
  readonly reason: SessionEndReason;
  readonly error?: Error;
}

/** Runs a request; resolves with the relay that it leads to, or with the ending without one. */
export type Command = (
  session: CommandSession,
  request: ClientRequest,
) => Promise<Relay | Ending>;

/** A session as its command sees it. */
export interface CommandSession extends Session, PolicySubject {
  readonly settings: Settings;
  /** UDP associations, counted by client address. */
  readonly associations: KeyedLimit;
  /** Limits the session's rate, if anything does. */
  readonly rateLimiter: SessionRateLimiter | undefined;
  /** Fires when the session is closed, and when the command gives up waiting. */
  readonly stopping: AbortSwitch;
  /** Set when the session was closed or its client has gone; takes precedence over the outcome of the command. */
  ending: Ending | undefined;
  phase: SessionPhase;
  targetAddr?: Address;
  boundAddr?: Address;
  datagrams?: DatagramCounts;
  /** Sends the reply for this SOCKS5 number. */
  answer(request: ClientRequest, reply: number, bound?: Address): Promise<void>;
  /** Sends an error reply and waits until the client has taken it; returns how the session ends. */
  refuse(
    request: ClientRequest,
    reply: number,
    error?: unknown,
  ): Promise<Ending>;
  /** Relays between the client and its target. */
  relay(client: Conn, target: Conn): Relay;
}
