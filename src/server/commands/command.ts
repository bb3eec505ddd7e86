/**
 * What a session and the command it carries out have to do with each other.
 *
 * @module
 */

import type { AbortSwitch } from "../../transport/signal.ts";
import type { Address, Conn, Relay } from "../../transport/transport.ts";
import type {
  DatagramCounts,
  ServerEvent,
  Session,
  SessionEndReason,
  SessionPhase,
} from "../events.ts";
import type { Settings } from "../settings.ts";
import type { KeyedLimit } from "../limits/keyed_limit.ts";
import type { ClientRequest } from "../request.ts";
import type { SessionRateLimiter } from "../limits/rate_limiters.ts";

/** Why and how a session ends. */
export interface Ending {
  readonly reason: SessionEndReason;
  readonly error?: Error;
}

/** Carries a request out: up to the relay that it leads to, or to why there is none. */
export type Command = (
  session: CommandSession,
  request: ClientRequest,
) => Promise<Relay | Ending>;

/** A session as its command sees it. */
export interface CommandSession extends Session {
  readonly settings: Settings;
  /** UDP associations by client address. */
  readonly associations: KeyedLimit;
  /** What holds its octets back, if anything does. */
  readonly rateLimiter: SessionRateLimiter | undefined;
  /** Fires when the session is ended from outside, and when the command gives up waiting. */
  readonly stopping: AbortSwitch;
  /** How it was ended from outside, or else by its client. */
  ending: Ending | undefined;
  phase: SessionPhase;
  targetAddr?: Address;
  boundAddr?: Address;
  datagrams?: DatagramCounts;
  /** Whether an address is this machine's: the one at which the client reached it, or another one. */
  isOwn(address: string): boolean;
  /** Tells the server's owner what happens. */
  emit(event: ServerEvent): void;
  /** Answers with the reply that this SOCKS5 number means. */
  answer(request: ClientRequest, reply: number, bound?: Address): Promise<void>;
  /** Answers with an error, and lets the client take it; how the session ends then. */
  refuse(
    request: ClientRequest,
    reply: number,
    error?: unknown,
  ): Promise<Ending>;
  /** Relays between the client and its target. */
  relay(client: Conn, target: Conn): Relay;
}
