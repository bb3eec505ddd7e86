/**
 * The protocol of a port that does not speak the one of its URL.
 *
 * @module
 */

import { METHOD } from "../../protocol/socks5.ts";
import { TlsError } from "../../transport/errors.ts";
import { dial } from "../../transport/dial.ts";
import { limited } from "./scope.ts";
import type { Way } from "./way.ts";

/** A pin that no certificate has: the handshake goes as far as the certificate. */
const NO_PIN = "00".repeat(32);

/** Whether the port speaks TLS, with any certificate. */
export async function speaksTls(way: Way, timeout: number): Promise<boolean> {
  if (way.isChain) return false;
  const { hostname, port } = way.proxy;
  const tls = { serverName: hostname, fingerprint256: NO_PIN };
  try {
    await limited(timeout, async (scope) => {
      const { signal } = scope;
      const options = { hostname, port, tls, signal };
      scope.keep(await dial(way.transport, options));
    });
    return true;
  } catch (error) {
    return error instanceof TlsError && error.problem !== "handshake";
  }
}

/** Whether the port answers a greeting of SOCKS5 without TLS. */
export async function speaksPlainSocks(
  way: Way,
  timeout: number,
): Promise<boolean> {
  try {
    return await limited(timeout, async (scope) => {
      const conn = await way.openPlain(scope);
      await conn.write(Uint8Array.of(5, 1, METHOD.none));
      const answer = await conn.read();
      return answer !== null && answer[0] === 5;
    });
  } catch {
    return false;
  }
}
