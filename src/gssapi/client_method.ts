/**
 * GSSAPI of the client (RFC 1961).
 *
 * @module
 */

import type {
  ClientAuth,
  ClientAuthExchange,
  ClientAuthResult,
} from "../client/auth.ts";
import { MESSAGE } from "../protocol/gssapi.ts";
import { METHOD } from "../protocol/socks5.ts";
import { checkKeys } from "../transport/check_keys.ts";
import {
  checkLevels,
  DEFAULT_LEVELS,
  type ProtectionLevel,
  supports,
} from "./level.ts";
import type { GssContext, GssProvider } from "./provider.ts";
import { type LibraryOptions, systemInitiator } from "./system.ts";
import {
  MAX_STEPS,
  PeerAbort,
  protect,
  readToken,
  writeToken,
  wrong,
} from "./token_exchange.ts";

/** Options of {@linkcode gssapiLogin}. */
export interface GssapiLoginOptions extends LibraryOptions {
  /** The service in the name of the proxy's principal. @default {"rcmd"} */
  readonly service?: string;
  /** The host in that name. By default the hostname of the proxy, as it was given. */
  readonly hostname?: string;
  /**
   * The acceptable levels, the preferred one first. If the proxy grants none of them,
   * the login fails.
   *
   * @default {[2, 1]}
   */
  readonly levels?: readonly ProtectionLevel[];
  /** Creates the contexts, in place of the system's library. */
  readonly provider?: Pick<GssProvider, "initiate">;
}

const KEYS = Object.keys(
  {
    service: true,
    hostname: true,
    levels: true,
    provider: true,
    library: true,
    koffi: true,
  } satisfies Record<keyof GssapiLoginOptions, true>,
);

/**
 * Method 01: GSSAPI, by the Kerberos ticket that `kinit` has stored (RFC 1961). The proxy
 * has to prove its identity as well. Everything after the login is signed, and
 * encrypted at level 2, datagrams included.
 *
 * The choice among the offered methods is not protected: if the session must be, offer no
 * other method beside it, because an attacker on the network can choose the other one.
 *
 * The requirements are those of {@linkcode gssapi}, except for the keytab. The first login
 * loads the library. If the library or Kerberos fails, the attempt ends with code
 * `login-failed` and a {@linkcode GssError} as the cause. A KDC that does not answer does
 * not block the event loop.
 *
 * @throws {TypeError} if the options are invalid.
 *
 * @example
 * ```ts
 * import { gssapiLogin } from "@x/socks5/gssapi";
 * import { socks } from "@x/socks5/client";
 *
 * const proxy = socks("socks5h://proxy.example.org", {
 *   auth: [gssapiLogin({ levels: [2] })], // the ticket is for rcmd/proxy.example.org
 * });
 * ```
 */
export function gssapiLogin(options: GssapiLoginOptions = {}): ClientAuth {
  checkKeys(options, KEYS, "the options of gssapiLogin()");
  const { service = "rcmd", hostname, levels = DEFAULT_LEVELS } = options;
  checkLevels(levels);
  checkPart(service, "service");
  if (hostname !== undefined) checkPart(hostname, "hostname");
  const settings = { service, hostname, levels: [...levels] };
  let { provider } = options;
  return {
    number: METHOD.gssapi,
    name: "gssapi",
    async negotiate(exchange) {
      provider ??= await systemInitiator(options);
      return await negotiate(exchange, { ...settings, provider });
    },
  };
}

function checkPart(value: string, name: string): void {
  if (typeof value === "string" && /^[^@/\s]+$/.test(value)) return;
  throw new TypeError(
    `${name} must be a part of a principal, without "@" and "/": the service ` +
      'of rcmd/proxy.example.org is "rcmd"',
  );
}

interface Settings {
  readonly service: string;
  readonly hostname: string | undefined;
  readonly levels: readonly ProtectionLevel[];
  readonly provider: Pick<GssProvider, "initiate">;
}

async function negotiate(
  exchange: ClientAuthExchange,
  { service, hostname, levels, provider }: Settings,
): Promise<ClientAuthResult> {
  const host = hostname ?? exchange.proxy.hostname;
  const context = provider.initiate(`${service}@${host}`);
  let owner: Pick<GssContext, "close"> | undefined = context;
  try {
    await establish(exchange, context);
    const level = await agree(exchange, context, levels);
    if (level === 0) return {};
    const guarded = protect(exchange, context, level);
    owner = undefined; // the connection closes it
    return guarded;
  } catch (error) {
    if (!(error instanceof PeerAbort)) throw error;
    throw new Error("the proxy refused the ticket", { cause: error });
  } finally {
    owner?.close();
  }
}

/** Exchanges tokens until both sides have the context (RFC 1961 section 3). */
async function establish(
  exchange: ClientAuthExchange,
  context: GssContext,
): Promise<void> {
  let token: Uint8Array | null = null;
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const step = await context.step(token);
    if (step.token.length > 0) {
      await writeToken(exchange, MESSAGE.authentication, step.token);
    }
    if (step.done) return checkMutual(context);
    token = await readToken(exchange, MESSAGE.authentication);
  }
  throw wrong("the negotiation does not end");
}

function checkMutual({ mutual }: GssContext): void {
  if (!mutual) throw new Error("the proxy has not proved its identity");
}

/** Agrees on the level of protection (RFC 1961 section 4). */
async function agree(
  exchange: ClientAuthExchange,
  context: GssContext,
  levels: readonly ProtectionLevel[],
): Promise<ProtectionLevel> {
  const possible = levels.filter((it) => supports(context, it));
  if (possible.length === 0) {
    throw new Error(`the ticket allows none of the levels ${levels}`);
  }
  const token = context.wrap(Uint8Array.of(possible[0]), false);
  await writeToken(exchange, MESSAGE.protection, token);
  const { data, order } = context.unwrap(
    await readToken(exchange, MESSAGE.protection),
  );
  const granted = possible.find((it) => it === data[0]);
  const isOne = data.length === 1 && order === undefined;
  if (isOne && granted !== undefined) return granted;
  throw new Error(
    `the proxy grants level ${data}, acceptable is ${levels.join(" or ")}`,
  );
}
