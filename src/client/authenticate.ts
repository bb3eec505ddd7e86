/**
 * Authentication by methods that do their own I/O.
 *
 * @module
 */

import { ConnExchange } from "../transport/exchange.ts";
import { MessageReader } from "../transport/message_reader.ts";
import type { AbortSwitch } from "../transport/signal.ts";
import type { Conn } from "../transport/transport.ts";
import type {
  ClientAuth,
  ClientAuthExchange,
  ClientAuthResult,
} from "./auth.ts";
import type { HandshakeAttempt } from "./dialect.ts";
import { loginError } from "./handshake.ts";
import type { ResolvedProxy } from "./proxy.ts";

/** An attempt as these methods see it. */
export interface NegotiatingAttempt extends HandshakeAttempt {
  /** Fires when the attempt ends early. */
  readonly stopping: AbortSwitch;
  /** Takes ownership of the connection that a method returned. */
  adopt(wrapped: Conn): void;
}

/** Runs a method over the connection, from which nothing has been read ahead. */
export async function negotiate(
  method: ClientAuth,
  attempt: NegotiatingAttempt,
  conn: Conn,
): Promise<ClientAuthResult> {
  const reader = new MessageReader(conn);
  const exchange = new ClientExchange(attempt, conn, reader);
  let result: ClientAuthResult | void;
  try {
    result = await method.negotiate!(exchange);
  } catch (error) {
    throw loginError(method, error);
  }
  reader.release();
  if (result?.conn) attempt.adopt(result.conn);
  return result ?? {};
}

class ClientExchange extends ConnExchange implements ClientAuthExchange {
  readonly #attempt: NegotiatingAttempt;

  constructor(
    attempt: NegotiatingAttempt,
    ...connection: ConstructorParameters<typeof ConnExchange>
  ) {
    super(...connection);
    this.#attempt = attempt;
  }

  get proxy(): ResolvedProxy {
    return this.#attempt.proxy;
  }

  get signal(): AbortSignal {
    return this.#attempt.stopping.signal;
  }
}
