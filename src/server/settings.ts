/**
 * The options of `serve()`, checked and with every default in place.
 *
 * @module
 */

import { isIp, isLoopback, isUnspecified } from "../protocol/address.ts";
import { METHOD } from "../protocol/socks5.ts";
import type { Transport } from "../transport/transport.ts";
import { type AuthMethod, noAuth } from "./auth/auth.ts";
import {
  type Dial,
  type Limits,
  OptionError,
  type PortRange,
  type ServeOptions,
  type Socks4Options,
  type Timeouts,
} from "./options.ts";
import type { Policy } from "./policy/policy.ts";

/** Options with every gap filled. */
export interface Settings {
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly auth: readonly AuthMethod[];
  readonly servesSocks4: boolean;
  readonly socks4: Socks4Options | undefined;
  readonly dial: Dial | undefined;
  readonly policy: Policy | undefined;
  /** Whether it listens beyond loopback. */
  readonly isExposed: boolean;
  readonly advertise: readonly string[];
  readonly relayPorts: PortRange | undefined;
  readonly dropFragments: boolean;
  readonly timeouts: Required<Timeouts>;
  /** Infinity means no limit. */
  readonly limits: Required<Limits>;
  readonly transport: Transport;
}

const DEFAULT_MAX_SESSIONS = 10_000;
/** Descriptors left to everything that is not a session. */
const SPARE_DESCRIPTORS = 32;

/** Checks options and fills their gaps. */
export async function resolveSettings(
  options: ServeOptions,
  transport: Transport,
): Promise<Settings> {
  const { port = 1080, auth = [noAuth()], openProxy, policy } = options;
  const hostname = listenAddress(options.hostname ?? "127.0.0.1");
  const needsNoLogin = auth.some(({ number }) => number === METHOD.none);
  if (auth.length === 0) throw new OptionError("auth", "auth needs a method");
  const isExposed = !isLoopback(hostname);
  const isOpen = needsNoLogin || auth.some(({ negotiate }) => !negotiate);
  const claims = checksUserIds(options.socks4);
  // Also who writes without types must mean it: "false" does not.
  if (isExposed && (isOpen || claims) && openProxy !== true) {
    throw openProxyError(hostname, isOpen);
  }
  if (policy !== undefined && typeof policy !== "function") {
    throw new OptionError("policy", "policy must be a function, as of rules()");
  }
  return {
    hostname,
    port: whole("port", port, { max: 65535 }),
    reusePort: options.reusePort ?? false,
    auth,
    servesSocks4: needsNoLogin || claims,
    socks4: claims ? options.socks4 : undefined,
    dial: options.dial,
    policy,
    isExposed,
    advertise: resolveAdvertise(options.advertise),
    relayPorts: resolvePorts(options.relayPorts),
    dropFragments: options.dropFragments ?? false,
    timeouts: resolveTimeouts(options.timeouts),
    limits: await resolveLimits(options.limits, isExposed, transport),
    transport,
  };
}

function openProxyError(hostname: string, isOpen: boolean): OptionError {
  const [option, what, instead] = isOpen
    ? ["openProxy", "without a login", "set auth to [userPass(…)]"]
    : [
      "socks4",
      "that takes a claimed user id for a login",
      "leave socks4 out",
    ];
  return new OptionError(
    option,
    `a server on ${hostname} ${what} would be an open proxy: ` +
      `${instead}, or set openProxy to true if that is what you want`,
    "open-proxy",
  );
}

function checksUserIds(socks4: Socks4Options = {}): boolean {
  return socks4.userIds !== undefined || Boolean(socks4.ident);
}

function listenAddress(hostname: string): string {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  if (bare === "localhost") return "127.0.0.1";
  if (isIp(bare)) return bare;
  throw new OptionError(
    "hostname",
    `hostname must be an IP address to listen on, not ${
      JSON.stringify(hostname)
    }`,
  );
}

function resolveTimeouts(given: Timeouts = {}): Required<Timeouts> {
  const { handshake, connect, idle, halfClosed, bind, association } = given;
  return {
    handshake: whole("timeouts.handshake", handshake ?? 10_000),
    connect: whole("timeouts.connect", connect ?? 15_000),
    idle: whole("timeouts.idle", idle ?? 300_000),
    halfClosed: whole("timeouts.halfClosed", halfClosed ?? 60_000),
    bind: whole("timeouts.bind", bind ?? 60_000),
    association: whole("timeouts.association", association ?? 120_000),
  };
}

function resolveAdvertise(given: readonly string[] = []): readonly string[] {
  const versions = given.map((hostname) => {
    const version = isIp(hostname);
    if (version !== 0 && !isUnspecified(hostname)) return version;
    throw new OptionError(
      "advertise",
      `advertise must hold IP addresses that clients can reach, not ${
        JSON.stringify(hostname)
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

/** The defaults on loopback that do not depend on the system. */
const LIMITS: Omit<Required<Limits>, "sessions"> = {
  sessionsPerClient: 0,
  sessionsPerUser: 0,
  handshakesPerClient: 0,
  connectionsPerSecondPerClient: 0,
  bytesPerSecondPerSession: 0,
  bytesPerSecondPerUser: 0,
  associationsPerClient: 1_000,
  targetsPerAssociation: 256,
};

async function resolveLimits(
  given: Limits = {},
  isExposed: boolean,
  transport: Transport,
): Promise<Required<Limits>> {
  const defaults = isExposed
    ? { ...LIMITS, handshakesPerClient: 1_000 }
    : LIMITS;
  const sessions = given.sessions ?? await possibleSessions(transport);
  const limit = (name: keyof Limits, value: number) =>
    whole(`limits.${name}`, value) || Infinity;
  return {
    sessions: limit("sessions", sessions),
    ...Object.fromEntries(
      Object.entries(defaults).map(([key, value]) => {
        const name = key as keyof typeof LIMITS;
        return [name, limit(name, given[name] ?? value)];
      }),
    ) as typeof LIMITS,
  };
}

async function possibleSessions(transport: Transport): Promise<number> {
  const descriptors = await transport.descriptorLimit?.() ?? Infinity;
  const possible = Math.floor((descriptors - SPARE_DESCRIPTORS) / 2);
  return Math.max(1, Math.min(DEFAULT_MAX_SESSIONS, possible));
}

/** The longest wait that timers of all runtimes can take. */
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
