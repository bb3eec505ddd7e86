/**
 * The command UDP ASSOCIATE (RFC 1928 sections 4 and 7).
 *
 * @module
 */

import { isIp, isUnspecified } from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { startTimeout } from "../../transport/timeouts.ts";
import { NetError } from "../../transport/errors.ts";
import type { Relay } from "../../transport/transport.ts";
import { UdpRelay } from "./udp_relay.ts";
import { clientKey } from "../client_key.ts";
import type { CommandSession, Ending } from "./command.ts";
import { replyToFailure } from "./failure.ts";
import { advertisedAddress } from "./relay_ports.ts";
import type { ClientRequest } from "../frontends/frontend.ts";

/** Opens a relay for the client's datagrams and says where; it lasts as long as the client's connection. */
export async function udpAssociate(
  session: CommandSession,
  request: ClientRequest,
): Promise<Relay | Ending> {
  const { settings, associations } = session;
  const client = session.client.hostname;
  const key = clientKey(client);
  if (settings.dial) {
    return await session.refuse(request, REPLY.commandNotSupported);
  }
  const why = !isIp(client) || isUnspecified(client)
    ? "the client's address is not known"
    : await associations.acquire(key)
    ? undefined
    : "the client has as many associations as it may";
  if (why) {
    const error = new NetError("denied", why);
    return await session.refuse(request, REPLY.generalFailure, error);
  }
  const association = new UdpRelay(session, () => associations.release(key));
  try {
    const addr = await association.open(request);
    session.boundAddr = advertisedAddress(settings, addr);
    session.datagrams = association.datagrams;
    await answer(session, request);
  } catch (error) {
    association.close();
    return await session.refuse(request, replyToFailure(error), error);
  }
  session.phase = "relay";
  return association.start(request.conn);
}

async function answer(
  session: CommandSession,
  request: ClientRequest,
): Promise<void> {
  const timeout = startTimeout(
    session.settings.timeouts.connect,
    () => request.conn.close(), // which does not take the reply
  );
  try {
    await session.answer(request, REPLY.succeeded, session.boundAddr);
  } catch (error) {
    session.ending ??= { reason: "client-gone", error: error as Error };
    throw error;
  } finally {
    timeout.cancel();
  }
}
