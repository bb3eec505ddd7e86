/**
 * A proxy on loopback for what cannot use the way itself: the built-in `fetch` and
 * `WebSocket` of Bun and Deno, libraries that read `HTTP_PROXY`, and all sockets if the proxy
 * speaks TLS.
 *
 * @module
 */

import { once } from "node:events";
import * as net from "node:net";
import type { Endpoint } from "../../protocol/address.ts";
import { toConnectError } from "../../transport/errors.ts";
import type { ConnSource } from "../../transport/streams.ts";
import { type Alias, Aliases } from "../fetch/aliases.ts";
import { openSocket } from "../socket/open_socket.ts";
import type { Route } from "../socket/route.ts";
import type { Way } from "./way.ts";

/** A proxy in this process. */
export interface Front {
  /** Its URL with the login; `undefined` as long as the port is not known. */
  url(scheme: "http" | "socks5h"): string | undefined;
  /** The port on 127.0.0.1, if it is known. */
  readonly port: number | undefined;
  /** Resolves when both are known, which they usually are at once. */
  readonly opened: Promise<void>;
  isAt(target: Endpoint): boolean;
  /** The WebSockets of Deno that it leads to their targets. */
  readonly aliases: Aliases;
}

/** What is used of Deno, whose `node:net` does not know its port at once. */
interface DenoNet {
  listen(options: { hostname: string; port: number }): DenoListener;
}

interface DenoListener {
  readonly addr: { readonly port: number };
  accept(): Promise<Unrefable & ConnSource>;
  unref(): void;
}

interface Unrefable {
  unref?(): unknown;
}

/**
 * Opens a front, which is no reason for the process to go on. The server is loaded with the
 * first connection.
 */
export function openFront(way: Way, route: Route): Front {
  const [username, password] = [crypto.randomUUID(), crypto.randomUUID()];
  // A look-up takes a time that says nothing about the secret.
  const logins = new Set([`${username}:${password}`]);
  const aliases = new Aliases();
  const isLogin = (name: string, word: string) =>
    logins.has(`${name}:${word}`) || aliases.has(name);
  const connect = (
    target: Endpoint,
    user: string | undefined,
    signal: AbortSignal,
  ) =>
    user === username
      ? reach(way, route, target)
      : aliases.connect(user, (it) => reachLater(it, signal));
  let server: Promise<(source: ConnSource) => void> | undefined;
  const onConn = async (conn: Unrefable & ConnSource) => {
    conn.unref?.();
    server ??= import("../bridge/hand_over.ts").then((it) =>
      it.serveHandedOver(connect, isLogin)
    );
    (await server)(conn);
  };
  let port: number | undefined;
  const listening = listen(onConn);
  if (typeof listening === "number") port = listening;
  return {
    url: (scheme) =>
      port
        ? `${scheme}://${username}:${password}@127.0.0.1:${port}`
        : undefined,
    get port() {
      return port;
    },
    opened: Promise.resolve(listening).then((it) => void (port = it)),
    isAt: (it) => it.hostname === "127.0.0.1" && it.port === port,
    aliases,
  };
}

function listen(
  onConn: (conn: Unrefable & ConnSource) => Promise<void>,
): number | Promise<number> {
  const { Deno: deno } = globalThis as { Deno?: DenoNet };
  if (deno) {
    const listener = deno.listen({ hostname: "127.0.0.1", port: 0 });
    listener.unref();
    void acceptAll(listener, onConn);
    return listener.addr.port;
  }
  const server = net.createServer(
    { allowHalfOpen: true, pauseOnConnect: true },
    (socket) => void onConn(socket),
  );
  // The method behind `listen()`, which on Node.js looks even an address up before.
  const { _listen2: listenNow } = server as {
    _listen2?: (hostname: string, port: number, family: number) => void;
  };
  listenNow?.call(server, "127.0.0.1", 0, 4);
  if (!server.address()) server.listen(0, "127.0.0.1");
  server.unref();
  const portOf = () => (server.address() as net.AddressInfo).port;
  return server.address() ? portOf() : once(server, "listening").then(portOf);
}

async function acceptAll(
  listener: DenoListener,
  onConn: (conn: Unrefable & ConnSource) => Promise<void>,
): Promise<never> {
  for (;;) {
    try {
      void onConn(await listener.accept());
    } catch {
      // Too many descriptors are open.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function reachLater(
  alias: Alias,
  signal: AbortSignal,
): Promise<ConnSource> {
  const { reachAlias } = await import("./reach_alias.ts");
  return await reachAlias(alias, signal);
}

/** Connects to a target as all sockets of the program do. */
async function reach(
  way: Way,
  route: Route,
  target: Endpoint,
): Promise<net.Socket> {
  const socket =
    await (way.isDirect(target)
      ? open(target)
      : new Promise<net.Socket>((resolve, reject) => {
        openSocket(route, target, {}, (error, socket) => {
          if (error) reject(error.cause ?? error);
          else resolve(socket!);
        });
      }));
  return socket.unref();
}

function open({ hostname: host, port }: Endpoint): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
    });
    socket.once("error", (error) => reject(toConnectError(error)));
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.pause();
      resolve(socket);
    });
  });
}
