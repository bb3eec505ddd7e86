/**
 * Waits for the peer of a BIND on this machine or on a port that a dialer opens, as the
 * policy says.
 *
 * @module
 */

import { type Endpoint, isUnspecified } from "../../protocol/address.ts";
import type { Conn } from "../../transport/transport.ts";
import type { Dialer } from "../dialer.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import { authorize, dialerOf, resolve } from "../policy/authorize.ts";
import type { CommandSession } from "./command.ts";
import { DialedPeerListener, hasBind } from "./dialed_peer_listener.ts";
import {
  LocalPeerListener,
  type Peer,
  type PeerListener,
} from "./peer_listener.ts";

/** Chooses the way when it is opened. */
export class RoutedPeerListener implements PeerListener {
  readonly #session: CommandSession;
  readonly #request: ClientRequest;
  #listener: PeerListener | undefined;

  constructor(session: CommandSession, request: ClientRequest) {
    this.#session = session;
    this.#request = request;
  }

  async open(): Promise<Endpoint> {
    const { dialer, hostname } = await this.#route();
    const session = this.#session;
    const request = this.#request;
    const { port } = request.target;
    if (dialer && !hasBind(dialer)) {
      throw Object.assign(new TypeError(NO_BIND), { code: "unsupported" });
    }
    this.#listener = dialer
      ? new DialedPeerListener(session, dialer, request, { hostname, port })
      : new LocalPeerListener(session, request);
    return await this.#listener.open();
  }

  /** The way to the expected peer, after the policy has allowed it. */
  async #route(): Promise<{ dialer?: Dialer; hostname: string }> {
    const session = this.#session;
    const { stopping: signal } = session;
    const { target } = this.#request;
    const { hostname } = target;
    if (isUnspecified(hostname)) {
      const verdict = await authorize(session, target, { signal });
      return { dialer: dialerOf(session, verdict), hostname };
    }
    const { dialer, addresses } = await resolve(session, target, signal);
    return { dialer, hostname: addresses[0] };
  }

  accept(): Promise<Peer> {
    return this.#listener!.accept();
  }

  close(accepted?: Conn): void {
    this.#listener?.close(accepted);
  }
}

const NO_BIND = "the dialer has no BIND";
