/**
 * Deno's `WebSocket`, which asks the local resolver for the name of a target that it reaches
 * through the proxy of the environment. It gets the front as its proxy, and no name.
 *
 * @module
 */

import { parseTarget } from "../../client/target.ts";
import { type Aliases, type AliasTls, targetOf } from "../fetch/aliases.ts";
import type { Directions } from "./sockets.ts";

/** What the second argument of `WebSocket` may have. */
interface Options {
  readonly protocols?: string[];
  readonly headers?: Record<string, string>;
  readonly client?: object;
}

/** The proxy of this process. */
interface Front {
  readonly aliases: Aliases;
  readonly port: number | undefined;
}

/**
 * Sends WebSockets to their targets by the front, except for those that are direct; `clients`
 * are those that the program has created.
 */
export function patchWebSocket(
  directions: Directions,
  { aliases, port }: Front,
  clients: WeakMap<object, AliasTls>,
): void {
  const { WebSocket } = globalThis;
  const patched = new Proxy(WebSocket, {
    construct(native, [url, given], newTarget) {
      const create = (...args: unknown[]): WebSocket =>
        Reflect.construct(native, args, newTarget);
      const text = `${url}`; // only once: the text of an object may change
      const href = absolute(text);
      // Deno throws an error for a URL that is invalid.
      if (!href || directions.isDirect(parseTarget(targetOf(href)))) {
        return create(text, given);
      }
      const { client, protocols, headers } = optionsOf(given);
      const options = {
        ...protocols !== undefined && { protocols },
        ...headers !== undefined && { headers },
        tls: client && clients.get(client),
      };
      return aliases.open(href, options, port!, create);
    },
  });
  WebSocket.prototype.constructor = patched;
  globalThis.WebSocket = patched;
}

/** The absolute URL, if it is one for a WebSocket. */
function absolute(url: string): string | undefined {
  const { location } = globalThis as { location?: { href: string } };
  try {
    const { href, protocol, hostname } = new URL(url, location?.href);
    const isOne = /^(ws|http)s?:$/.test(protocol) && hostname !== "";
    return isOne ? href : undefined;
  } catch {
    return undefined;
  }
}

function optionsOf(given: unknown): Options {
  if (given === undefined || given === null) return {};
  if (typeof given !== "object") return { protocols: [`${given}`] };
  return Symbol.iterator in given
    ? { protocols: [...given as Iterable<string>] }
    : given;
}
