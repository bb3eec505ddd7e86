/**
 * Method 03 of the client: CHAP with HMAC-MD5 (draft-ietf-aft-socks-chap-01).
 *
 * @module
 */

import { hmacMd5 } from "../crypto/hmac_md5.ts";
import {
  ALGORITHM,
  ATTRIBUTE,
  type Attribute,
  decodeMessage,
  encodeMessage,
  findAttribute,
} from "../protocol/chap.ts";
import { ProtocolError } from "../protocol/decode.ts";
import { toOctets } from "../protocol/octets.ts";
import { METHOD } from "../protocol/socks5.ts";
import {
  type AuthStep,
  type AuthSteps,
  type ClientAuth,
  loginRefused,
} from "./auth.ts";
import type { ResolvedProxy } from "./proxy.ts";

const CHAP: ClientAuth = {
  number: METHOD.chap,
  name: "chap",
  steps: respond,
};

/**
 * Method 03: CHAP with the user name and password of the proxy's URL
 * (draft-ietf-aft-socks-chap-01, HMAC-MD5). The password itself does not travel; the
 * traffic after the login is not encrypted.
 *
 * It is not offered by default. The proxy chooses among the offered methods: offer no
 * {@linkcode passwordLogin} beside it if the password must never travel.
 *
 * A wrong login ends the attempt with `login-failed`; a proxy that chooses another
 * algorithm, accepts the login without a challenge, or breaks the protocol in another
 * way, ends it with `protocol`.
 *
 * @example
 * ```ts
 * import { chapLogin, connect } from "@x/socks5/client";
 * import { chap, serve } from "@x/socks5/server";
 *
 * await using proxy = await serve({ port: 0, auth: [chap({ al: "long secret" })] });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `socks5h://al:long%20secret@127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, target.addr, { auth: [chapLogin()] });
 * ```
 */
export function chapLogin(): ClientAuth {
  return CHAP;
}

function respond({ username = "", password = "" }: ResolvedProxy): AuthSteps {
  let hasResponded = false;
  const answer = (message: readonly Attribute[]): AuthStep => {
    if (hasResponded) return { done: checkVerdict(message) };
    hasResponded = true;
    const value = hmacMd5(toOctets(password), challengeIn(message));
    return { send: encodeMessage([{ type: ATTRIBUTE.response, value }]) };
  };
  return {
    start: () => ({
      send: encodeMessage([
        { type: ATTRIBUTE.algorithms, value: Uint8Array.of(ALGORITHM.hmacMd5) },
        { type: ATTRIBUTE.user, value: toOctets(username) },
      ]),
    }),
    feed(octets) {
      const message = decodeMessage(octets);
      return message && { size: message.size, ...answer(message.value) };
    },
  };
}

function checkVerdict(message: readonly Attribute[]): true {
  if (isAccepted(message)) return true;
  throw chapError("has no status after the response");
}

function challengeIn(message: readonly Attribute[]): Uint8Array {
  if (isAccepted(message)) {
    throw chapError("accepts a login without a response");
  }
  const [algorithm, ...others] = findAttribute(message, ATTRIBUTE.algorithms) ??
    [];
  if (algorithm !== ALGORITHM.hmacMd5 || others.length > 0) {
    throw chapError("does not choose HMAC-MD5, the only algorithm offered");
  }
  const challenge = findAttribute(message, ATTRIBUTE.challenge);
  if (challenge && challenge.length > 0) return challenge;
  throw chapError("has no challenge");
}

/** Whether the message accepts the login; throws if it refuses it. */
function isAccepted(message: readonly Attribute[]): boolean {
  const status = findAttribute(message, ATTRIBUTE.status);
  if (status === undefined) return false;
  if (status.length === 1 && status[0] === 0) return true;
  throw loginRefused();
}

function chapError(problem: string): ProtocolError {
  return new ProtocolError("message", `the CHAP message ${problem}`);
}
