/**
 * Open sockets through proxies.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Hops } from "../../client/hops.ts";
import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { isIp } from "../../protocol/address.ts";
import { openSocket } from "./open_socket.ts";
import { DOOR_KEYS, type DoorOptions, routeOf } from "./route.ts";

/** Options of {@linkcode dialSocket}. */
export interface DialOptions extends DoorOptions {
  /** Ends the attempt at once, in any phase. Has no effect on the open socket. */
  readonly signal?: AbortSignal;
  /**
   * TLS to the target: `true`, or the options of `tls.connect()`, such as `ca` and
   * `ALPNProtocols`. By default the certificate must be for the hostname of the target.
   */
  readonly targetTls?: true | ConnectionOptions;
}

const KEYS = [...DOOR_KEYS, "signal", "targetTls"];

/**
 * Opens a socket through proxies: a `net.Socket`, or with `targetTls` a `tls.TLSSocket`. The
 * bytes of a target that speaks first wait for the reader.
 *
 * @param hops One proxy as in `connect()` of the client, a list of them, each reached
 * through those before it, or a text of URLs with spaces between them.
 * @param target Name or IP address and port, also as `"example.com:443"`.
 *
 * @throws {ConnectError} when there is no connection, with the code that a direct connection
 * would have failed with; nothing is left open then.
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { dialSocket } from "@x/socks5/socket";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * const socket = await dialSocket(url, target.addr, { timeout: 5_000 });
 * socket.write(Uint8Array.of(5, 1, 0));
 * for await (const chunk of socket) {
 *   console.log(chunk); // <Buffer 05 00>
 *   break;
 * }
 * ```
 *
 * @example The errors
 * ```ts
 * import { SocksError } from "@x/socks5/client";
 * import { type ConnectError, dialSocket } from "@x/socks5/socket";
 *
 * try {
 *   await dialSocket("socks5h://127.0.0.1:1", "example.com:443");
 * } catch (error) {
 *   const { code, cause } = error as ConnectError;
 *   console.log(code, cause instanceof SocksError && cause.code); // ECONNREFUSED proxy-unreachable
 * }
 * ```
 */
export function dialSocket(
  hops: Hops,
  target: string | Endpoint,
  options: DialOptions & { readonly targetTls: true | ConnectionOptions },
): Promise<TLSSocket>;
/** The same without TLS to the target. */
export function dialSocket(
  hops: Hops,
  target: string | Endpoint,
  options?: DialOptions,
): Promise<Socket>;
export function dialSocket(
  hops: Hops,
  target: string | Endpoint,
  options: DialOptions = {},
): Promise<Socket> {
  // The errors of this function reject, too.
  return new Promise((resolve, reject) => {
    checkKeys(options, KEYS, "the options of dialSocket()");
    const route = routeOf(hops, options);
    const wanted = parseTarget(target);
    const { signal, targetTls } = options;
    const how = { signal, targetTls: tlsTo(wanted, targetTls) };
    openSocket(route, wanted, how, (error, socket) => {
      if (error) reject(error);
      else resolve(socket!);
    });
  });
}

/** The options with the name that the target's certificate must have. */
function tlsTo(
  { hostname }: Endpoint,
  tls: DialOptions["targetTls"],
): ConnectionOptions | undefined {
  if (!tls) return undefined;
  const options = tls === true ? {} : tls;
  // Without a name, `tls.connect()` would check the certificate for `localhost`.
  const name = isIp(hostname) ? { host: hostname } : { servername: hostname };
  return { ...name, ...options };
}
