/**
 * Refuses requests that other web pages may have sent.
 *
 * @module
 */

import type { IncomingMessage } from "node:http";
import { isIp, isLoopback, isUnspecified } from "../../protocol/address.ts";
import { localPlace } from "../../transport/local_place.ts";
import type { Address } from "../../transport/transport.ts";
import { RequestError } from "./answer.ts";

/**
 * Checks that a request was meant for this listener. A page of another site can send
 * requests to it, and with a name of its own that leads here (DNS rebinding) even read the
 * answers. Browsers say where a request comes from, and by which name.
 *
 * @throws {RequestError} 400, 403 or 421.
 */
export function checkRequest(
  { rawHeaders, url = "" }: Pick<IncomingMessage, "rawHeaders" | "url">,
  listener: Address,
): void {
  if (!url.startsWith("/")) {
    throw new RequestError(400, "the request target must be a path");
  }
  const host = single(rawHeaders, "host");
  if (host === undefined || !isOwnHost(host, listener)) {
    throw new RequestError(
      421,
      "the Host is not this listener: use its address, or http://localhost",
    );
  }
  const site = single(rawHeaders, "sec-fetch-site") ?? "none";
  if (site !== "none" && site !== "same-origin") {
    throw new RequestError(
      403,
      "a request of another site: enter the address in the browser's address bar",
    );
  }
  const origin = single(rawHeaders, "origin");
  if (origin === undefined || origin === `http://${host}`) return;
  throw new RequestError(403, "a request of another origin");
}

/** @throws {RequestError} if there are several: recipients may disagree about which one counts. */
function single(
  headers: readonly string[],
  name: string,
): string | undefined {
  const values = headers.filter((_, i) =>
    i % 2 === 1 && headers[i - 1].toLowerCase() === name
  );
  if (values.length > 1) throw new RequestError(400, `${name} occurs twice`);
  return values[0];
}

/**
 * Only names are dangerous, because anyone can let one lead here. The port may be that of
 * a tunnel.
 */
function isOwnHost(host: string, { hostname }: Address): boolean {
  const [, ipv6, plain] = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/i
    .exec(host) ?? [];
  const name = (ipv6 ?? plain ?? "").toLowerCase();
  if (name === "localhost") return true;
  if (isIp(name) === 0) return false;
  if (isLoopback(name) || name === hostname) return true;
  return localPlace(hostname) === undefined && isUnspecified(hostname);
}
