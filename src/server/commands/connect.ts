/**
 * The command CONNECT (RFC 1928 section 4).
 *
 * @module
 */

import { type Endpoint, isIp } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { dial, dialAddresses, withSignal } from "../../transport/dial.ts";
import { startTimeout } from "../../transport/timeouts.ts";
import type { Conn, Relay } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";
import type { CommandSession, Ending } from "./command.ts";
import { replyToFailure } from "./failure.ts";
import { authorize, dialledAddress, resolve } from "../policy/authorize.ts";
import type { ClientRequest } from "../frontends/frontend.ts";

/** Connects to the target and says so. */
export async function connect(
  session: CommandSession,
  request: ClientRequest,
): Promise<Relay | Ending> {
  session.phase = "dial";
  const { stopping } = session;
  const timeout = startTimeout(session.settings.timeouts.connect, () => {
    stopping.abort(new NetError("timeout", "the target did not answer"));
    if (session.reply !== undefined) request.conn.close(); // which does not take it
  });
  let target: Conn | undefined;
  try {
    target = await dialTarget(session, request.target);
    session.targetAddr = target.remoteAddr;
    if (!session.ending) {
      await session.answer(request, REPLY.succeeded, target.localAddr);
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
  if (session.reply === undefined) target.close();
  else target.reset();
  return session.ending;
}

function dialTarget(
  session: CommandSession,
  target: Endpoint,
): Promise<Conn> {
  const { settings, stopping } = session;
  const { dial: dialer, policy } = settings;
  if (dialer || policy || session.exposed) return dialAllowed(session, target);
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
    const coming = dial.connect({ hostname, port }, context);
    return await withSignal(coming, stopping, (late) => late.close());
  }
  const way = await resolve(session, target, stopping);
  return await dialAddresses(transport, {
    addresses: way.addresses,
    localAddressOf: way.localAddressOf,
    port: target.port,
    signal: stopping,
  });
}
