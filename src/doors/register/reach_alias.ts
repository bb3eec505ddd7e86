/**
 * The way of Deno's WebSockets from the front to their targets.
 *
 * @module
 */

import { parseTarget } from "../../client/target.ts";
import { type ConnSource, toConn } from "../../transport/streams.ts";
import type { Alias } from "../fetch/aliases.ts";

interface DenoConn {
  close(): void;
  unref?(): void;
}

interface DenoNet {
  connect(options: object): Promise<DenoConn>;
}

/** Milliseconds for the handshake of TLS. */
const TLS_TIMEOUT = 30_000;
const ALPN = ["http/1.1"];

/** Connects to the target of a WebSocket, as the program itself would. */
export async function reachAlias(
  { target, isSecure, tls, signal: closed }: Alias,
  ended: AbortSignal,
): Promise<ConnSource> {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoNet };
  const signal = AbortSignal.any([closed, ended]);
  const to = { ...parseTarget(target), signal };
  if (!isSecure) return unheld(await deno.connect(to));
  const late = AbortSignal.any([signal, AbortSignal.timeout(TLS_TIMEOUT)]);
  const { caCerts, cert, key } = tls ?? {};
  // Deno's own TLS keeps the connection to a target that says nothing, even after close().
  const { tlsOver } = await import("../../transport/tls/connect.ts");
  const { authoritiesWith } = await import("./authorities.ts");
  const ca = authoritiesWith(caCerts)?.join("\n");
  const serverName = to.hostname.replace(/\.$/, "");
  const conn = toConn(unheld(await deno.connect(to)));
  return await tlsOver(conn, { serverName, ca, cert, key, alpn: ALPN }, late);
}

/** The connection, which does not keep the process alive. */
function unheld(conn: DenoConn): ConnSource {
  conn.unref?.();
  return conn as unknown as ConnSource;
}
