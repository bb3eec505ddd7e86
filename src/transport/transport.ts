/**
 * What the rest of the library knows of a network: connections, listeners and
 * a relay between two connections.
 *
 * A runtime is supported by one implementation of {@linkcode Transport}; the
 * server and the client are handed one and never ask which it is.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { NetError } from "./errors.ts";
import type { AbortSignalLike } from "./signal.ts";

/** An IP address (without brackets, IPv4-mapped IPv6 written as IPv4) and a port. */
export interface Address {
  /** IPv4 or IPv6 literal. */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/**
 * One stream connection. Pull-based: nothing is read ahead beyond 64 KiB
 * (and nothing at all where the runtime lets us wait).
 *
 * Reads and writes are each done one at a time: await one before the next.
 */
export interface Conn {
  /** Our end. Once closed it may say `""` and 0: some runtimes tell nothing of a socket that has gone. */
  readonly localAddr: Address;
  /** The peer's end; the same holds. */
  readonly remoteAddr: Address;
  /**
   * The next octets, at least one, in a chunk that the caller owns; `null` once
   * the peer has sent its FIN. Rejects with {@linkcode NetError} (`reset`,
   * `closed`, …).
   */
  read(): Promise<Uint8Array | null>;
  /** Puts octets that were read too far back in front of the stream. */
  unread(chunk: Uint8Array): void;
  /**
   * Waits until {@linkcode read} has an answer, without taking it: `true` for
   * octets, `false` for FIN. Rejects as a read would. A read, or a relay, may
   * begin while it waits; then it may answer late, or only when the connection
   * is closed.
   */
  peek(): Promise<boolean>;
  /**
   * Resolves when all of `chunk` is with the kernel; until then the chunk must
   * not be changed. Rejects with {@linkcode NetError}: `closed` after
   * {@linkcode closeWrite}, and reading goes on.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** Sends FIN after what was written; reading goes on. May be called twice. */
  closeWrite(): Promise<void>;
  /** Ends both directions and frees the socket. Idempotent, never throws. */
  close(): void;
  /** As {@linkcode close}, with an RST where the runtime can send one. */
  reset(): void;
  /**
   * Has the kernel ask a peer that is silent for a minute (on Deno for as long
   * as the system says, which is two hours on Linux) whether it is still there.
   * One that is not ends the connection some minutes later.
   */
  keepAlive?(): void;
  /**
   * The connection that this one passes every byte to and from unchanged, if it
   * is such a thin layer: {@linkcode Transport.relay} uses that one instead.
   */
  readonly inner?: Conn;
}

/** A listening socket. */
export interface Listener {
  /** Where it listens, with the port that was given if 0 was asked for. */
  readonly addr: Address;
  /** Stops accepting and frees the port; accepted connections live on. */
  close(): Promise<void>;
}

/** Where and how to listen. */
export interface ListenOptions {
  /** IP literal; `0.0.0.0` and `::` mean every interface. */
  readonly hostname: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /**
   * Whether several listeners that all say so, of one or of several processes of
   * one user, may have this TCP port; the kernel spreads the connections over
   * them. Where there is no such thing, `listen()` rejects with kind `invalid`:
   * on Deno without `--unstable-net`, on Node.js before 22.12 (but for workers
   * of `node:cluster`, which share by its means).
   *
   * @default {false}
   */
  readonly reusePort?: boolean;
}

/** Which address to connect to. */
export interface ConnectOptions {
  /** IP literal, without brackets. */
  readonly hostname: string;
  /** 1 to 65535. */
  readonly port: number;
  /** IP literal of this machine to connect from. By default the system chooses. On Deno such a connection is one of `node:net`, whose writes fail with kind `reset` when the peer has sent FIN and does not keep up. */
  readonly localAddress?: string;
  /** Ends the attempt; the rejection is a {@linkcode NetError} (the signal's own reason if that is one, else `aborted`). */
  readonly signal?: AbortSignalLike;
}

/** Bounds of a relay. */
export interface RelayOptions {
  /** Milliseconds without an octet in either direction until both sides are closed; 0 = never. Seen up to a quarter late. */
  readonly idle?: number;
  /** The same, once one direction has ended. */
  readonly halfClosed?: number;
  /** The clock for both. By default that of the runtime. */
  readonly clock?: Clock;
}

/** Why a relay ended. */
export interface RelayEnd {
  /**
   * - `finished`: both directions ended with FIN, every octet delivered
   * - `idle`: the idle or half-closed time passed; a side that had yet to take octets was reset
   * - `error`: one side failed (`side`, `error`); the other was reset
   * - `aborted`: {@linkcode Relay.abort} was called
   */
  readonly reason: "finished" | "idle" | "error" | "aborted";
  /** Which side failed, `a` the first argument of the relay. */
  readonly side?: "a" | "b";
  /** How it failed. */
  readonly error?: NetError;
}

/** A running relay, which owns both its connections. */
export interface Relay {
  /** Octets taken from `a` for `b` so far. */
  readonly sent: number;
  /** Octets taken from `b` for `a` so far. */
  readonly received: number;
  /** Whether it is over. */
  readonly ended: boolean;
  /** Settles when both connections are closed; never rejects. */
  readonly done: Promise<RelayEnd>;
  /** Told then as well, if somebody has set it; costs less than the promise. */
  owner: RelayOwner | undefined;
  /** Resets both sides now. */
  abort(): void;
}

/** Who wants to know when a {@linkcode Relay} is over. */
export interface RelayOwner {
  /** Both connections are closed. */
  relayEnded(end: RelayEnd): void;
}

/**
 * Gets a datagram, which it owns, and the IP address (IPv4-mapped IPv6 as IPv4)
 * and port it came from. Must not throw. Datagrams may share a piece of memory,
 * so what is kept for long or given away has to be copied.
 */
export type OnDatagram = (
  payload: Uint8Array,
  hostname: string,
  port: number,
) => void;

/** A bound UDP socket. Nothing that happens to a datagram ends it, ICMP errors included. */
export interface DatagramSocket {
  /** Where it is bound, with the port that was given if 0 was asked for. */
  readonly addr: Address;
  /**
   * Sends one datagram of 0 to 65,507 octets to an IP address of the socket's
   * own family, whole or not at all, in the order of the calls; `payload` must
   * not be changed afterwards. What the kernel does not take (too long, no
   * route, port 0, broadcast) and what would have to wait behind 256 KiB is lost silently,
   * as datagrams are. Does nothing on a closed socket; never throws.
   */
  send(payload: Uint8Array, hostname: string, port: number): void;
  /**
   * Frees the socket, though what had to wait may take its time first, or be
   * lost; no datagram is handed over any more. Idempotent, never throws.
   */
  close(): void;
}

/** What a runtime must offer. */
export interface Transport {
  /** Such as `deno`, `bun`, `node`. */
  readonly name: string;
  /** The clock for everything that waits on this network. By default that of the runtime. */
  readonly clock?: Clock;
  /** Listens; `onConn` gets each connection, `onError` what accepting met (it goes on by itself). */
  listen(
    options: ListenOptions,
    onConn: (conn: Conn) => void,
    onError?: (error: NetError) => void,
  ): Promise<Listener>;
  /** Connects to an IP address. */
  connect(options: ConnectOptions): Promise<Conn>;
  /** Moves octets both ways until both directions end, FIN for FIN, and closes both. */
  relay(a: Conn, b: Conn, options?: RelayOptions): Relay;
  /** Binds a UDP socket; rejects as {@linkcode listen} does. */
  datagrams(
    options: ListenOptions,
    onDatagram: OnDatagram,
  ): Promise<DatagramSocket>;
  /**
   * The local address from which this machine reaches an IP address, by its
   * routes: nothing is sent. `0.0.0.0` or `::` where the runtime can't tell
   * (Deno, unless it is loopback). Rejects with kind `net-unreachable`,
   * `host-unreachable` or `denied` when there is no way.
   */
  sourceAddress(hostname: string): Promise<string>;
  /** All IP addresses of a name in the system's order, hosts file included. Rejects with kind `dns`. The signal says that the answer is not wanted any more; who gives one need not wait for the rejection. */
  lookup(hostname: string, signal?: AbortSignalLike): Promise<string[]>;
  /** How many descriptors the process may have, where the runtime can tell without extra permission. */
  descriptorLimit?(): Promise<number | undefined>;
  /** The IP addresses of this machine, where the runtime can tell without extra permission. */
  ownAddresses?(): readonly string[];
}
