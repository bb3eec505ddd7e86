/**
 * What Deno has besides `node:net`.
 *
 * @module
 */

import { parseTarget } from "../../client/target.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { toConnectError } from "../../transport/errors.ts";
import type { AliasTls } from "../fetch/aliases.ts";
import { Dial } from "../socket/dial.ts";
import { patchWebSocket } from "./deno_web_socket.ts";
import type { Front } from "./front.ts";
import { refusal, refuse } from "./refusal.ts";
import type { Directions } from "./sockets.ts";

interface Conn {
  read(buffer: Uint8Array): Promise<number | null>;
  write(octets: Uint8Array): Promise<number>;
  close(): void;
}

interface ConnectOptions {
  readonly hostname?: string;
  readonly port: number;
  readonly transport?: string;
  readonly signal?: AbortSignal;
}

interface TlsOptions extends ConnectOptions {
  readonly cert?: string;
  readonly key?: string;
}

interface DenoNet {
  connect(options: ConnectOptions): Promise<Conn>;
  connectTls(options: TlsOptions): Promise<Conn>;
  startTls(conn: Conn, options: object): Promise<Conn>;
  createHttpClient(options?: ClientOptions): object;
}

interface ClientOptions extends AliasTls {
  readonly proxy?: object;
}

const { Deno: deno } = globalThis as unknown as { Deno: DenoNet };

/** Sends the connections of `Deno`, `fetch()` and `WebSocket` through the proxy. */
export function patchDeno(directions: Directions, front: Front): void {
  const { connect, connectTls, startTls, createHttpClient } = deno;
  const targetOf = ({ hostname = "127.0.0.1", port }: ConnectOptions) =>
    parseTarget({ hostname, port });
  deno.connect = async (options) => {
    const { transport = "tcp" } = options;
    if (transport !== "tcp") return connect(options);
    const target = targetOf(options);
    return directions.isDirect(target)
      ? connect(options)
      : await connectThrough(connect, directions, target, options.signal);
  };
  deno.connectTls = async (options) => {
    const target = targetOf(options);
    if (directions.isDirect(target)) return connectTls(options);
    if (options.cert || options.key) {
      throw refusal("Deno.connectTls() with a certificate of the client");
    }
    const conn = await deno.connect(options);
    return await startTls(conn, { ...options, hostname: target.hostname });
  };
  const clients = new WeakMap<object, AliasTls>();
  deno.createHttpClient = (options) => {
    const client = createHttpClient(
      options?.proxy ? { ...options, proxy: undefined } : options,
    );
    if (options) clients.set(client, { ...options });
    return client;
  };
  patchFetch(directions, clients);
  patchWebSocket(directions, front, clients);
  refuse(deno, "Deno.", ["listenDatagram", "connectQuic"]);
  refuse(globalThis, "", ["WebTransport"]);
}

type Init = RequestInit & { readonly client?: object };
type Send = (request: Request) => Promise<Response>;

function patchFetch(
  directions: Directions,
  clients: WeakMap<object, AliasTls>,
): void {
  const direct = globalThis.fetch as (...args: unknown[]) => Promise<Response>;
  /** By the client of Deno, if the program has chosen one. */
  const known = new WeakMap<object, Send>();
  const fetch = async (input: string | URL | Request, init?: Init) => {
    // The program may change the arguments while the module is loaded.
    const request = new Request(input, init);
    if (!/^https?:/.test(request.url)) return await direct(request);
    const { fetchThrough } = await import("./deno_fetch.ts");
    const client = init?.client;
    const key = client ?? direct;
    let send = known.get(key);
    if (!send) {
      const options = client ? { client } : {};
      const given = client && clients.get(client);
      send = fetchThrough(directions, direct, options, given);
      known.set(key, send);
    }
    return await send(request);
  };
  globalThis.fetch = fetch as typeof globalThis.fetch;
}

async function connectThrough(
  connect: DenoNet["connect"],
  directions: Directions,
  target: Endpoint,
  signal?: AbortSignal,
): Promise<Conn> {
  const route = await directions.route;
  const stop = new AbortController();
  let conn: Conn | undefined;
  let reason: Error | undefined;
  const destroy = (error: Error) => {
    reason = error;
    stop.abort();
    conn?.close();
  };
  const dial = new Dial(route, target, { destroy }, { signal });
  try {
    await dial.prepare();
    const { hostname, port } = dial.proxy;
    conn = await connect({ hostname, port, signal: stop.signal }).catch(
      (error) => {
        throw toConnectError(error);
      },
    );
    await shakeHands(dial, conn);
    if (reason) throw reason;
    return conn;
  } catch (error) {
    if (!reason) conn?.close();
    throw reason ?? dial.explain(error);
  } finally {
    dial.end();
  }
}

/** Reads octet by octet, so that those of the target stay in the connection. */
async function shakeHands(dial: Dial, conn: Conn): Promise<void> {
  const octet = new Uint8Array(1);
  let message: Uint8Array | undefined = dial.start();
  for (;;) {
    for (let left = message; left?.length;) {
      left = left.subarray(await conn.write(left));
    }
    if (dial.isGranted) return;
    if (await conn.read(octet) === null) throw dial.ended();
    message = dial.feed(octet.slice());
  }
}
