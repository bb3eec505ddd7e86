/**
 * The resolvers of look-ups: the dialer if there is one, otherwise this machine. Nothing
 * bypasses the dialer.
 *
 * @module
 */

import type { Dialer } from "../dialer.ts";
import type { CommandSession } from "./command.ts";

/** Answers a look-up. */
export type Resolver = (subject: string) => Promise<string>;

/** The RESOLVE of a dialer; `undefined` when it has none. */
export function dialedResolve(
  session: CommandSession,
  dial: Dialer,
): Resolver | undefined {
  if (typeof dial.resolve !== "function") return undefined;
  return async (hostname) => await dial.resolve!(hostname, contextOf(session));
}

/** Answers RESOLVE_PTR; `undefined` when the dialer or the transport cannot. */
export function reverseOf(session: CommandSession): Resolver | undefined {
  const { dial, transport } = session.settings;
  if (!dial) {
    if (!transport.reverse) return undefined;
    return (address) => transport.reverse!(address, session.stopping);
  }
  if (typeof dial.reverse !== "function") return undefined;
  return async (address) => await dial.reverse!(address, contextOf(session));
}

function contextOf(session: CommandSession) {
  return { session, signal: session.stopping.signal };
}
