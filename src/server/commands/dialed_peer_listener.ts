/**
 * Waits for the peer of a BIND on a port that a dialer opens.
 *
 * @module
 */

import {
  canonicalHostname,
  type Endpoint,
  isIp,
  isUnspecified,
  unmapIp,
} from "../../protocol/address.ts";
import { withSignal } from "../../transport/dial.ts";
import { NetError } from "../../transport/errors.ts";
import { closeQuietly, resetQuietly } from "../../transport/quiet.ts";
import type { Conn } from "../../transport/transport.ts";
import type { DialedListener, Dialer } from "../dialer.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import { authorize } from "../policy/authorize.ts";
import type { CommandSession } from "./command.ts";
import { checkedConn, isReplyable } from "./dialed.ts";
import type { Peer, PeerListener } from "./peer_listener.ts";

/** A dialer with a BIND. */
export type BindDialer = Dialer & Required<Pick<Dialer, "bind">>;

/** Whether a dialer has a BIND. */
export function hasBind(dialer: Dialer): dialer is BindDialer {
  return typeof dialer.bind === "function";
}

/**
 * Listens through a dialer for a peer that the policy has allowed. The first peer is the
 * only one: if it is not allowed, the command fails.
 */
export class DialedPeerListener implements PeerListener {
  readonly #session: CommandSession;
  readonly #dialer: BindDialer;
  readonly #request: ClientRequest;
  readonly #expectedPeer: Endpoint;
  #listener: DialedListener | undefined;
  #conn: Conn | undefined;

  constructor(
    session: CommandSession,
    dialer: BindDialer,
    request: ClientRequest,
    peer: Endpoint,
  ) {
    this.#session = session;
    this.#dialer = dialer;
    this.#request = request;
    this.#expectedPeer = peer;
  }

  async open(): Promise<Endpoint> {
    const session = this.#session;
    const { stopping: signal } = session;
    const { hostname, port } = this.#expectedPeer;
    const context = { session, signal: signal.signal };
    this.#listener = await withSignal(
      Promise.resolve(this.#dialer.bind({ hostname, port }, context)),
      signal,
      closeQuietly,
    );
    const { addr } = this.#listener;
    if (addr && isReplyable(this.#request, addr)) return addr;
    throw new TypeError("no reply can carry the address of the listener");
  }

  async accept(): Promise<Peer> {
    const { settings: { timeouts }, stopping } = this.#session;
    const options = { signal: stopping.signal, timeout: timeouts.bind };
    const accepting = withSignal(
      Promise.resolve(this.#listener!.accept(options)),
      stopping,
      resetQuietly,
    );
    const conn = this.#conn = checkedConn(await accepting);
    const addr = conn.peerAddr ?? conn.remoteAddr;
    await this.#check(addr);
    return { conn, addr: isReplyable(this.#request, addr) ? addr : undefined };
  }

  close(accepted?: Conn): void {
    if (this.#conn !== accepted) resetQuietly(this.#conn);
    closeQuietly(this.#listener);
  }

  /** The address of the expected peer; `undefined` for a name, and when any peer may connect. */
  get #expected(): string | undefined {
    return knownAddress(this.#expectedPeer);
  }

  /**
   * Rejects if the peer is not the expected one or not allowed. Only the dialer
   * knows the addresses of a name, and it may not report the peer's address.
   */
  async #check(addr: Endpoint): Promise<void> {
    const session = this.#session;
    const { target } = this.#request;
    const address = knownAddress(addr);
    if (!isUnspecified(target.hostname)) {
      const expected = this.#expected;
      if (!address || !expected || address === expected) return;
      throw unexpected(`the peer has the address ${address}`);
    }
    if (!session.settings.policy && !session.exposed) return;
    if (!address) throw unexpected("the peer's address is not known");
    await authorize(session, target, { address, signal: session.stopping });
  }
}

/**
 * Returns an address in its canonical form; `undefined` for a name, and for zeros, which
 * proxies report when they do not know an address.
 */
function knownAddress({ hostname }: Endpoint): string | undefined {
  return isIp(hostname) && !isUnspecified(hostname)
    ? unmapIp(canonicalHostname(hostname)!)
    : undefined;
}

function unexpected(message: string): NetError {
  return new NetError("denied", message);
}
