/**
 * The command BIND (RFC 1928 section 4; the same in SOCKS4).
 *
 * @module
 */

import {
  type Endpoint,
  isIp,
  isLoopback,
  isUnspecified,
} from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { withSignal } from "../../transport/dial.ts";
import { startTimeout } from "../../transport/timeouts.ts";
import type {
  Address,
  Conn,
  Listener,
  Relay,
} from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import type { CommandSession, Ending } from "./command.ts";
import { replyToFailure } from "./failure.ts";
import { authorize, resolve } from "../policy/authorize.ts";
import { advertisedAddress, onFreePort } from "./relay_ports.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import { HangupWatch } from "./hangup_watch.ts";

/** Listens for the peer that the request names and says where, and once more when the peer has come. */
export async function bind(
  session: CommandSession,
  request: ClientRequest,
): Promise<Relay | Ending> {
  if (session.settings.dial) {
    return await session.refuse(request, REPLY.commandNotSupported);
  }
  session.phase = "bind";
  return await new Bind(session, request).run();
}

/** Peers of one BIND about whom the policy may have been asked at a time. */
const MAX_KNOCKING = 16;

class Bind {
  readonly #session: CommandSession;
  readonly #request: ClientRequest;
  readonly #door: Door;
  #vigil: HangupWatch | undefined;
  #peer: Conn | undefined;
  #answering = false;

  constructor(session: CommandSession, request: ClientRequest) {
    this.#session = session;
    this.#request = request;
    this.#door = new Door(session, request.target);
  }

  async run(): Promise<Relay | Ending> {
    const { settings: { timeouts }, stopping } = this.#session;
    const timeout = startTimeout(timeouts.bind, () => {
      stopping.abort(new NetError("timeout", "no peer came in time"));
      if (this.#answering) this.#request.conn.close(); // which does not take the reply
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
    const addr = await this.#door.open(conn.localAddr);
    session.boundAddr = advertisedAddress(session.settings, addr);
    await this.#answer(session.boundAddr);
    this.#vigil = new HangupWatch(conn, (error) => this.#clientGone(error));
    const peer = await withSignal(this.#door.peer, session.stopping);
    this.#peer = peer;
    session.targetAddr = peer.remoteAddr;
    this.#door.close(peer);
    await this.#vigil.end();
    await this.#answer(peer.remoteAddr);
    return session.relay(conn, peer);
  }

  async #answer(addr: Address): Promise<void> {
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

  /** A client that has hung up needs no peer any more. */
  #clientGone(error?: Error): void {
    this.#session.ending ??= { reason: "client-gone", error };
    this.#session.stopping.abort(new NetError("aborted", "the client left"));
  }

  #fail(error: unknown): Promise<Ending> {
    this.#door.close(undefined);
    this.#vigil?.end();
    this.#peer?.reset();
    const { boundAddr, stopping } = this.#session;
    const reply = boundAddr && stopping.aborted
      ? REPLY.ttlExpired
      : replyToFailure(error);
    return this.#session.refuse(this.#request, reply, error);
  }
}

/** A listener that lets one peer in, if it is the expected one. Others do not end the wait. */
class Door {
  /** Resolves with the peer. */
  readonly peer: Promise<Conn>;
  readonly #session: CommandSession;
  readonly #target: Endpoint;
  /** The addresses that may come; `undefined` when any may. */
  #expected: readonly string[] | undefined;
  #listener: Listener | undefined;
  /** Whether nobody can come any more. */
  closed = false;
  /** Those about whom the policy has not answered yet. */
  readonly #knocking = new Set<Conn>();
  #admitted: Conn | undefined;
  #admit!: (peer: Conn) => void;

  constructor(session: CommandSession, target: Endpoint) {
    this.#session = session;
    this.#target = target;
    this.peer = new Promise((resolve) => this.#admit = resolve);
  }

  /**
   * Listens where the expected peer can reach it: on the address that the rule
   * names or from which this machine reaches the peer, or, when it may be
   * anyone, on the one on which the client reached the server.
   */
  async open({ hostname: reached }: Address): Promise<Address> {
    const { transport, relayPorts } = this.#session.settings;
    const hostname = await this.#sourceAddress() ?? reached;
    const onConn = (conn: Conn) => void this.#knock(conn);
    this.#listener = await onFreePort(
      relayPorts,
      (port) => transport.listen({ hostname, port }, onConn),
    );
    const { addr } = this.#listener;
    return canStandFor(reached, hostname)
      ? { hostname: reached, port: addr.port }
      : addr;
  }

  /** From which this machine reaches the expected peer; `undefined` when that may be anyone, and no rule names an address. */
  async #sourceAddress(): Promise<string | undefined> {
    const session = this.#session;
    const { stopping: signal } = session;
    if (isUnspecified(this.#target.hostname)) {
      return (await authorize(session, this.#target, { signal })).localAddress;
    }
    const way = await resolve(session, this.#target, signal);
    this.#expected = way.addresses;
    const [first] = way.addresses;
    return way.localAddressOf?.(first) ??
      await session.settings.transport.sourceAddress(first);
  }

  /** Lets nobody in any more; whoever was, but is not `kept`, is thrown out. */
  close(kept: Conn | undefined): void {
    this.closed = true;
    this.#listener?.close();
    if (this.#admitted !== kept) this.#admitted?.reset();
    for (const conn of this.#knocking) conn.reset();
  }

  async #knock(conn: Conn): Promise<void> {
    if (this.#knocking.size >= MAX_KNOCKING) return conn.reset();
    this.#knocking.add(conn);
    const welcome = await this.#isExpected(conn.remoteAddr);
    this.#knocking.delete(conn);
    if (this.closed || this.#admitted || !welcome) return conn.reset();
    this.#admitted = conn;
    this.#admit(conn);
  }

  async #isExpected({ hostname }: Address): Promise<boolean> {
    if (hostname === "") return false; // it has gone, and where it came from is not known any more
    if (this.#expected) return this.#expected.includes(hostname);
    try {
      await authorize(this.#session, this.#target, { address: hostname });
      return true;
    } catch {
      return false;
    }
  }
}

/** Whether an address of ours can be told in place of all of them, where the runtime does not know the route (Deno). */
function canStandFor(hostname: string, source: string): boolean {
  return isUnspecified(source) && isIp(hostname) === isIp(source) &&
    !isLoopback(hostname);
}
