/**
 * A listener for HTTP: on a TCP port or a Unix socket, with bounds on everything that a
 * client can occupy.
 *
 * @module
 */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { ListenOptions, Socket } from "node:net";
import { type Endpoint, formatEndpoint } from "../../protocol/address.ts";
import { listenOnFile } from "../../transport/common/socket_file.ts";
import { toNetError } from "../../transport/errors.ts";
import { localPlace } from "../../transport/local_place.ts";
import { startTimeout, type Timeout } from "../../transport/timeouts.ts";
import type { Address } from "../../transport/transport.ts";
import { EXIT, StartError } from "../failure.ts";

/** How long a client may take, in milliseconds. */
export interface HttpTimeouts {
  /** To send a whole request. */
  readonly request: number;
  /** To read an answer, and then to send another request. */
  readonly idle: number;
}

/** Options of {@linkcode HttpListener.open}. */
export interface HttpListenerOptions {
  /** An IP address and a port, or `unix:PATH`. */
  readonly place: Endpoint;
  /** The flag that has chosen the place, for error messages. */
  readonly flag: string;
  /** Answers a request. If it rejects, the connection is closed. */
  onRequest(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** @default {{ request: 10_000, idle: 30_000 }} */
  readonly timeouts?: HttpTimeouts;
}

/**
 * The maximum number of connections. A further one takes the place of the one that has waited
 * longest for its client, or is closed if none of them waits.
 */
export const MAX_CONNECTIONS = 64;
/** The maximum size of a request's header, in bytes. */
export const MAX_HEADER = 16 * 1024;

/** Only the user of the server may connect. */
const PRIVATE = 0o600;

/** An HTTP server that listens. */
export class HttpListener {
  readonly #server: Server;
  readonly #place: Endpoint;
  #connections = 0;
  /** The connections with a request that is not answered yet. */
  readonly #busy = new WeakSet<Socket>();
  /**
   * The connections whose client is to send a request, or to read an answer; the one that has
   * waited longest comes first.
   */
  readonly #waiting = new Set<Socket>();
  readonly #onRequest: HttpListenerOptions["onRequest"];
  readonly #idle: number;

  private constructor(
    server: Server,
    { place, onRequest, timeouts = TIMEOUTS }: HttpListenerOptions,
  ) {
    this.#server = server;
    this.#place = place;
    this.#onRequest = onRequest;
    this.#idle = timeouts.idle;
    server.on("connection", (socket) => this.#accepted(socket));
    server.on("request", (request, response) => {
      void this.#answer(request, response);
    });
  }

  /**
   * Starts to listen. A socket file that a server has left behind is replaced; a new one
   * has the mode 0600.
   *
   * @throws {StartError} if it cannot listen.
   */
  static async open(options: HttpListenerOptions): Promise<HttpListener> {
    const { place, flag, timeouts = TIMEOUTS } = options;
    const { createServer } = await import("node:http");
    const server = createServer({
      maxHeaderSize: MAX_HEADER,
      headersTimeout: timeouts.request,
      requestTimeout: timeouts.request,
      keepAliveTimeout: timeouts.idle,
      connectionsCheckingInterval: Math.ceil(timeouts.request / 4),
    });
    const listener = new HttpListener(server, options);
    try {
      await listener.#listen();
    } catch (error) {
      throw failure(place, flag, error);
    }
    return listener;
  }

  /** Where it listens; a Unix socket has port 0. */
  get addr(): Address {
    if (localPlace(this.#place.hostname)) return this.#place;
    const { address, port } = this.#server.address() as {
      address: string;
      port: number;
    };
    return { hostname: address, port };
  }

  /** The number of open connections. */
  get connections(): number {
    return this.#connections;
  }

  /** Stops listening and closes all connections. */
  close: () => Promise<void> = () => this.#close();

  async #listen(): Promise<void> {
    const { hostname: host, port } = this.#place;
    const place = localPlace(host);
    if (!place || !("path" in place)) return await this.#open({ host, port });
    const { close } = await listenOnFile(place.path, PRIVATE, async (path) => {
      await this.#open({ path });
      return { close: () => this.#close() };
    });
    this.close = close;
  }

  #open(where: ListenOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      // Also handles later errors, of connections that cannot be accepted: without
      // a listener they would end the process.
      this.#server.on("error", reject);
      this.#server.listen(where, () => resolve());
    });
  }

  /** Bun does not have `server.maxConnections`. */
  #accepted(socket: Socket): void {
    if (this.#connections >= MAX_CONNECTIONS) {
      const [oldest = socket] = this.#waiting;
      this.#waiting.delete(oldest);
      oldest.destroy();
      if (oldest === socket) return;
    }
    this.#connections++;
    this.#waiting.add(socket);
    socket.once("close", () => {
      this.#connections--;
      this.#waiting.delete(socket);
    });
  }

  /** A client that sends requests without reading the answers would fill the memory. */
  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { socket } = request;
    if (this.#busy.has(socket)) {
      socket.destroy();
      return;
    }
    this.#busy.add(socket);
    this.#waiting.delete(socket);
    let unread: Timeout | undefined;
    response.once("close", () => {
      this.#busy.delete(socket);
      unread?.cancel();
      unread = undefined;
    });
    try {
      await this.#onRequest(request, response);
    } catch {
      socket.destroy();
    }
    if (!socket.destroyed) this.#waiting.add(socket);
    if (!this.#busy.has(socket)) return;
    unread = startTimeout(this.#idle, () => socket.destroy());
  }

  #close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

const TIMEOUTS: HttpTimeouts = { request: 10_000, idle: 30_000 };

function failure(place: Endpoint, flag: string, error: unknown): StartError {
  const { kind, message } = toNetError(error);
  const isLocal = localPlace(place.hostname) !== undefined;
  const where = isLocal ? place.hostname : formatEndpoint(place);
  if (kind !== "addr-in-use") {
    const text = `cannot listen on ${where} for ${flag}: ${message}`;
    return new StartError(text, EXIT.failed);
  }
  const other = isLocal ? "path" : "port";
  const text = `${where} is in use: choose another ${other} for ${flag}`;
  return new StartError(text, EXIT.portInUse);
}
