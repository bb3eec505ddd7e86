/** Verifiers from tables and functions. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  toPasswordVerifier,
  toVerifier,
} from "../../../src/server/auth/logins.ts";
import type {
  Credentials,
  Logins,
  VerifyContext,
} from "../../../src/server/mod.ts";
import { test } from "../../support/harness.ts";
import { octets } from "../../support/table.ts";

const CONTEXT: VerifyContext = {
  client: { hostname: "192.0.2.1", port: 1 },
  signal: new AbortController().signal,
  isWanted: () => true,
};

/** The notation of {@linkcode octets}, for both. */
function login(username: string, password: string): Credentials {
  return { username: octets(username), password: octets(password) };
}

const TABLE = {
  alice: "secret",
  "\u00fc": "\u00df",
  verify: "is a name, too",
  [`${"u".repeat(255)}`]: "p".repeat(255),
};

const rows: [username: string, password: string, isRight: boolean][] = [
  ['"alice"', '"secret"', true],
  ["C3 BC", "C3 9F", true],
  ['"verify"', '"is a name, too"', true],
  ["255*75", "255*70", true],
  ['"alice"', '"secre"', false],
  ['"alice"', '"secrets"', false],
  ['"alice" 00', '"secret"', false],
  ['"alice"', '"secret" 00', false],
  ['"alic"', '"esecret"', false],
  ['"alice"', "C3 9F", false],
  ['"bob"', '"secret"', false],
  ["255*75", "254*70", false],
  ["", '"secret"', false],
  ['"alice"', "", false],
  ["", "", false],
  ["256*75", "255*70", false],
  ["255*75", "511*70", false],
];

for (const [username, password, isRight] of rows) {
  test(`a table of logins answers ${isRight} to ${username}, ${password}`, () => {
    const verifier = toVerifier(TABLE);
    const verdict = verifier.verify(login(username, password), CONTEXT);
    assertEquals(verdict, isRight);
  });
}

test("a table of logins throws when it is empty or has an entry that no login can match", () => {
  const bad: Record<string, string>[] = [
    {},
    { "": "x" },
    { alice: "" },
    { alice: "x".repeat(256) },
    { ["\u00fc".repeat(128)]: "x" },
  ];
  for (const table of bad) assertThrows(() => toVerifier(table), TypeError);
});

test("a function of logins gets text, and the context unchanged", async () => {
  const seen: unknown[] = [];
  const verifier = toVerifier((...args) => seen.push(...args) > 0);
  const credentials = login("EF BB BF C3 BC", '"pass word"');
  assertEquals(await verifier.verify(credentials, CONTEXT), true);
  assertEquals(seen.splice(0), ["\ufeff\u00fc", "pass word", CONTEXT]);
  for (const bad of [login("FF", "61"), login("61", "C3 28")]) {
    assertEquals(await verifier.verify(bad, CONTEXT), false);
  }
  assertEquals(seen, []);
});

test("a function of logins accepts a login only by true, and its errors are passed on", async () => {
  const answers: [unknown, boolean][] = [[true, true], [1, false], [{}, false]];
  for (const [answer, isRight] of answers) {
    const verify = () => Promise.resolve(answer as boolean);
    const verdict = await toVerifier(verify).verify(login("61", "61"), CONTEXT);
    assertEquals(verdict, isRight);
  }
  const broken = toVerifier(() => {
    throw new Error("down");
  });
  await assertRejects(
    async () => void await broken.verify(login("61", "61"), CONTEXT),
    Error,
    "down",
  );
});

test("toPasswordVerifier() refuses an empty name or password without a call", async () => {
  const seen: Credentials[] = [];
  const kinds: Logins[] = [
    {
      verify: (credentials: Credentials) => seen.push(credentials) > 0,
    },
    (username, password) => {
      seen.push(login(`"${username}"`, `"${password}"`));
      return true;
    },
  ];
  for (const logins of kinds) {
    const verifier = toPasswordVerifier(logins);
    for (const [username, password] of [["", "61"], ["61", ""], ["", ""]]) {
      const credentials = login(username, password);
      assertEquals(await verifier.verify(credentials, CONTEXT), false);
    }
    assertEquals(seen, []);
    assertEquals(await verifier.verify(login("61", "62"), CONTEXT), true);
    assertEquals(seen.splice(0), [login("61", "62")]);
    assertEquals(
      await toVerifier(logins).verify(login("61", ""), CONTEXT),
      true,
    );
    assertEquals(seen.splice(0), [login("61", "")]);
  }
});
