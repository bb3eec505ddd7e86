/**
 * What Bun has besides `node:net`.
 *
 * @module
 */

import { createRequire } from "node:module";
import type { Endpoint } from "../../protocol/address.ts";
import { refusal, refuse } from "./refusal.ts";
import type { Directions } from "./sockets.ts";

type Options = Record<string, unknown>;
type Class = new (...args: unknown[]) => object;

interface Globals {
  readonly Bun: BunNet;
  WebSocket: Class;
  fetch: (input: unknown, options?: Options) => Promise<Response>;
}

interface BunNet {
  connect(options: ConnectOptions): Promise<unknown>;
  udpSocket(options: UdpOptions): Promise<UdpSocket>;
}

interface ConnectOptions extends Partial<Endpoint> {
  readonly unix?: string;
  readonly fd?: number;
}

interface UdpOptions {
  readonly connect?: Endpoint;
}

interface UdpSocket {
  send(data: unknown, port?: number, address?: string): boolean;
  sendMany(datagrams: unknown[]): number;
}

const globals = globalThis as unknown as Globals;

/** What connects by itself, without a proxy. */
const REFUSED = ["sql", "SQL", "postgres", "redis", "RedisClient"];

/**
 * Sends `WebSocket` through a proxy for HTTP at this URL, and refuses what knows no proxy.
 * The environment has the same proxy for `fetch`, in all its forms, and S3.
 */
export function patchBun(url: string, directions: Directions): void {
  const { fetch, WebSocket } = globals;
  // Without a proxy of its own.
  const patched = (input: unknown, options?: Options) =>
    fetch(input, options?.proxy ? { ...options, proxy: undefined } : options);
  globals.fetch = Object.assign(patched, fetch);
  globals.WebSocket = class extends WebSocket {
    static override readonly name = "WebSocket";
    constructor(target: unknown, given?: unknown) {
      const isList = typeof given === "string" || Array.isArray(given);
      const options = isList ? { protocols: given } : given as Options;
      super(target, { ...options, proxy: url });
    }
  };
  patchWs(url);
  patchConnect(directions);
  patchUdp(directions);
  refuse(globals.Bun, "Bun.", REFUSED);
}

/** Bun has its own version of the package `ws`, which connects without `node:net`. */
function patchWs(url: string): void {
  const { prototype } = createRequire(import.meta.url)("ws") as Class;
  Object.defineProperty(prototype, "_req", {
    set(request: object | null) {
      if (request) useProxy(request, url);
      const value = request;
      const rest = { enumerable: true, configurable: true, writable: true };
      Object.defineProperty(this, "_req", { value, ...rest });
    },
  });
}

/** Its request has the options for the native side, unless it is one of `node:http`. */
function useProxy(request: object, url: string): void {
  const members = request as Record<symbol, unknown>;
  const symbols = Object.getOwnPropertySymbols(request);
  const options = symbols.map((it) => members[it] as Options | null | undefined)
    .find((it) =>
      it && typeof it === "object" && "skipUTF8Validation" in it &&
      "maxPayload" in it
    );
  if (options) options.proxy = url;
  else if (!("agent" in request)) throw refusal("this version of Bun's ws");
}

function patchConnect({ isDirect }: Directions): void {
  const { Bun: bun } = globals;
  const { connect } = bun;
  bun.connect = async (options) => {
    const { unix, fd, hostname = "localhost", port = 0 } = options;
    const isTcp = unix === undefined && fd === undefined;
    if (!isTcp || isDirect({ hostname, port })) return await connect(options);
    throw refusal("Bun.connect()");
  };
}

/** Its own sockets for UDP, which `node:dgram` uses as well. */
function patchUdp({ isDirect }: Directions): void {
  const { Bun: bun } = globals;
  const { udpSocket } = bun;
  const check = (hostname: string, port: number) => {
    if (!isDirect({ hostname, port })) throw refusal(`UDP to ${hostname}`);
  };
  bun.udpSocket = async (options) => {
    const { connect } = options;
    if (connect) check(connect.hostname, connect.port);
    const socket = await udpSocket(options);
    if (connect) return socket;
    const { send, sendMany } = socket;
    socket.send = (data, port, address) => {
      check(`${address}`, Number(port));
      return send.call(socket, data, port, address);
    };
    socket.sendMany = (datagrams) => {
      for (let i = 0; i < datagrams.length; i += 3) {
        check(`${datagrams[i + 2]}`, Number(datagrams[i + 1]));
      }
      return sendMany.call(socket, datagrams);
    };
    return socket;
  };
}
