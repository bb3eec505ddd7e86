/**
 * Removes passwords from the errors of verifiers.
 *
 * @module
 */

import type { Credentials } from "./verifier.ts";
import { decodeText } from "./name.ts";

/** How many values of an error are searched; an error with more is reduced to its text. */
const MAX_VALUES = 200;

/**
 * Returns the error of a verifier in a form that events can contain. An error that
 * contains the password, as it is or as Base64, hexadecimal digits or part of a URL, is
 * replaced by one that says so. An error with objects that cannot be searched is reduced
 * to its name, message, code and stack.
 */
export function safeCause(error: unknown, credentials: Credentials): Error {
  const secrets = secretsOf(credentials);
  const search = new Search(secrets);
  const isFound = search.finds(error);
  if (!isFound && search.isComplete) {
    return error instanceof Error ? error : new Error(String(error));
  }
  const reduced = reduce(error);
  return new Search(secrets).finds(reduced)
    ? new Error("the error of the verifier contains the password")
    : reduced;
}

/** The forms of a password that errors may contain. */
function secretsOf({ username, password }: Credentials): readonly string[] {
  if (password.length === 0) return [];
  const text = decodeText(password) ?? binary(password);
  const login = `${binary(username)}:${binary(password)}`;
  const hex = Array.from(password, (it) => it.toString(16).padStart(2, "0"));
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    btoa(binary(password)).replace(/=+$/, ""),
    btoa(login).replace(/=+$/, ""),
    hex.join(""),
  ];
}

function binary(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

class Search {
  /** Whether everything was searched so far. */
  isComplete = true;
  readonly #secrets: readonly string[];
  readonly #seen = new Set<unknown>();

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  finds(value: unknown): boolean {
    if (typeof value === "string") return this.#isIn(value);
    if (typeof value === "function") return this.#giveUp();
    if (typeof value !== "object" || value === null) {
      return this.#isIn(String(value));
    }
    if (this.#seen.has(value)) return false;
    if (this.#seen.size >= MAX_VALUES || !isSearchable(value)) {
      return this.#giveUp();
    }
    this.#seen.add(value);
    return membersOf(value).some((it) => this.finds(it));
  }

  #isIn(text: string): boolean {
    const lower = text.toLowerCase();
    return this.#secrets.some((it) =>
      text.includes(it) || lower.includes(it.toLowerCase())
    );
  }

  #giveUp(): boolean {
    this.isComplete = false;
    return false;
  }
}

function isSearchable(value: object): boolean {
  if (value instanceof Error || Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function membersOf(value: object): unknown[] {
  const names = new Set<PropertyKey>(Reflect.ownKeys(value));
  if (value instanceof Error) names.add("name").add("message").add("stack");
  return [...names].flatMap((name) => [
    String(name),
    (value as Record<PropertyKey, unknown>)[name],
  ]);
}

function reduce(error: unknown): Error {
  if (!(error instanceof Error)) return new Error("not an error");
  const { name, message, stack, code } = error as Error & { code?: unknown };
  const reduced = new Error(message);
  Object.defineProperty(reduced, "name", { value: name });
  Object.defineProperty(reduced, "stack", { value: stack });
  return typeof code === "string" ? Object.assign(reduced, { code }) : reduced;
}
