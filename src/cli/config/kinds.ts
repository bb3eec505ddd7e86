/**
 * Kinds of values: each reads its values from the text of a flag and from a
 * configuration file, and has the JSON Schema of the latter.
 *
 * @module
 */

import { problemOfLine } from "../../server/auth/text_lines.ts";
import { escapeText, mayBeLogin, showValue } from "../output/escape.ts";
import { UsageError } from "../usage_error.ts";
import { hint } from "./hint.ts";
import { DURATION_PATTERN, parseDuration } from "./parse_duration.ts";
import {
  parseRate,
  RATE_PATTERN,
} from "../../server/accounting/parse_bytes.ts";

/** A JSON Schema (draft 2020-12), or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The position in a file, and the problems found in the file so far. */
export interface ReadContext {
  /** Such as `limits.sessions` or `rules[1]`; empty for the whole file. */
  readonly path: string;
  /** Problems, each on one line: `PATH: reason`. */
  readonly problems: string[];
  /** Values that are accepted but may be mistakes, in the same form. */
  readonly warnings?: string[];
}

/**
 * The number of problems that are shown. Reading stops after that, so
 * that the answer does not take long, however large the file is.
 */
export const MAX_PROBLEMS = 100;

/** A kind of values. */
export interface Kind<T> {
  /** The schema of its values in a file. */
  readonly schema: JsonSchema;
  /** The kinds of an object's members, by key. */
  readonly keys?: Readonly<Record<string, Kind<unknown>>>;
  /** Whether its values are lists. A flag gives a list of one element, and may be repeated. */
  readonly isList?: boolean;
  /**
   * Reads the text of a flag; `subject` is the flag in error messages.
   *
   * @throws {UsageError} if the text is invalid.
   */
  parse(text: string, subject: string): T;
  /** Reads a value of a file. Returns `undefined`, and adds a problem, if it is invalid. */
  read(value: unknown, context: ReadContext): T | undefined;
  /**
   * Checks a list as a whole, after its elements.
   *
   * @throws {UsageError} if the elements exclude each other.
   */
  check?(list: T, subject: string): void;
}

/** The longest delay and the greatest number that the server accepts. */
const MAX = 2 ** 31 - 1;

/** The parts of a {@linkcode scalar}. */
export interface Scalar<T> {
  readonly schema: JsonSchema;
  /** The requirement in error messages, such as `must be a number`. */
  readonly requirement: string;
  /** Reads text; may throw a {@linkcode UsageError} of its own. */
  text(text: string, subject: string): T | undefined;
  /** Reads a value of a file that is not text. */
  json?(value: unknown): T | undefined;
  /** Why a value that is not text may be a mistake. */
  warning?(value: T): string | undefined;
}

/** A kind of values without parts. */
export function scalar<T>(
  { schema, requirement, text, json, warning }: Scalar<T>,
): Kind<T> {
  const refusal = (subject: string, shown: string) =>
    new UsageError(`${subject} ${requirement}, not ${shown}`);
  // A number or a boolean of a file must not be written as the text of a flag.
  const isText = schema.type === "string" || schema.type === undefined;
  const fromValue = (value: unknown, subject: string) =>
    isText && typeof value === "string" ? text(value, subject) : json?.(value);
  return {
    schema,
    parse(given, subject) {
      const value = text(given, subject);
      if (value !== undefined) return value;
      throw refusal(subject, showValue(given));
    },
    read(given, context) {
      const subject = `${context.path}:`;
      return attempt(context, () => {
        const value = fromValue(given, subject);
        if (value === undefined) throw refusal(subject, show(given));
        const doubt = typeof given === "string" ? undefined : warning?.(value);
        if (doubt !== undefined) context.warnings?.push(`${subject} ${doubt}`);
        return value;
      });
    },
  };
}

/** The result of `read`, or `undefined` after a usage error, which becomes a problem. */
export function attempt<T>(
  { problems }: ReadContext,
  read: () => T,
): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    problems.push(error.message);
  }
}

/** A value of a file in error messages. */
function show(value: unknown): string {
  if (typeof value === "string") return showValue(value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value) return "an object";
  return escapeText(String(value));
}

/**
 * Text that `accepts` returns `true` for, by default any but an empty one. It has no
 * control characters.
 */
export function text(
  requirement: string = "must be a string",
  accepts: (text: string) => boolean = (it) => it !== "",
): Kind<string> {
  return scalar({
    schema: { type: "string", minLength: 1 },
    requirement,
    text(given, subject) {
      const problem = problemOfLine(given);
      if (problem) throw new UsageError(`${subject} must not have ${problem}`);
      return accepts(given) ? given : undefined;
    },
  });
}

/** One of several words. */
export function choice<const T extends string>(words: readonly T[]): Kind<T> {
  return scalar({
    schema: { enum: words },
    requirement: `must be one of ${words.join(", ")}`,
    text: (given) => words.find((it) => it === given),
  });
}

/** `true` or `false`; a flag without a value means `true`. */
export function toggle(): Kind<boolean> {
  return scalar({
    schema: { type: "boolean" },
    requirement: "must be true or false",
    text: () => true,
    json: (value) => typeof value === "boolean" ? value : undefined,
  });
}

/** A whole number from 0 to `max`. */
export function whole(max: number = MAX): Kind<number> {
  const accept = (value: unknown) => isWhole(value, max) ? value : undefined;
  return scalar({
    schema: { type: "integer", minimum: 0, maximum: max },
    requirement: `must be a whole number from 0 to ${max}`,
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
    requirement: `must be a whole number from 1 to ${max}, or auto`,
    text: (given) => {
      if (given === "auto") return given;
      return /^\d{1,10}$/.test(given) ? accept(Number(given)) : undefined;
    },
    json: accept,
  });
}

/** Whether a value is a whole number from 0 to `max`. */
export function isWhole(value: unknown, max: number = MAX): value is number {
  return Number.isInteger(value) && value as number >= 0 &&
    value as number <= max;
}

/** Milliseconds: `10s`; in a file also a number. */
export function duration(): Kind<number> {
  return numberOr(DURATION_PATTERN, {
    requirement: "must be a duration such as 10s, or a number of milliseconds",
    text: (given, subject) => parseDuration(subject, given),
    warning: (value) =>
      value === 0
        ? undefined
        : `${value} has no unit and means milliseconds: ` +
          `write "${value}ms", or "${value}s" for seconds`,
  });
}

/** Bytes per second: `500k`, `10MB`, `10MiB`; in a file also a number. */
export function rate(): Kind<number> {
  return numberOr(RATE_PATTERN, {
    requirement:
      "must be bytes (not bits) per second such as 500k, 10MB or 10MiB, at most 2G, or 0",
    text(given) {
      const bytes = parseRate(given);
      return isWhole(bytes) ? bytes : undefined;
    },
  });
}

function numberOr(
  pattern: string,
  parts: Pick<Scalar<number>, "requirement" | "text" | "warning">,
): Kind<number> {
  const number = { type: "integer", minimum: 0, maximum: MAX };
  return scalar({
    schema: { anyOf: [number, { type: "string", pattern }] },
    ...parts,
    json: (value) => isWhole(value) ? value : undefined,
  });
}

/** Options of {@linkcode list}. */
export interface ListOptions<T> {
  /** Whether error messages must not show a value in place of the list. */
  readonly isSecret?: boolean;
  /** See {@linkcode Kind.check}. */
  readonly check?: (list: readonly T[], subject: string) => void;
}

/** Any number of values. */
export function list<T>(
  kind: Kind<T>,
  { isSecret = false, check }: ListOptions<T> = {},
): Kind<readonly T[]> {
  return {
    schema: { type: "array", items: kind.schema },
    isList: true,
    check,
    parse: (given, subject) => [kind.parse(given, subject)],
    read(value, context) {
      const { path, problems } = context;
      if (!Array.isArray(value)) {
        const isHidden = isSecret && typeof value !== "object";
        const shown = isHidden ? "a single value" : show(value);
        problems.push(`${path}: must be a list, not ${shown}`);
        return undefined;
      }
      const elements: T[] = [];
      for (const [i, it] of value.entries()) {
        if (problems.length > MAX_PROBLEMS) break;
        const element = kind.read(it, { ...context, path: `${path}[${i}]` });
        if (element !== undefined) elements.push(element);
      }
      return attempt(context, () => {
        check?.(elements, `${path}:`);
        return elements;
      });
    },
  };
}

/** As {@linkcode list}, but a file may also have a single value in place of the list. */
export function oneOrMore<T>(kind: Kind<T>): Kind<readonly T[]> {
  const many = list(kind);
  return {
    ...many,
    schema: { anyOf: [kind.schema, many.schema] },
    read: (value, context) =>
      many.read(Array.isArray(value) ? value : [value], context),
  };
}

/** An object that may have some of these keys, and no others. */
export function group<T extends object>(
  keys: Readonly<Record<string, Kind<unknown>>>,
): Kind<T> {
  const schemas = Object.entries(keys).map((
    [key, { schema }],
  ) => [key, schema]);
  return {
    keys,
    schema: {
      type: "object",
      properties: Object.fromEntries(schemas),
      additionalProperties: false,
    },
    parse: (_, subject) => {
      throw new UsageError(`${subject} cannot be given as text`);
    },
    read: (value, context) => readGroup(value, context, keys) as T | undefined,
  };
}

function readGroup(
  value: unknown,
  context: ReadContext,
  keys: Readonly<Record<string, Kind<unknown>>>,
): Record<string, unknown> | undefined {
  const { path, problems } = context;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const problem = `must be an object, not ${show(value)}`;
    problems.push(path ? `${path}: ${problem}` : problem);
    return undefined;
  }
  const known = Object.keys(keys);
  const read: Record<string, unknown> = {};
  for (const [key, element] of Object.entries(value)) {
    if (problems.length > MAX_PROBLEMS) break;
    const isKnown = Object.hasOwn(keys, key);
    const name = isKnown
      ? key
      : mayBeLogin(key)
      ? '(a key with ":")'
      : escapeText(key);
    const inner = path ? `${path}.${name}` : name;
    if (isKnown) {
      read[key] = keys[key].read(element, { ...context, path: inner });
    } else problems.push(`${inner}: unknown key${hint(key, known)}`);
  }
  return read;
}

/** The same kind with a description and a default in its schema. */
export function described<T>(
  kind: Kind<T>,
  description: string,
  standard?: unknown,
): Kind<T> {
  const annotations = standard === undefined
    ? { description }
    : { description, default: standard };
  return { ...kind, schema: { ...annotations, ...kind.schema } };
}
