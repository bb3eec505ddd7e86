/**
 * The options of `serve()` and their defaults.
 *
 * @module
 */

import type { Transport } from "../transport/transport.ts";
import type { LoginGuard } from "./auth/lockout.ts";
import type { AuthMethod } from "./auth/method.ts";
import type { Verifier, VerifyLogin } from "./auth/verifier.ts";
import type { Accept } from "./accept.ts";
import type { SharedLimitsStore } from "./cluster/store.ts";
import type { Dial, Dialer } from "./dialer.ts";
import type { ServerEvent } from "./events.ts";
import type { Policy } from "./policy/policy.ts";

/** How long each wait may take, in milliseconds; 0 means no limit. */
export interface Timeouts {
  /** From accepting a connection to its complete request. @default {10_000} */
  readonly handshake?: number;
  /** To resolve a target and to connect to it, for all of its addresses together. @default {15_000} */
  readonly connect?: number;
  /** Without a byte in either direction of a relay. @default {300_000} */
  readonly idle?: number;
  /** The same, once one direction has ended. @default {60_000} */
  readonly halfClosed?: number;
  /** For the peer of a BIND to connect. @default {60_000} */
  readonly bind?: number;
  /** Without a datagram in either direction of a UDP association (RFC 4787 section 4.3 requires two minutes at least). @default {120_000} */
  readonly association?: number;
}

/** Bounds on what clients can take; 0 means no limit. */
export interface Limits {
  /**
   * Client connections at the same time; those above are closed at once. By
   * default 10,000, or fewer where the process may not open enough descriptors
   * for two each (known on Node.js and Bun on Linux; a UDP association takes up
   * to four). 0 means no limit.
   */
  readonly sessions?: number;
  /** The same for each client address; an IPv6 client is its /64. @default {0} */
  readonly sessionsPerClient?: number;
  /** Sessions of each user who logged in. @default {0} */
  readonly sessionsPerUser?: number;
  /** Clients of one address that have not completed their request. By default 1,000, and no limit for a server on loopback, whose clients share an address. */
  readonly handshakesPerClient?: number;
  /** New connections of one address in a second; twice as many, at least 10, at once. @default {0} */
  readonly connectionsPerSecondPerClient?: number;
  /** Octets per second of each session, both directions together. @default {0} */
  readonly bytesPerSecondPerSession?: number;
  /** The same of all sessions of a user together. @default {0} */
  readonly bytesPerSecondPerUser?: number;
  /** UDP associations at the same time for each client address; more get "general failure". 0 means no limit. @default {1_000} */
  readonly associationsPerClient?: number;
  /** Targets that each UDP association remembers, and so gets datagrams from; the one not used for longest is forgotten first. @default {256} */
  readonly targetsPerAssociation?: number;
}

/** A range of ports, both ends included. */
export interface PortRange {
  /** 1 to 65535. */
  readonly first: number;
  /** `first` to 65535. */
  readonly last: number;
}

/**
 * The checks that the user id of a SOCKS4 client must pass, in this order.
 *
 * @example User ids that only your database knows
 * ```ts
 * import { serve } from "@x/socks5/server";
 *
 * const tokens = new Set(["5f0c2a7d", "b81e44c0"]);
 * await using server = await serve({
 *   port: 0,
 *   socks4: { verifier: (userId) => tokens.has(userId) },
 * });
 * ```
 */
export interface Socks4Options {
  /** The user ids that are accepted; they are claims, not secrets. By default all. */
  readonly userIds?: readonly string[];
  /**
   * Verifies the user id. It gets the user id as the user name, and an empty
   * password. Wrong ones are delayed and lock the client out as those of
   * {@linkcode userPass} do. By default every user id is right.
   */
  readonly verifier?: Verifier | VerifyLogin;
  /** Counts the user ids that `verifier` refuses. By default a {@linkcode Lockout} of its own. */
  readonly guard?: LoginGuard;
  /**
   * Whether the ident server of the client's machine (RFC 1413) has to confirm the
   * user id; its port (113) and the time it has, in milliseconds (5,000).
   *
   * @default {false}
   */
  readonly ident?: boolean | {
    readonly port?: number;
    readonly timeout?: number;
  };
}

/** How several servers share their limits. */
export interface SharedLimits {
  /** Counts for all of them, for example in another process or in a database. */
  readonly store: SharedLimitsStore;
  /** How many servers share it; a part of each large limit is divided among them. */
  readonly servers: number;
}

/** Options of `serve()`, all with safe defaults. */
export interface ServeOptions {
  /** IP address to listen on, or `localhost`. @default {"127.0.0.1"} */
  readonly hostname?: string;
  /** Port to listen on; 0 lets the system choose. @default {1080} */
  readonly port?: number;
  /**
   * Whether to listen at all. A server that does not serves only the connections
   * that {@linkcode Server.handle} gets.
   *
   * @default {true}
   */
  readonly listen?: boolean;
  /**
   * Whether other servers of the same user that set it, too, may share the port,
   * in this process or in others; the kernel distributes the clients. Each server
   * has its own limits unless `sharedLimits` is set. Rejected with kind `invalid`
   * on Deno without `--unstable-net` and on Node.js before 22.12.
   *
   * @default {false}
   */
  readonly reusePort?: boolean;
  /** Authentication methods in the server's order of preference. @default {[noAuth()]} */
  readonly auth?: readonly AuthMethod[];
  /**
   * Checks of SOCKS4 user ids, which then count as users. With a check, SOCKS4 is
   * served although `auth` requires a login; otherwise only if `auth` has method
   * 00. A user id is a claim, and an ident server answers what its owner likes:
   * exposed sessions need {@linkcode ServeOptions.openProxy} as well.
   */
  readonly socks4?: Socks4Options;
  /**
   * Whether exposed sessions are served without a login: anyone who can reach the
   * server can then use it. Without it `serve()` refuses to listen beyond loopback
   * if not everyone needs a login.
   *
   * @default {false}
   */
  readonly openProxy?: boolean;
  /**
   * Runs before the handshake of each connection: for a PROXY header, TLS, or
   * another wrapper. See {@linkcode Accept}.
   */
  readonly accept?: Accept;
  /**
   * Another way to the targets than directly: a function for CONNECT, or a
   * {@linkcode Dialer} for all commands. Commands without a method get "command
   * not supported", because they would go around it. Names are not resolved
   * before: the dialer decides where they may lead.
   */
  readonly dial?: Dial | Dialer;
  /**
   * Decides who may do what, for example {@linkcode rules}. Without a policy, and
   * if it answers `default`, sessions may reach everything; exposed sessions cannot
   * reach special-purpose addresses (loopback, private and link-local networks,
   * multicast, …) and this machine: the address at which the client reached it, and
   * all others that the runtime lists (Deno with `--allow-sys=networkInterfaces`).
   */
  readonly policy?: Policy;
  /**
   * IP addresses, at most one of each version, that the replies to BIND and UDP
   * ASSOCIATE announce in place of this machine's own: for a server behind NAT or
   * in a container. By default its own.
   */
  readonly advertise?: readonly string[];
  /** Ports for BIND and UDP ASSOCIATE to listen on, for example those open in a firewall. By default any free one. */
  readonly relayPorts?: PortRange;
  /** Whether UDP fragments are dropped instead of reassembled, which RFC 1928 section 7 allows. @default {false} */
  readonly dropFragments?: boolean;
  /** How long each wait may take. */
  readonly timeouts?: Timeouts;
  /** Limits of sessions, connections, bytes and associations. */
  readonly limits?: Limits;
  /**
   * Makes the limits hold for several servers together: their number and the
   * store that counts for all of them. By default the limits are of this server.
   */
  readonly sharedLimits?: SharedLimits;
  /** Ends the server and all sessions at once when it is aborted. */
  readonly signal?: AbortSignal;
  /**
   * Called with each event, as it happens; it has to return quickly. Its errors
   * affect no session: the first one is printed by `console.error()`.
   */
  readonly onEvent?: (event: ServerEvent) => void;
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
}

/** The error for an option that makes no sense, or that would make an open proxy. */
export class OptionError extends TypeError {
  /** Always `"OptionError"`. */
  override readonly name = "OptionError";
  /** The option's name, such as `limits.sessions`. */
  readonly option: string;
  /** `open-proxy` if neither everyone needs a login nor {@linkcode ServeOptions.openProxy} is set. */
  readonly code: "invalid" | "open-proxy";

  /** Takes a message that begins with the name of the option. */
  constructor(
    option: string,
    message: string,
    code: OptionError["code"] = "invalid",
  ) {
    super(message);
    this.option = option;
    this.code = code;
  }
}
