/**
 * The bridge: a proxy on loopback in front of other proxies.
 *
 * @module
 */

import { SocksError, type SocksErrorCode } from "../../client/error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import {
  type Accept,
  type Address,
  type AuthMethod,
  type Dialer,
  type Endpoint,
  NetError,
  type NetErrorKind,
  OptionError,
  serve,
  userPass,
} from "../../server/public.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { quietly } from "../../transport/quiet.ts";
import type { Hops } from "../../client/mod.ts";
import { UPSTREAM_KEYS, upstreamOf, type UpstreamOptions } from "./upstream.ts";

/** Options of {@linkcode bridge}. */
export interface BridgeOptions extends UpstreamOptions {
  /** Whether HTTP clients are served. @default {true} */
  readonly http?: boolean;
  /** Whether SOCKS clients are served. @default {true} */
  readonly socks?: boolean;
  /**
   * The login that clients of the bridge need; the hops never get it. By default there is
   * none, and every program on this machine can use the bridge.
   */
  readonly auth?: { readonly username: string; readonly password: string };
  /**
   * The IP address to listen on. If other machines can reach it, `auth` is required.
   *
   * @default {"127.0.0.1"}
   */
  readonly hostname?: string;
  /** The port to listen on; 0 lets the system choose. @default {0} */
  readonly port?: number;
  /**
   * Called when a target could not be reached, usually with a `SocksError`; the client
   * gets only a reply. Its own errors are ignored.
   */
  readonly onError?: (error: unknown, target: Endpoint) => void;
}

/** A running bridge. */
export interface Bridge extends AsyncDisposable {
  /**
   * The URL of the bridge, without a login: `http://127.0.0.1:port`, or
   * `socks5h://127.0.0.1:port` if HTTP is not served. Browsers have `socks5:` for
   * `socks5h:`.
   */
  readonly url: string;
  /** The address and port it listens on. */
  readonly addr: Address;
  /** Closes the port and all connections. */
  close(): Promise<void>;
}

/**
 * Starts a proxy on loopback that reaches all targets through other proxies: for browsers,
 * which cannot log in to a SOCKS proxy, and for other programs that lack a protocol or a
 * login. One port serves HTTP, SOCKS5, SOCKS4 and SOCKS4a; with `auth`, neither of the last
 * two, which have no passwords.
 *
 * The bridge refuses no target and resolves no names of targets: the last hop does, even if
 * its scheme is `socks5:`; only `socks4:` cannot carry names. Nothing bypasses the hops.
 * Connections may be idle for as long as the hops permit.
 *
 * Clients get the reply of the last hop or the HTTP status for it, and "host unreachable"
 * or 504 after a timeout.
 *
 * @param hops The proxies, first the one that this machine connects to; or a dialer.
 *
 * @throws {TypeError} when an argument is invalid.
 * @throws {NetError} when the port cannot be opened.
 *
 * @example A browser and a proxy with a login
 * ```ts
 * import { bridge } from "@x/socks5/bridge";
 * import { serve, userPass } from "@x/socks5/server";
 *
 * const auth = [userPass({ alice: "correct horse" })];
 * await using proxy = await serve({ port: 0, auth });
 *
 * const url = `socks5h://alice:correct%20horse@127.0.0.1:${proxy.addr.port}`;
 * await using local = await bridge(url);
 * console.log(`chromium --proxy-server=${local.url}`);
 * ```
 */
export async function bridge(
  hops: Hops | Dialer,
  options: BridgeOptions = {},
): Promise<Bridge> {
  checkKeys(options, OPTION_KEYS, "the options of bridge()");
  const { http = true, socks = true, hostname, port = 0, transport } = options;
  const { auth, onError } = options;
  if (typeof socks !== "boolean" || http === false && !socks) {
    throw new TypeError("http and socks are true or false, and not both false");
  }
  const server = await serve({
    hostname,
    port,
    http,
    accept: socks ? undefined : onlyHttp,
    auth: auth && [loginOf(auth)],
    dial: reporting(upstreamOf(hops, options), onError),
    policy: () => true,
    // The dialer has its own timeout.
    timeouts: { connect: 0, idle: 0 },
    transport,
  }).catch(explain);
  const { addr } = server;
  const close = () => server.shutdown({ grace: 0 });
  return {
    url: `${http ? "http" : "socks5h"}://${formatEndpoint(addr)}`,
    addr,
    close,
    [Symbol.asyncDispose]: close,
  };
}

const OPTION_KEYS = [
  ...UPSTREAM_KEYS,
  "http",
  "socks",
  "auth",
  "hostname",
  "port",
  "onError",
];

/**
 * All clients have the same address: one with a wrong password must not lock the others
 * out.
 */
function loginOf(auth: NonNullable<BridgeOptions["auth"]>): AuthMethod {
  checkKeys(auth, ["username", "password"], "auth");
  const { username, password } = auth;
  return userPass({ [username]: password }, { lockout: 0 });
}

/** The server's own text names options that a bridge does not have. */
function explain(error: unknown): never {
  const isOpen = error instanceof OptionError && error.code === "open-proxy";
  if (!isOpen) throw error;
  throw new TypeError(
    "a bridge that other machines can reach needs auth: { username, password }",
  );
}

/** Closes connections that begin with another byte than a method of HTTP does. */
const onlyHttp: Accept = async (conn) => {
  const chunk = await conn.read();
  if (!chunk || chunk[0] < 0x41 || chunk[0] > 0x5a) return undefined;
  conn.unread(chunk);
  return { conn };
};

/** Reports the errors of a dialer, and translates those that have no reply of their own. */
function reporting(
  dialer: Dialer,
  onError: BridgeOptions["onError"],
): Dialer {
  const { bind, udpAssociate } = dialer;
  return {
    async connect(target, context) {
      try {
        return await dialer.connect(target, context);
      } catch (error) {
        if (!context.signal.aborted) quietly(() => onError?.(error, target));
        throw replyable(error);
      }
    },
    ...bind && { bind: bind.bind(dialer) },
    ...udpAssociate && { udpAssociate: udpAssociate.bind(dialer) },
  };
}

/** An error that the server has the right reply for. */
function replyable(error: unknown): unknown {
  if (!(error instanceof SocksError)) return error;
  const kind = KINDS[error.code];
  return kind ? new NetError(kind, error.message, error) : error;
}

const KINDS: Partial<Record<SocksErrorCode, NetErrorKind>> = {
  timeout: "timeout",
  dns: "dns",
};
