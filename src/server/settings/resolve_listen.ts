/**
 * Checks the options of the listener, and that it is no open proxy.
 *
 * @module
 */

import { isIp, isLoopback } from "../../protocol/address.ts";
import { type Cidr, cidrFault, parseCidr } from "../../protocol/cidr.ts";
import { quote } from "../../protocol/escape.ts";
import { localPlace } from "../../transport/local_place.ts";
import type { TlsServerOptions } from "../../transport/tls_options.ts";
import { OptionError } from "../option_error.ts";
import type { ServeOptions } from "../options.ts";
import { whole } from "./whole.ts";

/** Where a server listens. */
export interface ListenSettings {
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
  /** The permissions of a Unix socket. */
  readonly mode: number;
  readonly tls: TlsServerOptions | undefined;
  /** The port beside it that does not speak TLS. */
  readonly plainPort: number | undefined;
}

/** Returns `undefined` for a server that does not listen. */
export function resolveListen(
  options: ServeOptions,
  tls: TlsServerOptions | undefined,
): ListenSettings | undefined {
  const { hostname, port = 1080, reusePort = false, listen = true } = options;
  const { plainPort, socketMode = 0o600 } = options;
  const settings: ListenSettings = {
    hostname: listenAddress(hostname ?? "127.0.0.1"),
    mode: whole("socketMode", socketMode, { max: 0o777 }),
    port: whole("port", port, { max: 65535 }),
    reusePort,
    tls,
    plainPort: plainPort === undefined
      ? undefined
      : whole("plainPort", plainPort, { max: 65535 }),
  };
  if (localPlace(settings.hostname)) checkLocal(settings);
  return listen ? settings : undefined;
}

/** A listener that is no TCP port cannot be shared, and has no port beside it. */
function checkLocal({ hostname, reusePort, plainPort }: ListenSettings): void {
  const option = reusePort ? "reusePort" : "plainPort";
  if (!reusePort && plainPort === undefined) return;
  throw new OptionError(option, `${option} is not possible with ${hostname}`);
}

function listenAddress(hostname: string): string {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  if (bare === "localhost") return "127.0.0.1";
  if (isIp(bare)) return bare;
  if (localPlace(hostname)) return hostname;
  throw new OptionError(
    "hostname",
    "hostname must be an IP address to listen on, unix:PATH or fd:NUMBER, not " +
      quote(hostname),
  );
}

/** Returns the addresses of load balancers. */
export function resolveProxyFrom(from: readonly string[] = []): Cidr[] {
  if (!Array.isArray(from)) {
    const text = "proxyFrom must be a list of IP addresses and blocks";
    throw new OptionError("proxyFrom", text);
  }
  return from.map((text) => {
    const block = typeof text === "string" ? parseCidr(text) : undefined;
    if (block) return block;
    const fault = typeof text === "string" ? cidrFault(text) : "it is no text";
    throw new OptionError("proxyFrom", `proxyFrom: ${fault}`);
  });
}

/** Throws unless everyone who can reach the listeners needs a certificate. */
export function checkDoors(
  { hostname, tls, plainPort }: ListenSettings,
  isOpen: boolean,
): void {
  const where = isLoopback(hostname) ? "behind a balancer" : `on ${hostname}`;
  if (tls?.clientCa === undefined) throw openProxyError(where, isOpen);
  if (plainPort === undefined) return;
  throw new OptionError(
    "plainPort",
    `the plain port of a server ${where} would be an open proxy, because ` +
      "it asks for no certificate: set auth to [userPass(…)], leave plainPort " +
      "out, or set openProxy to true if that is what you want",
    "open-proxy",
  );
}

function openProxyError(where: string, isOpen: boolean): OptionError {
  const [option, flaw, remedy] = isOpen
    ? ["openProxy", "without a login", "set auth to [userPass(…)]"]
    : [
      "socks4",
      "that accepts a claimed user id as a login",
      "leave socks4 out",
    ];
  return new OptionError(
    option,
    `a server ${where} ${flaw} would be an open proxy: ` +
      `${remedy}, or set openProxy to true if that is what you want`,
    "open-proxy",
  );
}
