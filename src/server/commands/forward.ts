/**
 * The command `forward`: an HTTP request in absolute form (RFC 9112 section 3.2.2).
 *
 * @module
 */

import { NetError } from "../../transport/errors.ts";
import { closeQuietly } from "../../transport/quiet.ts";
import type { Conn } from "../../transport/transport.ts";
import type { ClientRequest } from "../frontends/frontend.ts";
import type { CommandSession } from "./command.ts";
import { dialTarget } from "./connect.ts";
import type { Ending } from "./ending.ts";
import { replyToFailure } from "./failure.ts";
import { HttpExchange, type HttpRequest } from "./http_exchange.ts";

/**
 * Connects to the target for this request alone, so that no request of another user can
 * meet it there, and passes on the request and the response.
 */
export async function forward(
  session: CommandSession,
  request: ClientRequest,
): Promise<Ending> {
  session.phase = "dial";
  const { settings: { clock, timeouts }, stopping } = session;
  const timeout = clock.startTimeout(timeouts.connect, () => {
    stopping.abort(new NetError("timeout", "the target did not answer"));
  });
  let target: Conn;
  try {
    target = await dialTarget(session, request.target);
  } catch (error) {
    return await session.refuse(request, replyToFailure(error), error);
  } finally {
    timeout.cancel();
  }
  session.targetAddr = target.remoteAddr;
  if (session.ending) {
    closeQuietly(target);
    return session.ending;
  }
  session.phase = "relay";
  const exchange = new HttpExchange(session, request as HttpRequest, target);
  return await exchange.run();
}
