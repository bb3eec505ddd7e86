/**
 * `fetch()` through proxies.
 *
 * @module
 */

import { quote } from "../../protocol/escape.ts";
import { withSignal } from "../../transport/dial.ts";
import type { Hops } from "../../client/mod.ts";
import { LazyWay } from "./lazy_way.ts";
import { type FetchOptions, routeOf } from "./options.ts";
import { type Call, socksErrorIn, type Start, type Way } from "./way.ts";

/** A `fetch()` through proxies. */
export interface ProxiedFetch extends AsyncDisposable {
  /**
   * Fetches a resource as the runtime's `fetch()` does, with the same options except for
   * those that choose another way.
   */
  (input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Closes all connections. Later calls reject. */
  close(): Promise<void>;
}

/**
 * Returns a `fetch()` that goes through proxies: with all that the runtime's own function can
 * do, redirects, streams and (on Deno) HTTP/2 included. Nothing bypasses the proxies: not the
 * redirects to other origins, not the hosts in the environment variable NO_PROXY, and the
 * options `dispatcher`, `client`, `proxy`, `unix` and `agent` are a TypeError. URLs other than
 * `http:`, `https:`, `data:` and `blob:` are one as well.
 *
 * If a target cannot be reached, the call rejects with a TypeError whose `cause` is the
 * `SocksError`. Names are resolved where the scheme of the last hop says, see
 * {@linkcode ProxyConfig.protocol}, and nowhere else.
 *
 * Node.js gets a dispatcher. On Deno, calls of `http:` and `https:` URLs go by a client of
 * HTTP/1.1 and HTTP/2 of this library, because Deno's own one asks the local resolver for the
 * names of all targets. It needs the permission to reach the first hop, as in
 * `--allow-net=proxy.example:1080`, and none for the targets. A header section of more than 16
 * KiB is an error. The end of a response over TLS that has neither a length nor chunks is that
 * of the connection, whoever has closed it: `node:tls` of Deno does not say. On Bun, the first
 * call opens a bridge for this process alone: a port on loopback with a random login. Calls of
 * `http:` URLs go by Unix sockets in a folder of this user alone, which `close()` and the exit
 * of the process remove, but a signal that ends the process does not; those with a body other
 * than a text or a `Blob`, and all on Windows, go by the bridge, and open a connection of
 * their own to the target.
 *
 * @param hops The proxies, first the one that this machine connects to.
 *
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { createFetch } from "@x/socks5/fetch";
 * import { serve, userPass } from "@x/socks5/server";
 * import { createServer } from "node:http";
 * import { once } from "node:events";
 *
 * const auth = [userPass({ alice: "correct horse" })];
 * await using proxy = await serve({ port: 0, auth });
 * const target = createServer((_, response) => response.end("hello"));
 * await once(target.listen(0, "127.0.0.1"), "listening");
 * const { port } = target.address() as { port: number };
 *
 * const url = `socks5h://alice:correct%20horse@127.0.0.1:${proxy.addr.port}`;
 * await using fetch = createFetch(url);
 * const response = await fetch(`http://localhost:${port}/`);
 * console.log(await response.text()); // hello
 * target.close();
 * ```
 */
export function createFetch(
  hops: Hops,
  options: FetchOptions = {},
): ProxiedFetch {
  const route = routeOf(hops, options, "createFetch");
  const { fetch } = globalThis;
  const lazy = new LazyWay(route, "fetch", (way, probe) => {
    const { host, init = way.init } = probe;
    return way.call(() => fetch(`http://${host}/`, init));
  });
  const run = (way: Way, call: Call) => runBy(fetch, way, call);
  const proxied = async (
    input: string | URL | Request,
    init: RequestInit = {},
  ): Promise<Response> => {
    let call = checkedCall(input, init);
    if (lazy.way) return await run(lazy.way, call);
    // The caller may change the arguments while the way is opened.
    call = frozen(call);
    return await run(await untilAborted(lazy.open(), call.signal), call);
  };
  const close = () => lazy.close();
  return Object.assign(proxied, {
    close,
    [Symbol.asyncDispose]: close,
    toString: () => `fetch() through ${route.dialer}`,
  });
}

/** Options of the runtimes that choose a way. */
const OTHER_WAYS = ["dispatcher", "client", "proxy", "unix", "agent"];

function checkedCall(input: string | URL | Request, given: RequestInit): Call {
  const isRequest = input instanceof Request;
  // Only once: the text of an object may change.
  const url = isRequest ? input.url : String(input);
  if (!/^(https?|data|blob):/i.test(url)) {
    const text = url.slice(0, 40);
    throw new TypeError(
      `a URL begins with http:, https:, data: or blob:, not ${quote(text)}`,
    );
  }
  const init = checkedInit(given);
  const signal = init.signal ?? (isRequest ? input.signal : undefined);
  return { input: isRequest ? input : url, init, url, signal };
}

/** A copy of the options, which may be those of a class, such as a Request. */
function checkedInit(given: RequestInit): RequestInit {
  const all: Record<string, unknown> = { ...given };
  for (const key of [...MEMBERS, ...OTHER_WAYS]) {
    const value = (given as Record<string, unknown> | null)?.[key];
    if (value !== undefined) all[key] = value;
  }
  const other = OTHER_WAYS.find((key) => all[key] !== undefined);
  if (other === undefined) return all;
  throw new TypeError(`${other} would lead the request around the proxies`);
}

/** The members of `RequestInit`. */
const MEMBERS = [
  "method",
  "headers",
  "body",
  "mode",
  "credentials",
  "cache",
  "redirect",
  "referrer",
  "referrerPolicy",
  "integrity",
  "keepalive",
  "signal",
  "duplex",
  "priority",
];

/** The same call, with copies of the arguments. */
function frozen(call: Call): Call {
  const input = new Request(call.input, call.init);
  const { headers: _headers, body: _body, ...init } = call.init;
  return { ...call, input, init };
}

function untilAborted<T>(
  promise: Promise<T>,
  signal: Call["signal"],
): Promise<T> {
  if (!signal) return promise;
  return withSignal(promise, signal).catch((error) => {
    throw signal.aborted ? signal.reason : error;
  });
}

async function runBy(
  fetch: typeof globalThis.fetch,
  way: Way,
  call: Call,
): Promise<Response> {
  const { url, signal } = call;
  const before = way.failures?.count ?? 0;
  let step: URL | undefined;
  const start: Start = (change = {}) => {
    step = change.url;
    const { input = call.input, init = call.init } = change;
    const options = { ...init, ...change.way ?? way.init };
    return way.call(() => fetch(input, options));
  };
  let response: Response;
  try {
    response = await (way.watch?.(call, start) ?? start());
  } catch (error) {
    if (signal?.aborted) throw error;
    const cause = socksErrorIn(error) ??
      (step
        ? way.failures?.of(step.href, before)
        : way.failures?.since(before, url));
    throw cause ? failed(cause) : error;
  }
  const error = way.errorIn?.(response);
  if (error === undefined) return response;
  await response.body?.cancel().catch(() => {});
  throw failed(error as Error);
}

function failed(cause: Error): TypeError {
  return new TypeError(`fetch failed: ${cause.message}`, { cause });
}
