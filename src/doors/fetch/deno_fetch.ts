/**
 * `fetch()` on Deno: a client of HTTP over the sockets of the door `./socket`. Deno's own one
 * asks the local resolver for the names of targets, whatever the proxy is: for `--deny-net`.
 *
 * @module
 */

import { Route as SocketRoute } from "../socket/route.ts";
import { HttpClient } from "./http/client.ts";
import type { Route } from "./options.ts";
import type { Way } from "./way.ts";

/** Opens the way of `fetch()` on Deno. */
export function openWay({ hops, options }: Route): Way {
  const { timeout, tls, targetTls } = options;
  const client = new HttpClient(
    new SocketRoute(hops, { timeout, tls }),
    targetTls,
  );
  return {
    init: {},
    call: (start) => start(),
    // Without a network, Deno's own fetch() is right: for data: and blob: URLs.
    watch: (call, start) =>
      /^https?:/i.test(call.url) ? client.fetch(call) : start(),
    close() {
      client.close();
      return Promise.resolve();
    },
  };
}
