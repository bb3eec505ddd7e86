/**
 * The network as the rest of the library sees it: connections, listeners, UDP
 * sockets, and a relay between two connections.
 *
 * Each runtime has one implementation of {@linkcode Transport}. The server and the client
 * get it as an option and do not depend on the runtime.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { NetError } from "./errors.ts";
import type { AbortSignalLike } from "./signal.ts";
import type {
  TlsClientOptions,
  TlsFacts,
  TlsServerOptions,
} from "./tls_options.ts";

/** An IP address (without brackets, IPv4-mapped IPv6 written as IPv4) and a port. */
export interface Address {
  /** IPv4 or IPv6 literal. */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
}

/**
 * A stream connection. It is pull-based: at most 64 KiB are read ahead, or nothing at
 * all if the runtime permits that.
 *
 * Only one read and one write may be under way at a time: await one before the next.
 */
export interface Conn {
  /**
   * The local end. After the connection is closed it may be `""` and 0: some runtimes
   * do not report the addresses of a closed socket.
   */
  readonly localAddr: Address;
  /** The remote end; empty as `localAddr` is. */
  readonly remoteAddr: Address;
  /**
   * Returns the next bytes, at least one, in a chunk that the caller owns, or `null`
   * after the peer's FIN. Rejects with {@linkcode NetError} (`reset`, `closed`, …).
   */
  read(): Promise<Uint8Array | null>;
  /** Puts bytes back to the start of the stream, so that the next reads return them. */
  unread(chunk: Uint8Array): void;
  /**
   * Waits until {@linkcode read} has a result, without taking it: `true` for bytes,
   * `false` for FIN. Rejects as a read would. A read or a relay may start while it
   * waits; then it may settle late, or only when the connection is closed.
   */
  peek(): Promise<boolean>;
  /**
   * Resolves when the kernel has accepted all of `chunk`, which must not be changed
   * until then. Rejects with {@linkcode NetError}, of kind `closed` after
   * {@linkcode closeWrite}; reading goes on.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** Sends FIN after all writes; reading goes on. May be called twice. */
  closeWrite(): Promise<void>;
  /** Closes both directions and releases the socket. Idempotent, never throws. */
  close(): void;
  /** As {@linkcode close}, but sends RST if the runtime can do so. */
  reset(): void;
  /**
   * Enables TCP keepalive: the kernel probes a peer that has been silent for a minute
   * (on Deno for the time the system is configured with, on Linux two hours by
   * default). If the peer does not answer, the connection ends some minutes later.
   */
  keepAlive?(): void;
  /**
   * Set if the connection speaks TLS and its handshake is complete. Until then `read`
   * waits; it rejects with a `TlsError` if the handshake fails.
   */
  readonly tls?: TlsFacts;
  /**
   * The connection below, if this one is a thin layer that passes every byte on
   * unchanged and holds none back (its {@linkcode unread} is that of `inner`). A relay
   * then uses `inner` directly and never calls the methods of the layer.
   *
   * @example A layer that costs a relay nothing
   * ```ts
   * import { type Address, type Conn, detectTransport } from "@x/socks5/transport";
   *
   * // Reports another address of the peer
   * class Renamed implements Conn {
   *   readonly inner: Conn;
   *   readonly remoteAddr: Address;
   *   constructor(inner: Conn, remoteAddr: Address) {
   *     this.inner = inner;
   *     this.remoteAddr = remoteAddr;
   *   }
   *   get localAddr() {
   *     return this.inner.localAddr;
   *   }
   *   read = () => this.inner.read();
   *   unread = (chunk: Uint8Array) => this.inner.unread(chunk);
   *   peek = () => this.inner.peek();
   *   write = (chunk: Uint8Array) => this.inner.write(chunk);
   *   closeWrite = () => this.inner.closeWrite();
   *   close = () => this.inner.close();
   *   reset = () => this.inner.reset();
   *   keepAlive = () => this.inner.keepAlive?.();
   * }
   *
   * const transport = await detectTransport();
   * const listener = await transport.listen(
   *   { hostname: "127.0.0.1", port: 0 },
   *   (conn) => conn.close(),
   * );
   * const conn = await transport.connect(listener.addr);
   * const renamed = new Renamed(conn, { hostname: "192.0.2.1", port: 80 });
   * renamed.close();
   * await listener.close();
   * ```
   */
  readonly inner?: Conn;
}

/** A listening socket. */
export interface Listener {
  /** Where it listens; if port 0 was requested, with the port that the system chose. */
  readonly addr: Address;
  /** Stops accepting and releases the port; accepted connections stay open. */
  close(): Promise<void>;
  /**
   * Replaces the certificate and the authorities for connections that are accepted from
   * now on. Present if, and only if, the listener speaks TLS. Throws a `NetError` of kind
   * `invalid` if they cannot be used; then nothing has changed.
   */
  setTls?(options: TlsServerOptions): void;
  /**
   * Starts TLS on a connection that this listener has accepted, and takes it over: the
   * handshake begins with its unread bytes. If the peer has sent FIN and nothing is unread,
   * returns the connection as it is, which can only be closed. Throws a `NetError` if the
   * connection has ended otherwise. Present if, and only if, the connections of the listener
   * start in clear; see {@linkcode ListenOptions.startsInClear}.
   */
  startTls?(conn: Conn): Conn;
}

/** Options of {@linkcode Transport.listen} and {@linkcode Transport.datagrams}. */
export interface ListenOptions {
  /**
   * IP literal; `0.0.0.0` and `::` mean every interface. For {@linkcode Transport.listen}
   * also `unix:PATH` for a Unix socket, both of whose ends have this text as their address,
   * and `fd:NUMBER` for a socket that listens already.
   */
  readonly hostname: string;
  /** 0 lets the system choose. Only for IP literals. */
  readonly port: number;
  /** The permissions of the file of a Unix socket. @default {0o600} */
  readonly mode?: number;
  /**
   * Whether several listeners that all set this, in one or in several processes of one
   * user, may share this TCP port; the kernel distributes the connections. Where that
   * is not supported, `listen()` rejects with kind `invalid`: on Deno without
   * `--unstable-net`, and on Node.js before 22.12 (except in workers of
   * `node:cluster`, which share ports through the primary).
   *
   * @default {false}
   */
  readonly reusePort?: boolean;
  /**
   * Makes the listener speak TLS 1.2 or 1.3. Its connections are reported when they are
   * accepted, before their handshake. Not for datagrams.
   */
  readonly tls?: TlsServerOptions;
  /**
   * Whether the connections of a listener with `tls` are in clear until they are passed to
   * {@linkcode Listener.startTls}: for a header of the PROXY protocol, which precedes TLS.
   * Until then they can be read, but not written to.
   *
   * @default {false}
   */
  readonly startsInClear?: boolean;
}

/** Options of {@linkcode Transport.connect}. */
export interface ConnectOptions {
  /** IP literal, without brackets. */
  readonly hostname: string;
  /** 1 to 65535. */
  readonly port: number;
  /**
   * IP literal of this machine to connect from. By default the system chooses one.
   * On Deno such a connection is one of `node:net`, whose writes fail with kind
   * `reset` if the peer has sent FIN and does not keep up.
   */
  readonly localAddress?: string;
  /**
   * Aborts the attempt. It rejects with a {@linkcode NetError}: the signal's reason if
   * that is one, else one of kind `aborted`.
   */
  readonly signal?: AbortSignalLike;
  /**
   * Makes the connection speak TLS 1.2 or 1.3; `connect()` resolves after the handshake,
   * and rejects with a `TlsError` if that fails.
   */
  readonly tls?: TlsClientOptions;
}

/** Options of {@linkcode Transport.relay}. */
export interface RelayOptions {
  /**
   * How long no byte may move in either direction before both sides are reset, in
   * milliseconds; 0 means forever. The relay may end up to a quarter of this time later.
   *
   * @default {0}
   */
  readonly idle?: number;
  /**
   * The same, after one direction has ended.
   *
   * @default {0}
   */
  readonly halfClosed?: number;
  /** The clock for both. @default {systemClock} */
  readonly clock?: Clock;
}

/** Why a relay ended. */
export interface RelayEnd {
  /**
   * - `finished`: both directions ended with FIN, all bytes were delivered
   * - `idle`: the idle or half-closed time is over. A side was reset if bytes for it are
   *   undelivered or the other side has not sent FIN, so that it cannot take a cut transfer
   *   for a complete one
   * - `error`: one side failed (`side`, `error`); the other was reset
   * - `aborted`: {@linkcode Relay.abort} was called
   */
  readonly reason: "finished" | "idle" | "error" | "aborted";
  /** The side that failed: `a` is the first argument of the relay. */
  readonly side?: "a" | "b";
  /** Why it failed. */
  readonly error?: NetError;
}

/** A running relay, which owns both its connections. */
export interface Relay {
  /** How many bytes were read from `a` so far. */
  readonly sent: number;
  /** How many bytes were read from `b` so far. */
  readonly received: number;
  /** Whether the relay has ended. */
  readonly ended: boolean;
  /** Resolves when both connections are closed; never rejects. */
  readonly done: Promise<RelayEnd>;
  /** If set, it is notified at the same time; this costs less than the promise. */
  owner: RelayOwner | undefined;
  /** Resets both sides now. */
  abort(): void;
}

/** An object that is notified of the end of its {@linkcode Relay}. */
export interface RelayOwner {
  /** Called when both connections are closed. */
  relayEnded(end: RelayEnd): void;
}

/**
 * Called with a received datagram, which the callee owns, and the IP address
 * (IPv4-mapped IPv6 written as IPv4) and port of its sender. Must not throw. Several
 * datagrams may share an `ArrayBuffer`: copy payloads that are kept for long or
 * transferred.
 */
export type OnDatagram = (
  payload: Uint8Array,
  hostname: string,
  port: number,
) => void;

/** A bound UDP socket. No error of a datagram ends it, ICMP errors included. */
export interface DatagramSocket {
  /** Where it is bound; if port 0 was requested, with the port that the system chose. */
  readonly addr: Address;
  /**
   * Sends one datagram of 0 to 65,507 bytes to an IP address of the socket's own
   * family, whole or not at all, in the order of the calls; `payload` must not be
   * changed afterwards. Datagrams that the kernel refuses (too long, no route, port 0,
   * broadcast) or that do not fit into a queue of 256 KiB are silently lost, as
   * datagrams are. Does nothing on a closed socket; never throws.
   */
  send(payload: Uint8Array, hostname: string, port: number): void;
  /**
   * Closes the socket; queued datagrams may still be sent first, or be dropped. No
   * datagram is received after the call. Idempotent, never throws.
   */
  close(): void;
}

/**
 * A network. Each supported runtime has an implementation, and users may supply another.
 *
 * A new implementation is tested against the contract, the suite in
 * `tests/transport/contract.ts` of the repository. It needs only a `Transport`, and has
 * options for known gaps.
 *
 * @example The transport of the runtime with additional names
 * ```ts
 * import { serve } from "@x/socks5/server";
 * import { detectTransport, type Transport } from "@x/socks5/transport";
 *
 * const native = await detectTransport();
 * const transport: Transport = {
 *   ...native,
 *   lookup(hostname, signal) {
 *     return hostname === "printer.test"
 *       ? Promise.resolve(["127.0.0.1"])
 *       : native.lookup(hostname, signal);
 *   },
 * };
 * await using server = await serve({ port: 0, transport });
 * ```
 */
export interface Transport {
  /** For example `deno`, `bun` or `node`. */
  readonly name: string;
  /** The clock for everything that waits on this network. @default {systemClock} */
  readonly clock?: Clock;
  /** Whether {@linkcode ListenOptions.reusePort} is supported. @default {false} */
  readonly canReusePort?: boolean;
  /**
   * Listens for connections. `onConn` is called with each of them, `onError` with
   * errors of accepting, which then continues. Rejects with kind `addr-in-use`,
   * `addr-not-available`, `denied` or `invalid`.
   */
  listen(
    options: ListenOptions,
    onConn: (conn: Conn) => void,
    onError?: (error: NetError) => void,
  ): Promise<Listener>;
  /** Connects to an IP address. Rejects with kind `refused`, `timeout`, `aborted`, … */
  connect(options: ConnectOptions): Promise<Conn>;
  /** Moves bytes in both directions until both end, forwards each FIN, and closes both sides. */
  relay(a: Conn, b: Conn, options?: RelayOptions): Relay;
  /** Binds a UDP socket. Rejects as {@linkcode listen} does. */
  datagrams(
    options: ListenOptions,
    onDatagram: OnDatagram,
  ): Promise<DatagramSocket>;
  /**
   * Returns the local address from which this machine reaches an IP address, by its
   * routing table: nothing is sent. `0.0.0.0` or `::` if the runtime cannot find out:
   * Deno knows only loopback and, with `--allow-sys=networkInterfaces`, the networks that
   * this machine belongs to. Rejects with kind `net-unreachable`, `host-unreachable` or
   * `denied` if there is no route.
   */
  sourceAddress(hostname: string): Promise<string>;
  /**
   * Returns all IP addresses of a name in the system's order, including those of the
   * hosts file. Rejects with kind `dns`. The signal fires when the answer is no longer
   * needed; the caller does not wait for the rejection.
   */
  lookup(hostname: string, signal?: AbortSignalLike): Promise<string[]>;
  /**
   * Returns the name of an IP address by the system's resolver, including the hosts
   * file. Rejects with kind `dns`, also if there is none. The signal is that of `lookup`.
   * A server whose transport lacks it does not support the command RESOLVE_PTR.
   */
  reverse?(address: string, signal?: AbortSignalLike): Promise<string>;
  /**
   * Returns how many descriptors the process may have open, or `undefined` if the
   * runtime cannot find out without an extra permission.
   */
  descriptorLimit?(): Promise<number | undefined>;
  /**
   * Returns the IP addresses of this machine, or none if the runtime cannot find out
   * without an extra permission.
   */
  ownAddresses?(): readonly string[];
}
