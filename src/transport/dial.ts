/**
 * Connects to a name by trying all of its addresses: Happy Eyeballs (RFC 8305).
 *
 * @module
 */

import {
  abortError,
  NetError,
  type NetErrorKind,
  toNetError,
} from "./errors.ts";
import type { Conn, ConnectOptions, Transport } from "./transport.ts";
import type { AbortSignalLike } from "./signal.ts";
import type { TlsClientOptions } from "./tls_options.ts";
import { AbortSwitch } from "./signal.ts";
import { type Clock, systemClock } from "./clock.ts";
import { closeQuietly } from "./quiet.ts";
import type { Timeout } from "./timeouts.ts";

/**
 * How long an attempt runs before the next address is tried as well, in milliseconds
 * (RFC 8305 section 5).
 */
const ATTEMPT_DELAY = 250;

/**
 * How many attempts are open at a time, each with a descriptor. The oldest is aborted
 * to make room.
 */
const MAX_OPEN = 4;
/** How many addresses of a name are tried. */
const MAX_ADDRESSES = 16;

/** Options of {@linkcode dial}. */
export interface DialOptions {
  /** An IP literal without brackets, or a name. */
  readonly hostname: string;
  /** 1 to 65535. */
  readonly port: number;
  /** See {@linkcode ConnectOptions.tls}. */
  readonly tls?: TlsClientOptions;
  /** Aborts the look-up and all attempts. */
  readonly signal?: AbortSignalLike;
}

/**
 * Connects to the first address of `hostname` that answers. If none does, rejects
 * with the most specific `NetError` (`refused` before `timeout` before
 * `net-unreachable`).
 */
export function dial(
  transport: Transport,
  options: DialOptions,
): Promise<Conn> {
  return isAddress(options.hostname)
    ? connectTo(transport, options)
    : dialName(transport, options);
}

async function dialName(
  transport: Transport,
  { hostname, port, tls, signal }: DialOptions,
): Promise<Conn> {
  const addresses = await withSignal(
    transport.lookup(hostname, signal),
    signal,
  );
  return await dialAddresses(transport, { addresses, port, tls, signal });
}

/** Options of {@linkcode dialAddresses}. */
export interface DialAddressesOptions {
  /** IP literals; at least one. */
  readonly addresses: readonly string[];
  /** 1 to 65535. */
  readonly port: number;
  /** Returns the local address for an address; by default the system chooses one. */
  readonly localAddressOf?: (address: string) => string | undefined;
  /** See {@linkcode ConnectOptions.tls}. */
  readonly tls?: TlsClientOptions;
  /** Aborts all attempts. */
  readonly signal?: AbortSignalLike;
}

/** Connects to the first of these addresses that answers; rejects as {@linkcode dial} does. */
export function dialAddresses(
  transport: Transport,
  { addresses, port, localAddressOf, tls, signal }: DialAddressesOptions,
): Promise<Conn> {
  const connect = (hostname: string, signal?: AbortSignalLike) => {
    const localAddress = localAddressOf?.(hostname);
    return connectTo(transport, { hostname, port, localAddress, tls, signal });
  };
  const fitting = localAddressOf
    ? addresses.filter((it) => isV6(localAddressOf(it) ?? it) === isV6(it))
    : addresses;
  if (fitting.length === 0) {
    return Promise.reject(noRouteFrom(localAddressOf!(addresses[0])!));
  }
  return fitting.length === 1 ? connect(fitting[0], signal) : race(
    connect,
    interleave(fitting).slice(0, MAX_ADDRESSES),
    transport.clock ?? systemClock,
    signal,
  );
}

/**
 * Connects to an address. A machine without an IPv6 address to connect from has no route
 * there, whichever way its system reports that.
 */
function connectTo(
  transport: Transport,
  options: ConnectOptions,
): Promise<Conn> {
  const attempt = transport.connect(options);
  return isV6(options.hostname) && !options.localAddress
    ? attempt.catch(failWithoutSource)
    : attempt;
}

function failWithoutSource(error: unknown): never {
  const { kind, message } = toNetError(error);
  if (kind !== "addr-not-available") throw error;
  throw new NetError("net-unreachable", message, error);
}

function noRouteFrom(localAddress: string): NetError {
  const what = `the target has no address to reach from ${localAddress}`;
  return new NetError("net-unreachable", what);
}

function isV6(address: string): boolean {
  return address.includes(":");
}

function isAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(hostname);
}

/** Alternates the address families, the system's first choice first (RFC 8305 section 4). */
function interleave(addresses: readonly string[]): string[] {
  const first = addresses.filter((it) => isV6(it) === isV6(addresses[0]));
  const second = addresses.filter((it) => isV6(it) !== isV6(addresses[0]));
  const mixed: string[] = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    mixed.push(...first.slice(i, i + 1), ...second.slice(i, i + 1));
  }
  return mixed;
}

/** Created on first use: the first error takes Deno a tenth of the start-up time of a server. */
let lost: NetError | undefined;

/** Returns the reason for which the losing attempts are aborted. */
function lostRace(): NetError {
  return lost ??= new NetError("aborted", "another address answered first");
}

function race(
  connect: (hostname: string, signal: AbortSignalLike) => Promise<Conn>,
  addresses: string[],
  clock: Clock,
  signal?: AbortSignalLike,
): Promise<Conn> {
  return new Promise((resolve, reject) => {
    const open = new Set<AbortSwitch>();
    const errors: NetError[] = [];
    let tried = 0;
    let over = false;
    let delay: Timeout | undefined;
    const finish = () => {
      over = true;
      delay?.cancel();
      signal?.removeEventListener("abort", onAbort);
      for (const it of open) it.abort(lostRace());
    };
    const onAbort = () => {
      finish();
      reject(abortError(signal!));
    };
    const won = (given: AbortSwitch, conn: Conn) => {
      if (over || !open.has(given)) return closeQuietly(conn);
      finish();
      resolve(conn);
    };
    const failed = (given: AbortSwitch, error: unknown) => {
      if (over || !open.delete(given)) return;
      errors.push(toNetError(error));
      delay?.cancel();
      if (tried < addresses.length) return attempt();
      if (open.size > 0) return;
      finish();
      reject(mostSpecific(errors));
    };
    const makeRoom = () => {
      if (open.size < MAX_OPEN) return;
      const [oldest] = open;
      open.delete(oldest);
      const error = new NetError("timeout", "other addresses had their turn");
      errors.push(error);
      oldest.abort(error);
    };
    const attempt = () => {
      makeRoom();
      const given = new AbortSwitch();
      open.add(given);
      const hostname = addresses[tried++];
      if (tried < addresses.length) {
        delay = clock.startTimeout(ATTEMPT_DELAY, attempt);
      }
      // In a promise of its own: a transport of a user may throw instead of rejecting.
      new Promise<Conn>((start) => start(connect(hostname, given))).then(
        (conn) => won(given, conn),
        (error) => failed(given, error),
      );
    };
    if (signal?.aborted) return onAbort();
    signal?.addEventListener("abort", onAbort);
    attempt();
  });
}

/** From the most to the least specific; all others come last. */
const SPECIFIC: readonly NetErrorKind[] = [
  "tls",
  "refused",
  "reset",
  "timeout",
  "host-unreachable",
  "denied",
  "net-unreachable",
];

function mostSpecific(errors: NetError[]): NetError {
  const rank = ({ kind }: NetError) =>
    (SPECIFIC.indexOf(kind) + SPECIFIC.length + 1) % (SPECIFIC.length + 1);
  return errors.reduce((best, it) => rank(it) < rank(best) ? it : best);
}

/**
 * Settles like the promise, or rejects as soon as the signal fires; `discard` is then
 * called with the late value of the promise.
 */
export function withSignal<T>(
  promise: Promise<T>,
  signal?: AbortSignalLike,
  discard?: (late: T) => void,
): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
    promise.then((value) => {
      signal.removeEventListener("abort", onAbort);
      if (!signal.aborted) return resolve(value);
      try {
        discard?.(value);
      } catch {
        // The value is not of the expected type, and nobody awaits the outcome.
      }
    }, (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(error);
    });
  });
}
