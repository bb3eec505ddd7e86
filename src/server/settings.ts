/**
 * The options of `serve()`, checked and with every default in place.
 *
 * @module
 */

import { quote } from "../protocol/escape.ts";
import { isIp, isLoopback, isUnspecified } from "../protocol/address.ts";
import { METHOD } from "../protocol/socks5.ts";
import { checkKeys } from "../transport/check_keys.ts";
import { type Clock, systemClock } from "../transport/clock.ts";
import type { RelayOptions, Transport } from "../transport/transport.ts";
import { GuardedVerifier } from "./auth/guarded_verifier.ts";
import type { IdentOptions } from "./auth/ident.ts";
import { toVerifier } from "./auth/logins.ts";
import { type AuthMethod, noAuth } from "./auth/method.ts";
import type { Accept } from "./accept.ts";
import type { SharedLimitsStore } from "./cluster/store.ts";
import type { Dial, Dialer } from "./dialer.ts";
import {
  defaultLimits,
  LIMIT_NAMES,
  type LimitName,
  LIMITS,
} from "./limits/limit_table.ts";
import type { Limits } from "./limits/limits.ts";
import {
  OptionError,
  type PortRange,
  type ServeOptions,
  type SharedLimits,
  type Socks4Options,
  type Timeouts,
} from "./options.ts";
import type { Verifier, VerifyLogin } from "./auth/verifier.ts";
import type { Policy } from "./policy/policy.ts";

/** The checked options of a server. */
export interface Settings {
  /** `undefined` for a server that does not listen. */
  readonly listen: ListenSettings | undefined;
  readonly auth: readonly AuthMethod[];
  readonly servesSocks4: boolean;
  readonly socks4: Socks4Settings | undefined;
  readonly accept: Accept | undefined;
  readonly dial: Dialer | undefined;
  readonly policy: Policy | undefined;
  /** Whether connections of the server's own listener are exposed. */
  readonly isExposed: boolean;
  /** Whether exposed sessions are served: everyone needs a login, or `openProxy` is set. */
  readonly servesExposed: boolean;
  readonly advertise: readonly string[];
  readonly relayPorts: PortRange | undefined;
  readonly dropFragments: boolean;
  readonly timeouts: Required<Timeouts>;
  /** The relay's share of the timeouts, and its clock. */
  readonly relay: RelayOptions;
  /** Infinity means no limit. */
  readonly limits: Required<Limits>;
  readonly sharedLimits: SharedLimits | undefined;
  readonly transport: Transport;
  readonly clock: Clock;
}

/** Where a server listens. */
export interface ListenSettings {
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
}

/** The checks of SOCKS4 user ids. */
export interface Socks4Settings {
  readonly userIds: readonly string[] | undefined;
  readonly verifier: GuardedVerifier | undefined;
  readonly ident: IdentOptions | undefined;
}

/** Descriptors reserved for everything except sessions. */
const SPARE_DESCRIPTORS = 32;

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
  const { openProxy, policy, onEvent } = options;
  const listen = resolveListen(options);
  const auth = resolveAuth(options.auth);
  const clock = transport.clock ?? systemClock;
  const servesNone = auth.some(({ number }) => number === METHOD.none);
  const isOpen = servesNone || auth.some(({ negotiate }) => !negotiate);
  const socks4 = resolveSocks4(options.socks4, clock);
  const isExposed = listen !== undefined && !isLoopback(listen.hostname);
  // Untyped callers have to set it to true as well: the string "false" is truthy, too.
  const servesExposed = !isOpen && !socks4 || openProxy === true;
  if (isExposed && !servesExposed) {
    throw openProxyError(listen.hostname, isOpen);
  }
  if (policy !== undefined && typeof policy !== "function") {
    throw new OptionError("policy", "policy must be a function, as of rules()");
  }
  if (onEvent !== undefined && typeof onEvent !== "function") {
    throw new OptionError("onEvent", "onEvent must be a function");
  }
  const timeouts = resolveTimeouts(options.timeouts);
  const { idle, halfClosed } = timeouts;
  return {
    listen,
    auth,
    servesSocks4: servesNone || socks4 !== undefined,
    socks4,
    accept: resolveAccept(options.accept),
    dial: resolveDial(options.dial),
    policy,
    isExposed,
    servesExposed,
    advertise: resolveAdvertise(options.advertise),
    relayPorts: resolvePorts(options.relayPorts),
    dropFragments: options.dropFragments ?? false,
    timeouts,
    relay: { idle, halfClosed, clock },
    limits: await resolveLimits(
      options.limits,
      isExposed || listen === undefined,
      transport,
    ),
    sharedLimits: resolveSharedLimits(options.sharedLimits),
    transport,
    clock,
  };
}

const OPTION_KEYS = Object.keys(
  {
    hostname: true,
    port: true,
    listen: true,
    reusePort: true,
    auth: true,
    socks4: true,
    openProxy: true,
    accept: true,
    dial: true,
    policy: true,
    advertise: true,
    relayPorts: true,
    dropFragments: true,
    timeouts: true,
    limits: true,
    sharedLimits: true,
    signal: true,
    onEvent: true,
    transport: true,
  } satisfies Record<keyof ServeOptions, true>,
);

/** At least one method, with numbers of their own (RFC 1928 section 3). */
function resolveAuth(
  methods: readonly AuthMethod[] = [noAuth()],
): readonly AuthMethod[] {
  if (!Array.isArray(methods) || methods.length === 0) {
    throw new OptionError(
      "auth",
      "auth must be a list of methods, such as [userPass(…)]",
    );
  }
  const numbers = new Set<number>();
  for (const method of methods as readonly AuthMethod[]) {
    const { number } = method ?? {};
    if (!Number.isInteger(number) || number < 0 || number > 254) {
      throw new OptionError(
        "auth",
        "auth must hold methods with a number from 0 to 254",
      );
    }
    if (numbers.has(number)) {
      throw new OptionError("auth", `auth has two methods of number ${number}`);
    }
    numbers.add(number);
  }
  return methods;
}

function resolveListen(options: ServeOptions): ListenSettings | undefined {
  const { hostname, port = 1080, reusePort = false, listen = true } = options;
  const settings: ListenSettings = {
    hostname: listenAddress(hostname ?? "127.0.0.1"),
    port: whole("port", port, { max: 65535 }),
    reusePort,
  };
  return listen ? settings : undefined;
}

function resolveAccept(accept: Accept | undefined): Accept | undefined {
  if (accept === undefined || typeof accept === "function") return accept;
  throw new OptionError("accept", "accept must be a function");
}

/** A function becomes a dialer that supports only CONNECT. */
function resolveDial(dial: Dial | Dialer | undefined): Dialer | undefined {
  if (dial === undefined) return undefined;
  if (typeof dial === "function") return { connect: dial };
  if (typeof dial?.connect === "function") return dial;
  throw new OptionError(
    "dial",
    "dial must be a function, or an object with a method connect()",
  );
}

function openProxyError(hostname: string, isOpen: boolean): OptionError {
  const [option, flaw, remedy] = isOpen
    ? ["openProxy", "without a login", "set auth to [userPass(…)]"]
    : [
      "socks4",
      "that takes a claimed user id for a login",
      "leave socks4 out",
    ];
  return new OptionError(
    option,
    `a server on ${hostname} ${flaw} would be an open proxy: ` +
      `${remedy}, or set openProxy to true if that is what you want`,
    "open-proxy",
  );
}

function resolveSocks4(
  options: Socks4Options = {},
  clock: Clock,
): Socks4Settings | undefined {
  checkKeys(options, ["userIds", "verifier", "guard", "ident"], "socks4");
  const { userIds, verifier, ident } = options;
  if (userIds === undefined && verifier === undefined && !ident) return;
  if (userIds !== undefined && !Array.isArray(userIds)) {
    throw new OptionError(
      "socks4.userIds",
      "socks4.userIds must be an array of strings",
    );
  }
  return {
    userIds,
    verifier: verifier === undefined
      ? undefined
      : guarded(options, verifier, clock),
    ident: ident === true ? {} : ident || undefined,
  };
}

/** By the object of options, so that an update of other options does not forget lock-outs. */
const guardedVerifiers = new WeakMap<Socks4Options, GuardedVerifier>();

function guarded(
  options: Socks4Options,
  verifier: Verifier | VerifyLogin,
  clock: Clock,
): GuardedVerifier {
  const known = guardedVerifiers.get(options);
  if (known) return known;
  const verify = typeof verifier === "function" ? verifier : verifier?.verify;
  if (typeof verify !== "function") {
    throw new OptionError(
      "socks4.verifier",
      "socks4.verifier must be a function, or an object with a method verify()",
    );
  }
  const { guard } = options;
  const made = new GuardedVerifier(toVerifier(verifier), { guard, clock });
  guardedVerifiers.set(options, made);
  return made;
}

function listenAddress(hostname: string): string {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  if (bare === "localhost") return "127.0.0.1";
  if (isIp(bare)) return bare;
  throw new OptionError(
    "hostname",
    `hostname must be an IP address to listen on, not ${quote(hostname)}`,
  );
}

const TIMEOUTS: Required<Timeouts> = {
  handshake: 10_000,
  connect: 15_000,
  idle: 300_000,
  halfClosed: 60_000,
  bind: 60_000,
  association: 120_000,
};

function resolveTimeouts(given: Timeouts = {}): Required<Timeouts> {
  const names = Object.keys(TIMEOUTS) as (keyof Timeouts)[];
  checkKeys(given, names, "timeouts");
  const timeouts = { ...TIMEOUTS };
  for (const name of names) {
    timeouts[name] = whole(`timeouts.${name}`, given[name] ?? TIMEOUTS[name]);
  }
  return timeouts;
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

/** The limits, with `Infinity` for none. */
async function resolveLimits(
  given: Limits = {},
  isExposed: boolean,
  transport: Transport,
): Promise<Required<Limits>> {
  checkKeys(given, LIMIT_NAMES, "limits");
  const defaults = {
    ...defaultLimits(isExposed),
    sessions: given.sessions ?? await possibleSessions(transport),
  };
  const limits = {} as Record<LimitName, number>;
  for (const name of LIMIT_NAMES) {
    const value = given[name] ?? defaults[name];
    limits[name] = whole(`limits.${name}`, value) || Infinity;
  }
  return limits;
}

/** The default of `limits.sessions`, or fewer if this process may not open enough descriptors. */
async function possibleSessions(transport: Transport): Promise<number> {
  const descriptors = await transport.descriptorLimit?.() ?? Infinity;
  const possible = Math.floor((descriptors - SPARE_DESCRIPTORS) / 2);
  return Math.max(1, Math.min(LIMITS.sessions.default, possible));
}

function resolveSharedLimits(
  given: SharedLimits | undefined,
): SharedLimits | undefined {
  if (!given) return undefined;
  const { store, servers } = given;
  const missing = STORE_METHODS.find((it) => typeof store?.[it] !== "function");
  if (missing) {
    throw new OptionError(
      "sharedLimits.store",
      `sharedLimits.store must have a method ${missing}()`,
    );
  }
  return { store, servers: whole("sharedLimits.servers", servers, { min: 1 }) };
}

const STORE_METHODS = [
  "acquire",
  "release",
  "forceAcquire",
  "pass",
  "cancel",
] as const satisfies readonly (keyof SharedLimitsStore)[];

/** The longest timeout that the timers of all runtimes support, in milliseconds. */
const MAX = 2 ** 31 - 1;

function whole(
  name: string,
  value: number,
  { min = 0, max = MAX }: { min?: number; max?: number } = {},
): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new OptionError(
    name,
    `${name} must be a whole number from ${min} to ${max}`,
  );
}
