/** The addresses that count as one client. */

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

test("clientKey() is the IPv4 address, the /64 of an IPv6 address, or the text itself", () => {
  const keys = {
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:c000:201": "192.0.2.1",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:DB8:1:2::": "2001:db8:1:2::/64",
    "2001:db8:1:3::1": "2001:db8:1:3::/64",
    "fe80:0::1%eth0": "fe80::1",
    "febf::0:2": "febf::2",
    "fec0::1": "fec0::/64",
    "64:FF9B::192.0.2.1": "64:ff9b::c000:201",
    "::1": "::1",
    "a:b": "a:b",
    "": "",
  };
  for (const [hostname, key] of Object.entries(keys)) {
    assertEquals(clientKey(hostname), key, hostname);
  }
});
