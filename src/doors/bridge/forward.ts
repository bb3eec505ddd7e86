/**
 * The forward: a port or a Unix socket that leads to one target.
 *
 * @module
 */

import { parseTarget } from "../../client/target.ts";
import { type Endpoint, isIp, isLoopback } from "../../protocol/address.ts";
import { isPort, showPort } from "../../protocol/octets.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { detectTransport } from "../../transport/detect.ts";
import { withSignal } from "../../transport/dial.ts";
import { toNetError } from "../../transport/errors.ts";
import { closeQuietly, quietly, resetQuietly } from "../../transport/quiet.ts";
import { NO_ADDRESS } from "../../transport/socket.ts";
import { toConn } from "../../transport/streams.ts";
import type {
  Address,
  Conn,
  Listener,
  Relay,
  Transport,
} from "../../transport/transport.ts";
import type { Hops } from "../../client/mod.ts";
import {
  type TargetDialer,
  UPSTREAM_KEYS,
  upstreamOf,
  type UpstreamOptions,
} from "./upstream.ts";

/** Options of {@linkcode forward}: either a port or a path. */
export interface ForwardOptions extends UpstreamOptions {
  /** The port to listen on; 0 lets the system choose. @default {0} */
  readonly port?: number;
  /** The IP address to listen on, which must be one of loopback. @default {"127.0.0.1"} */
  readonly hostname?: string;
  /**
   * The path of a Unix socket to listen on instead. It must not exist, and is removed at
   * the end. The umask of the process decides which users may connect. Needs
   * `--allow-read` and `--allow-write` on Deno.
   */
  readonly path?: string;
  /**
   * Called when the target could not be reached, usually with a `SocksError`. Its own
   * errors are ignored.
   */
  readonly onError?: (error: unknown) => void;
}

/** A running forward. */
export interface Forward extends AsyncDisposable {
  /** The address and port it listens on; zeros with a path. */
  readonly addr: Address;
  /** The path of its Unix socket. */
  readonly path?: string;
  /** Stops listening and closes all connections. */
  close(): Promise<void>;
}

/**
 * Opens a loopback port, or a Unix socket, whose connections lead to one target through
 * other proxies: for drivers and programs that know no proxy. FINs and resets are passed on,
 * and connections may be idle without a limit. If the target cannot be reached, the
 * connection is reset.
 *
 * A client that checks the target's certificate must be given the name to expect, because
 * it connects to loopback.
 *
 * @param hops The proxies, first the one that this machine connects to; or a dialer. The
 * last hop resolves the target's name, see {@linkcode bridge}.
 * @param target Name or IP address and port, also as `"db.example:5432"`.
 *
 * @throws {TypeError} when an argument is invalid.
 * @throws {NetError} when the port or the path cannot be opened.
 *
 * @example
 * ```ts
 * import { forward } from "@x/socks5/bridge";
 * import { serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0 });
 * const url = `socks5h://127.0.0.1:${proxy.addr.port}`;
 * await using local = await forward(url, "db.example:5432");
 * console.log(`postgres://${local.addr.hostname}:${local.addr.port}/`);
 * ```
 */
export async function forward(
  hops: Hops | TargetDialer,
  target: string | Endpoint,
  options: ForwardOptions = {},
): Promise<Forward> {
  checkKeys(options, OPTION_KEYS, "the options of forward()");
  const { onError, path } = options;
  const place = placeOf(options);
  const wanted = parseTarget(target);
  const dialer = upstreamOf(hops, options);
  const transport = options.transport ?? await detectTransport();
  const forwarder = new Forwarder(transport, dialer, wanted, onError);
  const onConn = (conn: Conn) => void forwarder.serve(conn);
  const listener = path === undefined
    ? await transport.listen(place, onConn)
    : await listenOnPath(path, onConn);
  const close = async () => {
    forwarder.close();
    await listener.close();
  };
  return {
    addr: listener.addr,
    ...path !== undefined && { path },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const OPTION_KEYS = [...UPSTREAM_KEYS, "port", "hostname", "path", "onError"];

function placeOf({ path, port, hostname }: ForwardOptions): Address {
  if (path !== undefined && (port ?? hostname) !== undefined) {
    throw new TypeError("a forward has either a path or a port");
  }
  if (path !== undefined && (typeof path !== "string" || !path)) {
    throw new TypeError("path must be the path of a Unix socket");
  }
  const place = { hostname: hostname ?? "127.0.0.1", port: port ?? 0 };
  if (!isPort(place.port)) {
    throw new TypeError(
      `port must be an integer from 0 to 65535, not ${showPort(place.port)}`,
    );
  }
  if (isIp(place.hostname) && isLoopback(place.hostname)) return place;
  throw new TypeError(
    "a forward listens on loopback only, because it has no login: " +
      "hostname must be an address such as 127.0.0.1 or ::1",
  );
}

/** Connects clients to a target. */
class Forwarder {
  readonly #transport: Transport;
  readonly #dialer: TargetDialer;
  readonly #target: Endpoint;
  readonly #onError: ForwardOptions["onError"];
  readonly #stopping = new AbortController();
  readonly #relays = new Set<Relay>();

  constructor(
    transport: Transport,
    dialer: TargetDialer,
    target: Endpoint,
    onError: ForwardOptions["onError"],
  ) {
    this.#transport = transport;
    this.#dialer = dialer;
    this.#target = target;
    this.#onError = onError;
  }

  /** Never rejects. */
  async serve(client: Conn): Promise<void> {
    const gone = new AbortController();
    const stop = () => gone.abort();
    const stopping = this.#stopping.signal;
    if (stopping.aborted) return resetQuietly(client);
    stopping.addEventListener("abort", stop);
    // A FIN is no reason to give up: the client may have sent its whole request.
    client.peek().catch(stop);
    try {
      const conn = await withSignal<Conn>(
        this.#dialer.connect(this.#target, { signal: gone.signal }),
        gone.signal,
        closeQuietly,
      );
      await this.#relay(client, conn);
    } catch (error) {
      resetQuietly(client);
      if (!gone.signal.aborted) quietly(() => this.#onError?.(error));
    } finally {
      stopping.removeEventListener("abort", stop);
    }
  }

  async #relay(client: Conn, conn: Conn): Promise<void> {
    const relay = this.#transport.relay(client, conn);
    if (this.#stopping.signal.aborted) relay.abort(); // after connect() had resolved
    this.#relays.add(relay);
    await relay.done;
    this.#relays.delete(relay);
  }

  close(): void {
    this.#stopping.abort();
    for (const relay of this.#relays) relay.abort();
  }
}

async function listenOnPath(
  path: string,
  onConn: (conn: Conn) => void,
): Promise<Pick<Listener, "addr" | "close">> {
  const { createServer } = await import("node:net");
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.on("connection", (socket) => onConn(toConn(socket)));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(toNetError(error)));
    server.listen({ path }, resolve);
  });
  server.on("error", () => {}); // of accepting, which goes on
  return {
    addr: NO_ADDRESS,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
