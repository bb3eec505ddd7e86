/**
 * Checks the options of `serve()`, and fills in their defaults.
 *
 * @module
 */

import { isIp, isLoopback, isUnspecified } from "../protocol/address.ts";
import { quote } from "../protocol/escape.ts";
import { METHOD } from "../protocol/socks5.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { type Clock, systemClock } from "../transport/clock.ts";
import type { RelayOptions, Transport } from "../transport/transport.ts";
import type { UserAttributesLookup } from "./accounting/user_attributes.ts";
import type { AuthMethod } from "./auth/method.ts";
import type { Accept, AcceptHook } from "./accept.ts";
import { proxyHeaderHook } from "./proxy_header.ts";
import type { Dialer } from "./dialer.ts";
import { type EgressSettings, resolveEgress } from "./egress/egress_options.ts";
import type { Limits } from "./limits/limits.ts";
import { OptionError } from "./option_error.ts";
import type { PortRange, ServeOptions, Timeouts } from "./options.ts";
import type { Policy } from "./policy/policy.ts";
import type { RulePolicy } from "./policy/rules.ts";
import {
  type AccountingSettings,
  resolveAccounting,
} from "./settings/resolve_accounting.ts";
import {
  resolveAuth,
  resolveSocks4,
  type Socks4Settings,
} from "./settings/resolve_auth.ts";
import { resolveDial, resolveUpstreams } from "./settings/resolve_dial.ts";
import { resolveLimits } from "./settings/resolve_limits.ts";
import {
  checkDoors,
  type ListenSettings,
  resolveListen,
  resolveProxyFrom,
} from "./settings/resolve_listen.ts";
import {
  resolveSharedLimits,
  type SharingSettings,
} from "./settings/resolve_shared_limits.ts";
import { resolveTimeouts } from "./settings/resolve_timeouts.ts";
import { resolveTls } from "./settings/resolve_tls.ts";
import { whole } from "./settings/whole.ts";

export type { ListenSettings, SharingSettings, Socks4Settings };

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
