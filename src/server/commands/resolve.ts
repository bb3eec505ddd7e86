/**
 * The commands RESOLVE and RESOLVE_PTR of Tor (`socks-extensions.txt`): look-ups of a
 * name, and of an IP address.
 *
 * @module
 */

import {
  canonicalHostname,
  type Endpoint,
  isIp,
  unmapIp,
} from "../../protocol/address.ts";
import { REPLY } from "../../protocol/reply.ts";
import { withSignal } from "../../transport/dial.ts";
import { NetError } from "../../transport/errors.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import {
  authorize,
  dialerOf,
  dialledAddress,
  preferFamily,
  resolve,
  resolverOf,
} from "../policy/authorize.ts";
import type { CommandSession } from "./command.ts";
import { isReplyable } from "./dialed.ts";
import type { Ending } from "./ending.ts";
import { replyToFailure } from "./failure.ts";
import {
  answersLookUps,
  lookUp,
  mayLookUp,
  mayReverse,
  reverse,
} from "./resolver.ts";

/** Replies with an address of the name that the policy allows. */
export async function resolveName(
  session: CommandSession,
  request: ClientRequest,
): Promise<Ending> {
  const target = withoutPort(request);
  if (!session.settings.resolve || !mayLookUp(session)) {
    return await session.refuse(request, REPLY.commandNotSupported);
  }
  return await answer(
    session,
    request,
    () => addressOf(session, request, target),
  );
}

/** Replies with the name of the address, if the policy allows that. */
export async function resolvePtr(
  session: CommandSession,
  request: ClientRequest,
): Promise<Ending> {
  const target = withoutPort(request);
  if (!session.settings.resolve || !mayReverse(session)) {
    return await session.refuse(request, REPLY.commandNotSupported);
  }
  if (!isIp(target.hostname)) {
    return await session.refuse(request, REPLY.addressTypeNotSupported);
  }
  return await answer(session, request, async () => {
    const { stopping: signal } = session;
    const address = unmapIp(target.hostname);
    const verdict = await authorize(session, target, { address, signal });
    const found = await reverse(session, dialerOf(session, verdict), address);
    if (typeof found !== "string") throw new TypeError("the answer is no name");
    const hostname = canonicalHostname(found);
    if (hostname !== undefined && !isIp(hostname)) return hostname;
    throw new NetError("dns", `no reply can carry the name of ${address}`);
  });
}

/** The target for the policy. Tor also ignores the port of look-ups. */
function withoutPort({ target: { hostname } }: ClientRequest): Endpoint {
  return { hostname, port: 0 };
}

/** Sends the result of `find`, within the timeout of CONNECT. */
async function answer(
  session: CommandSession,
  request: ClientRequest,
  find: () => Promise<string>,
): Promise<Ending> {
  session.phase = "dial";
  const { settings: { clock, timeouts }, stopping } = session;
  const timeout = clock.startTimeout(timeouts.connect, () => {
    stopping.abort(new NetError("timeout", "the look-up took too long"));
  });
  try {
    const hostname = await withSignal(find(), stopping);
    session.boundAddr = { hostname, port: 0 };
  } catch (error) {
    return await session.refuse(request, replyToFailure(error), error);
  } finally {
    timeout.cancel();
  }
  return await session.complete(request, session.boundAddr);
}

/**
 * The first allowed address that the reply can carry: IPv4, unless a rule prefers IPv6. A
 * dialer that has look-ups is asked instead, and the policy about its answer.
 */
async function addressOf(
  session: CommandSession,
  request: ClientRequest,
  target: Endpoint,
): Promise<string> {
  const { stopping: signal } = session;
  const dialer = isIp(target.hostname)
    ? undefined
    : await resolverOf(session, target, signal, answersLookUps);
  if (dialer) {
    const found = await lookUp(session, dialer, target.hostname);
    if (typeof found !== "string" || !isIp(found)) {
      throw new TypeError("the dialer returned no IP address");
    }
    const address = dialledAddress(found);
    await authorize(session, target, { address, signal });
    return replyable(request, [address]);
  }
  const { addresses, family } = await resolve(session, target, signal);
  if (!family) preferFamily(addresses, 4); // clients such as torsocks expect it
  return replyable(request, addresses);
}

/** An address with a zone is none: without the zone, which no reply carries, it means another. */
function replyable(
  request: ClientRequest,
  addresses: readonly string[],
): string {
  const hostname = addresses.find((it) =>
    isIp(it) && isReplyable(request, { hostname: it, port: 0 })
  );
  if (hostname !== undefined) return hostname;
  throw new NetError("dns", "no reply can carry an address of the name");
}
