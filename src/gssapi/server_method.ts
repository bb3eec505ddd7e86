/**
 * GSSAPI of the server (RFC 1961).
 *
 * @module
 */

import { ProtocolError } from "../protocol/decode.ts";
import { encodeMessage, MESSAGE } from "../protocol/gssapi.ts";
import { METHOD } from "../protocol/socks5.ts";
import type {
  AuthExchange,
  AuthMethod,
  AuthResult,
  LoginFailure,
} from "../server/auth/method.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { NetError } from "../transport/errors.ts";
import { GssError, type GssErrorCode } from "./error.ts";
import {
  checkLevels,
  DEFAULT_LEVELS,
  type ProtectionLevel,
  supports,
} from "./level.ts";
import type { GssContext, GssProvider } from "./provider.ts";
import { type LibraryOptions, systemAcceptor } from "./system.ts";
import {
  MAX_STEPS,
  protect,
  readToken,
  writeToken,
  wrong,
} from "./token_exchange.ts";

/** Options of {@linkcode gssapi}. */
export interface GssapiOptions extends LibraryOptions {
  /**
   * The file with the keys of the server's principals, such as `rcmd/proxy.example.org`.
   * By default that of the system: `KRB5_KTNAME`, or `/etc/krb5.keytab`.
   */
  readonly keytab?: string;
  /**
   * The only service to accept clients for: `rcmd@proxy.example.org`, or `rcmd` on any
   * host. By default any service that the keytab has a key for.
   */
  readonly service?: string;
  /**
   * The levels that clients may use, the preferred one first: it is the answer to a
   * client that asks for another one. Level 0 leaves the session unprotected.
   *
   * @default {[2, 1]}
   */
  readonly levels?: readonly ProtectionLevel[];
  /**
   * Whether to accept the variant of NEC's reference implementation, in which the level
   * is not protected (curl's `--socks5-gssapi-nec`). An attacker on the network can then
   * lower it to the lowest of `levels`.
   *
   * @default {false}
   */
  readonly nec?: boolean;
  /** Accepts the clients, in place of the system's library, `keytab` and `service`. */
  readonly provider?: Pick<GssProvider, "accept">;
}

const KEYS = Object.keys(
  {
    keytab: true,
    service: true,
    levels: true,
    nec: true,
    provider: true,
    library: true,
    koffi: true,
  } satisfies Record<keyof GssapiOptions, true>,
);

/**
 * Method 01: GSSAPI, by Kerberos tickets (RFC 1961). The user is the client's principal,
 * such as `alice@EXAMPLE.ORG`. Any realm that the server's own trusts may log in: deny
 * others by rules.
 *
 * Everything after the login is signed, and encrypted at level 2, datagrams included.
 * The library of MIT Kerberos has to be installed, on 64-bit Linux. Deno needs
 * `--allow-ffi`; Node.js the package `koffi`, or its own experimental `node:ffi`.
 *
 * Rejects with a {@linkcode GssError} if clients could not be accepted: `library` if the
 * library, the permission or `koffi` is missing, `keytab` if the keytab or a key in it is.
 *
 * @throws {TypeError} if the options are invalid.
 *
 * @example
 * ```ts
 * import { gssapi } from "@x/socks5/gssapi";
 * import { serve } from "@x/socks5/server";
 *
 * async function start() {
 *   const auth = [await gssapi({ keytab: "/etc/socks.keytab", levels: [2] })];
 *   return await serve({ hostname: "0.0.0.0", auth });
 * }
 * console.log(typeof start);
 * ```
 */
export async function gssapi(options: GssapiOptions = {}): Promise<AuthMethod> {
  checkKeys(options, KEYS, "the options of gssapi()");
  const { levels = DEFAULT_LEVELS, nec = false, provider } = options;
  checkLevels(levels);
  if (provider && (options.keytab ?? options.service) !== undefined) {
    throw new TypeError("gssapi() takes a provider, or a keytab and a service");
  }
  const settings = {
    levels: [...levels],
    nec,
    provider: provider ?? await systemAcceptor(options),
  };
  return {
    number: METHOD.gssapi,
    name: "gssapi",
    negotiate: (exchange) => negotiate(exchange, settings),
  };
}

interface Settings {
  readonly levels: readonly ProtectionLevel[];
  readonly nec: boolean;
  readonly provider: Pick<GssProvider, "accept">;
}

const ABORT = encodeMessage({ type: MESSAGE.abort, token: new Uint8Array(0) });

async function negotiate(
  exchange: AuthExchange,
  settings: Settings,
): Promise<AuthResult> {
  const context = settings.provider.accept();
  let owner: Pick<GssContext, "close"> | undefined = context;
  try {
    await establish(exchange, context);
    const level = await agree(exchange, context, settings);
    const user = context.peer;
    if (level === 0) return { ok: true, user };
    const guarded = protect(exchange, context, level);
    owner = undefined; // the connection closes it
    return { ok: true, user, ...guarded };
  } catch (error) {
    if (error instanceof NetError) throw error; // of the connection
    const user = context.peer || undefined;
    const farewell = error instanceof WrongLevel ? undefined : ABORT;
    return { ok: false, user, failure: failureOf(error), farewell };
  } finally {
    owner?.close();
  }
}

/** The codes of errors that are not the client's fault. */
const OWN_ERRORS: readonly GssErrorCode[] = ["keytab", "library", "other"];

function failureOf(error: unknown): LoginFailure {
  const cause = error instanceof Error ? error : new Error(String(error));
  const isOwn = cause instanceof GssError
    ? OWN_ERRORS.includes(cause.code)
    : !(cause instanceof ProtocolError);
  return { kind: isOwn ? "not-verified" : "wrong", cause };
}

/** Exchanges tokens until both sides have the context (RFC 1961 section 3). */
async function establish(
  exchange: AuthExchange,
  context: GssContext,
): Promise<void> {
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const token = await readToken(exchange, MESSAGE.authentication);
    // MIT Kerberos would take an empty token for the start of another negotiation.
    if (token.length === 0) throw wrong("the token is empty");
    const step = await context.step(token);
    if (step.token.length > 0 || !step.done) {
      await writeToken(exchange, MESSAGE.authentication, step.token);
    }
    if (step.done) return;
  }
  throw wrong("the negotiation does not end");
}

/** The connection is closed without an answer. */
class WrongLevel extends ProtocolError {
  constructor(reason: string) {
    super("message", reason);
  }
}

/** Agrees on the level of protection (RFC 1961 section 4). */
async function agree(
  exchange: AuthExchange,
  context: GssContext,
  { levels, nec }: Settings,
): Promise<ProtectionLevel> {
  const possible = levels.filter((it) => supports(context, it));
  if (possible.length === 0) {
    throw new WrongLevel(`the ticket allows none of the levels ${levels}`);
  }
  const message = await readToken(exchange, MESSAGE.protection);
  // A wrapped level is never a single octet.
  const isBare = message.length === 1;
  if (isBare && !nec) throw new WrongLevel("the level is not protected");
  const asked = isBare ? message[0] : wrappedLevel(context, message);
  const level = possible.find((it) => it === asked) ?? possible[0];
  const answer = Uint8Array.of(level);
  const token = isBare ? answer : context.wrap(answer, false);
  await writeToken(exchange, MESSAGE.protection, token);
  return level;
}

function wrappedLevel(context: GssContext, token: Uint8Array): number {
  try {
    const { data, order } = context.unwrap(token);
    if (data.length === 1 && order === undefined) return data[0];
  } catch (error) {
    throw new WrongLevel((error as Error).message);
  }
  throw new WrongLevel("the level is not a single octet");
}
