/**
 * What a configuration may hold, whether it comes from a file or from flags.
 *
 * @module
 */

import { type Endpoint, isIp, isUnspecified } from "../../protocol/address.ts";
import type { Limits, PortRange, Timeouts } from "../../server/options.ts";
import { parseRule } from "../../server/policy/rule_text.ts";
import { parseUsers, UsersError } from "../../server/auth/users.ts";
import { JsoncError, parseJsonc } from "./jsonc.ts";
import { LOG_FORMATS, type LogFormat } from "../output/format.ts";
import {
  choice,
  countOrAuto,
  duration,
  group,
  type JsonSchema,
  type Kind,
  list,
  listenEndpoint,
  oneOrMore,
  type Place,
  ports,
  rate,
  text,
  toggle,
  told,
  whole,
} from "./kinds.ts";
import { UsageError } from "../usage_error.ts";

/** A configuration: the options of `serve()` that can be written down, by the same names. Durations are in milliseconds. */
export interface Config {
  /** Of the JSON Schema, for editors. */
  readonly $schema?: string;
  readonly hostname?: string;
  readonly port?: number;
  readonly openProxy?: boolean;
  /** `NAME:HASH`. */
  readonly users?: readonly string[];
  /** Paths of files with such lines. */
  readonly usersFile?: readonly string[];
  readonly failedLogins?: number;
  readonly lockout?: number;
  readonly rules?: readonly string[];
  readonly timeouts?: Timeouts;
  readonly limits?: Limits;
  readonly advertise?: readonly string[];
  readonly relayPorts?: PortRange;
  readonly dropFragments?: boolean;
  readonly socks4?: Socks4Config;
  readonly grace?: number;
  readonly workers?: WorkerCount;
  readonly log?: LogFormat;
  readonly metrics?: Endpoint;
}

/** How many workers; `auto` is one for each core. */
export type WorkerCount = number | "auto";

/** How clients of SOCKS4 and SOCKS4a are told apart. */
export interface Socks4Config {
  /** The user ids that are let in. */
  readonly userIds?: readonly string[];
  /** Whether the client's ident server has to confirm its user id. */
  readonly ident?: boolean;
}

/** More would be a mistake. */
const MAX_WORKERS = 256;

const path = text("must be the path of a file");

const listenAddress = text(
  "must be an IP address to listen on",
  (it) => it === "localhost" || isIp(it.replace(/^\[(.*)\]$/, "$1")) !== 0,
);

/** One line of a users file. What stands there is not shown: it may be a password. */
const login: Kind<string> = {
  ...text(),
  read(value, { path, problems }) {
    const problem = problemOfLogin(value);
    if (problem === undefined) return value as string;
    problems.push(`${path}: ${problem}`);
  },
};

function problemOfLogin(line: unknown): string | undefined {
  // A comment or a second line would be fine in a file.
  if (typeof line !== "string" || /^\s*(#|$)|\n/.test(line)) {
    return "must be NAME:HASH, as hash-password prints it";
  }
  try {
    parseUsers(line);
  } catch (error) {
    if (!(error instanceof UsersError)) throw error;
    return error.problems[0].reason;
  }
}

/** A rule of the policy, or what is wrong with it. */
const rule: Kind<string> = {
  ...text(),
  parse(given, subject) {
    try {
      parseRule(given);
      return given;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new UsageError(`${subject} ${error.message}`);
    }
  },
  read(given, place) {
    const read = text().read(given, place);
    if (read === undefined) return undefined;
    return attempt(place, () => rule.parse(read, `${place.path}:`));
  },
};

function attempt<T>({ problems }: Place, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    problems.push(error.message);
  }
}

const address = text(
  "must be an IP address that clients can reach",
  (it) => isIp(it) !== 0 && !isUnspecified(it),
);

/** One of each version, which neither a flag nor an element can see by itself. */
const addresses: Kind<readonly string[]> = {
  ...list(address),
  schema: { ...list(address).schema, maxItems: 2 },
  read(value, place) {
    const read = list(address).read(value, place);
    return read && attempt(place, () => checkAddresses(read, `${place.path}:`));
  },
};

/** @throws {UsageError} when two are of the same IP version. */
export function checkAddresses(
  given: readonly string[],
  subject: string,
): readonly string[] {
  if (new Set(given.map(isIp)).size === given.length) return given;
  throw new UsageError(`${subject} may name one address of each IP version`);
}

const timeouts = group<Timeouts>({
  handshake: told(duration(), "For a client to complete its request.", "10s"),
  connect: told(duration(), "To reach a target.", "15s"),
  idle: told(duration(), "Without an octet in either direction.", "5m"),
  halfClosed: told(duration(), "The same, once one side has finished.", "1m"),
  bind: told(duration(), "For the peer that a BIND waits for.", "1m"),
  association: told(duration(), "Without a datagram either way.", "2m"),
});

const limits = group<Limits>({
  sessions: told(
    whole(),
    "Clients at a time. By default 10000, or fewer where the system allows fewer open files.",
  ),
  sessionsPerClient: told(
    whole(),
    "The same for each client address; an IPv6 client is its /64.",
    0,
  ),
  sessionsPerUser: told(whole(), "Sessions at a time for each user.", 0),
  handshakesPerClient: told(
    whole(),
    "Clients of one address that have not completed their request. By default 1000, and no limit on loopback.",
  ),
  connectionsPerSecondPerClient: told(
    whole(),
    "New connections of one address in a second; twice as many, at least 10, at once.",
    0,
  ),
  bytesPerSecondPerSession: told(
    rate(),
    "Of each session, both directions together.",
    0,
  ),
  bytesPerSecondPerUser: told(
    rate(),
    "Of all sessions of a user together.",
    0,
  ),
  associationsPerClient: told(
    whole(),
    "UDP associations at a time for each client address.",
    1000,
  ),
  targetsPerAssociation: told(
    whole(),
    "Targets that each UDP association remembers, and so gets datagrams from.",
    256,
  ),
});

const socks4 = group<Socks4Config>({
  userIds: told(
    list(text()),
    "The user ids of SOCKS4 that are let in. They are only claimed, so that beyond this machine this needs openProxy.",
  ),
  ident: told(
    toggle(),
    "Whether the client's ident server (RFC 1413) has to confirm its user id.",
    false,
  ),
});

/** The table that validation, the flags and the JSON Schema come from. */
export const CONFIG: Kind<Config> = group<Config>({
  $schema: told(text(), "Where the JSON Schema is, for editors."),
  hostname: told(
    listenAddress,
    "IP address to listen on; 0.0.0.0 or :: for every interface.",
    "127.0.0.1",
  ),
  port: told(whole(65535), "Port to listen on, 0 for any free one.", 1080),
  openProxy: told(
    toggle(),
    "Allow to listen beyond this machine without a login. Anyone who reaches the port can then use it in your name.",
    false,
  ),
  users: told(
    list(login, { secret: true }),
    "Logins: NAME:HASH, as hash-password prints them.",
  ),
  usersFile: told(
    oneOrMore(path),
    "Files with a NAME:HASH in each line. Their paths are relative to this file.",
  ),
  failedLogins: told(
    whole(),
    "Failed logins until a client's address is locked out; 0 for never.",
    10,
  ),
  lockout: told(duration(), "How long it is locked out.", "5m"),
  rules: told(
    list(rule),
    "Who may do what. The first rule that matches decides, for instance: allow user alice connect *.example.com:443",
  ),
  timeouts: told(timeouts, 'Durations: "500ms", "10s", "5m", "1h"; 0: never.'),
  limits: told(limits, "What clients can take at most; 0 means no limit."),
  advertise: told(
    addresses,
    "IP addresses, one of each version, that clients are told to use for BIND and UDP ASSOCIATE.",
  ),
  relayPorts: told(ports(), "Ports to listen on for BIND and UDP ASSOCIATE."),
  dropFragments: told(
    toggle(),
    "Drop UDP fragments, do not put them together.",
    false,
  ),
  socks4,
  grace: told(duration(), "For sessions to end after a signal.", "10s"),
  workers: told(
    countOrAuto(MAX_WORKERS),
    "Processes (on Deno threads) that share the port and the limits; auto: one for each core.",
    1,
  ),
  log: told(choice(LOG_FORMATS), "What is printed.", "auto"),
  metrics: told(
    listenEndpoint(),
    "Where to answer GET /metrics (for Prometheus) and GET /health: a port of 127.0.0.1, or ADDRESS:PORT. By default nowhere.",
  ),
});

/** The JSON Schema of a configuration file. */
export function configSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "socks5-server configuration",
    ...CONFIG.schema,
  };
}

/**
 * Reads the text of a configuration file; `file` is what errors call it.
 *
 * @param problems Gets all that is wrong, each on a line: `FILE: PATH: reason`.
 * @return What makes sense of it.
 */
export function readConfig(
  content: string,
  file: string,
  problems: string[],
): Config {
  const found: string[] = [];
  let config: Config | undefined;
  try {
    const value = parseJsonc(content);
    config = CONFIG.read(value, { path: "", problems: found });
  } catch (error) {
    if (!(error instanceof JsoncError)) throw error;
    found.push(error.message);
  }
  problems.push(...found.map((it) => `${file}: ${it}`));
  return config ?? {};
}
