/**
 * The agent for `https:`.
 *
 * @module
 */

import type { ClientRequest } from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { boundReading } from "../socket/bound_reading.ts";
import type { Dial } from "../socket/dial.ts";
import { limitTls, openSocket } from "../socket/open_socket.ts";
import type { Route } from "../socket/route.ts";
import {
  type ConnectionOptions,
  NONE,
  type OnConnection,
  targetOf,
} from "./connection.ts";

/** Members of agents that their types lack, on all runtimes. */
interface Internals {
  sockets: Record<string, object[]>;
  requests: Record<string, ClientRequest[]>;
  totalSocketCount: number;
  createSocket(
    request: ClientRequest,
    options: object,
    callback: OnConnection,
  ): void;
  removeSocket(socket: object, options: object): void;
}

const { createSocket } = https.Agent.prototype as unknown as Internals;

/**
 * Opens connections through the proxies of a route, and starts TLS over them: a TLS socket
 * over one that is still connecting works on no runtime but Bun.
 */
export class ProxyHttpsAgent extends https.Agent {
  readonly #route: Route;
  /** The request for which `createConnection()` is called. */
  #request: ClientRequest | undefined;

  constructor(route: Route, options: https.AgentOptions) {
    super(options);
    this.#route = route;
  }

  /** @internal */
  createSocket(
    request: ClientRequest,
    options: object,
    callback: OnConnection,
  ): void {
    this.#request = request;
    try {
      createSocket.call(this, request, options, callback);
    } finally {
      this.#request = undefined;
    }
  }

  override createConnection(
    options: ConnectionOptions,
    callback: OnConnection = () => {},
  ): Duplex {
    const request = this.#request;
    let pending: Pending | undefined;
    let dial: Dial | undefined;
    const onSocket = (error?: Error, socket?: Socket) => {
      pending?.end(socket !== undefined);
      if (!socket) return callback(error ?? null, NONE);
      this.#secure(dial!, socket, options, callback);
    };
    try {
      const how = { isTlsNext: true };
      dial = openSocket(this.#route, targetOf(options), how, onSocket);
      pending = new Pending(this as unknown as Internals, options, dial);
      if (request) pending.watch(request);
    } catch (error) {
      callback(error as Error, NONE);
    }
    return NONE;
  }

  #secure(
    dial: Dial,
    socket: Socket,
    options: ConnectionOptions,
    callback: OnConnection,
  ): void {
    const { noDelay, keepAlive, keepAliveInitialDelay, timeout } = options;
    if (noDelay) socket.setNoDelay(true);
    if (keepAlive) socket.setKeepAlive(true, keepAliveInitialDelay);
    let secured: TLSSocket;
    try {
      const how = { ...options, path: undefined, socket };
      secured = super.createConnection(how as object) as TLSSocket;
    } catch (error) {
      dial.end();
      socket.destroy();
      return callback(error as Error, NONE);
    }
    if (timeout) secured.setTimeout(timeout);
    limitTls(dial, secured);
    secured.once("secureConnect", () => boundReading(secured, socket));
    callback(null, secured);
  }
}

/**
 * A connection that the proxies have not opened yet. It has a place in the pool of the agent,
 * so that it counts for `maxSockets`, and that `destroy()` of the agent reaches it.
 */
class Pending {
  readonly writable = false;
  readonly #agent: Internals;
  readonly #options: ConnectionOptions;
  readonly #dial: Dial;
  #request: ClientRequest | undefined;

  constructor(agent: Internals, options: ConnectionOptions, dial: Dial) {
    this.#agent = agent;
    this.#options = options;
    this.#dial = dial;
    (agent.sockets[options._agentKey!] ??= []).push(this);
    agent.totalSocketCount++;
  }

  /** Aborts the dial when the request is destroyed: agents do not get its signal. */
  watch(request: ClientRequest): void {
    this.#request = request;
    const { destroy } = request;
    request.destroy = (error) => {
      destroy.call(request, error);
      this.destroy(error);
      return request;
    };
  }

  destroy(error: Error = hungUp()): void {
    this.#dial.abort(error);
  }

  /** The proxies have opened the connection, or have not. */
  end(isOpen: boolean): void {
    const request = this.#request;
    if (request) delete (request as Partial<ClientRequest>).destroy;
    const agent = this.#agent;
    const name = this.#options._agentKey!;
    agent.totalSocketCount--;
    if (isOpen) return remove(agent.sockets, name, this);
    // Node.js leaves a request in the queue whose connection failed.
    if (request) remove(agent.requests, name, request);
    // Creates the next connection if requests wait; after this one has got its error.
    queueMicrotask(() => agent.removeSocket(this, this.#options));
  }
}

function remove<T>(lists: Record<string, T[]>, name: string, it: T): void {
  const list = lists[name] ?? [];
  const index = list.indexOf(it);
  if (index >= 0) list.splice(index, 1);
  if (list.length === 0) delete lists[name];
}

/** The error of a request that is destroyed without one, as Node.js has it. */
function hungUp(): Error {
  return Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
}
