/**
 * Agents of `node:http` and `node:https` whose connections go through proxies, for every
 * library that takes an agent (axios, got, node-fetch, ws, …), on Deno, Bun and Node.js.
 *
 * Bun replaces the package `node-fetch` by its own `fetch`, which ignores agents and connects
 * directly: use `createFetch()` of `@x/socks5/fetch` there, or the preload
 * `@x/socks5/register`.
 *
 * @example
 * ```ts
 * import { agents } from "@x/socks5/agent";
 * import https from "node:https";
 *
 * const agent = agents("socks5h://127.0.0.1:1080");
 * const get = () => https.get("https://example.com/", { agent: agent.https });
 * ```
 *
 * @module
 */

export { agents, type AgentsOptions, type ProxyAgents } from "./agents.ts";
export type { ConnectError } from "../socket/connect_error.ts";
export type { DoorOptions } from "../socket/route.ts";

export {
  type ClientAuth,
  type Hops,
  type ProxyConfig,
  SocksError,
  type TlsOptions,
} from "../../client/mod.ts";
