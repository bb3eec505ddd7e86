/**
 * Finds out what a proxy really does.
 *
 * @module
 */

import type { ClientAuth } from "../../client/auth.ts";
import { createDialer } from "../../client/dialer.ts";
import { type Hops, parseHops } from "../../client/hops.ts";
import type { TlsOptions } from "../../client/options.ts";
import { parseTarget } from "../../client/target.ts";
import { type Endpoint, isLoopback } from "../../protocol/address.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { detectTransport } from "../../transport/detect.ts";
import type { Transport } from "../../transport/transport.ts";
import { checkCommands, checkProtocols } from "./commands.ts";
import type { Examination } from "./examination.ts";
import { checkLogins, checkMethods } from "./login.ts";
import { Places } from "./places.ts";
import { ask } from "./probes.ts";
import type { CheckName, CheckReport, CheckResult } from "./report.ts";
import { Results } from "./results.ts";
import { judge } from "./verdict.ts";
import { Way } from "./way.ts";

/** Options of {@linkcode checkProxy}. */
export interface CheckOptions {
  /**
   * Milliseconds for each question to the proxy.
   *
   * @default {5_000}
   */
  readonly timeout?: number;
  /**
   * The target of connections, `HOSTNAME:PORT`. By default listeners of this process, which
   * the proxy then has to reach; nothing else is contacted.
   */
  readonly target?: string | Endpoint;
  /** The authentication methods of the login, as of {@linkcode ProxyOptions}. */
  readonly auth?: readonly ClientAuth[];
  /** How the proxy's certificate is checked. */
  readonly tls?: TlsOptions;
  /** The network to use. By default that of the runtime. */
  readonly transport?: Transport;
  /** Called before a check. */
  readonly onStart?: (name: CheckName) => void;
  /** Called after a check. */
  readonly onResult?: (result: CheckResult) => void;
}

const KEYS = [
  "timeout",
  "target",
  "auth",
  "tls",
  "transport",
  "onStart",
  "onResult",
];

const TIMEOUT = 5_000;

/**
 * Finds out what a proxy really does: which protocols, methods and commands, and whether
 * it asks for a login. It takes about twenty connections, one of them with a wrong password
 * if the proxy has a login.
 *
 * @param hops The proxy as in {@linkcode connect}, or a chain, of which the last one is
 * checked.
 *
 * @throws {TypeError} when an argument is invalid. What the proxy does is no error.
 *
 * @example
 * ```ts
 * import { checkProxy } from "@x/socks5/tool";
 * import { serve } from "@x/socks5/server";
 *
 * await using server = await serve({ port: 0 });
 * const report = await checkProxy(`socks5h://127.0.0.1:${server.addr.port}`);
 * console.log(report.ok, report.isOpen); // true false
 * const bind = report.results.find(({ name }) => name === "bind");
 * console.log(bind?.outcome); // yes
 * ```
 */
export async function checkProxy(
  hops: Hops,
  options: CheckOptions = {},
): Promise<CheckReport> {
  checkKeys(options, KEYS, "the options of checkProxy()");
  const { timeout = TIMEOUT, target, auth, tls } = options;
  const isTimeout = Number.isFinite(timeout) && timeout > 0;
  if (!isTimeout) {
    throw new TypeError("timeout must be more than 0 milliseconds");
  }
  const proxies = parseHops(hops);
  const given = target === undefined ? undefined : parseTarget(target);
  createDialer(proxies, { tls, auth }); // refuses what does not fit
  const transport = options.transport ?? await detectTransport();
  const way = new Way({ hops: proxies, transport, tls, auth });
  const places = new Places(given);
  const results = new Results(options);
  const examination = { way, timeout, places, results };
  try {
    if (await isReached(examination)) {
      await places.open(transport);
      await checkLogins(examination, await checkMethods(examination));
      await checkCommands(examination);
      await checkProtocols(examination);
    }
    return await judge(examination, proxies);
  } finally {
    await places.close();
  }
}

/** Whether the proxy can be reached, and speaks TLS if its URL says so. */
async function isReached(
  { way, timeout, places, results }: Examination,
): Promise<boolean> {
  await results.run("reach", () =>
    ask(timeout, async ({ scope }) => {
      const conn = await way.openPlain(scope);
      places.self = conn.localAddr.hostname;
      places.isExposed = !isLoopback(conn.remoteAddr.hostname);
      const { isExposed, self } = places;
      return { detail: isExposed ? `from ${self}` : "on loopback" };
    }));
  if (!results.is("reach")) return false;
  if (!way.speaksTls) {
    results.skip("tls", "the URL asks for none");
    return true;
  }
  await results.run("tls", () =>
    ask(timeout, async ({ scope }) => {
      const conn = await way.open(scope);
      return { detail: conn.tls?.version };
    }));
  return results.is("tls");
}
