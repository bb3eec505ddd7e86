/**
 * Checks the options of `serve()`, and fills in their defaults.
 *
 * @module
 */

import { quote } from "../protocol/escape.ts";
import { isIp, isLoopback, isUnspecified } from "../protocol/address.ts";
import { type Cidr, cidrFault, parseCidr } from "../protocol/cidr.ts";
import { METHOD } from "../protocol/socks5.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { type Clock, systemClock } from "../transport/clock.ts";
import { localPlace } from "../transport/local_place.ts";
import type { TlsServerOptions } from "../transport/tls_options.ts";
import type { RelayOptions, Transport } from "../transport/transport.ts";
import type { UsageStore } from "./accounting/usage_store.ts";
import type { UserAttributesLookup } from "./accounting/user_attributes.ts";
import type { AuthMethod } from "./auth/method.ts";
import type { Accept, AcceptHook } from "./accept.ts";
import { proxyHeaderHook } from "./proxy_header.ts";
import type { Dial, Dialer } from "./dialer.ts";
import { type EgressSettings, resolveEgress } from "./egress/egress_options.ts";
import type { Limits } from "./limits/limits.ts";
import {
  OptionError,
  type PortRange,
  type ServeOptions,
  type Timeouts,
} from "./options.ts";
import type { Policy } from "./policy/policy.ts";
import { DIRECT, isUpstreamName } from "./policy/rule.ts";
import type { RulePolicy } from "./policy/rules.ts";
import {
  resolveAuth,
  resolveSocks4,
  type Socks4Settings,
} from "./resolve_auth.ts";
import {
  resolveAccounting,
  resolveLimits,
  resolveSharedLimits,
  resolveTimeouts,
  type SharingSettings,
  whole,
} from "./resolve_limits.ts";
import { resolveTls } from "./resolve_tls.ts";

export type { Socks4Settings };

/** The checked options of a server. */
export interface Settings {
  /** `undefined` for a server that does not listen. */
  readonly listen: ListenSettings | undefined;
  readonly auth: readonly AuthMethod[];
  readonly servesSocks4: boolean;
  readonly socks4: Socks4Settings | undefined;
  readonly sessionWords: boolean;
  readonly servesHttp: boolean;
  readonly accept: AcceptHook | undefined;
  /** Reads the PROXY headers of load balancers. */
  readonly proxyHeader: AcceptHook | undefined;
  readonly dial: Dialer | undefined;
  /** By name. */
  readonly upstreams: ReadonlyMap<string, Dialer>;
  readonly policy: Policy | undefined;
  /** Whether connections of the server's own listener are exposed. */
  readonly isExposed: boolean;
  /** Whether exposed sessions are served: everyone needs a login, or `openProxy` is set. */
  readonly servesExposed: boolean;
  readonly advertise: readonly string[];
  readonly relayPorts: PortRange | undefined;
  readonly dropFragments: boolean;
  /** Whether look-ups are served. */
  readonly resolve: boolean;
  readonly timeouts: Required<Timeouts>;
  /** The timeouts of relays, and their clock. */
  readonly relay: RelayOptions;
  /** Infinity means no limit. */
  readonly limits: Required<Limits>;
  readonly sharedLimits: SharingSettings | undefined;
  /** User code: it may throw, or return anything. */
  readonly userAttributes: UserAttributesLookup | undefined;
  readonly accounting: AccountingSettings;
  readonly egress: EgressSettings;
  readonly transport: Transport;
  readonly clock: Clock;
}

/** How a server counts. */
export interface AccountingSettings {
  readonly store: UsageStore | undefined;
  /** In milliseconds; 0 = at the end of sessions. */
  readonly interval: number;
}

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

/**
 * Checks options and fills in the defaults.
 *
 * @throws {OptionError} if an option is invalid, or would make the server an open proxy.
 */
export async function resolveSettings(
  options: ServeOptions,
  transport: Transport,
): Promise<Settings> {
  checkKeys(options, OPTION_KEYS, "the options of serve()");
  const { openProxy, policy, onEvent, userAttributes } = options;
  const listen = resolveListen(options, await resolveTls(options));
  const auth = resolveAuth(options.auth);
  const clock = transport.clock ?? systemClock;
  const servesNone = auth.some(({ number }) => number === METHOD.none);
  const isOpen = servesNone || auth.some(({ negotiate }) => !negotiate);
  const socks4 = resolveSocks4(options.socks4, clock);
  const balancers = resolveProxyFrom(options.proxyFrom);
  const isExposed = listen !== undefined &&
    (!isLoopback(listen.hostname) || balancers.length > 0);
  // Untyped callers must set it to `true` as well: the string "false" is also truthy.
  const servesExposed = !isOpen && !socks4 || openProxy === true;
  if (isExposed && !servesExposed) checkDoors(listen, isOpen);
  if (policy !== undefined && typeof policy !== "function") {
    throw new OptionError("policy", "policy must be a function, as of rules()");
  }
  if (onEvent !== undefined && typeof onEvent !== "function") {
    throw new OptionError("onEvent", "onEvent must be a function");
  }
  if (userAttributes !== undefined && typeof userAttributes !== "function") {
    const text = "userAttributes must be a function of the user's name";
    throw new OptionError("userAttributes", text);
  }
  const timeouts = resolveTimeouts(options.timeouts);
  const { idle, halfClosed } = timeouts;
  return {
    listen,
    auth,
    servesSocks4: servesNone || socks4 !== undefined,
    socks4,
    sessionWords: resolveToggle("sessionWords", options.sessionWords),
    servesHttp: resolveToggle("http", options.http),
    accept: resolveAccept(options.accept),
    proxyHeader: balancers.length > 0 ? proxyHeaderHook(balancers) : undefined,
    dial: resolveDial("dial", options.dial),
    upstreams: resolveUpstreams(options),
    policy,
    isExposed,
    servesExposed,
    advertise: resolveAdvertise(options.advertise),
    relayPorts: resolvePorts(options.relayPorts),
    dropFragments: options.dropFragments ?? false,
    resolve: options.resolve === true, // not for the string "false" of untyped callers
    timeouts,
    relay: { idle, halfClosed, clock },
    limits: await resolveLimits(
      options.limits,
      isExposed || listen === undefined,
      transport,
    ),
    sharedLimits: resolveSharedLimits(options.sharedLimits),
    userAttributes,
    accounting: resolveAccounting(options.accounting),
    egress: resolveEgressOf(options),
    transport,
    clock,
  };
}

const OPTION_KEYS = Object.keys(
  {
    hostname: true,
    socketMode: true,
    port: true,
    listen: true,
    reusePort: true,
    tls: true,
    plainPort: true,
    auth: true,
    socks4: true,
    sessionWords: true,
    egress: true,
    http: true,
    openProxy: true,
    accept: true,
    proxyFrom: true,
    dial: true,
    upstreams: true,
    policy: true,
    advertise: true,
    relayPorts: true,
    dropFragments: true,
    resolve: true,
    timeouts: true,
    limits: true,
    sharedLimits: true,
    userAttributes: true,
    accounting: true,
    signal: true,
    onEvent: true,
    transport: true,
  } satisfies Record<keyof ServeOptions, true>,
);

function resolveListen(
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

function resolveToggle(option: string, value = false): boolean {
  if (typeof value === "boolean") return value;
  throw new OptionError(option, `${option} must be true or false`);
}

function resolveEgressOf({ egress, policy }: ServeOptions): EgressSettings {
  checkKeys(egress ?? {}, ["sticky", "key", "own"], "egress");
  const { via } = (policy ?? {}) as Partial<RulePolicy>;
  try {
    return resolveEgress(egress, via);
  } catch (error) {
    const { message } = error as TypeError;
    throw new OptionError(message.split(" ", 1)[0], message);
  }
}

function resolveAccept(accept: Accept | undefined): AcceptHook | undefined {
  if (accept === undefined) return undefined;
  if (typeof accept !== "function") {
    throw new OptionError("accept", "accept must be a function");
  }
  const name = "the accept hook";
  const failure = `${name} failed`;
  return { name, failure, countsProbes: false, knowsClient: true, accept };
}

function resolveProxyFrom(from: readonly string[] = []): Cidr[] {
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

/** A function becomes a dialer that supports only CONNECT. */
function resolveDial(
  option: string,
  dial: Dial | Dialer | undefined,
): Dialer | undefined {
  if (dial === undefined) return undefined;
  if (typeof dial === "function") return { connect: dial };
  if (typeof dial?.connect === "function") return dial;
  throw new OptionError(
    option,
    `${option} must be a function, or an object with a method connect()`,
  );
}

/** Nothing may go another way than the rules say, because a name is misspelt. */
function resolveUpstreams(
  { upstreams = {}, policy }: ServeOptions,
): ReadonlyMap<string, Dialer> {
  if (typeof upstreams !== "object" || upstreams === null) {
    throw new OptionError("upstreams", "upstreams must be an object");
  }
  const dialers = new Map<string, Dialer>();
  for (const [name, dial] of Object.entries(upstreams)) {
    if (!isUpstreamName(name)) {
      const fault = name === DIRECT ? "is not free" : "is invalid";
      const text = `upstreams: the name ${quote(name)} ${fault}`;
      throw new OptionError("upstreams", text);
    }
    const dialer = resolveDial(`upstreams.${name}`, dial);
    if (dialer) dialers.set(name, dialer);
  }
  const { through = [] } = (policy ?? {}) as Partial<RulePolicy>;
  const unknown = through.find((it) => it !== DIRECT && !dialers.has(it));
  if (unknown === undefined) return dialers;
  throw new OptionError(
    "upstreams",
    `a rule goes through ${unknown}, but there is no such upstream`,
  );
}

/** Throws unless everyone who can reach the listeners needs a certificate. */
function checkDoors(
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

function resolveAdvertise(given: readonly string[] = []): readonly string[] {
  const versions = given.map((hostname) => {
    const version = isIp(hostname);
    if (version !== 0 && !isUnspecified(hostname)) return version;
    throw new OptionError(
      "advertise",
      `advertise must hold IP addresses that clients can reach, not ${
        quote(hostname)
      }`,
    );
  });
  if (new Set(versions).size === versions.length) return given;
  throw new OptionError(
    "advertise",
    "advertise may hold one address of each IP version",
  );
}

function resolvePorts(given: PortRange | undefined): PortRange | undefined {
  if (!given) return undefined;
  const max = 65535;
  const first = whole("relayPorts.first", given.first, { min: 1, max });
  const last = whole("relayPorts.last", given.last, { min: first, max });
  return { first, last };
}
