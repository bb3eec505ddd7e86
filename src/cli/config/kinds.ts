/**
 * Kinds of settings: each reads its values from a flag and from the
 * configuration file, and knows the JSON Schema of the latter. One table of them
 * (`config.ts`) is all that there is to say what a configuration may hold.
 *
 * @module
 */

import { type Endpoint, isIp, parseEndpoint } from "../../protocol/address.ts";
import type { PortRange } from "../../server/options.ts";
import { parseDuration } from "./duration.ts";
import { escapeText, quote } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";

/** A JSON Schema (draft 2020-12), or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Where a value of a file stands, and what is wrong with the file so far. */
export interface Place {
  /** Such as `limits.sessions` or `rules[1]`; empty for the whole. */
  readonly path: string;
  /** All that is wrong, each on one line: `PATH: reason`. */
  readonly problems: string[];
}

/** What a setting may be. */
export interface Kind<T> {
  /** What a validator needs to know of its values in a file. */
  readonly schema: JsonSchema;
  /** The kinds of what it consists of, by key. */
  readonly keys?: Readonly<Record<string, Kind<unknown>>>;
  /**
   * From a flag's text; `subject` is what errors call it.
   *
   * @throws {UsageError} when it makes no sense.
   */
  parse(text: string, subject: string): T;
  /** From a file's value. What makes no sense becomes a problem of the place, and `undefined`. */
  read(value: unknown, place: Place): T | undefined;
}

/** The longest wait and the greatest number that the server takes. */
const MAX = 2 ** 31 - 1;

interface Scalar<T> {
  readonly schema: JsonSchema;
  /** What errors say, such as `must be a number`. */
  readonly wanted: string;
  /** From text; may throw a {@linkcode UsageError} of its own. */
  text(text: string, subject: string): T | undefined;
  /** From a file's value, by default the same for a string. */
  json?(value: unknown): T | undefined;
}

/** A kind without parts. */
function scalar<T>({ schema, wanted, text, json }: Scalar<T>): Kind<T> {
  const refusal = (subject: string, shown: string) =>
    new UsageError(`${subject} ${wanted}, not ${shown}`);
  // Where a file has a number or a switch, the flag's text is no way to write it.
  const isText = schema.type === "string" || schema.type === undefined;
  const fromValue = (value: unknown, subject: string) =>
    isText && typeof value === "string" ? text(value, subject) : json?.(value);
  return {
    schema,
    parse(given, subject) {
      const value = text(given, subject);
      if (value !== undefined) return value;
      throw refusal(subject, quote(given));
    },
    read(given, { path, problems }) {
      try {
        const value = fromValue(given, `${path}:`);
        if (value !== undefined) return value;
        throw refusal(`${path}:`, show(given));
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        problems.push(error.message);
      }
    },
  };
}

/** A value of a file as errors show it. */
function show(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value) return "an object";
  return escapeText(String(value));
}

/** Text that `accepts` likes; `wanted` is what errors say. */
export function text(
  wanted: string = "must be a string",
  accepts: (text: string) => boolean = (it) => it !== "",
): Kind<string> {
  return scalar({
    schema: { type: "string", minLength: 1 },
    wanted,
    text: (given) => accepts(given) ? given : undefined,
  });
}

/** One of some words. */
export function choice<const T extends string>(words: readonly T[]): Kind<T> {
  return scalar({
    schema: { enum: words },
    wanted: `must be one of ${words.join(", ")}`,
    text: (given) => words.find((it) => it === given),
  });
}

/** `true` or `false`; as a flag it stands for `true`. */
export function toggle(): Kind<boolean> {
  return scalar({
    schema: { type: "boolean" },
    wanted: "must be true or false",
    text: () => true,
    json: (value) => typeof value === "boolean" ? value : undefined,
  });
}

/** A whole number from 0 to `max`. */
export function whole(max: number = MAX): Kind<number> {
  const accept = (value: unknown) => isWhole(value, max) ? value : undefined;
  return scalar({
    schema: { type: "integer", minimum: 0, maximum: max },
    wanted: `must be a whole number from 0 to ${max}`,
    text: (given) =>
      /^\d{1,10}$/.test(given) ? accept(Number(given)) : undefined,
    json: accept,
  });
}

/** A whole number from 1 to `max`, or `auto`. */
export function countOrAuto(max: number): Kind<number | "auto"> {
  const number = { type: "integer", minimum: 1, maximum: max };
  const accept = (value: unknown) =>
    value !== 0 && isWhole(value, max) ? value : undefined;
  return scalar({
    schema: { anyOf: [number, { const: "auto" }] },
    wanted: `must be a whole number from 1 to ${max}, or auto`,
    text: (given) => {
      if (given === "auto") return given;
      return /^\d{1,10}$/.test(given) ? accept(Number(given)) : undefined;
    },
    json: accept,
  });
}

function isWhole(value: unknown, max: number = MAX): value is number {
  return Number.isInteger(value) && value as number >= 0 &&
    value as number <= max;
}

/** Milliseconds: `10s`, or in a file also a number of them. */
export function duration(): Kind<number> {
  return numberOr("^(0+|\\d+(ms|s|m|h))$", {
    wanted: "must be a duration such as 10s, or a number of milliseconds",
    text: (given, subject) => parseDuration(subject, given),
  });
}

const UNITS: Readonly<Record<string, number>> = { k: 1e3, M: 1e6, G: 1e9 };

/** Octets per second: `500k`, `1.5M`, or in a file also a number of them. */
export function rate(): Kind<number> {
  return numberOr("^\\d+(\\.\\d+)?[kMG]?$", {
    wanted: "must be octets per second such as 500k or 10M (at most 2G), or 0",
    text(given) {
      const [, digits, unit] = /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(given) ?? [];
      const octets = Math.round(Number(digits) * (UNITS[unit] ?? 1));
      return isWhole(octets) ? octets : undefined;
    },
  });
}

function numberOr(
  pattern: string,
  { wanted, text }: Pick<Scalar<number>, "wanted" | "text">,
): Kind<number> {
  const number = { type: "integer", minimum: 0, maximum: MAX };
  return scalar({
    schema: { anyOf: [number, { type: "string", pattern }] },
    wanted,
    text,
    json: (value) => isWhole(value) ? value : undefined,
  });
}

/** A range of ports: `FIRST-LAST`, or in a file also an object of both. */
export function ports(): Kind<PortRange> {
  const accept = (first: unknown, last: unknown) =>
    isWhole(first, 65535) && isWhole(last, 65535) && first >= 1 && first <= last
      ? { first, last }
      : undefined;
  const port = { type: "integer", minimum: 1, maximum: 65535 };
  const both = {
    type: "object",
    properties: { first: port, last: port },
    required: ["first", "last"],
    additionalProperties: false,
  };
  return scalar({
    schema: {
      anyOf: [{ type: "string", pattern: "^\\d{1,5}-\\d{1,5}$" }, both],
    },
    wanted: "must be FIRST-LAST, ports from 1 to 65535",
    text(given) {
      const parts = /^(\d{1,5})-(\d{1,5})$/.exec(given)?.slice(1).map(Number);
      return parts && accept(parts[0], parts[1]);
    },
    json(value) {
      if (typeof value !== "object" || value === null) return undefined;
      const { first, last, ...rest } = value as Partial<PortRange>;
      return Object.keys(rest).length === 0 ? accept(first, last) : undefined;
    },
  });
}

const LISTEN_ENDPOINT = "^([\\d.]+:|\\[[\\da-fA-F:.]+\\]:)?\\d{1,5}$";

/** Where to listen: `PORT` on loopback, or `ADDRESS:PORT`. In a file a port may be a number. */
export function listenEndpoint(): Kind<Endpoint> {
  const port = { type: "integer", minimum: 0, maximum: 65535 };
  const onLoopback = (port: unknown) =>
    isWhole(port, 65535) ? { hostname: "127.0.0.1", port } : undefined;
  return scalar({
    schema: { anyOf: [port, { type: "string", pattern: LISTEN_ENDPOINT }] },
    wanted: "must be PORT or ADDRESS:PORT, such as 9180 or [::1]:9180",
    text: (given) =>
      /^\d{1,5}$/.test(given) ? onLoopback(Number(given)) : ipEndpoint(given),
    json: onLoopback,
  });
}

function ipEndpoint(text: string): Endpoint | undefined {
  try {
    const endpoint = parseEndpoint(text);
    return isIp(endpoint.hostname) ? endpoint : undefined;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** Any number of values. A flag gives one of them. What stands in their place is shown unless it is `secret`. */
export function list<T>(
  kind: Kind<T>,
  { secret = false }: { secret?: boolean } = {},
): Kind<readonly T[]> {
  return {
    schema: { type: "array", items: kind.schema },
    parse: (given, subject) => [kind.parse(given, subject)],
    read(value, { path, problems }) {
      if (Array.isArray(value)) {
        const read = value.map((it, index) =>
          kind.read(it, { path: `${path}[${index}]`, problems })
        );
        return read.filter((it) => it !== undefined);
      }
      const isHidden = secret && typeof value !== "object";
      const shown = isHidden ? "a single value" : show(value);
      problems.push(`${path}: must be a list, not ${shown}`);
    },
  };
}

/** As {@linkcode list}, where a file may also give one value alone. */
export function oneOrMore<T>(kind: Kind<T>): Kind<readonly T[]> {
  const many = list(kind);
  return {
    ...many,
    schema: { anyOf: [kind.schema, many.schema] },
    read: (value, place) =>
      many.read(Array.isArray(value) ? value : [value], place),
  };
}

/** An object with some of these keys, and no others. */
export function group<T extends object>(
  keys: { readonly [K in keyof T]-?: Kind<NonNullable<T[K]>> },
): Kind<T> {
  const kinds = Object.entries<Kind<unknown>>(keys);
  const schemas = kinds.map(([key, { schema }]) => [key, schema]);
  return {
    keys,
    schema: {
      type: "object",
      properties: Object.fromEntries(schemas),
      additionalProperties: false,
    },
    parse: (_, subject) => {
      throw new UsageError(`${subject} cannot be given as one text`);
    },
    read: (value, place) => readGroup(value, place, keys) as T | undefined,
  };
}

function readGroup(
  value: unknown,
  { path, problems }: Place,
  keys: Readonly<Record<string, Kind<unknown>>>,
): Record<string, unknown> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const what = `must be an object, not ${show(value)}`;
    problems.push(path ? `${path}: ${what}` : what);
    return undefined;
  }
  const read: Record<string, unknown> = {};
  for (const [key, element] of Object.entries(value)) {
    const known = Object.hasOwn(keys, key);
    const name = known ? key : escapeText(key);
    const inner = path ? `${path}.${name}` : name;
    if (known) read[key] = keys[key].read(element, { path: inner, problems });
    else problems.push(`${inner}: unknown key${hint(key, Object.keys(keys))}`);
  }
  return read;
}

/** The same with words for the schema: what it means, and its default. */
export function told<T>(
  kind: Kind<T>,
  description: string,
  standard?: unknown,
): Kind<T> {
  const known = standard === undefined ? {} : { default: standard };
  return { ...kind, schema: { description, ...known, ...kind.schema } };
}

/** What an unknown word may have been meant to be: `, did you mean "port"?`, or nothing. */
export function hint(word: string, known: readonly string[]): string {
  const plain = (text: string) =>
    text.toLowerCase().replaceAll(/[^a-z\d]/g, "");
  const near = known.map((it) => ({
    it,
    // A long word costs time for nothing: it is near to none.
    far: word.length > 40 ? Infinity : distance(plain(word), plain(it)),
  })).sort((a, b) => a.far - b.far)[0];
  return near && near.far <= Math.min(2, near.it.length / 2)
    ? `, did you mean ${quote(near.it)}?`
    : "";
}

/** How many letters have to be put in, left out or changed (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const change = row[j] + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(change, row[j + 1] + 1, next[j] + 1));
    }
    row = next;
  }
  return row[b.length];
}
