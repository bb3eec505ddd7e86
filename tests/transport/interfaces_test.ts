/** The choice of a local address by the networks of this machine. */

import { assertEquals } from "@std/assert";
import {
  type DenoInterface,
  nearestOf,
} from "../../src/transport/deno/interfaces.ts";
import { test } from "../support/harness.ts";

function on(cidr: string, scopeid = 0): DenoInterface {
  const [address] = cidr.split("/");
  const family = address.includes(":") ? "IPv6" : "IPv4";
  return { family, address, cidr, scopeid };
}

const interfaces: readonly DenoInterface[] = [
  on("127.0.0.1/8"),
  on("10.0.0.1/8"),
  on("10.4.0.1/16"),
  on("10.4.0.2/16"),
  on("10.5.0.1/32"),
  { family: "IPv4", address: "10.6.0.1", cidr: null, scopeid: null },
  on("::1/128"),
  on("fd00:4::1/32"),
  on("fd00:4:5::1/64"),
  on("fe80::1/64", 2),
];

/** A row: a description, an address, the local address towards it. */
const rows: readonly (readonly [string, string, string | undefined])[] = [
  ["a neighbour", "10.9.9.9", "10.0.0.1"],
  ["a neighbour on the smaller of two networks", "10.4.9.9", "10.4.0.1"],
  ["the machine itself", "10.4.0.2", "10.4.0.2"],
  ["an address next to one without neighbours", "10.5.0.2", "10.0.0.1"],
  ["an address of the machine whose mask has gaps", "10.6.0.1", "10.6.0.1"],
  ["an address next to that", "10.6.0.2", "10.0.0.1"],
  ["a distant address", "192.0.2.1", undefined],
  ["an IPv6 neighbour", "fd00:4::9", "fd00:4::1"],
  ["an IPv6 neighbour on the smaller network", "fd00:4:5::9", "fd00:4:5::1"],
  ["a distant IPv6 address", "2001:db8::1", undefined],
  ["a link-local address, which any link may have", "fe80::9", undefined],
];

for (const [name, hostname, expected] of rows) {
  test(`nearestOf() returns ${expected} for ${name}`, async () => {
    assertEquals(await nearestOf(interfaces, hostname), expected);
  });
}

test("nearestOf() returns nothing when the interfaces are unknown", async () => {
  assertEquals(await nearestOf([], "10.4.0.2"), undefined);
});
