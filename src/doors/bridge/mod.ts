/**
 * Listeners on loopback for programs that know no proxy or cannot log in to one: a bridge
 * is a proxy itself, a forward leads to one target.
 *
 * @example Chromium and a proxy with a login
 * ```ts
 * import { bridge } from "@x/socks5/bridge";
 * import { serve, userPass } from "@x/socks5/server";
 *
 * const auth = [userPass({ alice: "correct horse" })];
 * await using proxy = await serve({ port: 0, auth });
 *
 * const url = `socks5h://alice:correct%20horse@127.0.0.1:${proxy.addr.port}`;
 * await using local = await bridge(url);
 * console.log(`chromium --proxy-server=${local.url}`);
 * ```
 *
 * @module
 */

export { type Bridge, bridge, type BridgeOptions } from "./bridge.ts";
export { type Forward, forward, type ForwardOptions } from "./forward.ts";
export type { TargetDialer, UpstreamOptions } from "./upstream.ts";

export {
  type Address,
  type Conn,
  type DialerOptions,
  type Endpoint,
  type Hops,
  NetError,
  type ProxyConfig,
  SocksError,
  type TlsOptions,
  type Transport,
} from "../../client/mod.ts";
export type { Dialer } from "../../server/public.ts";
