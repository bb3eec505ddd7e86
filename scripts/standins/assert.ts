/**
 * Replaces `@std/assert` if JSR is not reachable: the assertions that the tests
 * use, with the same results. Values that the real `assertEquals` cannot compare
 * on every runtime (Sets, instances of classes) throw a `TypeError` here.
 *
 * @module
 */

import { inspect } from "node:util";

// deno-lint-ignore no-explicit-any
type Class<T> = abstract new (...args: any[]) => T;
// deno-lint-ignore no-explicit-any
type ErrorClass<T> = new (...args: any[]) => T;

/** Thrown by a failed assertion. */
export class AssertionError extends Error {
  /** The message is shown to the reader. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

function check(ok: boolean, what: string, msg?: string): asserts ok {
  if (!ok) throw new AssertionError(`${what}${msg ? `: ${msg}` : "."}`);
}

/** Passes if the expression is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Always fails. */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${msg ? `: ${msg}` : "."}`);
}

/** Deep equality of primitives, arrays, plain objects, octets, Date, Map. */
function equal(a: unknown, b: unknown): boolean {
  const seen = new Map<unknown, unknown>();
  function compare(a: unknown, b: unknown): boolean {
    if (a === b || Object.is(a, b)) return true;
    if (typeof a !== "object" || typeof b !== "object" || !a || !b) {
      return false;
    }
    const prototype = Object.getPrototypeOf(a) ?? Object.prototype;
    if (prototype !== (Object.getPrototypeOf(b) ?? Object.prototype)) {
      return false;
    }
    if (seen.get(a) === b) return true;
    seen.set(a, b);
    if (a instanceof Date) return Object.is(+a, +(b as Date));
    if (a instanceof URL || a instanceof RegExp) return String(a) === String(b);
    if (a instanceof ArrayBuffer) {
      return compare(new Uint8Array(a), new Uint8Array(b as ArrayBuffer));
    }
    if (ArrayBuffer.isView(a) && !(a instanceof DataView)) {
      const [x, y] = [a, b] as Uint8Array[];
      return x.length === y.length &&
        x.every((n, i) => Object.is(n, y[i]) || n === y[i]);
    }
    if (a instanceof Map) {
      const entries = [...b as Map<unknown, unknown>];
      const found = [...a].every((x) => entries.some((y) => compare(x, y)));
      return found && a.size === entries.length;
    }
    if (prototype !== Object.prototype && prototype !== Array.prototype) {
      throw new TypeError(
        `Compare plain values, not ${prototype.constructor?.name}`,
      );
    }
    const [x, y] = [{ ...a }, { ...b }];
    const keys = Reflect.ownKeys(x);
    return keys.length === Reflect.ownKeys(y).length && keys.every((key) => {
      return Object.hasOwn(y, key) &&
        compare(Reflect.get(x, key), Reflect.get(y, key));
    });
  }
  return compare(a, b);
}

/** Passes if the values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  const values = [actual, expected].map(describe);
  const what = `Values are not equal.\nactual: ${values[0]}\nexpected: ${
    values[1]
  }`;
  check(false, what, msg);
}

/** The most characters that a message has of a value. */
const MOST = 10_000;

/** Bounded: a value may be a connection, from which everything can be reached. */
function describe(value: unknown): string {
  const text = inspect(value, {
    depth: 4,
    maxArrayLength: 100,
    maxStringLength: 2_000,
  });
  return text.length > MOST ? `${text.slice(0, MOST)}…` : text;
}

/** Passes if the values are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  check(false, `Expected actual: ${describe(actual)} not to equal it`, msg);
}

/** Passes if the values are the same (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const values = `${describe(actual)}, ${describe(expected)}`;
  check(false, `Values are not strictly equal: ${values}`, msg);
}

/** Passes if the text contains the other. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  const what = `Expected actual: "${actual}" to contain: "${expected}"`;
  check(actual.includes(expected), what, msg);
}

/** Passes if the text matches. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  check(
    expected.test(actual),
    `Expected actual: "${actual}" to match: "${expected}"`,
    msg,
  );
}

/** Passes if the value is an instance of the class. */
export function assertInstanceOf<T>(
  actual: unknown,
  expected: Class<T>,
  msg?: string,
): asserts actual is T {
  if (actual instanceof expected) return;
  const what = `Expected object to be an instance of "${expected.name}"`;
  check(false, `${what} but was ${describe(actual)}`, msg);
}

/** Passes if the value is an error of that class and message. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  expected?: Class<E>,
  matches?: string | RegExp,
  msg?: string,
): asserts error is E {
  check(error instanceof Error, `Expected "error" to be an Error object`, msg);
  const what =
    `Expected error to be instance of "${expected?.name}", but was "${error.name}"`;
  check(!expected || error instanceof expected, what, msg);
  if (!matches) return;
  const ok = typeof matches === "string"
    ? error.message.includes(matches)
    : matches.test(error.message);
  check(
    ok,
    `Expected error message to include ${matches}, but got "${error.message}"`,
    msg,
  );
}

function assertThrown(
  thrown: { error: unknown } | undefined,
  verb: [active: string, passive: string],
  expected?: ErrorClass<Error> | string,
  includes?: string,
  msg?: string,
): unknown {
  if (typeof expected === "string") [expected, msg] = [undefined, expected];
  check(thrown !== undefined, `Expected function to ${verb[0]}`, msg);
  if (expected) {
    const isError = thrown.error instanceof Error;
    check(isError, `A non-Error object was ${verb[1]}`, msg);
    assertIsError(thrown.error, expected, includes, msg);
  }
  return thrown.error;
}

/** Passes if the function throws; returns the thrown value. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Passes if the function throws an error of that class and message. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  expected: ErrorClass<E>,
  includes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  expected?: ErrorClass<Error> | string,
  includes?: string,
  msg?: string,
): unknown {
  let thrown;
  try {
    fn();
  } catch (error) {
    thrown = { error };
  }
  return assertThrown(thrown, ["throw", "thrown"], expected, includes, msg);
}

/** Passes if the promise of the function rejects; resolves with the reason. */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
/** Passes if the promise rejects with an error of that class and message. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  expected: ErrorClass<E>,
  includes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  expected?: ErrorClass<Error> | string,
  includes?: string,
  msg?: string,
): Promise<unknown> {
  let promise;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError("Function throws when expected to reject.", {
      cause: error,
    });
  }
  const isPromise = typeof promise === "object" &&
    typeof promise?.then === "function";
  check(isPromise, "Function throws when expected to reject");
  let thrown;
  try {
    await promise;
  } catch (error) {
    thrown = { error };
  }
  return assertThrown(thrown, ["reject", "rejected"], expected, includes, msg);
}
