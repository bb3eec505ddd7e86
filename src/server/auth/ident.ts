/**
 * A client of the Identification Protocol (RFC 1413): the name of the user that owns a
 * connection, as reported by the client's machine.
 *
 * @module
 */

import { isUnspecified } from "../../protocol/address.ts";
import { NetError, toNetError } from "../../transport/errors.ts";
import { MessageReader } from "../../transport/message_reader.ts";
import { type AbortSignalLike, AbortSwitch } from "../../transport/signal.ts";
import { systemClock } from "../../transport/clock.ts";
import type {
  Conn,
  ConnectOptions,
  Transport,
} from "../../transport/transport.ts";
import { decodeText } from "./name.ts";

/** The maximum length of a response, from RFC 1413 section 4. */
const MAX_RESPONSE = 1_000;
const LF = 0x0a;

/** Options of {@linkcode askIdent}. */
export interface IdentOptions {
  /** The time limit for the whole query, in milliseconds; 0 = none. @default {5_000} */
  readonly timeout?: number;
  /** The port of identd. @default {113} */
  readonly port?: number;
  /** Ends the query. */
  readonly signal?: AbortSignalLike;
}

/**
 * Asks identd on the client's machine which user owns this connection. Resolves with
 * `undefined` if the client's address is unknown, if there is no identd, or if no
 * response that names a user arrives in time. Never rejects. The response is only as
 * trustworthy as the machine that sends it.
 */
export async function askIdent(
  transport: Pick<Transport, "connect" | "clock">,
  { localAddr, remoteAddr }: Pick<Conn, "localAddr" | "remoteAddr">,
  { timeout = 5_000, port = 113, signal }: IdentOptions = {},
): Promise<string | undefined> {
  const stop = new AbortSwitch();
  const giveUp = () => stop.abort(new NetError("aborted", "given up"));
  if (signal?.aborted || isUnspecified(remoteAddr.hostname)) return undefined;
  signal?.addEventListener("abort", giveUp);
  const { clock = systemClock } = transport;
  const timer = clock.startTimeout(timeout, giveUp);
  try {
    const { hostname } = remoteAddr;
    const to = { hostname, port, signal: stop };
    const conn = await connectFrom(transport, localAddr.hostname, to);
    return await query(conn, remoteAddr.port, localAddr.port, stop);
  } catch {
    return undefined;
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", giveUp);
  }
}

/**
 * Connects from the address that the client connected to: identd answers only about
 * connections between the two addresses of the query (RFC 1413 section 2). If this
 * machine does not have that address, for example because of a load balancer in front of
 * it, the system chooses one.
 */
async function connectFrom(
  transport: Pick<Transport, "connect">,
  localAddress: string,
  options: ConnectOptions,
): Promise<Conn> {
  if (localAddress === "" || isUnspecified(localAddress)) {
    return await transport.connect(options);
  }
  try {
    return await transport.connect({ ...options, localAddress });
  } catch (error) {
    if (toNetError(error).kind !== "addr-not-available") throw error;
    return await transport.connect(options);
  }
}

async function query(
  conn: Conn,
  clientPort: number,
  serverPort: number,
  stop: AbortSwitch,
): Promise<string | undefined> {
  stop.addEventListener("abort", () => conn.close());
  try {
    if (stop.aborted) return undefined;
    const request = `${clientPort} , ${serverPort}\r\n`;
    await conn.write(new TextEncoder().encode(request));
    const line = await new MessageReader(conn).read(decodeLine);
    return userIn(line, clientPort, serverPort);
  } finally {
    conn.close();
  }
}

function decodeLine(
  bytes: Uint8Array,
): { value: Uint8Array; size: number } | undefined {
  const end = bytes.subarray(0, MAX_RESPONSE).indexOf(LF);
  if (end >= 0) return { value: bytes.subarray(0, end), size: end + 1 };
  if (bytes.length < MAX_RESPONSE) return undefined;
  throw new NetError("other", "the response of identd is too long");
}

// <client's port> , <server's port> : USERID : <operating system>[, <charset>] : <user id>
//
// Everything after the last colon is the user id, leading blanks included (RFC 1413
// section 6, note 1). However, many daemons insert a blank for readability, so leading
// blanks are removed.
const USERID =
  // deno-lint-ignore no-control-regex
  /^[ \t]*(\d{1,5})[ \t]*,[ \t]*(\d{1,5})[ \t]*:[ \t]*USERID[ \t]*:([^:\x00-\x08\x0a-\x1f\x7f]+):[ \t]*([^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,511})$/;

/** The user in a response, if it is a response to this query. */
function userIn(
  line: Uint8Array,
  clientPort: number,
  serverPort: number,
): string | undefined {
  const text = decodeText(line)?.replace(/\r$/, "");
  const [, client, server, , user] = USERID.exec(text ?? "") ?? [];
  const matches = Number(client) === clientPort &&
    Number(server) === serverPort;
  return matches ? user : undefined;
}
