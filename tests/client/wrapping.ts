/**
 * The client's side of the wrapping method in `tests/support/wrapped_conn.ts`.
 *
 * @module
 */

import type {
  ClientAuth,
  ClientAuthExchange,
  ClientAuthResult,
  MessageDecoder,
} from "../../src/client/mod.ts";
import { octets } from "../support/table.ts";
import {
  ACCEPTED,
  frame,
  TOKEN,
  WrappedConn,
  WRAPPING,
  xorDatagrams,
} from "../support/wrapped_conn.ts";

/** A {@linkcode WrappedConn} that records whether it has been closed. */
export class ObservedConn extends WrappedConn {
  closed = false;

  override close(): void {
    this.closed = true;
    super.close();
  }
}

/** A wrapping method and the connections that it has wrapped. */
export interface Wrapping {
  readonly auth: ClientAuth;
  readonly conns: readonly ObservedConn[];
}

const firstByte: MessageDecoder<number> = (bytes) =>
  bytes.length > 0 ? { value: bytes[0], size: 1 } : undefined;

/** A method that sends the token and wraps everything after the answer. */
export function wrapping(token = TOKEN): Wrapping {
  const conns: ObservedConn[] = [];
  const negotiate = async (
    exchange: ClientAuthExchange,
  ): Promise<ClientAuthResult> => {
    await exchange.write(Uint8Array.of(token));
    if (await exchange.read(firstByte) !== ACCEPTED) {
      throw new Error("the token is wrong");
    }
    const conn = new ObservedConn(exchange.take());
    conns.push(conn);
    return { conn, datagrams: xorDatagrams };
  };
  return { auth: { number: WRAPPING, name: "wrapping", negotiate }, conns };
}

/** The octets as one frame, in the notation of {@linkcode octets}. */
export function framed(text: string): string {
  return [...frame(octets(text))].map((it) => it.toString(16).padStart(2, "0"))
    .join(" ");
}
