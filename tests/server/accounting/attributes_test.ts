/** Attributes of users files. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseUsers, UsersError } from "../../../src/server/mod.ts";
import { parseBytes } from "../../../src/server/accounting/parse_bytes.ts";
import { test } from "../../support/harness.ts";

/** Of `secret`. */
const HASH =
  "$pbkdf2-sha256$i=1$c2FsdHNhbHQ$7q77FNs/69qVkPyRNSqXo6plaOX9a1Kyv7l1dRFK7ZE";

const day = (text: string) => Date.parse(`${text}T00:00:00Z`);

const rows: [text: string, attributes: unknown][] = [
  ["quota=50G/month", { quota: { bytes: 50e9, per: "month" } }],
  ["quota=1.5MiB/day", { quota: { bytes: 1.5 * 2 ** 20, per: "day" } }],
  ["quota=2TB/day", { quota: { bytes: 2e12, per: "day" } }],
  ["quota=1/day", { quota: { bytes: 1, per: "day" } }],
  ["until=2026-12-31", { until: day("2027-01-01") }],
  ["until=2028-02-29", { until: day("2028-03-01") }],
  ["until=2026-12-31T18:00Z", { until: day("2026-12-31") + 18 * 3_600_000 }],
  [
    "until=2026-12-31T18:00:00+01:00",
    { until: day("2026-12-31") + 17 * 3_600_000 },
  ],
  ["sessions=5", { sessions: 5 }],
  ["sessions=0 rate=0", { sessions: 0, rate: 0 }],
  ["rate=10M", { rate: 10e6 }],
  ["rate=500k/s", { rate: 500e3 }],
  [
    "via=192.0.2.1,2001:db8:1::/64",
    { via: ["192.0.2.1", "2001:db8:1::/64"] },
  ],
  [
    "via=::1  rate=1M   until=2026-01-01 ",
    { via: ["::1"], rate: 1e6, until: day("2026-01-02") },
  ],
];

for (const [text, attributes] of rows) {
  test(`parseUsers() reads the attributes ${text}`, () => {
    const users = parseUsers(`bob:${HASH}\na:$b c:${HASH} ${text}\n`);
    assertEquals([...users.attributes], [["a:$b c", attributes]]);
    assertEquals(users.hashes.get("a:$b c"), HASH);
    assertEquals(users.hashes.size, 2);
  });
}

const bad: [text: string, reason: string][] = [
  ["hunter2", "unknown attribute"],
  ["=hunter2", "unknown attribute"],
  ["toString=hunter2", "unknown attribute"],
  ["Quota=50G/month", "unknown attribute"],
  ["quota=50G", "quota must be"],
  ["quota=0/day", "quota must be"],
  ["quota=50Gb/day", "quota must be"],
  ["quota=50G/week", "quota must be"],
  ["quota=9999999999T/day", "quota must be"],
  ["quota=1G/day quota=2G/day", "quota is given twice"],
  ["until=2026-02-30", "until must be"],
  ["until=2026-02-30T00:00Z", "until must be"],
  ["until=2026-13-01", "until must be"],
  ["until=31.12.2026", "until must be"],
  ["until=2026-12-31T18:00", "until must be"],
  ["until=2026-12-31T25:00Z", "until must be"],
  ["sessions=-1", "sessions must be"],
  ["sessions=1.5", "sessions must be"],
  ["sessions=", "sessions must be"],
  ["sessions=9999999999", "sessions must be"],
  ["rate=10Mb", "rate must be"],
  ["rate=10G", "rate must be"],
  ["via=", "via must be"],
  ["via=192.0.2.1,", "via must be"],
  ["via=192.0.2.1/24", "via must be"],
  ["via=example.com", "via must be"],
  ["rate=1M\tsessions=1", "control character"],
];

for (const [text, reason] of bad) {
  test(`parseUsers() throws for the attributes ${JSON.stringify(text)}`, () => {
    const lines = `bob:${HASH}\nalice:${HASH} ${text}\n`;
    const error = assertThrows(() => parseUsers(lines), UsersError);
    assertEquals(error.problems.map(({ line }) => line), [2]);
    assert(error.message.includes(reason), error.message);
    assert(!/hunter2|alice|31\.12/.test(error.message), error.message);
  });
}

test("parseUsers() does not take a password with spaces for attributes", () => {
  for (const line of ["alice:$ecret rate=1M", "alice:x:$ y z", "a:b rate=1"]) {
    const error = assertThrows(() => parseUsers(line), UsersError);
    assert(/hash/.test(error.message), error.message);
    assert(!/ecret|rate|y z/.test(error.message), error.message);
  }
});

test("parseBytes() returns no bits, and not less than a byte", () => {
  assertEquals(["10Mb", "0.4", "1e9", "-1", "", "1 k"].map(parseBytes), [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(["0", "7", "1.5k", "1Ki", "1T"].map(parseBytes), [
    0,
    7,
    1500,
    1024,
    1e12,
  ]);
});
