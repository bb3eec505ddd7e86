import { assertEquals, assertThrows } from "@std/assert";
import { checkKeys, nearest } from "../../src/transport/check_keys.ts";
import { test } from "../support/harness.ts";

const KNOWN = ["hostname", "port", "timeouts", "sessionsPerClient"];

const refused: [options: unknown, message: string][] = [
  [5, "options must be an object, not a number"],
  [null, "options must be an object, not null"],
  ["127.0.0.1", "options must be an object, not a string"],
  [
    { timeout: 5 },
    'unknown key "timeout" in options, did you mean "timeouts"?',
  ],
  [{ host: "::1" }, 'unknown key "host" in options, did you mean "hostname"?'],
  [
    { port: 1, sessions_per_client: 3 },
    'unknown key "sessions_per_client" in options, did you mean "sessionsPerClient"?',
  ],
  [{ nothingOfTheKind: 1 }, 'unknown key "nothingOfTheKind" in options'],
  [
    { "p\u202eort": 1 },
    'unknown key "p\\u202eort" in options, did you mean "port"?',
  ],
  [{ ["x".repeat(1e6)]: 1 }, `unknown key "${"x".repeat(40)}" in options`],
];

for (const [options, message] of refused) {
  test(`checkKeys() throws ${message}`, () => {
    const error = assertThrows(
      () => checkKeys(options, KNOWN, "options"),
      TypeError,
    );
    assertEquals(error.message, message);
  });
}

test("checkKeys() accepts known keys with any value", () => {
  checkKeys({}, KNOWN, "options");
  checkKeys({ hostname: undefined, port: "80" }, KNOWN, "options");
});

test("nearest() suggests nothing for a word that resembles no known one", () => {
  assertEquals(nearest("p", KNOWN), undefined);
  assertEquals(nearest("", KNOWN), undefined);
  assertEquals(nearest("Port", KNOWN), "port");
  assertEquals(nearest("host-name", KNOWN), "hostname");
});
