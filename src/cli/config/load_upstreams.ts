/**
 * Loads the upstream proxies. Error messages contain no URL: it may have a login.
 *
 * @module
 */

import type { HopDialer } from "../../client/dialer.ts";
import type { PoolOptions } from "../../client/pool/options.ts";
import { UsageError } from "../usage_error.ts";
import type { Config } from "./config.ts";
import { fileName, type ReadFile, tryRead } from "./files.ts";
import type { CommandLine } from "./flags.ts";
import type { UpstreamConfig } from "./upstream_kinds.ts";

/** The upstream proxies of the server. */
export interface LoadedUpstreams {
  /** The way to all targets for which no rule has another; `undefined` if it is direct. */
  readonly dial: HopDialer | undefined;
  /** By name. */
  readonly named: Readonly<Record<string, HopDialer>>;
  /** Differs if the dialers would differ. Secret, because it has the passwords. */
  readonly key: string;
}

/** The options that {@linkcode loadUpstreams} reads. */
export interface UpstreamSources {
  readonly config: Config;
  readonly commandLine: CommandLine;
  readonly read: ReadFile;
  readonly problems: string[];
}

/** The default of `timeouts.connect`. */
const CONNECT_TIMEOUT = 15_000;
/** For an alternative of a pool, unless half of `timeouts.connect` is less. */
const ATTEMPT_TIMEOUT = 5_000;

/**
 * Creates the dialers.
 *
 * @param before The previous ones: if nothing has changed, they keep what they know about
 * the alternatives of pools.
 * @returns `undefined` if there is none, or after a problem.
 * @throws {UsageError} if options are invalid or incomplete.
 */
export async function loadUpstreams(
  sources: UpstreamSources,
  before?: LoadedUpstreams,
): Promise<LoadedUpstreams | undefined> {
  const { config, read, problems } = sources;
  const { upstream, upstreamPool, upstreamStrategy, upstreamCa } = config;
  const { upstreams = {} } = config;
  if (upstream && upstreamPool) {
    throw new UsageError("--upstream and --upstream-pool exclude each other");
  }
  if (upstreamStrategy && !upstreamPool) {
    throw new UsageError("--upstream-strategy needs --upstream-pool as well");
  }
  const isNone = !upstream && !upstreamPool &&
    Object.keys(upstreams).length === 0;
  if (isNone && upstreamCa === undefined) return undefined;
  if (isNone) throw new UsageError("--upstream-ca needs --upstream as well");
  const ca = upstreamCa === undefined
    ? undefined
    : await tryRead(read, upstreamCa, problems);
  if (problems.length > 0) return undefined;
  const timeout = config.timeouts?.connect ?? CONNECT_TIMEOUT;
  const settings = { upstream, upstreamPool, upstreamStrategy, upstreams };
  const key = JSON.stringify({ ...settings, ca, timeout });
  if (key === before?.key) return before;
  return { ...await createDialers(sources, ca, timeout), key };
}

async function createDialers(
  { config, commandLine }: UpstreamSources,
  ca: string | undefined,
  timeout: number,
): Promise<Pick<LoadedUpstreams, "dial" | "named">> {
  const { upstream, upstreamPool, upstreamStrategy: strategy } = config;
  const create = await creator(ca, timeout);
  const { config: flags, file } = commandLine;
  const inFile = (path: string) => `${fileName(file!)}: ${path}:`;
  const subjectOf = (key: "upstream" | "upstreamPool", flag: string) =>
    flags[key] ? flag : inFile(key);
  const dial = upstream
    ? create(subjectOf("upstream", "--upstream"), upstream)
    : upstreamPool
    ? create(subjectOf("upstreamPool", "--upstream-pool"), {
      pool: upstreamPool,
      ...strategy && { strategy },
    })
    : undefined;
  const named = Object.entries(config.upstreams ?? {}).map((
    [name, it],
  ) => [name, create(inFile(`upstreams.${name}`), it)]);
  const all = [dial, ...named.map(([, it]) => it)];
  if (ca !== undefined && !all.some((it) => /\+tls:|https:/.test(`${it}`))) {
    throw new UsageError(
      "--upstream-ca has no effect: no upstream has a protocol such as socks5+tls or https",
    );
  }
  return { dial, named: Object.fromEntries(named) };
}

/** Returns a function that creates a dialer; the subject is for error messages. */
async function creator(ca: string | undefined, timeout: number) {
  // Loaded lazily: most servers have no upstream.
  const { createDialer } = await import("../../client/dialer.ts");
  const { createPool } = await import("../../client/pool/pool.ts");
  const { parseHops } = await import("../../client/hops.ts");
  const { isOverTls } = await import("../../client/proxy.ts");
  const tlsFor = (...ways: readonly string[]) =>
    ca !== undefined && ways.some((it) => parseHops(it).some(isOverTls))
      ? { tls: { ca } }
      : undefined;
  // Less than the server waits: a call that it ends counts against no alternative, and a
  // silent one would be tried first for ever.
  const attemptTimeout = Math.min(ATTEMPT_TIMEOUT, timeout / 2) ||
    ATTEMPT_TIMEOUT;
  return (subject: string, upstream: UpstreamConfig): HopDialer => {
    try {
      if (!("pool" in upstream)) {
        const hops = upstream.join(" ");
        return createDialer(hops, { timeout, ...tlsFor(hops) });
      }
      const { pool, strategy } = upstream;
      const options: PoolOptions = { timeout, attemptTimeout, strategy };
      return createPool(pool, { ...options, ...tlsFor(...pool) });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      // The scheme of a URL that has none may be a user's name.
      const reason = error.message.replace(/, not with .*$/s, "");
      throw new UsageError(`${subject} ${reason}`);
    }
  };
}
