/**
 * Who may do what.
 *
 * @module
 */

import { type Endpoint, isIp, unmapIp } from "../protocol/address.ts";
import { withSignal } from "../transport/dial.ts";
import { NetError, type Signal } from "../transport/transport.ts";
import type { CommandSession } from "./command.ts";
import type { CommandName, Session } from "./events.ts";

/** What a client wants to do, as a policy is asked about it. */
export interface PolicyRequest {
  /** Who: the client's address, the user, the version. */
  readonly session: Session;
  /** What it asked for. */
  readonly command: CommandName;
  /**
   * The target as the client named it: of CONNECT, of a datagram, or the peer
   * that may come to a BIND, where `0.0.0.0` and `::` mean anyone.
   */
  readonly hostname: string;
  /** Its port. */
  readonly port: number;
  /**
   * The address that is about to be used for it, IPv4-mapped IPv6 as IPv4; what
   * is judged is what is used. A name is asked about without one first, and
   * then with each of its addresses.
   */
  readonly address?: string;
}

/**
 * Says whether a client may; a rejection means no as well. It is asked for each
 * CONNECT, each BIND and whoever comes to it, and for the targets of datagrams,
 * where an answer counts for half a minute. With the option `dial` it is not
 * asked about a name's addresses, which are then none of the server's business.
 */
export type Policy = (request: PolicyRequest) => boolean | Promise<boolean>;

/** Throws unless the session may use the target, or one address of it. */
export async function authorize(
  session: CommandSession,
  target: Endpoint,
  { address, signal }: { address?: string; signal?: Signal } = {},
): Promise<void> {
  const { settings: { policy }, command } = session;
  if (!policy || !command) return;
  const { hostname, port } = target;
  const verdict = policy({ session, command, hostname, port, address });
  if (await withSignal(Promise.resolve(verdict), signal)) return;
  throw new NetError("denied", "the policy does not allow it");
}

/** Those addresses of a target that the session may use, at least one. */
export async function resolve(
  session: CommandSession,
  target: Endpoint,
  signal?: Signal,
): Promise<string[]> {
  if (isIp(target.hostname)) {
    const address = unmapIp(target.hostname);
    await authorize(session, target, { address, signal });
    return [address];
  }
  await authorize(session, target, { signal });
  const { transport } = session.settings;
  const found = await withSignal(transport.lookup(target.hostname), signal);
  const allowed: string[] = [];
  let denial: unknown;
  for (const address of found.map(unmapIp)) {
    await authorize(session, target, { address, signal }).then(
      () => allowed.push(address),
      (error) => denial ??= error,
    );
  }
  if (allowed.length > 0) return allowed;
  throw denial;
}
