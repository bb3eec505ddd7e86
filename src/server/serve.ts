/**
 * Starts servers.
 *
 * @module
 */

import { detectTransport } from "../transport/detect.ts";
import type { NetError } from "../transport/errors.ts";
import type { ServerEvent } from "./events.ts";
import { localLimits, type ServerLimits } from "./limits/server_limits.ts";
import type { ServeOptions } from "./options.ts";
import type { Server } from "./server.ts";
import { resolveSettings, type Settings } from "./settings.ts";
import { SocksServer } from "./socks_server.ts";

/**
 * Starts a server for SOCKS4, SOCKS4a and SOCKS5 (RFC 1928, RFC 1929), and with the
 * option `http` for HTTP (CONNECT and `GET http://…`).
 *
 * By default it listens on 127.0.0.1:1080 and requires no login. Beyond loopback it
 * requires a login, or `openProxy: true`. SOCKS does not encrypt: logins and data are
 * sent in clear text.
 *
 * A UDP association accepts datagrams only from the address of its TCP connection, and
 * passes on only those from addresses that the client has sent to.
 *
 * @throws {TypeError} if an option is invalid, or would make the server an open proxy.
 * @throws {NetError} if it cannot listen: `addr-in-use`, `addr-not-available`, `denied`.
 *
 * @example
 * ```ts
 * import { serve } from "@x/socks5/server";
 *
 * await using server = await serve({ port: 0 });
 * console.log(`socks5://127.0.0.1:${server.addr.port}`);
 * ```
 *
 * @example With a login
 * ```ts
 * import { serve, userPass } from "@x/socks5/server";
 *
 * await using server = await serve({
 *   port: 0,
 *   auth: [userPass({ alice: "correct horse" })],
 *   onEvent: (event) => console.log(event.type),
 * });
 * ```
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  const transport = options?.transport ?? await detectTransport();
  const settings = await resolveSettings(options, transport);
  const onEvent = options.onEvent && guarded(options.onEvent);
  const limits = await limitsOf(settings, onEvent);
  const server = new SocksServer(settings, { ...options, onEvent }, limits);
  await server.start(options.signal);
  return server;
}

async function limitsOf(
  { limits, clock, sharedLimits: shared }: Settings,
  emit: ((event: ServerEvent) => void) | undefined,
): Promise<ServerLimits> {
  if (!shared) return localLimits(limits, clock);
  // Loaded lazily: most servers share no limits.
  const { sharedLimits } = await import("./cluster/shared_limits.ts");
  const onError = (error: NetError) => emit?.({ type: "limits-error", error });
  return sharedLimits(limits, clock, shared, onError);
}

/** Wraps `onEvent` so that its errors have no effect; the first one is printed with its stack. */
function guarded(
  onEvent: (event: ServerEvent) => unknown,
): (event: ServerEvent) => void {
  let isReported = false;
  const report = (error: unknown) => {
    if (isReported) return;
    isReported = true;
    console.error("socks5: onEvent failed; later errors are dropped:", error);
  };
  return (event) => {
    try {
      const result = onEvent(event);
      if (result instanceof Promise) result.catch(report);
    } catch (error) {
      report(error);
    }
  };
}
