/**
 * The second part of dials with TLS, whose modules are loaded only for that.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Dial } from "./dial.ts";

/** TLS to the target of a dial. */
export interface TargetTls {
  /** TLS to the target. */
  readonly targetTls?: ConnectionOptions;
  /**
   * Whether the caller starts TLS to the target itself: then the time limit goes on until
   * that handshake ends, and the caller has to call `limitTls()`.
   */
  readonly isTlsNext?: boolean;
}

/**
 * Goes on with a dial over the open socket to its next proxy, which speaks TLS, or to the
 * target. Resolves with the socket to the target, which has no listeners. If it rejects,
 * nothing is left open.
 */
export async function continueOverTls(
  dial: Dial,
  raw: Socket,
  { targetTls, isTlsNext = false }: TargetTls = {},
): Promise<Socket> {
  let reason: Error | undefined;
  dial.socket = { destroy: (error) => reason = error };
  raw.on("error", ignore);
  try {
    const { secureTarget, throughTls } = await import("./over_tls.ts");
    if (reason) throw reason;
    let socket = await throughTls(dial, raw);
    if (targetTls) socket = await secureTarget(dial, socket, targetTls);
    if (!isTlsNext) dial.end();
    return socket;
  } catch (error) {
    dial.end();
    raw.destroy();
    throw error;
  }
}

function ignore(): void {}
