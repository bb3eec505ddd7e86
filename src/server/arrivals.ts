/**
 * Connections before they become sessions: the steps before the handshake, and the limits.
 *
 * @module
 */

import { NetError, toNetError } from "../transport/errors.ts";
import { closeQuietly, resetQuietly } from "../transport/quiet.ts";
import { AbortSwitch } from "../transport/signal.ts";
import { timeLeft } from "../transport/timeouts.ts";
import {
  type AcceptHook,
  type Incoming,
  PendingAccepts,
  pendingClient,
} from "./accept.ts";
import type { ServerEvent } from "./events.ts";
import type { Admission } from "./limits/admission.ts";
import { answerInTime } from "./limits/answer_in_time.ts";
import type { PendingAdmission } from "./limits/connection_limiter.ts";
import { LIMITS, type RejectionReason } from "./limits/limit_table.ts";
import type { ServerLimits } from "./limits/server_limits.ts";
import type { Settings } from "./settings.ts";

const SHUTTING_DOWN = "the server is shutting down";
const LIMITS_FAILED = "the shared limits store failed";
const OPEN_PROXY_TEXT =
  "the client is not on loopback, and not everyone needs a login: " +
  "set auth, or openProxy to true if that is what you want";

/** The server that connections arrive at. */
export interface ArrivalsOwner {
  readonly settings: Settings;
  readonly limits: ServerLimits;
  readonly emit: ((event: ServerEvent) => void) | undefined;
  /** How many sessions are open. */
  readonly sessionCount: number;
  /** Whether it accepts no more connections. */
  readonly isClosed: boolean;
  /** Serves a connection that was admitted. */
  open(incoming: Incoming, admission: Admission): void;
}

/** Lets connections become sessions of a server, or rejects them. */
export class Arrivals {
  readonly #owner: ArrivalsOwner;
  readonly #accepting: PendingAccepts;
  /** How many connections wait for the answer of a shared limits store. */
  #asking = 0;
  /** Ends these waits. Created on first use. */
  #stopAsking: AbortSwitch | undefined;

  constructor(owner: ArrivalsOwner) {
    this.#owner = owner;
    this.#accepting = new PendingAccepts(owner.settings.clock);
  }

  /** Takes a connection through all steps. */
  take(incoming: Incoming): void {
    const { accept, proxyHeader } = this.#owner.settings;
    if (accept || proxyHeader) return void this.#runHooks(incoming);
    const secured = this.#secured(incoming);
    if (secured) this.#admit(secured);
  }

  /** Resets the connections that are not admitted yet. */
  close(): void {
    this.#accepting.close();
    this.#stopAsking?.abort(new NetError("aborted", SHUTTING_DOWN));
  }

  /** Runs what precedes the handshake. The client of `handle()` needs no PROXY header. */
  async #runHooks(incoming: Incoming): Promise<void> {
    const { accept, proxyHeader } = this.#owner.settings;
    let accepted: Incoming | undefined = incoming;
    if (proxyHeader && !incoming.client) {
      accepted = await this.#runHook(incoming, proxyHeader);
    }
    accepted &&= this.#secured(accepted);
    if (accepted && accept) accepted = await this.#runHook(accepted, accept);
    if (accepted) this.#admit(accepted);
  }

  /** Starts TLS where the port speaks it; returns `undefined` if the connection has ended. */
  #secured(incoming: Incoming): Incoming | undefined {
    const { startTls, ...rest } = incoming;
    if (!startTls) return rest;
    const { emit } = this.#owner;
    const client = emit && (rest.client ?? rest.conn.remoteAddr);
    try {
      const conn = startTls(rest.conn);
      return { ...rest, conn, raw: conn };
    } catch (cause) {
      resetQuietly(rest.conn);
      emit?.({
        type: "session-rejected",
        client: client!,
        reason: "TLS could not start",
        error: toNetError(cause),
      });
      return undefined;
    }
  }

  /**
   * Connections that wait for a hook count as sessions and, if the client is known, as
   * handshakes. Resolves with `undefined` if the connection is closed.
   */
  async #runHook(
    incoming: Incoming,
    hook: AcceptHook,
  ): Promise<Incoming | undefined> {
    const { settings: { timeouts }, emit } = this.#owner;
    const reason = this.#refusalOf(incoming, hook);
    if (reason !== undefined) return this.#reject(incoming, reason);
    // Read now: a closed socket no longer reports it.
    const client = emit && (incoming.client ?? incoming.conn.remoteAddr);
    const timeout = timeLeft(timeouts.handshake, incoming.waited);
    try {
      const accepted = await this.#accepting.run(hook, incoming, timeout);
      if (!accepted && hook.countsProbes) {
        emit?.({ type: "probe", client: client! });
      }
      return accepted;
    } catch (cause) {
      emit?.({
        type: "session-rejected",
        client: client!,
        reason: hook.failure,
        error: toNetError(cause),
      });
      return undefined;
    }
  }

  #refusalOf(incoming: Incoming, hook: AcceptHook): string | undefined {
    const { settings, limits, sessionCount, isClosed } = this.#owner;
    if (isClosed) return SHUTTING_DOWN;
    const full = this.#accepting.refuses(
      pendingClient(hook, incoming),
      sessionCount + this.#asking,
      limits.connections,
      settings.limits,
    );
    return full && LIMITS[full].rejection;
  }

  #admit(incoming: Incoming): void {
    const { conn, client, exposed, isCertified } = incoming;
    const { settings, limits, sessionCount, isClosed } = this.#owner;
    if (isClosed) return this.#reject(incoming, SHUTTING_DOWN);
    if (exposed && !settings.servesExposed && !isCertified) {
      return this.#reject(incoming, OPEN_PROXY_TEXT);
    }
    // Connections that wait for a store hold a descriptor, as sessions do.
    const { sessions } = settings.limits;
    if (this.#asking > 0 && this.#asking + sessionCount >= sessions) {
      return this.#reject(incoming, LIMITS.sessions.rejection);
    }
    const answer = limits.connections.admit(
      client ? { remoteAddr: client } : conn,
    );
    if (typeof answer !== "string" && "answer" in answer) {
      void this.#admitLater(incoming, answer);
    } else this.#open(incoming, answer);
  }

  #open(incoming: Incoming, admission: Admission | RejectionReason): void {
    if (typeof admission !== "string") {
      return this.#owner.open(incoming, admission);
    }
    this.#reject(incoming, LIMITS[admission].rejection);
  }

  async #admitLater(
    incoming: Incoming,
    pending: PendingAdmission,
  ): Promise<void> {
    const { settings: { clock, timeouts }, emit } = this.#owner;
    const started = clock.now();
    // Read now: a closed socket no longer reports it.
    const client = incoming.client ?? (emit && incoming.conn.remoteAddr);
    const known = { ...incoming, client };
    this.#asking++;
    try {
      const admission = await answerInTime(pending.answer, {
        clock,
        timeout: timeLeft(timeouts.handshake, incoming.waited),
        signal: this.#stopAsking ??= new AbortSwitch(),
      });
      if (this.#owner.isClosed) {
        pending.cancel();
        return this.#reject(known, SHUTTING_DOWN);
      }
      const waited = incoming.waited + clock.now() - started;
      this.#open({ ...known, waited }, admission);
    } catch (error) {
      pending.cancel();
      if (this.#owner.isClosed) return this.#reject(known, SHUTTING_DOWN);
      this.#reject(known, LIMITS_FAILED, toNetError(error));
    } finally {
      this.#asking--;
    }
  }

  #reject(
    { conn, raw, client }: Incoming,
    reason: string,
    error?: Error,
  ): undefined {
    this.#owner.emit?.({
      type: "session-rejected",
      client: client ?? conn.remoteAddr,
      reason,
      ...error && { error },
    });
    closeQuietly(conn);
    if (raw !== conn) closeQuietly(raw);
  }
}
