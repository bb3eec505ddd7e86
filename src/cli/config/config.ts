/**
 * Configurations: their type, their JSON Schema, how a file is read, and how the
 * configurations of flags and of a file are merged.
 *
 * @module
 */

import type { ServeOptions } from "../../server/options.ts";
import { JsoncError, parseJsonc } from "./jsonc.ts";
import { described, group, type JsonSchema, type Kind } from "./kinds.ts";
import type { ConfigOption, OptionGroup } from "./option.ts";
import { OPTIONS } from "./options.ts";

type Table = typeof OPTIONS;

type ValueOf<Row> = Row extends ConfigOption<infer T> ? T
  : Row extends OptionGroup<infer Rows> ? ConfigOf<Rows>
  : never;

type ConfigOf<Rows> = { readonly [K in keyof Rows]?: ValueOf<Rows[K]> };

/** The options of flags or of a file, as the table has them. Durations are in milliseconds. */
export interface Config extends ConfigOf<Table> {}

/** The number of workers; `auto` means one per CPU core. */
export type WorkerCount = NonNullable<Config["workers"]>;

/** The keys whose options `serve()` has, too. */
type ServeKey = {
  [K in keyof Table]: Table[K] extends { usedBy: string } ? never : K;
}[keyof Table];

/** The options of `serve()` that a configuration has. */
export type ServeConfig = Pick<ServeOptions, ServeKey>;

/** The options of the program itself. One that has a default is never `undefined`. */
export type ProgramConfig = {
  readonly [
    K in keyof Table as Table[K] extends { usedBy: "program" } ? K : never
  ]:
    | ValueOf<Table[K]>
    | (Table[K] extends { default: unknown } ? never : undefined);
};

/** An option and its path in a configuration: its key, after that of its group if it has one. */
export interface OptionEntry {
  readonly path: readonly string[];
  readonly option: ConfigOption;
}

const ROWS = Object.entries<ConfigOption | OptionGroup>(OPTIONS);

/** All options, those of groups included. */
export const OPTION_ENTRIES: readonly OptionEntry[] = ROWS.flatMap(
  ([key, row]): OptionEntry[] =>
    "kind" in row
      ? [{ path: [key], option: row }]
      : Object.entries(row.options).map(([inner, option]) => ({
        path: [key, inner],
        option: { section: row.section, ...option },
      })),
);

/** The kind of a whole configuration. */
export const CONFIG: Kind<Config> = group(kindsOf(ROWS));

function kindsOf(
  rows: readonly (readonly [string, ConfigOption | OptionGroup])[],
): Record<string, Kind<unknown>> {
  return Object.fromEntries(rows.map(([key, row]) => {
    const kind = "kind" in row
      ? row.kind
      : group(kindsOf(Object.entries(row.options)));
    const fallback = "kind" in row ? row.default : undefined;
    const description = row.description.replace(/\.?$/, ".");
    return [key, described(kind, description, fallback)];
  }));
}

/** The JSON Schema of a configuration file. */
export function configSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "socks5 configuration",
    ...CONFIG.schema,
  };
}

/**
 * Reads the text of a configuration file.
 *
 * @param file The name of the file in error messages.
 * @param problems Gets each problem as a line: `FILE: PATH: reason`.
 * @param warnings Gets each value that may be a mistake, in the same form.
 * @return The options that are valid.
 */
export function readConfig(
  content: string,
  file: string,
  problems: string[],
  warnings: string[] = [],
): Config {
  const found: string[] = [];
  const doubts: string[] = [];
  let config: Config | undefined;
  try {
    const value = parseJsonc(content);
    config = CONFIG.read(value, {
      path: "",
      problems: found,
      warnings: doubts,
    });
  } catch (error) {
    if (!(error instanceof JsoncError)) throw error;
    found.push(error.message);
  }
  for (const it of found) problems.push(`${file}: ${it}`);
  for (const it of doubts) warnings.push(`${file}: ${it}`);
  return config ?? {};
}

/** Merges two configurations. Flags take precedence; a merged list begins with their elements. */
export function mergeConfigs(flags: Config, file: Config): Config {
  // Empty groups are kept: an update of the server then resets the whole group.
  const groups = ROWS.flatMap(([key, row]) => "kind" in row ? [] : [[key, {}]]);
  const merged: Config = Object.fromEntries(groups);
  for (const { path, option } of OPTION_ENTRIES) {
    const values = [flags, file]
      .map((it) => getValue(it, path))
      .filter((it) => it !== undefined);
    if (values.length === 0) continue;
    setValue(merged, path, option.isMerged ? values.flat() : values[0]);
  }
  return merged;
}

function getValue(config: Config, path: readonly string[]): unknown {
  let value: unknown = config;
  for (const key of path) value = (value as Record<string, unknown>)?.[key];
  return value;
}

/** Sets the value at a path. */
export function setValue(
  config: Config,
  [key, inner]: readonly string[],
  value: unknown,
): void {
  const object = config as Record<string, unknown>;
  object[key] = inner === undefined
    ? value
    : { ...object[key] as object, [inner]: value };
}

/** Returns the options of `serve()`. Each is a member, and `undefined` if it is not set. */
export function serveConfig(config: Config): ServeConfig {
  const rows = ROWS.filter(([, row]) => !("usedBy" in row));
  const keys = rows.map(([key]) => key as keyof Config);
  const options = Object.fromEntries(keys.map((key) => [key, config[key]]));
  return options as Pick<Config, ServeKey>;
}

/** Returns the options of the program itself, with their defaults. */
export function programConfig(config: Config): ProgramConfig {
  const entries = OPTION_ENTRIES
    .filter(({ option }) => option.usedBy === "program")
    .map((it) => [it.path[0], effectiveValue(config, it)]);
  return Object.fromEntries(entries) as ProgramConfig;
}

/** Returns the paths of the options that differ and take effect only after a restart. */
export function restartPaths(before: Config, after: Config): string[] {
  return OPTION_ENTRIES
    .filter(({ option }) => option.needsRestart)
    .filter((it) => {
      const [old, now] = [before, after].map((one) => effectiveValue(one, it));
      return JSON.stringify(old) !== JSON.stringify(now);
    })
    .map(({ path }) => path.join("."));
}

function effectiveValue(config: Config, { path, option }: OptionEntry) {
  const value = getValue(config, path);
  if (value !== undefined || option.default === undefined) return value;
  return option.kind.read(option.default, { path: "", problems: [] });
}
