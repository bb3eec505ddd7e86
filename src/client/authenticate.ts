/**
 * Authentication before a SOCKS5 request (RFC 1928 section 3).
 *
 * @module
 */

import { ProtocolError } from "../protocol/decode.ts";
import {
  decodeMethodChoice,
  encodeGreeting,
  METHOD,
} from "../protocol/socks5.ts";
import { NetError } from "../transport/errors.ts";
import { ConnExchange } from "../transport/exchange.ts";
import type { MessageReader } from "../transport/message_reader.ts";
import type { Conn } from "../transport/transport.ts";
import type {
  ClientAuth,
  ClientAuthExchange,
  ClientAuthResult,
} from "./auth.ts";
import type { HandshakeAttempt } from "./dialect.ts";
import { SocksError } from "./error.ts";
import { hasLogin, type ResolvedProxy } from "./proxy.ts";

/** Agrees with the proxy on a method and runs it. */
export async function authenticate(
  attempt: HandshakeAttempt,
  conn: Conn,
  reader: MessageReader,
): Promise<ClientAuthResult | undefined> {
  attempt.phase = "method";
  const { auth, proxy } = attempt;
  await conn.write(encodeGreeting(auth.map(({ number }) => number)));
  const choice = await reader.read(decodeMethodChoice);
  const method = auth.find(({ number }) => number === choice);
  if (!method) throw noSuchMethod(choice, proxy);
  return method.negotiate
    ? await negotiate(
      method,
      attempt,
      new ClientExchange(attempt, conn, reader),
    )
    : undefined;
}

function noSuchMethod(choice: number, proxy: ResolvedProxy): SocksError {
  const phase = "method";
  if (choice !== METHOD.unacceptable) {
    const message = `the proxy chose method ${choice}, which was not offered`;
    return new SocksError("protocol", message, { phase });
  }
  const hint = hasLogin(proxy) ? "" : "; it may require a login";
  const message = `the proxy accepts none of the offered methods${hint}`;
  return new SocksError("no-method", message, { phase });
}

async function negotiate(
  method: ClientAuth,
  attempt: HandshakeAttempt,
  exchange: ClientExchange,
): Promise<ClientAuthResult | undefined> {
  attempt.phase = "auth";
  let result: ClientAuthResult | void;
  try {
    result = await method.negotiate!(exchange);
  } catch (error) {
    throw loginError(method, error);
  }
  if (result?.conn) attempt.adopt(result.conn);
  return result ?? undefined;
}

/**
 * A method may reject with anything; the errors of the connection and of broken
 * messages are returned unchanged.
 */
function loginError({ name }: ClientAuth, error: unknown): unknown {
  const isOurs = error instanceof NetError || error instanceof ProtocolError ||
    error instanceof SocksError && error.code === "login-failed";
  if (isOurs) return error;
  const reason = error instanceof Error ? error.message : error;
  const message = `the login by method ${name} failed: ${reason}`;
  return new SocksError("login-failed", message, {
    phase: "auth",
    cause: error,
  });
}

class ClientExchange extends ConnExchange implements ClientAuthExchange {
  readonly #attempt: HandshakeAttempt;

  constructor(
    attempt: HandshakeAttempt,
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
