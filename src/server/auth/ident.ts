/**
 * Who a client's own machine says it is: the Identification Protocol (RFC 1413),
 * and the check of SOCKS4 user ids that uses it.
 *
 * @module
 */

import { REPLY4 } from "../../protocol/reply.ts";
import { MessageReader } from "../../transport/message_reader.ts";
import { type AbortSignalLike, AbortSwitch } from "../../transport/signal.ts";
import { startTimeout } from "../../transport/timeouts.ts";
import type { Address, Conn, Transport } from "../../transport/transport.ts";
import { NetError } from "../../transport/errors.ts";

/** RFC 1413 section 4: answers are not longer than this. */
const MAX_ANSWER = 1_000;
const LF = 0x0a;

/** How to ask. */
export interface IdentOptions {
  /** Milliseconds for all of it; 0 means for ever. @default {5_000} */
  readonly timeout?: number;
  /** Where identd listens. @default {113} */
  readonly port?: number;
  /** Gives up when it fires. */
  readonly signal?: AbortSignalLike;
}

/**
 * Asks the identd of a client's machine whose connection this is; `undefined`
 * when there is none, or no answer in time that names a user. Never rejects.
 * The answer is worth as much as the machine that gives it.
 */
export async function askIdent(
  transport: Pick<Transport, "connect">,
  { localAddr, remoteAddr }: {
    readonly localAddr: Address;
    readonly remoteAddr: Address;
  },
  { timeout = 5_000, port = 113, signal }: IdentOptions = {},
): Promise<string | undefined> {
  const stop = new AbortSwitch();
  const giveUp = () => stop.abort(new NetError("aborted", "given up"));
  if (signal?.aborted) return undefined;
  signal?.addEventListener("abort", giveUp);
  const timer = startTimeout(timeout, giveUp);
  try {
    const { hostname } = remoteAddr;
    const conn = await transport.connect({ hostname, port, signal: stop });
    return await ask(conn, remoteAddr.port, localAddr.port, stop);
  } catch {
    return undefined;
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", giveUp);
  }
}

async function ask(
  conn: Conn,
  theirPort: number,
  ourPort: number,
  stop: AbortSwitch,
): Promise<string | undefined> {
  stop.addEventListener("abort", () => conn.close());
  try {
    if (stop.aborted) return undefined;
    const query = `${theirPort} , ${ourPort}\r\n`;
    await conn.write(new TextEncoder().encode(query));
    const line = await new MessageReader(conn).read(decodeLine);
    return userIn(line, theirPort, ourPort);
  } finally {
    conn.close();
  }
}

function decodeLine(
  octets: Uint8Array,
): { value: Uint8Array; size: number } | undefined {
  const end = octets.subarray(0, MAX_ANSWER).indexOf(LF);
  if (end >= 0) return { value: octets.subarray(0, end), size: end + 1 };
  if (octets.length < MAX_ANSWER) return undefined;
  throw new NetError("other", "the answer of identd is too long");
}

// <their port> , <our port> : USERID : <operating system>[, <charset>] : <user id>
//
// All behind the last colon is the user id, leading blanks included (RFC 1413
// section 6, note 1); but daemons put one there for looks, so they go.
const USERID =
  // deno-lint-ignore no-control-regex
  /^[ \t]*(\d{1,5})[ \t]*,[ \t]*(\d{1,5})[ \t]*:[ \t]*USERID[ \t]*:([^:\x00-\x08\x0a-\x1f\x7f]+):[ \t]*([^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,511})$/;

/** The user that an answer names, if it is one to our question. */
function userIn(
  line: Uint8Array,
  theirPort: number,
  ourPort: number,
): string | undefined {
  const text = decodeUtf8(line)?.replace(/\r$/, "");
  const [, theirs, ours, , user] = USERID.exec(text ?? "") ?? [];
  const asked = Number(theirs) === theirPort && Number(ours) === ourPort;
  return asked ? user : undefined;
}

function decodeUtf8(octets: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(octets);
  } catch {
    return undefined;
  }
}

/** What the user id of a SOCKS4 request must hold against. */
export interface UserIdChecks {
  /** The ones that are let in. By default all. */
  readonly userIds?: readonly string[];
  /** Who the client's machine says it is, such as by {@linkcode askIdent}. By default nobody asks. */
  readonly ident?: () => Promise<string | undefined>;
}

/**
 * The SOCKS4 reply that a user id gets: 5A when it may go on, 5B when it is not
 * in the list (or not UTF-8), 5C when identd names nobody, 5D when it names
 * another. The list goes first: who is not in it makes us ask nobody.
 */
export async function checkUserId(
  userId: Uint8Array,
  { userIds, ident }: UserIdChecks,
): Promise<number> {
  if (!userIds && !ident) return REPLY4.granted;
  const claimed = decodeUtf8(userId);
  if (claimed === undefined) return REPLY4.rejected;
  if (userIds && !userIds.includes(claimed)) return REPLY4.rejected;
  if (!ident) return REPLY4.granted;
  const named = await ident();
  if (named === undefined) return REPLY4.noIdentd;
  return named === claimed ? REPLY4.granted : REPLY4.identMismatch;
}
