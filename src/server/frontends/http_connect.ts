/**
 * The front end for HTTP CONNECT (RFC 9110 section 9.3.6).
 *
 * @module
 */

import { ProtocolError } from "../../protocol/decode.ts";
import { quote } from "../../protocol/escape.ts";
import { decodeCredentials } from "../../protocol/http_basic.ts";
import { encodeResponse, statusOfReply } from "../../protocol/http_connect.ts";
import { requestDecoder } from "../../protocol/http_request_decoder.ts";
import type { Login } from "../../protocol/password.ts";
import { REPLY, replyText } from "../../protocol/reply.ts";
import { METHOD } from "../../protocol/socks5.ts";
import { withSignal } from "../../transport/dial.ts";
import type { GuardedVerifier } from "../auth/guarded_verifier.ts";
import type { AuthMethod } from "../auth/method.ts";
import { readName } from "../auth/name.ts";
import { passwordVerifierOf } from "../auth/user_pass.ts";
import type {
  ClientRequest,
  Dialect,
  Frontend,
  FrontendContext,
} from "./frontend.ts";
import { Refusal, refusedLogin, refuseLogin } from "./refusal.ts";

const DIALECT: Dialect = {
  isIPv4Only: false,
  replyNumber: statusOfReply,
  // A response cannot carry the bound address, and CONNECT does not need it.
  encodeReply: (reply) =>
    reply === REPLY.succeeded ? GRANTED : encodeResponse(
      statusOfReply(reply),
      `The proxy could not connect: ${replyText(5, reply)}.\n`,
    ),
};

const GRANTED = encodeResponse(200);

/** HTTP CONNECT. */
export const HTTP_CONNECT: Frontend = {
  name: "http",
  version: undefined,
  // The methods of HTTP (RFC 9110 section 9) are words in capitals.
  accepts: (firstByte) => firstByte >= 0x41 && firstByte <= 0x5a,
  read,
};

async function read(context: FrontendContext): Promise<ClientRequest> {
  const { reader } = context;
  const request = await reader.read(requestDecoder()).catch((error) => {
    throw error instanceof ProtocolError ? refusedRequest(error) : error;
  });
  const { method, target, authorization } = request;
  if (!target) throw refusedMethod(method);
  const login = decodeCredentials(authorization ?? "");
  await authenticate(context, login);
  return {
    command: "connect",
    target,
    conn: reader.release(),
    dialect: DIALECT,
  };
}

function refusedRequest(error: ProtocolError): Refusal {
  const { code, message } = error;
  const status = code === "size" ? 431 : code === "version" ? 505 : 400;
  const text = `The request is not valid: ${message}.\n`;
  return refused("protocol-error", message, status, text);
}

function refusedMethod(method: string): Refusal {
  const why = `the client sent ${quote(method, 20)}, not CONNECT`;
  const text = "This proxy opens tunnels only: use the method CONNECT.\n";
  return refused("protocol-error", why, 405, text);
}

function refused(
  reason: Refusal["reason"],
  message: string,
  status: number,
  text: string,
): Refusal {
  return new Refusal(reason, message, encodeResponse(status, text), status);
}

const LOGIN_REQUIRED = 407;
const CHALLENGE = encodeResponse(
  LOGIN_REQUIRED,
  "This proxy requires a user name and a password.\n",
);

/**
 * Chooses a method as SOCKS5 does: the first of the server's that the client can use,
 * if a client with a login offers both that and none.
 */
async function authenticate(
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
  const text = "This proxy requires a login that HTTP cannot carry.\n";
  throw refused("no-method", "no method of auth suits HTTP", 403, text);
}

/** Method 00 itself: another method without a negotiation has clients of its own. */
function isNone({ number, negotiate }: AuthMethod): boolean {
  return number === METHOD.none && !negotiate;
}

async function verify(
  { session }: FrontendContext,
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
  const { ok, failure } = await withSignal(
    verifier.check(login, source),
    session.stopping,
  ).catch((error) => {
    throw refuseLogin(error, session, CHALLENGE, LOGIN_REQUIRED);
  });
  session.onAuth(ok === true);
  if (ok === true) return;
  throw refusedLogin(failure, "the login failed", CHALLENGE, LOGIN_REQUIRED);
}
