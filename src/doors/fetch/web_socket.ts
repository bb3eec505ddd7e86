/**
 * `WebSocket` through proxies.
 *
 * @module
 */

import type { SocksError } from "../../client/error.ts";
import { quote } from "../../protocol/escape.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import type { Hops } from "../../client/mod.ts";
import { LazyWay } from "./lazy_way.ts";
import {
  type FetchOptions,
  routeOf,
  type WebSocketOptions,
} from "./options.ts";
import { closedError, type Probe, socksErrorIn, type Way } from "./way.ts";

/** A `WebSocket` through proxies. */
export interface ProxiedWebSocket extends WebSocket {
  /**
   * Why the target could not be reached through the proxies; set at the event `error`.
   * `undefined` for any other failure. (On Deno, that event has the reason as its `error` even
   * if the certificate of the target is not accepted.)
   */
  readonly failure: SocksError | undefined;
}

/** A class of `WebSocket`s through proxies. */
export interface ProxiedWebSocketClass extends AsyncDisposable {
  /** Connects to a `ws:` or `wss:` URL, as the runtime's `WebSocket` does. */
  new (
    url: string | URL,
    protocols?: string | string[] | WebSocketOptions,
  ): ProxiedWebSocket;
  /** The prototype of the instances. */
  readonly prototype: ProxiedWebSocket;
  /** 0 */
  readonly CONNECTING: 0;
  /** 1 */
  readonly OPEN: 1;
  /** 2 */
  readonly CLOSING: 2;
  /** 3 */
  readonly CLOSED: 3;
  /** Closes all connections. Further sockets cannot be created. */
  close(): Promise<void>;
}

/**
 * Resolves with a class whose instances are the runtime's own `WebSocket`s and go through
 * proxies, as the calls of {@linkcode createFetch} do. Node.js 20 has no `WebSocket`.
 *
 * Node.js gets a dispatcher. On Deno and Bun this opens a bridge for this process alone: a port
 * on loopback with random logins. Deno needs the permission `--allow-env=NO_PROXY,no_proxy` in
 * addition to `--allow-net`, also for the targets. It gets the address of the bridge in place
 * of the name in the URL, because it would ask the local resolver for that name. So the bridge
 * speaks TLS to `wss:` targets, always with HTTP/1.1, and `--deny-net` applies to the names in
 * URLs, but not to their addresses, which only the proxy knows;
 * `--unsafely-ignore-certificate-errors` does not apply.
 *
 * @param hops The proxies, first the one that this machine connects to.
 *
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { createWebSocket } from "@x/socks5/fetch";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * await using WebSocket = await createWebSocket(url);
 *
 * const socket = new WebSocket("ws://127.0.0.1:1/");
 * await new Promise((resolve) => socket.onerror = resolve);
 * console.log(socket.failure?.code); // rejected
 * ```
 */
export async function createWebSocket(
  hops: Hops,
  options: FetchOptions = {},
): Promise<ProxiedWebSocketClass> {
  const route = routeOf(hops, options, "createWebSocket");
  if (typeof WebSocket !== "function") {
    throw new Error("this runtime has no WebSocket");
  }
  const lazy = new LazyWay(route, "WebSocket", callProbe);
  await lazy.open();
  return classOf(lazy);
}

function callProbe(way: Way, probe: Probe): Promise<unknown> {
  const { host, init = way.init } = probe;
  return new Promise((_, reject) => {
    const url = `ws://${host}/`;
    const socket = way.call(() => new WebSocket(url, init as never));
    socket.onerror = reject;
    socket.onclose = reject;
  });
}

function classOf(lazy: LazyWay): ProxiedWebSocketClass {
  const { close } = WebSocket.prototype;
  const open = new Set<WebSocket>();
  class Proxied extends WebSocket implements ProxiedWebSocket {
    #failure: SocksError | undefined;

    constructor(url: string, init: object, failureOf: FailureOf) {
      super(url, init as never);
      this.addEventListener("error", (event) => {
        this.#failure = failureOf(event as ErrorEvent);
        open.delete(this); // on Node.js 22, the event may be the last
      });
      this.addEventListener("close", () => open.delete(this));
      open.add(this);
    }

    get failure(): SocksError | undefined {
      return this.#failure;
    }

    static close(): Promise<void> {
      const closing = lazy.close();
      // The dispatcher of Node.js does not close them.
      for (const it of open) close.call(it);
      return closing;
    }

    static [Symbol.asyncDispose](): Promise<void> {
      return Proxied.close();
    }
  }
  // TypeScript has no calls of super() within a function, which Way.call() needs.
  const proxied = new Proxy(Proxied, {
    construct(target, [url, protocols], newTarget) {
      const { way } = lazy;
      if (!way) throw closedError();
      const text = checkedUrl(url);
      const options = checkedOptions(protocols);
      const create = (...args: ConstructorParameters<typeof Proxied>) =>
        Reflect.construct(target, args, newTarget);
      if (way.webSocket) return way.webSocket(text, options, create);
      const init = { ...options, ...way.init };
      return way.call(() => create(text, init, failuresFrom(way, text)));
    },
  });
  // Without the proxy, the class would connect directly.
  Proxied.prototype.constructor = proxied;
  return proxied as unknown as ProxiedWebSocketClass;
}

type FailureOf = (event: ErrorEvent) => SocksError | undefined;

function failuresFrom(way: Way, url: string): FailureOf {
  const before = way.failures?.count ?? 0;
  return ({ error }) => socksErrorIn(error) ?? way.failures?.since(before, url);
}

function checkedUrl(url: unknown): string {
  const text = String(url);
  // Bun has others, for Unix sockets.
  if (/^(wss?|https?):\/\//i.test(text)) return text;
  throw new SyntaxError(
    `a URL begins with ws: or wss:, not ${quote(text.slice(0, 40))}`,
  );
}

/** Deno takes a text as protocols only outside of options. */
function checkedOptions(
  given: string | string[] | WebSocketOptions = {},
): WebSocketOptions {
  if (typeof given === "string") return { protocols: [given] };
  if (Array.isArray(given)) return { protocols: given };
  checkKeys(given, ["protocols", "headers"], "the options of a WebSocket");
  const { protocols, headers } = given;
  return {
    ...headers && { headers },
    ...typeof protocols === "string"
      ? { protocols: [protocols] }
      : protocols && { protocols },
  };
}
