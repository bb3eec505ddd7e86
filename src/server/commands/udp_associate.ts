/**
 * The command UDP ASSOCIATE (RFC 1928 sections 4 and 7).
 *
 * @module
 */

import { isIp, isUnspecified } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { NetError } from "../../transport/errors.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import type { Relay } from "../../transport/transport.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import type { CommandSession } from "./command.ts";
import type { Ending } from "./ending.ts";
import { hasUdpAssociate } from "./dialed_outlet.ts";
import { replyToFailure } from "./failure.ts";
import { advertisedAddress } from "./relay_ports.ts";
import { UdpRelay } from "./udp_relay.ts";

/**
 * Opens a relay for the client's datagrams, which lasts as long as the client's
 * connection. The reply carries the relay's address. With a dialer, the upstream
 * association is opened before the reply, so that the client learns at once if
 * there is none.
 */
export async function udpAssociate(
  session: CommandSession,
  request: ClientRequest,
): Promise<Relay | Ending> {
  const { dial, upstreams } = session.settings;
  if (dial && upstreams.size === 0 && !hasUdpAssociate(dial)) {
    return await session.refuse(request, REPLY.commandNotSupported);
  }
  const client = session.client.hostname;
  const error = !isIp(client) || isUnspecified(client)
    ? new NetError("denied", "the client's address is not known")
    : await session.acquire("associationsPerClient");
  if (error) {
    return await session.refuse(request, REPLY.generalFailure, error);
  }
  session.phase = "dial";
  const release = () => session.release("associationsPerClient");
  const relay = new UdpRelay(session, release);
  try {
    await open(session, request, relay);
  } catch (error) {
    relay.close();
    return await session.refuse(request, replyToFailure(error), error);
  }
  session.phase = "relay";
  try {
    return relay.start(request.conn);
  } catch (error) { // of a wrapped connection
    relay.close();
    throw error;
  }
}

async function open(
  session: CommandSession,
  request: ClientRequest,
  relay: UdpRelay,
): Promise<void> {
  const { settings, stopping } = session;
  const { clock, timeouts } = settings;
  const timeout = clock.startTimeout(timeouts.connect, () => {
    stopping.abort(new NetError("timeout", "the dialer did not answer"));
    // The client does not read the reply.
    if (session.reply !== undefined) closeQuietly(request.conn);
  });
  try {
    const addr = await relay.open(request);
    session.boundAddr = advertisedAddress(settings, addr);
    session.datagrams = relay.datagrams;
    await answer(session, request);
  } finally {
    timeout.cancel();
  }
}

async function answer(
  session: CommandSession,
  request: ClientRequest,
): Promise<void> {
  try {
    await session.answer(request, REPLY.succeeded, session.boundAddr);
  } catch (error) {
    session.ending ??= { reason: "client-gone", error: error as Error };
    throw error;
  }
}
