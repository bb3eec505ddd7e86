/**
 * The columns of the tables of options, in `options/`.
 *
 * @module
 */

import type { Kind } from "./kinds.ts";

/** The sections of `--help all`, in order, and the topics of `--help` that print them. */
export const SECTIONS = {
  listen: { topic: "listen", title: "Listening" },
  tls: { topic: "tls", title: "TLS" },
  login: { topic: "logins", title: "Authentication" },
  rules: {
    topic: "rules",
    title:
      "Access rules (RULE: [COMMANDS] [from CLIENTS] [user USERS] [TARGETS])",
  },
  upstream: { topic: "upstreams", title: "Upstream proxies" },
  relay: { topic: "relay", title: "BIND, UDP ASSOCIATE and look-ups" },
  timeouts: {
    topic: "timeouts",
    title: "Timeouts (DURATION: 500ms, 10s, 1h30m, 1d, or 0 for no timeout)",
  },
  limits: {
    topic: "limits",
    title:
      "Limits (0 for no limit; a client is an IPv4 address or an IPv6 /64)",
  },
  workers: { topic: "workers", title: "Workers" },
  config: { topic: "files", title: "Configuration" },
  output: { topic: "log", title: "Log and metrics" },
  admin: { topic: "admin", title: "Console and Admin API" },
} as const;

/** The key of a section. */
export type Section = keyof typeof SECTIONS;

/** A flag of the command line, or an environment variable. */
export interface Flag {
  /** `--NAME VALUE`, `--NAME` for a switch, or `NAME` for a variable. */
  readonly flag: string;
  /** Another name, without dashes. A single letter is written with a single dash. */
  readonly alias?: string;
  /** Whether all values count if it is repeated, not only the last one. */
  readonly isRepeatable?: boolean;
  /** The section of `--help` that lists it. */
  readonly section: Section;
  /**
   * The text of `--help all`. It ends with a period only if it has several sentences.
   */
  readonly description: string;
  /**
   * The text of `--help` without a topic, on one line. Only a dozen flags have it: those
   * that most people need.
   */
  readonly brief?: string;
}

/** The columns of an option, except for its kind. */
export interface OptionSpec {
  /** See {@linkcode Flag.flag}. The flag of a list has a single element, and may be repeated. */
  readonly flag?: string;
  /** See {@linkcode Flag.alias}. */
  readonly alias?: string;
  /** Flags and variables that have the values in another form, which `parseFlags()` reads. */
  readonly givenBy?: readonly Omit<Flag, "section">[];
  /** See {@linkcode Flag.section}. By default that of the group. */
  readonly section?: Section;
  /** The text of the JSON Schema, and of `--help all` unless there is `help`. */
  readonly description: string;
  /** The text of `--help all`, if it differs. */
  readonly help?: string;
  /** See {@linkcode Flag.brief}. */
  readonly brief?: string;
  /** The default value as a file would have it. */
  readonly default?: unknown;
  /** Whether the list of flags comes before that of the file, in place of replacing it. */
  readonly isMerged?: true;
  /** Whether a reload does not change it. */
  readonly needsRestart?: true;
  /**
   * The consumer of the value: `load()`, or the program, for which it is a member of
   * `LoadedConfig`. By default it is an option of `serve()` with the same path.
   */
  readonly usedBy?: "program" | "load";
}

/** An option with values of type `T`. */
export interface ConfigOption<T = unknown> extends OptionSpec {
  /** How its values are read. */
  readonly kind: Kind<T>;
}

/** The options of an object of the file. */
export interface OptionGroup<Rows = Readonly<Record<string, ConfigOption>>> {
  /** The text of the JSON Schema. */
  readonly description: string;
  /** See {@linkcode Flag.section}. */
  readonly section: Section;
  readonly options: Rows;
}

/** Options, by their keys in a configuration file. */
export type OptionTable = Readonly<Record<string, ConfigOption | OptionGroup>>;

/** An option for each member of `T`. */
export type OptionsOf<T> = {
  readonly [K in keyof T]-?: ConfigOption<NonNullable<T[K]>>;
};

/** A row of the table. Its type keeps the columns, from which other types follow. */
export function option<T, const S extends OptionSpec>(
  kind: Kind<T>,
  spec: S,
): ConfigOption<T> & S {
  return { kind, ...spec };
}
