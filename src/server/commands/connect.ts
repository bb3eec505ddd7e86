/**
 * The command CONNECT (RFC 1928 section 4).
 *
 * @module
 */

import type { Endpoint } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { dial, dialAddresses, withSignal } from "../../transport/dial.ts";
import { dialFrom } from "../../transport/dial_from.ts";
import { closeQuietly, resetQuietly } from "../../transport/quiet.ts";
import type { Address, Conn, Relay } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import type { Dialer } from "../dialer.ts";
import type { CommandSession } from "./command.ts";
import type { Ending } from "./ending.ts";
import { checkedConn, isReplyable } from "./dialed.ts";
import { replyToFailure } from "./failure.ts";
import { isUnrestricted, resolve, type Route } from "../policy/authorize.ts";
import type { ClientRequest } from "../frontends/frontend.ts";

/** Connects to the target. The reply carries the local address of the new connection. */
export async function connect(
  session: CommandSession,
  request: ClientRequest,
): Promise<Relay | Ending> {
  session.phase = "dial";
  const { settings: { clock, timeouts }, stopping } = session;
  const timeout = clock.startTimeout(timeouts.connect, () => {
    stopping.abort(new NetError("timeout", "the target did not answer"));
    // The client does not read the reply.
    if (session.reply !== undefined) closeQuietly(request.conn);
  });
  let target: Conn | undefined;
  try {
    target = await dialTarget(session, request.target);
    session.targetAddr = target.remoteAddr;
    if (!session.ending) {
      const bound = boundAddr(session, request, target);
      await session.answer(request, REPLY.succeeded, bound);
      return session.relay(request.conn, target);
    }
  } catch (error) {
    if (!target) {
      return await session.refuse(request, replyToFailure(error), error);
    }
    session.ending ??= { reason: "client-gone", error: error as Error };
  } finally {
    timeout.cancel();
  }
  if (session.reply === undefined) closeQuietly(target);
  else resetQuietly(target);
  return session.ending;
}

function boundAddr(
  { settings }: CommandSession,
  request: ClientRequest,
  { localAddr }: Conn,
): Address | undefined {
  const isDirect = !settings.dial && settings.upstreams.size === 0;
  if (!isDirect && !isReplyable(request, localAddr)) return undefined;
  return localAddr;
}

/** Connects to the target, if the policy allows it, within the session's signal. */
export function dialTarget(
  session: CommandSession,
  target: Endpoint,
): Promise<Conn> {
  const { settings, stopping } = session;
  if (!isUnrestricted(session)) return dialAllowed(session, target);
  const { hostname, port } = target;
  return dial(settings.transport, { hostname, port, signal: stopping });
}

async function dialAllowed(
  session: CommandSession,
  target: Endpoint,
): Promise<Conn> {
  const { settings: { transport }, stopping } = session;
  const route = await resolve(session, target, stopping);
  if (route.dialer) {
    return await dialThrough(session, route.dialer, route, target.port);
  }
  const { addresses, localAddressesOf } = route;
  const to = { addresses, port: target.port, signal: stopping };
  if (!localAddressesOf) return await dialAddresses(transport, to);
  const conn = await dialFrom(transport, { ...to, localAddressesOf });
  session.via = conn.localAddr.hostname;
  return conn;
}

/** Tries the addresses, or the name, one after the other. */
async function dialThrough(
  session: CommandSession,
  dialer: Dialer,
  { addresses }: Route,
  port: number,
): Promise<Conn> {
  const { stopping } = session;
  const context = { session, signal: stopping.signal };
  let failure: unknown;
  for (const hostname of addresses) {
    try {
      const conn = Promise.resolve(dialer.connect({ hostname, port }, context));
      return checkedConn(await withSignal(conn, stopping, closeQuietly));
    } catch (error) {
      if (stopping.aborted) throw error;
      failure ??= error;
    }
  }
  throw failure;
}
