/**
 * The command BIND (RFC 1928 section 4, and the same in SOCKS4).
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { NetError } from "../../transport/errors.ts";
import {
  closeQuietly,
  keepAliveQuietly,
  resetQuietly,
} from "../../transport/quiet.ts";
import type { Conn, Relay } from "../../transport/transport.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import type { CommandSession } from "./command.ts";
import type { Ending } from "./ending.ts";
import { hasBind } from "./dialed_peer_listener.ts";
import { replyToFailure } from "./failure.ts";
import { HangupWatch } from "./hangup_watch.ts";
import { LocalPeerListener, type PeerListener } from "./peer_listener.ts";
import { RoutedPeerListener } from "./routed_peer_listener.ts";

/**
 * Listens for the peer that the request names. The first reply carries the
 * address of the listener, the second one that of the peer.
 */
export async function bind(
  session: CommandSession,
  request: ClientRequest,
): Promise<Relay | Ending> {
  const listener = listenerFor(session, request);
  if (!listener) {
    return await session.refuse(request, REPLY.commandNotSupported);
  }
  session.phase = "bind";
  return await new Bind(session, request, listener).run();
}

/** `undefined` when the dialer has no BIND. */
function listenerFor(
  session: CommandSession,
  request: ClientRequest,
): PeerListener | undefined {
  const { dial, upstreams } = session.settings;
  if (upstreams.size > 0) return new RoutedPeerListener(session, request);
  if (!dial) return new LocalPeerListener(session, request);
  return hasBind(dial) ? new RoutedPeerListener(session, request) : undefined;
}

class Bind {
  readonly #session: CommandSession;
  readonly #request: ClientRequest;
  readonly #listener: PeerListener;
  #hangupWatch: HangupWatch | undefined;
  #peer: Conn | undefined;
  #answering = false;

  constructor(
    session: CommandSession,
    request: ClientRequest,
    listener: PeerListener,
  ) {
    this.#session = session;
    this.#request = request;
    this.#listener = listener;
  }

  async run(): Promise<Relay | Ending> {
    const { settings: { clock, timeouts }, stopping } = this.#session;
    const timeout = clock.startTimeout(timeouts.bind, () => {
      stopping.abort(new NetError("timeout", "no peer connected in time"));
      // The client does not read the reply.
      if (this.#answering) closeQuietly(this.#request.conn);
    });
    try {
      return await this.#wait();
    } catch (error) {
      return await this.#fail(error);
    } finally {
      timeout.cancel();
    }
  }

  async #wait(): Promise<Relay> {
    const session = this.#session;
    const { conn } = this.#request;
    keepAliveQuietly(conn); // nothing is sent while it waits
    session.boundAddr = await this.#listener.open();
    await this.#answer(session.boundAddr);
    this.#hangupWatch = new HangupWatch(conn, (it) => this.#clientGone(it));
    const peer = await this.#listener.accept();
    this.#peer = peer.conn;
    session.targetAddr = peer.addr;
    this.#listener.close(peer.conn);
    await this.#hangupWatch.end();
    await this.#answer(peer.addr);
    return session.relay(conn, peer.conn);
  }

  async #answer(addr: Endpoint | undefined): Promise<void> {
    this.#answering = true;
    try {
      await this.#session.answer(this.#request, REPLY.succeeded, addr);
    } catch (error) {
      this.#clientGone(error as Error);
      throw error;
    } finally {
      this.#answering = false;
    }
  }

  /** The client has closed its connection, so that the peer is no longer needed. */
  #clientGone(error?: Error): void {
    this.#session.ending ??= { reason: "client-gone", error };
    this.#session.stopping.abort(
      new NetError("aborted", "the client has closed its connection"),
    );
  }

  #fail(error: unknown): Promise<Ending> {
    this.#listener.close();
    this.#hangupWatch?.end().catch(() => {}); // the connection is no longer used
    resetQuietly(this.#peer);
    const { boundAddr, stopping } = this.#session;
    const reply = boundAddr && stopping.aborted
      ? REPLY.ttlExpired
      : replyToFailure(error);
    return this.#session.refuse(this.#request, reply, error);
  }
}
