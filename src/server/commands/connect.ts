/**
 * The command CONNECT (RFC 1928 section 4).
 *
 * @module
 */

import { type Endpoint, isIp } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { dial, dialAddresses, withSignal } from "../../transport/dial.ts";
import { closeQuietly, resetQuietly } from "../../transport/quiet.ts";
import type { Address, Conn, Relay } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import type { CommandSession } from "./command.ts";
import type { Ending } from "./ending.ts";
import { checkedConn, isReplyable } from "./dialed.ts";
import { replyToFailure } from "./failure.ts";
import { authorize, dialledAddress, resolve } from "../policy/authorize.ts";
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
  if (settings.dial && !isReplyable(request, localAddr)) return undefined;
  return localAddr;
}

/** Connects to the target, if the policy allows it, within the session's signal. */
export function dialTarget(
  session: CommandSession,
  target: Endpoint,
): Promise<Conn> {
  const { settings, stopping } = session;
  if (settings.dial || settings.policy || session.exposed) {
    return dialAllowed(session, target);
  }
  const { hostname, port } = target;
  return dial(settings.transport, { hostname, port, signal: stopping });
}

async function dialAllowed(
  session: CommandSession,
  target: Endpoint,
): Promise<Conn> {
  const { settings: { dial, transport }, stopping } = session;
  if (dial) {
    const { hostname, port } = target;
    const address = isIp(hostname) ? dialledAddress(hostname) : undefined;
    await authorize(session, target, { address, signal: stopping });
    const context = { session, signal: stopping.signal };
    const conn = Promise.resolve(
      dial.connect({ hostname, port }, context),
    );
    return checkedConn(
      await withSignal(conn, stopping, closeQuietly),
    );
  }
  const route = await resolve(session, target, stopping);
  return await dialAddresses(transport, {
    addresses: route.addresses,
    localAddressOf: route.localAddressOf,
    port: target.port,
    signal: stopping,
  });
}
