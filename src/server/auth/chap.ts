/**
 * Method 03, CHAP with HMAC-MD5 (draft-ietf-aft-socks-chap-01).
 *
 * @module
 */

import { hmacMd5 } from "../../crypto/hmac_md5.ts";
import {
  ALGORITHM,
  ATTRIBUTE,
  decodeMessage,
  encodeMessage,
  findAttribute,
} from "../../protocol/chap.ts";
import { ProtocolError } from "../../protocol/decode.ts";
import { METHOD } from "../../protocol/socks5.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import {
  GUARD_KEYS,
  GuardedVerifier,
  type GuardOptions,
} from "./guarded_verifier.ts";
import { Lockout } from "./lockout.ts";
import type { AuthExchange, AuthMethod, AuthResult } from "./method.ts";
import { readName } from "./name.ts";
import { sameBytes } from "./password_hash.ts";
import { type Secrets, type SecretSource, toSecretSource } from "./secrets.ts";
import type { Credentials, Verifier, VerifyContext } from "./verifier.ts";

/** In bytes; an attribute may have 255. */
const CHALLENGE_SIZE = 32;

/**
 * Method 03, CHAP with HMAC-MD5 (draft-ietf-aft-socks-chap-01), which PuTTY prefers
 * to method 02. The secret never travels: the client proves by a keyed hash of the
 * server's challenge that it knows it.
 *
 * - The server needs the secrets themselves; hashes as those of {@linkcode Users} do
 *   not suffice. Whoever reads the secrets can log in.
 * - CHAP protects only the login. The traffic after it is neither encrypted nor
 *   authenticated, and anyone who has recorded a login can try passwords against it
 *   offline, so that secrets must be long and random.
 * - A table maps user names to secrets; a function looks them up, see
 *   {@linkcode SecretLookup}. An unknown user gets a challenge, too, and costs and
 *   answers like a wrong secret.
 * - Failed logins are delayed and locked out as those of {@linkcode userPass} are. Give
 *   the same `guard` to both to count them together.
 *
 * The order of `auth` is the server's order of preference. Put `chap()` first if every
 * user has a secret: a client that offers both methods, as PuTTY does, has no second
 * try.
 *
 * @throws {TypeError} when the table is empty, a name or secret in it is not 1 to 255
 * bytes long, a secret ends in NUL, or a number of the options is not a whole number.
 *
 * @example
 * ```ts
 * import { chapLogin, connect } from "@x/socks5/client";
 * import { chap, serve } from "@x/socks5/server";
 *
 * const secrets = { alice: "4dYx-2mQp-9sLw-7hTk" };
 * await using proxy = await serve({ port: 0, auth: [chap(secrets)] });
 * await using target = await serve({ port: 0 }); // anything that listens
 *
 * const url = `socks5h://alice:${secrets.alice}@127.0.0.1:${proxy.addr.port}`;
 * await using conn = await connect(url, target.addr, { auth: [chapLogin()] });
 * ```
 *
 * @example CHAP and passwords, with one lockout for both
 * ```ts
 * import { chap, hashPassword, Lockout, userPass, Users } from "@x/socks5/server";
 *
 * const guard = new Lockout();
 * const users = new Users([["alice", await hashPassword("correct horse")]]);
 * const auth = [chap({ alice: "correct horse" }, { guard }), userPass(users, { guard })];
 * ```
 */
export function chap(secrets: Secrets, options: GuardOptions = {}): AuthMethod {
  checkKeys(options, GUARD_KEYS, "the options of chap()");
  const source = toSecretSource(secrets);
  // One for all attempts, although each has a verifier of its own.
  const guard = options.guard ?? new Lockout(options);
  return {
    number: METHOD.chap,
    name: "chap",
    negotiate: (exchange) =>
      negotiate(
        exchange,
        (challenge) =>
          new GuardedVerifier(new ResponseVerifier(source, challenge), {
            ...options,
            guard,
          }),
      ),
  };
}

const CHOICE = {
  type: ATTRIBUTE.algorithms,
  value: Uint8Array.of(ALGORITHM.hmacMd5),
};

async function negotiate(
  exchange: AuthExchange,
  verifierOf: (challenge: Uint8Array) => GuardedVerifier,
): Promise<AuthResult> {
  let username: Uint8Array | undefined;
  let response: Uint8Array | undefined;
  const refused = (result: Partial<AuthResult> = {}): AuthResult => ({
    ...result,
    ok: false,
    user: username && readName(username),
    farewell: encodeStatus(1),
  });
  // Fresh for each attempt, so that a recorded response is worthless.
  const challenge = crypto.getRandomValues(new Uint8Array(CHALLENGE_SIZE));
  try {
    const offer = await exchange.read(decodeMessage);
    username = findAttribute(offer, ATTRIBUTE.user);
    const algorithms = findAttribute(offer, ATTRIBUTE.algorithms);
    if (!algorithms?.includes(ALGORITHM.hmacMd5)) return refused();
    await exchange.write(encodeMessage([
      CHOICE,
      { type: ATTRIBUTE.challenge, value: challenge },
    ]));
    const answer = await exchange.read(decodeMessage);
    const later = findAttribute(answer, ATTRIBUTE.user);
    if (username && later) return refused();
    username ??= later;
    response = findAttribute(answer, ATTRIBUTE.response);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return refused();
  }
  if (!username || !response) return refused();
  const credentials = { username, password: response };
  const verifier = verifierOf(challenge);
  const { ok, failure } = await verifier.check(credentials, exchange);
  if (ok !== true) return refused({ failure });
  await exchange.write(encodeStatus(0));
  return { ok: true, user: readName(username) };
}

function encodeStatus(status: number): Uint8Array {
  return encodeMessage([
    { type: ATTRIBUTE.status, value: Uint8Array.of(status) },
  ]);
}

/** Verifies the response, which takes the place of the password, to one challenge. */
class ResponseVerifier implements Verifier {
  readonly #source: SecretSource;
  readonly #challenge: Uint8Array;

  constructor(source: SecretSource, challenge: Uint8Array) {
    this.#source = source;
    this.#challenge = challenge;
  }

  async verify(
    { username, password: response }: Credentials,
    context: VerifyContext,
  ): Promise<boolean> {
    const { standIn } = this.#source;
    const secret = await this.#source.secretOf(username, context);
    const key = new TextEncoder().encode(secret ?? standIn);
    const expected = hmacMd5(key, this.#challenge);
    return sameBytes(response, expected) && secret !== undefined;
  }
}
