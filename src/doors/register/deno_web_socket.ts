/**
 * Deno's `WebSocket`, which asks the local resolver for the name of a target that it reaches
 * through the proxy of the environment. It gets the front as its proxy, and no name.
 *
 * @module
 */

import { parseTarget } from "../../client/target.ts";
import { type ConnSource, toConn } from "../../transport/streams.ts";
import {
  type Alias,
  type Aliases,
  type AliasTls,
  targetOf,
} from "../fetch/aliases.ts";
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

interface DenoConn {
  close(): void;
  unref?(): void;
  handshake?(): Promise<unknown>;
}

interface DenoNet {
  connect(options: object): Promise<DenoConn>;
  connectTls(options: object): Promise<DenoConn>;
}

/** Milliseconds for the handshake of TLS. */
const TLS_TIMEOUT = 30_000;
const ALPN = ["http/1.1"];

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
      const text = absolute(url);
      // Deno throws an error for a URL that is invalid.
      if (text === undefined) return create(url, given);
      if (directions.isDirect(parseTarget(targetOf(text)))) {
        return create(text, given);
      }
      const { client, protocols, headers } = optionsOf(given);
      const options = {
        ...protocols !== undefined && { protocols },
        ...headers !== undefined && { headers },
        tls: client && clients.get(client),
      };
      return aliases.open(text, options, port!, create);
    },
  });
  WebSocket.prototype.constructor = patched;
  globalThis.WebSocket = patched;
}

/** The URL as a text, if it is one for a WebSocket. */
function absolute(url: unknown): string | undefined {
  const { location } = globalThis as { location?: { href: string } };
  try {
    const { href, protocol, hostname } = new URL(`${url}`, location?.href);
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

/** Connects to the target of a WebSocket, as the program itself would. */
export async function reachAlias(
  { target, isSecure, tls, signal: closed }: Alias,
  ended: AbortSignal,
): Promise<ConnSource> {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoNet };
  const signal = AbortSignal.any([closed, ended]);
  const to = { ...parseTarget(target), signal };
  if (!isSecure) return unheld(await deno.connect(to));
  const late = AbortSignal.any([signal, AbortSignal.timeout(TLS_TIMEOUT)]);
  const { caCerts, cert, key } = tls ?? {};
  if (cert) {
    // `Deno.startTls()` has no certificates of clients.
    const { tlsOver } = await import("../../transport/tls/connect.ts");
    const conn = toConn(unheld(await deno.connect(to)));
    const serverName = to.hostname.replace(/\.$/, "");
    const ca = caCerts?.join("\n");
    return await tlsOver(conn, { serverName, ca, cert, key, alpn: ALPN }, late);
  }
  const conn = await deno.connectTls({ ...to, caCerts, alpnProtocols: ALPN });
  const onLate = () => conn.close();
  late.addEventListener("abort", onLate);
  try {
    await conn.handshake!();
    late.throwIfAborted();
  } catch (error) {
    if (!late.aborted) conn.close();
    throw error;
  } finally {
    late.removeEventListener("abort", onLate);
  }
  return unheld(conn);
}

/** The connection, which does not keep the process alive. */
function unheld(conn: DenoConn): ConnSource {
  conn.unref?.();
  return conn as unknown as ConnSource;
}
