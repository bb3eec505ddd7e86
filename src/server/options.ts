/**
 * What `serve()` can be told, and what it does when it is not.
 *
 * @module
 */

import { isIp, isLoopback } from "../protocol/address.ts";
import { METHOD } from "../protocol/socks5.ts";
import type { Conn, Transport } from "../transport/transport.ts";
import { type AuthMethod, noAuth } from "./auth.ts";
import type { ServerEvent, Session } from "./events.ts";

/** Milliseconds that each wait may take; 0 means for ever. */
export interface Timeouts {
  /** From accepting a client to its complete request. @default {10_000} */
  readonly handshake?: number;
  /** To resolve and connect to a target, all addresses together. @default {15_000} */
  readonly connect?: number;
  /** Without an octet in either direction of a relay. @default {300_000} */
  readonly idle?: number;
  /** The same, once one direction has ended. @default {60_000} */
  readonly halfClosed?: number;
}

/** Bounds on what clients can take. */
export interface Limits {
  /**
   * Client connections at the same time; those above are closed at once. By
   * default 10,000, or fewer where the process may not open enough descriptors
   * for two each (known on Node.js and Bun on Linux). 0 means no limit.
   */
  readonly sessions?: number;
}

/** What a dialer is asked for. */
export interface DialRequest {
  /** The target's name or IP address, as the client said it. */
  readonly hostname: string;
  /** 0 to 65535. */
  readonly port: number;
  /** For whom; `session.user` is who logged in. */
  readonly session: Session;
  /** Fires when the connect timeout is over or the session is closed. */
  readonly signal: AbortSignal;
}

/**
 * Connects to a target in another way than directly. A rejection with a
 * `NetError` gets the reply of its kind, any other one "general failure".
 */
export type Dial = (request: DialRequest) => Promise<Conn>;

/** Options of `serve()`; all have safe defaults. */
export interface ServeOptions {
  /** IP address to listen on, or `localhost`. @default {"127.0.0.1"} */
  readonly hostname?: string;
  /** Port to listen on; 0 lets the system choose. @default {1080} */
  readonly port?: number;
  /** Authentication methods in the server's order of preference. @default {[noAuth()]} */
  readonly auth?: readonly AuthMethod[];
  /**
   * Whether anyone who can reach a listener beyond loopback may use it without
   * a login. Without this, `serve()` refuses to start such a server.
   *
   * @default {false}
   */
  readonly openProxy?: boolean;
  /** How targets are reached. By default directly, all addresses by Happy Eyeballs. */
  readonly dial?: Dial;
  /** Milliseconds that each wait may take. */
  readonly timeouts?: Timeouts;
  /** Bounds on what clients can take. */
  readonly limits?: Limits;
  /** Ends the server and all sessions at once when it fires. */
  readonly signal?: AbortSignal;
  /** Told of all that happens, as it happens. Must be quick and not throw. */
  readonly onEvent?: (event: ServerEvent) => void;
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
}

/** Options with every gap filled. */
export interface Settings {
  readonly hostname: string;
  readonly port: number;
  readonly auth: readonly AuthMethod[];
  readonly servesSocks4: boolean;
  readonly dial: Dial | undefined;
  readonly timeouts: Required<Timeouts>;
  readonly maxSessions: number;
  readonly transport: Transport;
}

const DEFAULT_MAX_SESSIONS = 10_000;
/** Descriptors left to everything that is not a session. */
const SPARE_DESCRIPTORS = 32;

/** Checks options and fills their gaps. */
export async function resolveOptions(
  options: ServeOptions,
  transport: Transport,
): Promise<Settings> {
  const { port = 1080, auth = [noAuth()], openProxy = false } = options;
  const hostname = listenAddress(options.hostname ?? "127.0.0.1");
  const servesSocks4 = auth.some(({ number }) => number === METHOD.none);
  if (auth.length === 0) throw new TypeError("auth needs a method");
  if (servesSocks4 && !isLoopback(hostname) && !openProxy) {
    throw new TypeError(
      `a server on ${hostname} without a login would be an open proxy: ` +
        "set auth to [userPass(…)], or openProxy to true if that is what you want",
    );
  }
  return {
    hostname,
    port: whole("port", port, 65535),
    auth,
    servesSocks4,
    dial: options.dial,
    timeouts: resolveTimeouts(options.timeouts),
    maxSessions: await resolveMaxSessions(options.limits?.sessions, transport),
    transport,
  };
}

function listenAddress(hostname: string): string {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  if (bare === "localhost") return "127.0.0.1";
  if (isIp(bare)) return bare;
  throw new TypeError(
    `hostname must be an IP address to listen on, not ${
      JSON.stringify(hostname)
    }`,
  );
}

function resolveTimeouts(given: Timeouts = {}): Required<Timeouts> {
  const { handshake, connect, idle, halfClosed } = given;
  return {
    handshake: whole("timeouts.handshake", handshake ?? 10_000),
    connect: whole("timeouts.connect", connect ?? 15_000),
    idle: whole("timeouts.idle", idle ?? 300_000),
    halfClosed: whole("timeouts.halfClosed", halfClosed ?? 60_000),
  };
}

async function resolveMaxSessions(
  given: number | undefined,
  transport: Transport,
): Promise<number> {
  if (given !== undefined) return whole("limits.sessions", given) || Infinity;
  const descriptors = await transport.descriptorLimit?.() ?? Infinity;
  const possible = Math.floor((descriptors - SPARE_DESCRIPTORS) / 2);
  return Math.max(1, Math.min(DEFAULT_MAX_SESSIONS, possible));
}

/** The longest wait that timers of all runtimes can take. */
const MAX = 2 ** 31 - 1;

function whole(name: string, value: number, max = MAX): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new TypeError(`${name} must be a whole number from 0 to ${max}`);
}
