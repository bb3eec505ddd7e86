/**
 * The login of HTTP requests: Basic (RFC 7617), checked by the verifiers of SOCKS5.
 *
 * @module
 */

import { encodeResponse } from "../../protocol/http_connect.ts";
import type { Login } from "../../protocol/password.ts";
import { METHOD } from "../../protocol/socks5.ts";
import { withSignal } from "../../transport/dial.ts";
import type { GuardedVerifier } from "../auth/guarded_verifier.ts";
import type { AuthMethod } from "../auth/method.ts";
import { readName } from "../auth/name.ts";
import { passwordVerifierOf } from "../auth/user_pass.ts";
import type { FrontendContext } from "./frontend.ts";
import { Refusal, refusedLogin, refuseLogin } from "./refusal.ts";

const LOGIN_REQUIRED = 407;
const CHALLENGE = encodeResponse(
  LOGIN_REQUIRED,
  "This proxy requires a user name and a password.\n",
);

/**
 * Authenticates the client of a request. Chooses a method as SOCKS5 does: the first of the
 * server's that the client can use, if a client with a login offers both that and none.
 */
export async function authenticate(
  context: FrontendContext,
  login: Login | undefined,
): Promise<void> {
  const { settings: { auth }, session } = context;
  for (const method of auth) {
    const verifier = passwordVerifierOf(method);
    if (!isNone(method) && !(verifier && login)) continue;
    session.method = method.name;
    if (verifier && login) return await verify(context, verifier, login);
    return session.onAuth(true);
  }
  if (auth.some(passwordVerifierOf)) {
    const why = "the client sent no login";
    throw new Refusal("no-method", why, CHALLENGE, LOGIN_REQUIRED);
  }
  const why = "no method of auth suits HTTP";
  const text = "This proxy requires a login that HTTP cannot carry.\n";
  throw new Refusal("no-method", why, encodeResponse(403, text), 403);
}

/** Method 00 itself: another method without a negotiation has clients of its own. */
function isNone({ number, negotiate }: AuthMethod): boolean {
  return number === METHOD.none && !negotiate;
}

async function verify(
  { session, settings: { sessionWords } }: FrontendContext,
  verifier: GuardedVerifier,
  login: Login,
): Promise<void> {
  session.user = readName(login.username);
  const source = {
    client: session.client,
    get signal() {
      return session.stopping.signal;
    },
  };
  const { ok, failure, worded } = await withSignal(
    verifier.check(login, source, sessionWords),
    session.stopping,
  ).catch((error) => {
    throw refuseLogin(error, session, CHALLENGE, LOGIN_REQUIRED);
  });
  if (worded) {
    session.user = readName(worded.username);
    session.sessionWord = worded.word;
  }
  session.onAuth(ok === true);
  if (ok === true) return;
  throw refusedLogin(failure, "the login failed", CHALLENGE, LOGIN_REQUIRED);
}
