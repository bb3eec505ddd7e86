/**
 * The resolvers of look-ups: a dialer if the policy chooses one, otherwise this machine.
 * Nothing bypasses the dialer.
 *
 * @module
 */

import type { Dialer } from "../dialer.ts";
import type { CommandSession } from "./command.ts";

/** Whether there may be a resolver for RESOLVE. */
export function mayLookUp({ settings }: CommandSession): boolean {
  const { dial, upstreams } = settings;
  return upstreams.size > 0 || !dial || typeof dial.resolve === "function";
}

/** Whether a dialer is asked for the addresses of names, and not this machine. */
export function answersLookUps(dialer: Dialer): boolean {
  return dialer.resolvesNames !== false || typeof dialer.resolve === "function";
}

/** Asks a dialer for an address of a name. */
export async function lookUp(
  session: CommandSession,
  dialer: Dialer,
  hostname: string,
): Promise<string> {
  if (typeof dialer.resolve !== "function") throw unsupported();
  return await dialer.resolve(hostname, contextOf(session));
}

/** Whether there may be a resolver for RESOLVE_PTR. */
export function mayReverse({ settings }: CommandSession): boolean {
  const { dial, upstreams, transport } = settings;
  return upstreams.size > 0 ||
    typeof (dial ?? transport).reverse === "function";
}

/** Asks a dialer, or this machine without one, for the name of an address. */
export async function reverse(
  session: CommandSession,
  dialer: Dialer | undefined,
  address: string,
): Promise<string> {
  const { transport } = session.settings;
  if (typeof (dialer ?? transport).reverse !== "function") throw unsupported();
  return dialer
    ? await dialer.reverse!(address, contextOf(session))
    : await transport.reverse!(address, session.stopping);
}

/** The reply to this error is "command not supported". */
function unsupported(): Error {
  const error = new Error("the way to the target has no look-ups");
  return Object.assign(error, { code: "unsupported" });
}

function contextOf(session: CommandSession) {
  return { session, signal: session.stopping.signal };
}
