/**
 * The options of `serve()` and their defaults.
 *
 * @module
 */

import type { TlsServerOptions } from "../transport/tls_options.ts";
import type { Transport } from "../transport/transport.ts";
import type { AccountingOptions } from "./accounting/accounting_options.ts";
import type { UserAttributesLookup } from "./accounting/user_attributes.ts";
import type { AuthMethod } from "./auth/method.ts";
import type { Socks4Options } from "./auth/socks4_options.ts";
import type { Accept } from "./accept.ts";
import type { SharedLimitsStore } from "./cluster/store.ts";
import type { Dial, Dialer } from "./dialer.ts";
import type { EgressOptions } from "./egress/egress_options.ts";
import type { ServerEvent } from "./events.ts";
import type { Limits } from "./limits/limits.ts";
import type { Policy } from "./policy/policy.ts";
import type { PortRange } from "./policy/port_range.ts";

export type { Limits, PortRange };

/** How long each wait may take, in milliseconds; 0 means no limit. */
export interface Timeouts {
  /**
   * From accepting a connection to receiving its complete request, and from an HTTP
   * response to the next complete request on its connection.
   *
   * @default {10_000}
   */
  readonly handshake?: number;
  /**
   * For resolving a target and connecting to it, all of its addresses together, and for
   * a look-up.
   *
   * @default {15_000}
   */
  readonly connect?: number;
  /** For a relay without a byte in either direction. @default {300_000} */
  readonly idle?: number;
  /** The same after one direction has ended. @default {60_000} */
  readonly halfClosed?: number;
  /** For the peer of a BIND to connect. @default {60_000} */
  readonly bind?: number;
  /**
   * For a UDP association without a datagram in either direction. RFC 4787 section 4.3
   * requires at least two minutes, and recommends five.
   *
   * @default {300_000}
   */
  readonly association?: number;
}

/** How several servers share their limits. */
export interface SharedLimits {
  /** Counts for all servers, for example in another process or in a database. */
  readonly store: SharedLimitsStore;
  /**
   * How many servers share the store, at least as many as run at the same time. An
   * eighth of each large limit is divided among them, see {@linkcode SharedLimitsStore}.
   * By default their number is not known, and the store is asked for each slot.
   */
  readonly servers?: number;
  /**
   * The limits that are shared; the others apply to this server alone, without asking the
   * store. By default all.
   */
  readonly limits?: readonly (keyof Limits)[];
  /**
   * The limits of which no server has a share, however large they are, because the store
   * shares them with further servers. By default none if `servers` is set, or else all.
   */
  readonly exact?: readonly (keyof Limits)[];
}

/** Options of `serve()`, all with safe defaults. */
export interface ServeOptions {
  /**
   * The IP address to listen on, or `localhost`; or `unix:PATH` for a Unix socket, or
   * `fd:NUMBER` for a socket that listens already, as service managers pass it. Clients of
   * the latter two count as clients on other machines, because a proxy may be in front:
   * they need a login, and the addresses of this machine are closed. Over a Unix socket all
   * are one client, without UDP ASSOCIATE, and BIND needs a named peer; failed logins delay
   * the answers to wrong ones, but lock nobody out.
   * @default {"127.0.0.1"}
   */
  readonly hostname?: string;
  /**
   * The permissions of the file of a Unix socket, such as `0o660`, whatever the umask is.
   * The path can have at most 107 bytes, its folder 90 (103 and 86 except on Linux), and
   * the server must be allowed to create folders there.
   *
   * @default {0o600}
   */
  readonly socketMode?: number;
  /** The port to listen on; 0 lets the system choose. @default {1080} */
  readonly port?: number;
  /**
   * Whether to listen at all. If not, the server serves only the connections that are
   * passed to {@linkcode Server.handle}.
   *
   * @default {true}
   */
  readonly listen?: boolean;
  /**
   * Whether the server shares the port with other servers of the same system user that
   * set this option as well, in this process or in others. The kernel distributes the
   * clients. Each server has its own limits unless `sharedLimits` is set. `serve()`
   * rejects with kind `invalid` on Deno without `--unstable-net` and on Node.js before
   * 22.12.
   *
   * @default {false}
   */
  readonly reusePort?: boolean;
  /**
   * Makes the port speak TLS, 1.2 or 1.3. With `clientCa`, each client needs a certificate
   * of one of these authorities; its common name is then the user, unless an authentication
   * method names another, and the certificate counts as a login. The handshake of TLS shares
   * the handshake timeout and the limits of connections. `accept` gets the decrypted
   * connection; a header of `proxyFrom` precedes TLS, in clear. The datagrams of UDP ASSOCIATE
   * are not encrypted.
   *
   * Whether the server has `tls` cannot be changed while it runs, but the certificates can:
   * {@linkcode Server.update} replaces them for later connections.
   *
   * @example A self-signed certificate
   * ```ts
   * import { connect } from "@x/socks5/client";
   * import { serve } from "@x/socks5/server";
   * import { execFileSync } from "node:child_process";
   *
   * const args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 " +
   *   "-subj /CN=proxy -addext subjectAltName=DNS:localhost " +
   *   "-addext basicConstraints=CA:FALSE -keyout - -out -";
   * const pem = execFileSync("openssl", args.split(" "), {
   *   encoding: "utf8",
   *   stdio: ["ignore", "pipe", "ignore"],
   * });
   * await using proxy = await serve({ port: 0, tls: { cert: pem, key: pem } });
   * await using target = await serve({ port: 0 }); // anything that listens
   *
   * const url = `socks5h+tls://localhost:${proxy.addr.port}`;
   * await using conn = await connect(url, target.addr, { tls: { ca: pem } });
   * console.log(conn.inner.tls?.version); // TLSv1.3
   * ```
   */
  readonly tls?: TlsServerOptions;
  /**
   * A second port on the same address that does not speak TLS; 0 lets the system choose.
   * Only with `tls`. Without a login, exposed clients cannot use it: a certificate counts
   * only on the other port. By default there is none.
   */
  readonly plainPort?: number;
  /**
   * The authentication methods, in the server's order of preference: the first one that
   * the client offers is used. @default {[noAuth()]}
   */
  readonly auth?: readonly AuthMethod[];
  /**
   * Checks of SOCKS4 user ids, which then count as users. With a check, SOCKS4 is
   * served even if `auth` requires a login; without one, only if `auth` contains
   * method 00. A user id is only a claim, and the owner of an ident server controls
   * its answers: exposed sessions need {@linkcode ServeOptions.openProxy} as well.
   */
  readonly socks4?: Socks4Options;
  /**
   * Whether user names may end with a session word: `alice-session-7` is the login of `alice`,
   * with her password, and her user name everywhere; the word is
   * {@linkcode Session.sessionWord}. It has 1 to 64 letters, digits and underscores, and chooses
   * among several addresses to connect from (see {@linkcode Verdict.localAddress}), so that a
   * client can have several addresses and decide when it needs another one.
   *
   * For user names with passwords and for SOCKS4 user ids that are checked; not for CHAP,
   * GSSAPI, certificates and other methods. A user who is called `alice-session-7` logs in as
   * before: a {@linkcode Verifier} without {@linkcode Verifier.knows} is asked about the whole
   * name first.
   *
   * @default {false}
   */
  readonly sessionWords?: boolean;
  /** How clients keep their address if a rule or a user has several to connect from. */
  readonly egress?: EgressOptions;
  /**
   * Whether HTTP is served on the same port, for clients that have no SOCKS: CONNECT (RFC
   * 9110 section 9.3.6), and requests in absolute form (`GET http://…`), which are forwarded.
   * Their logins, by Basic (RFC 7617), are those of {@linkcode userPass}, lock-outs
   * included. Clients without a login are served only if `auth` contains {@linkcode
   * noAuth}. If `auth` contains neither the one nor the other, all HTTP clients get status
   * 403; a copy of the method that `userPass()` returned is not the method itself.
   *
   * Each request that is forwarded is a session of its own, with its login, policy, limits
   * and events, and has a connection of its own to the target. The client's connection is
   * kept for `timeouts.handshake` until its next request, and counts for the limits of
   * connections only once. The fields that are for a proxy
   * alone are removed, and none is added that names the client or the proxy. Trailers are
   * dropped. `Upgrade` is not forwarded: WebSocket clients use CONNECT (RFC 6455 section 4.1).
   * Headers have at most 16 KiB. Requests about whose end recipients may disagree get status
   * 400, and such responses 502.
   *
   * @default {false}
   */
  readonly http?: boolean;
  /**
   * Whether exposed sessions are served without a login: anyone who can reach the
   * server can then use it. Otherwise `serve()` refuses to listen beyond loopback
   * unless everyone needs a login.
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
   * The addresses of load balancers, as IP addresses and blocks such as `10.0.0.0/8`. Each
   * connection from one of them has to begin with a header of the PROXY protocol (version 1
   * or 2), which names the client; a balancer's own connections, such as health checks, are
   * reported as probes if they end before their first byte. Connections from other addresses
   * are served as they are. The header is read before `accept` runs, and not on connections
   * that {@linkcode Server.handle} gets with a client.
   *
   * All sessions of a server with this option are exposed, because a balancer may forward
   * from anywhere: it needs a login, or `openProxy`. BIND and UDP ASSOCIATE need `advertise`
   * (and usually `relayPorts`): the balancer does not forward their ports.
   *
   * @default {[]}
   *
   * @see https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
   */
  readonly proxyFrom?: readonly string[];
  /**
   * Reaches targets in place of direct connections: a function for CONNECT, or a
   * {@linkcode Dialer} for all commands. A command without a method gets the reply
   * "command not supported", because it would bypass the dialer. Names are passed on
   * unresolved: the dialer decides which addresses they may lead to, except that
   * {@linkcode Dialer.resolvesNames} may be `false`.
   */
  readonly dial?: Dial | Dialer;
  /**
   * Other ways to reach targets, by name, for verdicts of the policy that have
   * {@linkcode Verdict.through}: `allow *.onion through tor`. Targets that no verdict sends
   * elsewhere are reached by `dial`, or directly without it. The names have small letters,
   * digits, `.`, `_` and `-`, and none is `direct`.
   *
   * @example Through another proxy only to some targets
   * ```ts
   * import { createDialer } from "@x/socks5/client";
   * import { rules, serve } from "@x/socks5/server";
   *
   * await using upstream = await serve({ port: 0 });
   * await using server = await serve({
   *   port: 0,
   *   upstreams: {
   *     office: createDialer(`socks5h://127.0.0.1:${upstream.addr.port}`),
   *   },
   *   policy: rules(["allow *.corp.example through office", "allow *"]),
   * });
   * ```
   */
  readonly upstreams?: Readonly<Record<string, Dial | Dialer>>;
  /**
   * Decides which requests are allowed, for example {@linkcode rules}. Without a
   * policy, and if it answers `default`, sessions may reach everything, except that
   * exposed sessions cannot reach special-purpose addresses (loopback, private and
   * link-local networks, multicast, …) and this machine: the address at which the
   * client reached it, and all others that the runtime lists (Deno with
   * `--allow-sys=networkInterfaces`).
   *
   * That applies to addresses, and to names that this server resolves. What a name leads to
   * that an upstream resolves, only the upstream can decide: it may run on this machine, or
   * in a private network, and reaches what is there. Only `localhost` and the names below it
   * are closed to exposed sessions then, and rules can close others by name.
   */
  readonly policy?: Policy;
  /**
   * IP addresses, at most one of each version, that the replies to BIND and UDP
   * ASSOCIATE announce instead of the machine's own, for a server behind NAT or in a
   * container. By default the machine's own.
   */
  readonly advertise?: readonly string[];
  /**
   * The ports on which BIND and UDP ASSOCIATE listen, for example those open in a
   * firewall. By default any free port.
   */
  readonly relayPorts?: PortRange;
  /**
   * Whether UDP fragments are dropped, which RFC 1928 section 7 allows, instead of
   * reassembled.
   *
   * @default {false}
   */
  readonly dropFragments?: boolean;
  /**
   * Whether clients may look up names and IP addresses, by the commands RESOLVE (SOCKS5
   * and SOCKS4a) and RESOLVE_PTR (SOCKS5) of Tor's `socks-extensions.txt`, which
   * `torsocks` and `tor-resolve` use. By default these commands get the reply "command
   * not supported".
   *
   * A reply carries one name or one address, IPv4 if the name has any. The policy is
   * asked as for a CONNECT to port 0, with the commands `resolve` and `resolve-ptr`, so
   * that rules with ports do not match. Denied addresses are not revealed: by default
   * exposed sessions get no special-purpose address and none of this machine.
   * `timeouts.connect` applies. With the option `dial`, the dialer answers.
   *
   * @default {false}
   */
  readonly resolve?: boolean;
  /** How long each wait may take. */
  readonly timeouts?: Timeouts;
  /** Limits of sessions, connections, bytes and associations. */
  readonly limits?: Limits;
  /**
   * Makes limits apply to several servers together: the store that counts for them, their
   * number if it is known, and which limits. `bytesPerSecondPerSession` and
   * `targetsPerAssociation` do not need it. By default the limits apply to this server alone.
   */
  readonly sharedLimits?: SharedLimits;
  /**
   * What each user may do: quota, expiry, sessions, rate, and addresses to connect from. A
   * request of an expired user, or of one whose quota is used up, is refused ("not allowed",
   * or status 403), and open sessions end with the reason `expired` or `quota`. They are
   * looked at each second, so that a user can exceed a quota by the traffic of one second.
   * By default the options of the server apply to every user.
   */
  readonly userAttributes?: UserAttributesLookup;
  /**
   * Counts the bytes and sessions of each user. Cannot be changed while the server runs. By
   * default only a server with `userAttributes` counts, in its memory, and reports when
   * sessions end.
   */
  readonly accounting?: AccountingOptions;
  /** Ends the server and all sessions immediately when the signal is aborted. */
  readonly signal?: AbortSignal;
  /**
   * Called for each event, as it happens; it must return quickly. Its errors affect no
   * session: the first one is printed with `console.error()`.
   */
  readonly onEvent?: (event: ServerEvent) => void;
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
}
