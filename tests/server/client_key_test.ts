/** Which addresses count as one client. */

import { assertEquals } from "@std/assert";
import { clientKey } from "../../src/server/client_key.ts";
import { test } from "../support/harness.ts";

const same: [string, string][] = [
  ["192.0.2.1", "::ffff:192.0.2.1"],
  ["2001:db8::1", "2001:db8::ffff:1:2:3"],
  ["2001:db8::1", "2001:0DB8:0:0:8000::"],
  ["fe80::1%eth0", "fe80::1"],
];
const different: [string, string][] = [
  ["192.0.2.1", "192.0.2.2"],
  ["2001:db8::1", "2001:db8:0:1::1"],
  ["fe80::1", "fe80::2"],
  ["64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"],
];

for (const [a, b] of same) {
  test(`clientKey() counts ${a} and ${b} as one client`, () => {
    assertEquals(clientKey(a), clientKey(b));
  });
}

for (const [a, b] of different) {
  test(`clientKey() counts ${a} and ${b} as two clients`, () => {
    assertEquals(clientKey(a) === clientKey(b), false);
  });
}
