/**
 * Replaces `@std/cli/parse-args` if JSR is not reachable: the options that the
 * command line uses, with the same results. Dotted names, which the real parser
 * nests, are rejected in the options and stay flat in the arguments.
 *
 * @module
 */

type Names<T extends string> = T | readonly T[];

/** The options of {@linkcode parseArgs}. */
export interface ParseOptions<
  B extends string = string,
  S extends string = string,
  C extends string = string,
  N extends string = string,
  D extends Record<string, unknown> = Record<string, unknown>,
  DD extends boolean = boolean,
> {
  /** Puts the arguments after `--` into `--` of the result instead of `_`. */
  "--"?: DD;
  /** Aliases of a flag. */
  alias?: Record<string, Names<string>>;
  /** Flags without a value. */
  boolean?: Names<B>;
  /** Flags whose values are never converted to numbers. */
  string?: Names<S>;
  /** Flags whose values are collected in an array. */
  collect?: Names<C>;
  /** Flags that `--no-NAME` sets to `false`. */
  negatable?: Names<N>;
  /** Default values of flags. */
  default?: D;
  /** Stops at the first argument that is not a flag. */
  stopEarly?: boolean;
  /** Called for unknown arguments; `false` omits the argument. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** The result of {@linkcode parseArgs}. */
export type Args<
  B extends string,
  S extends string,
  C extends string,
  N extends string,
  D extends Record<string, unknown>,
  DD extends boolean,
> =
  & Record<string, unknown>
  & { _: (string | number)[] }
  & (DD extends true ? { "--": string[] } : unknown)
  & { [K in B]: K extends C ? boolean[] : boolean }
  & { [K in S & C]: string[] | (K extends N ? false : never) }
  & {
    [K in Exclude<S, C | keyof D>]?: string | (K extends N ? false : never);
  }
  & {
    [K in Exclude<keyof D, B | C>]: K extends S
      ? string | (K extends N ? false : never) | D[K]
      : unknown;
  };

function list<T extends string>(names: Names<T> | undefined): T[] {
  return names === undefined
    ? []
    : typeof names === "string"
    ? [names]
    : [...names];
}

const isNumber = (text: string) =>
  text.trim() !== "" && Number.isFinite(Number(text));

/** Parses command line arguments into an object of flags. */
export function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const C extends string = never,
  const N extends string = never,
  const D extends Record<string, unknown> = Record<never, never>,
  const DD extends boolean = false,
>(
  args: string[],
  options: ParseOptions<B, S, C, N, D, DD> = {},
): Args<B, S, C, N, D, DD> {
  const same = new Map<string, string[]>();
  for (const [name, others] of Object.entries(options.alias ?? {})) {
    const all = [name, ...list(others)];
    for (const one of all) same.set(one, all.filter((it) => it !== one));
  }
  const withAliases = (names: string[]) =>
    new Set(names.flatMap((name) => [name, ...same.get(name) ?? []]));
  const booleans = withAliases(list(options.boolean));
  const strings = withAliases(list(options.string));
  const collected = withAliases(list(options.collect));
  const negatable = withAliases(list(options.negatable));
  const defaults = Object.entries(options.default ?? {});
  const named = [...same.keys(), ...booleans, ...strings, ...collected];
  if (
    [...named, ...defaults.map(([name]) => name)].some((it) => it.includes("."))
  ) {
    throw new TypeError("Dotted names are not supported");
  }

  const result: Record<string, unknown> & { _: (string | number)[] } = {
    _: [],
  };
  // A flag must not reach the prototype.
  const isRefused = (name: string) =>
    name === "__proto__" ||
    name === "constructor" && !Object.hasOwn(result, name);

  function set(
    key: string,
    value: string | boolean,
    arg: string,
    collect = true,
  ) {
    const known = [booleans, strings, collected, same].some((it) =>
      it.has(key)
    );
    if (!known && options.unknown?.(arg, key, value) === false) return;
    const typed =
      typeof value === "string" && !strings.has(key) && isNumber(value)
        ? Number(value)
        : value;
    for (const name of [key, ...same.get(key) ?? []]) {
      if (isRefused(name)) continue;
      const before = result[name];
      if (!collect || !collected.has(key)) result[name] = typed;
      else if (Array.isArray(before)) before.push(typed);
      else result[name] = before ? [before, typed] : [typed];
    }
  }

  const end = args.indexOf("--");
  const rest = end < 0 ? [] : args.slice(end + 1);
  const words = end < 0 ? [...args] : args.slice(0, end);

  /** Uses the next argument as the value of the flag if it is not a flag itself. */
  function setWithNext(
    key: string,
    arg: string,
    isFlag: (next: string) => boolean,
  ) {
    const next = words[0];
    const valid = next && (!isFlag(next) && !booleans.has(key));
    if (valid) set(key, words.shift()!, arg);
    else if (next === "true" || next === "false") {
      set(key, words.shift() === "true", arg);
    } else set(key, strings.has(key) ? "" : true, arg);
  }

  /** `-abc`, `-n5`, `-o=value`: all letters except the last one have no value. */
  function setLetters(arg: string) {
    for (let i = 1; i < arg.length - 1; i++) {
      const [letter, next] = [arg[i], arg.slice(i + 1)];
      if (next === "-") {
        set(letter, next, arg);
        continue;
      }
      if (next === "=") return set(letter, "", arg);
      const assigned = /[A-Za-z]/.test(letter)
        ? /=(.+)/.exec(next)?.[1]
        : undefined;
      if (assigned !== undefined) return set(letter, assigned, arg);
      const number = /[A-Za-z]/.test(letter) &&
        /-?\d+(\.\d*)?(e-?\d+)?$/.test(next);
      const special = i + 1 < arg.length - 1 && /\W/.test(next[0]);
      if (number || special) return set(letter, next, arg);
      set(letter, strings.has(letter) ? "" : true, arg);
    }
    const last = arg.slice(-1);
    if (last !== "-") setWithNext(last, arg, (next) => /^--?[^-]/.test(next));
  }

  while (words.length > 0) {
    const arg = words.shift()!;
    const flag = /^--(no-)?(.+?)(?:=(.*))?$/s.exec(arg);
    if (flag) {
      const [, no, name, value] = flag;
      // The prefix of `--no-NAME=value` is dropped, as the real parser does.
      if (value !== undefined) {
        set(name, booleans.has(name) ? asBoolean(value) : value, arg);
      } else if (no && negatable.has(name)) set(name, false, arg, false);
      else {setWithNext(`${no ?? ""}${name}`, arg, (next) =>
          next.startsWith("-"));}
    } else if (/^-./s.test(arg)) {
      setLetters(arg);
    } else {
      if (options.unknown?.(arg) !== false) {
        result._.push(!strings.has("_") && isNumber(arg) ? Number(arg) : arg);
      }
      if (options.stopEarly) result._.push(...words.splice(0));
    }
  }

  for (const [name, value] of defaults) {
    if (Object.hasOwn(result, name)) continue;
    for (const one of [name, ...same.get(name) ?? []]) result[one] = value;
  }
  for (const name of booleans) {
    if (!Object.hasOwn(result, name)) {
      result[name] = collected.has(name) ? [] : false;
    }
  }
  for (const name of strings) {
    if (!Object.hasOwn(result, name) && collected.has(name)) result[name] = [];
  }
  if (options["--"]) result["--"] = rest;
  else result._.push(...rest);
  return result as Args<B, S, C, N, D, DD>;
}

/** Any value except `false` turns a boolean flag on, as in the real parser. */
function asBoolean(value: string): boolean {
  return value !== "false";
}
