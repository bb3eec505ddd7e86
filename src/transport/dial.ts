/**
 * Connects to a name by trying all of its addresses: Happy Eyeballs (RFC 8305).
 *
 * @module
 */

import { abortError, NetError, toNetError } from "./errors.ts";
import { systemClock } from "./clock.ts";
import { race } from "./race.ts";
import type { AbortSignalLike } from "./signal.ts";
import type { TlsClientOptions } from "./tls_options.ts";
import type { Conn, ConnectOptions, Transport } from "./transport.ts";

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
 * Connects to the first address of `hostname` that answers. All addresses are tried
 * until one does or the signal fires; the number of open attempts is limited (see
 * {@linkcode race}). If none answers, rejects with the most specific `NetError` (`refused`
 * before `timeout` before `net-unreachable`).
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
  /** See {@linkcode ConnectOptions.tls}. */
  readonly tls?: TlsClientOptions;
  /** Aborts all attempts. */
  readonly signal?: AbortSignalLike;
}

/**
 * Connects to the first of these addresses that answers, and to no other address; tries
 * them and rejects as {@linkcode dial} does.
 */
export function dialAddresses(
  transport: Transport,
  { addresses, port, tls, signal }: DialAddressesOptions,
): Promise<Conn> {
  const connect = (hostname: string, signal?: AbortSignalLike) =>
    connectTo(transport, { hostname, port, tls, signal });
  return dialEach(transport, addresses, connect, signal);
}

/** The same with a function that connects to one of the addresses. */
export function dialEach(
  { clock = systemClock }: Transport,
  addresses: readonly string[],
  connect: (address: string, signal?: AbortSignalLike) => Promise<Conn>,
  signal?: AbortSignalLike,
): Promise<Conn> {
  if (addresses.length === 1) return connect(addresses[0], signal);
  return race({ connect, addresses: interleave(addresses), clock, signal });
}

/**
 * Connects to one address. If there is no route to an IPv6 address, some systems report
 * that no local address is available; here both are `net-unreachable`.
 */
export function connectTo(
  transport: Transport,
  options: ConnectOptions,
): Promise<Conn> {
  const attempt = transport.connect(options);
  return isV6(options.hostname) ? attempt.catch(failWithoutSource) : attempt;
}

function failWithoutSource(error: unknown): never {
  const { kind, message } = toNetError(error);
  if (kind !== "addr-not-available") throw error;
  throw new NetError("net-unreachable", message, error);
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

/**
 * Settles like the promise, or rejects as soon as the signal fires. In that case `discard`
 * is called with the value if the promise still resolves.
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
        // The value is not of the expected type, and the outcome is no longer awaited.
      }
    }, (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(error);
    });
  });
}
