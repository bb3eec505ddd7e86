/**
 * Names that this client resolves, because the protocol of the proxy carries none.
 *
 * @module
 */

import { lookup } from "node:dns";
import { unresolvedError } from "../../client/to_socks_error.ts";

/** Returns all addresses of a name; rejects with code `dns`. */
export function lookUp(hostname: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    lookup(hostname, { all: true, verbatim: true }, (error, found) => {
      if (error) return reject(unresolvedError(hostname, "request", error));
      resolve(found.map(({ address }) => address));
    });
  });
}
