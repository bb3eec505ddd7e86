/**
 * Kinds of values for upstream proxies. Error messages never show a URL: it may have a login.
 *
 * @module
 */

import {
  POOL_STRATEGIES,
  type PoolStrategy,
} from "../../client/pool/strategy.ts";
import { problemOfLine } from "../../server/auth/text_lines.ts";
import { isUpstreamName } from "../../server/policy/rule.ts";
import { escapeText, mayBeLogin } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import {
  attempt,
  choice,
  group,
  type Kind,
  list,
  oneOrMore,
  type ReadContext,
} from "./kinds.ts";

/** An upstream: the hops of a chain, or the alternatives of a pool. */
export type UpstreamConfig = readonly string[] | {
  readonly pool: readonly string[];
  readonly strategy?: PoolStrategy;
};

const URL_TEXT = "[A-Za-z][A-Za-z\\d+]*://[^\\s/?#]+/?";
const PATTERN = `^${URL_TEXT}$`;
const CHAIN_PATTERN = `^${URL_TEXT}(\\s+${URL_TEXT})*$`;

/** The URL of a proxy. */
export function proxyUrl(): Kind<string> {
  return urlKind(
    PATTERN,
    "must be the URL of a proxy, such as socks5h://HOST:PORT",
  );
}

/** The URL of a proxy, or those of a chain, separated by spaces. */
export function proxyUrls(): Kind<string> {
  return urlKind(
    CHAIN_PATTERN,
    "must be the URL of a proxy, such as socks5h://HOST:PORT, or those of a chain, " +
      "separated by spaces",
  );
}

function urlKind(pattern: string, requirement: string): Kind<string> {
  const parse = (text: string, subject: string): string => {
    const problem = problemOfLine(text);
    if (problem) throw new UsageError(`${subject} must not have ${problem}`);
    if (new RegExp(pattern).test(text)) return text;
    throw new UsageError(`${subject} ${requirement}`);
  };
  return {
    schema: { type: "string", pattern },
    parse,
    read: (value, context: ReadContext) =>
      attempt(
        context,
        () => parse(typeof value === "string" ? value : "", `${context.path}:`),
      ),
  };
}

const POOL_LIST = list(proxyUrls(), { isSecret: true });
const POOL = group<{ pool?: readonly string[]; strategy?: PoolStrategy }>({
  pool: { ...POOL_LIST, schema: { ...POOL_LIST.schema, minItems: 1 } },
  strategy: choice(POOL_STRATEGIES),
});
const CHAIN = oneOrMore(proxyUrl());

/** Upstreams by name: each a URL, the URLs of a chain, or an object with a pool. */
export function namedUpstreams(): Kind<
  Readonly<Record<string, UpstreamConfig>>
> {
  return {
    schema: {
      type: "object",
      propertyNames: { pattern: "^(?!direct$)[a-z\\d][a-z\\d_.-]{0,63}$" },
      additionalProperties: {
        anyOf: [CHAIN.schema, { ...POOL.schema, required: ["pool"] }],
      },
    },
    parse(_, subject) {
      throw new UsageError(`${subject} cannot be given as text`);
    },
    read(value, context) {
      const { path, problems } = context;
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        problems.push(`${path}: must be an object with the upstreams by name`);
        return undefined;
      }
      const upstreams: Record<string, UpstreamConfig> = {};
      for (const [name, it] of Object.entries(value)) {
        const shown = mayBeLogin(name) ? '(a key with ":")' : escapeText(name);
        const inner = { ...context, path: `${path}.${shown}` };
        if (!isUpstreamName(name)) {
          problems.push(
            `${inner.path}: a name has small letters, digits, ".", "_" and "-", and is ` +
              "not direct",
          );
          continue;
        }
        const upstream = readUpstream(it, inner);
        if (upstream) upstreams[name] = upstream;
      }
      return upstreams;
    },
  };
}

function readUpstream(
  value: unknown,
  context: ReadContext,
): UpstreamConfig | undefined {
  const { path, problems } = context;
  const before = problems.length;
  let upstream: UpstreamConfig | undefined;
  if (typeof value === "string" || Array.isArray(value)) {
    upstream = CHAIN.read(value, context);
    if (value.length === 0) upstream = undefined;
  } else if (typeof value === "object" && value !== null) {
    const { pool = [], strategy } = POOL.read(value, context) ?? {};
    const how = strategy && { strategy };
    if (pool.length > 0) upstream = { pool, ...how };
  }
  if (upstream || problems.length > before) return upstream;
  problems.push(
    `${path}: must be the URL of a proxy, a list of them, or an object with a pool`,
  );
}
