/**
 * A pair of agents, for `http:` and for `https:`.
 *
 * @module
 */

import type { Agent as HttpAgent } from "node:http";
import type { Agent as HttpsAgent, AgentOptions } from "node:https";
import type { Hops } from "../../client/hops.ts";
import { checkKeys } from "../../transport/check_keys.ts";
import { DOOR_KEYS, type DoorOptions, Route } from "../socket/route.ts";
import { ProxyHttpAgent } from "./http_agent.ts";
import { ProxyHttpsAgent } from "./https_agent.ts";

/** Options of {@linkcode agents}. */
export interface AgentsOptions extends DoorOptions {
  /**
   * The options of both agents, as for `new https.Agent()`: `maxSockets`, `ca`,
   * `ALPNProtocols`, … In contrast to Node.js before version 19, `keepAlive` is `true` by
   * default.
   */
  readonly agent?: AgentOptions;
}

/** Agents that share nothing but their proxies. */
export interface ProxyAgents {
  /** For `http:` URLs. */
  readonly http: HttpAgent;
  /** For `https:` URLs. */
  readonly https: HttpsAgent;
}

/** Options of agents that would lead around the proxies. */
const FORBIDDEN = ["proxyEnv", "socketPath", "path", "createConnection"];

/**
 * Creates agents whose connections go through proxies, and never around them. Requests that
 * are aborted end at once, also while the proxies connect. The errors of requests have the
 * codes of direct connections, and the {@linkcode SocksError} as `cause`.
 *
 * @param hops One proxy as in `connect()` of the client, a list of them, each reached
 * through those before it, or a text of URLs with spaces between them.
 *
 * @throws {TypeError} when an argument is invalid.
 *
 * @example
 * ```ts
 * import { agents } from "@x/socks5/agent";
 * import { serve } from "@x/socks5/server";
 * import { once } from "node:events";
 * import http from "node:http";
 *
 * await using proxy = await serve({ port: 0 });
 * const site = http.createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1");
 * await once(site, "listening");
 * const { port } = site.address() as { port: number };
 *
 * const agent = agents(`socks5h://127.0.0.1:${proxy.addr.port}`);
 * const request = http.get(`http://127.0.0.1:${port}/`, { agent: agent.http });
 * const [response] = await once(request, "response");
 * for await (const chunk of response) console.log(`${chunk}`); // hello
 *
 * agent.http.destroy();
 * site.close();
 * ```
 *
 * @example axios and got
 * ```ts
 * import { agents } from "@x/socks5/agent";
 *
 * const { http, https } = agents("socks5h://al:pw@127.0.0.1:1080", { timeout: 10_000 });
 * const forAxios = { httpAgent: http, httpsAgent: https, proxy: false };
 * const forGot = { agent: { http, https } };
 * ```
 */
export function agents(hops: Hops, options: AgentsOptions = {}): ProxyAgents {
  checkKeys(options, [...DOOR_KEYS, "agent"], "the options of agents()");
  const { agent = {}, ...door } = options;
  if (typeof agent !== "object" || agent === null) {
    throw new TypeError("agent must be the options of an https.Agent");
  }
  const wrong = FORBIDDEN.find((it) => (agent as Options)[it] !== undefined);
  if (wrong !== undefined) {
    throw new TypeError(`agent.${wrong} would lead around the proxies`);
  }
  const route = new Route(hops, door);
  const how = { keepAlive: true, ...agent };
  return {
    http: new ProxyHttpAgent(route, how),
    https: new ProxyHttpsAgent(route, how),
  };
}

type Options = Readonly<Record<string, unknown>>;
