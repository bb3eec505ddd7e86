/**
 * `fetch()` of Deno: its own one asks the local resolver for the names of targets, whatever
 * the proxy is.
 *
 * @module
 */

import * as tls from "node:tls";
import { parseTarget } from "../../client/target.ts";
import type { AliasTls } from "../fetch/aliases.ts";
import { targetOf } from "../fetch/failures.ts";
import { HttpClient } from "../fetch/http/client.ts";
import { socksErrorIn } from "../fetch/way.ts";
import type { Directions } from "./sockets.ts";

type Fetch = (input: unknown, init?: object) => Promise<Response>;

/**
 * Returns a `fetch()` through the proxy; direct targets are left to `direct`, with these
 * options. `given` are those of the client of Deno that the program has chosen.
 */
export function fetchThrough(
  directions: Directions,
  direct: Fetch,
  options: object,
  given: AliasTls = {},
): (request: Request) => Promise<Response> {
  const { caCerts, cert, key } = given;
  const ca = caCerts?.length ? [...authorities(), ...caCerts] : undefined;
  const isDirect = (url: URL) =>
    directions.isDirect(parseTarget(targetOf(url.href)));
  const client = new HttpClient(
    directions.route,
    { ca, cert, key },
    (url, init) =>
      isDirect(url) ? direct(url, { ...init(), ...options }) : undefined,
  );
  return async (request) => {
    const { signal } = request;
    try {
      return await client.fetch({ input: request, init: {}, signal });
    } catch (error) {
      const cause = signal.aborted ? undefined : socksErrorIn(error);
      if (!cause) throw error;
      throw new TypeError(`fetch failed: ${cause.message}`, { cause });
    }
  };
}

/** Those that Deno trusts; without the permission to read them, none. */
function authorities(): readonly string[] {
  const { getCACertificates } = tls as {
    getCACertificates?: (type: "default") => string[];
  };
  try {
    return getCACertificates?.("default") ?? tls.rootCertificates;
  } catch {
    return [];
  }
}
