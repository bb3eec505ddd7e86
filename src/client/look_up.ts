/**
 * Look-ups by a proxy, which few programs need: the module is loaded by the first.
 *
 * @module
 */

import { type Endpoint, isIp, isUnspecified } from "../protocol/address.ts";
import { COMMAND } from "../protocol/socks5.ts";
import { closeQuietly } from "../transport/quiet.ts";
import type { Attempt } from "./attempt.ts";
import { SocksError } from "./error.ts";
import { parseTarget } from "./target.ts";

/** Asks for an address of a name, within the bounds of the attempt. */
export async function lookUpAddress(
  attempt: Attempt,
  hostname: string,
): Promise<string> {
  const target = subject(hostname);
  if (!attempt.dialect.hasResolve) throw noResolve(attempt);
  const address = await answerTo(attempt, COMMAND.resolve, target);
  // Zeros stand for an address that the proxy does not know, or a broken one.
  if (isIp(address) && !isUnspecified(address)) return address;
  throw noAnswer("no address");
}

/** Asks for the name of an address, within the bounds of the attempt. */
export async function lookUpName(
  attempt: Attempt,
  address: string,
): Promise<string> {
  const target = subject(address);
  if (!isIp(target.hostname)) {
    throw new TypeError("reverse() takes an IP address, not a name");
  }
  if (!attempt.dialect.hasReverse) throw noReverse(attempt);
  const hostname = await answerTo(attempt, COMMAND.resolvePtr, target);
  if (!isIp(hostname)) return hostname;
  throw noAnswer("no name");
}

function subject(hostname: string): Endpoint {
  if (typeof hostname !== "string") {
    throw new TypeError(
      "a look-up takes a name or an IP address, without a port",
    );
  }
  return parseTarget({ hostname, port: 0 });
}

/** Requests a look-up; the answer is the bound address of the reply. */
async function answerTo(
  attempt: Attempt,
  command: number,
  target: Endpoint,
): Promise<string> {
  const { bound, conn } = await attempt.request(command, target);
  closeQuietly(conn);
  return bound.hostname;
}

/** What speaks a protocol. */
type Speaker = Pick<Attempt, "dialect">;

/** The error for a protocol without RESOLVE. */
export function noResolve(speaker: Speaker): SocksError {
  return unsupported(speaker, "RESOLVE; use socks4a: or socks5h:");
}

/** The error for a protocol without RESOLVE_PTR. */
export function noReverse(speaker: Speaker): SocksError {
  return unsupported(speaker, "RESOLVE_PTR; use socks5: or socks5h:");
}

function unsupported({ dialect }: Speaker, lacking: string): SocksError {
  const message = `${dialect.protocol}: does not have ${lacking}`;
  return new SocksError("unsupported", message, { phase: "request" });
}

function noAnswer(what: string): SocksError {
  const message = `the proxy's reply contains ${what}`;
  return new SocksError("protocol", message, { phase: "request" });
}
