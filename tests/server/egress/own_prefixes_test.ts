/** The prefixes that lead to this machine. */

import { assert, assertEquals } from "@std/assert";
import { resolveEgress } from "../../../src/server/egress/egress_options.ts";
import { OwnPrefixes } from "../../../src/server/egress/own_prefixes.ts";
import { test } from "../../support/harness.ts";

/** The /64 number `i`. */
const prefix = (i: number) =>
  `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::/64`;

test("OwnPrefixes finds addresses in all forms, and ignores single ones", () => {
  const own = new OwnPrefixes();
  assert(!own.has("192.0.2.1"));
  for (const it of ["192.0.2.0/24", "2001:DB8::/32", "198.51.100.1"]) {
    assert(own.add(it));
  }
  for (const it of ["192.0.3.0/23", "name/24", "name", ""]) {
    assert(!own.add(it), it);
  }
  const rows: [string, boolean][] = [
    ["192.0.2.255", true],
    ["64:ff9b::192.0.2.7", true],
    ["2001:db8:ffff::1", true],
    ["2001:db9::1", false],
    ["198.51.100.1", false],
    ["one.test", false],
  ];
  for (const [address, isOwn] of rows) {
    assertEquals(own.has(address), isOwn, address);
  }
});

test("resolveEgress() closes all prefixes of rules and options, however many", () => {
  const all = Array.from({ length: 20_000 }, (_, i) => prefix(i));
  const { own } = resolveEgress({ own: all.slice(10_000) }, all);
  assert(own.has("2001:db8:0:0::1"));
  assert(own.has("2001:db8:0:4e1f::1"));
  assert(!own.has("2001:db8:0:4e20::1"));
});

test("OwnPrefixes keeps a limited number of users' prefixes, and looks up fast", () => {
  const own = new OwnPrefixes();
  own.add(prefix(0));
  for (let i = 0; i < 100_002; i++) own.addLater(prefix(i));
  assert(own.has("2001:db8:1:86a0::1"));
  assert(!own.has("2001:db8:1:86a1::1"));
  const started = performance.now();
  for (let i = 0; i < 1_000; i++) own.has("2001:db9::1");
  assert(performance.now() - started < 1_000); // one by one: minutes
});
