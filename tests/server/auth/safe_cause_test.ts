/** Errors of verifiers in events, which are kept without passwords. */

import { assert, assertEquals } from "@std/assert";
import { inspect } from "node:util";
import { safeCause } from "../../../src/server/auth/safe_cause.ts";
import { test } from "../../support/harness.ts";

const PASSWORD = 'p/ss w\u00f6rd"';

function credentials(password: string, username = "alice") {
  const encoder = new TextEncoder();
  return {
    username: encoder.encode(username),
    password: encoder.encode(password),
  };
}

class DirectoryError extends Error {
  override readonly name = "DirectoryError";
  readonly code = "EDIR";
}

test("safeCause() returns an error without the password as it is", () => {
  const inner = new Error("connection refused");
  const cause = new DirectoryError("no answer", { cause: inner });
  Object.assign(cause, { request: { user: "alice", tries: [1, 2] } });
  assert(safeCause(cause, credentials(PASSWORD)) === cause);
  assert(safeCause(cause, credentials("")) === cause);
});

test("safeCause() converts any other value to an error", () => {
  for (const value of ["down", 5, undefined, null, { down: true }]) {
    assert(safeCause(value, credentials(PASSWORD)) instanceof Error);
  }
  assertEquals(safeCause("down", credentials(PASSWORD)).message, "down");
});

const bytes = new TextEncoder().encode(PASSWORD);
const binary = String.fromCharCode(...bytes);
const hex = Array.from(bytes, (it) => it.toString(16).padStart(2, "0")).join(
  "",
);
const login = String.fromCharCode(
  ...new TextEncoder().encode(`alice:${PASSWORD}`),
);

const forms: [name: string, text: string][] = [
  ["as it is", PASSWORD],
  ["in other letter case", PASSWORD.toUpperCase()],
  ["in JSON", JSON.stringify({ password: PASSWORD })],
  ["in a URL", encodeURIComponent(PASSWORD)],
  ["as Base64", btoa(binary)],
  ["in a Basic header", btoa(login)],
  ["as hexadecimal digits", hex],
];

for (const [name, text] of forms) {
  test(`safeCause() withholds an error that contains the password ${name}`, () => {
    const errors: unknown[] = [
      new Error(`bad: ${text}!`),
      `bad: ${text}!`,
      new Error("bad", { cause: new Error(text) }),
      new Error("bad", { cause: { deep: [{ er: text }] } }),
      new AggregateError([new Error(text)], "bad"),
      Object.assign(new Error("bad"), { [text]: 1 }),
      Object.assign(new Error("bad"), { request: new Map([["body", text]]) }),
      Object.assign(new Error("bad"), { code: text, request: new Map() }),
    ];
    for (const error of errors) {
      const safe = safeCause(error, credentials(PASSWORD));
      const shown = inspect(safe, { depth: 9, showHidden: true });
      assert(!shown.includes(text), shown);
    }
  });
}

test("safeCause() keeps the text of an error with objects that it cannot search", () => {
  const error = new DirectoryError("no answer");
  Object.assign(error, { socket: new Map(), self: error });
  const safe = safeCause(error, credentials(PASSWORD)) as DirectoryError;
  const { name, message, stack, code } = safe;
  assertEquals([name, message, code], ["DirectoryError", "no answer", "EDIR"]);
  assertEquals(stack, error.stack);
  assertEquals(Object.keys(safe), ["code"]);
});
