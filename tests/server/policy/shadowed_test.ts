/** Rules that never decide. */

import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "../../../src/server/policy/rule.ts";
import { type RuleRequest, rules } from "../../../src/server/policy/rules.ts";
import { shadowedRules } from "../../../src/server/policy/shadowed.ts";
import { test } from "../../support/harness.ts";
import { random } from "../../support/table.ts";

/** Lists of rules, and the number of each rule that never decides and of those before it. */
const shadowed: [list: string[], found: [number, ...number[]][]][] = [
  [["allow user bob", "allow user bob 10.0.0.0/8"], [[2, 1]]],
  [["allow user bob 10.0.0.0/8", "allow user bob"], []],
  [["deny *", "allow a:1", "allow user bob"], [[2, 1], [3, 1]]],
  [["allow user *", "deny user bob", "deny *"], [[2, 1]]],
  [["allow user alice", "deny user alice,bob"], []],
  [["allow user alice,bob", "deny user bob"], [[2, 1]]],
  [["deny connect", "allow connect,bind", "allow connect *:1"], [[3, 1]]],
  [["deny from 10.0.0.0/8", "allow from 10.1.0.0/16", "deny *"], [[2, 1]]],
  [["deny from 10.1.0.0/16", "allow from 10.0.0.0/8", "allow from ::/0"], []],
  [["deny *:1-100", "allow a:80+90", "allow a:80+101", "deny a"], [[2, 1]]],
  [["deny *.a.test", "allow b.a.test", "allow *.c.a.test", "allow a.test"], [
    [2, 1],
    [3, 1],
  ]],
  [["deny b.a.test", "allow *.a.test", "allow xb.a.test", "allow b.a.test"], [
    [3, 2],
    [4, 1],
  ]],
  [["deny 10.0.0.0/8,[::/0]", "allow 10.0.0.1", "allow [::1]", "allow a"], [
    [2, 1],
    [3, 1],
  ]],
  [["deny 0.0.0.0/0", "allow *", "allow a"], [[3, 2]]],
  [["allow a", "allow A."], [[2, 1]]],
  [[], []],
  // Several together
  [["allow 10.0.0.0/9", "allow 10.128.0.0/9", "allow 10.0.0.0/8"], [[3, 1, 2]]],
  [["allow 10.0.0.0/9", "allow 10.128.0.0/10", "allow 10.0.0.0/8"], []],
  [["deny 10.0.0.0/9,10.128.0.0/9", "allow 10.0.0.0/8"], [[2, 1]]],
  [["deny [::/1]", "allow [8000::/1]", "deny [::/0]", "deny 0.0.0.0/0"], [
    [3, 1, 2],
  ]],
  [["deny *:0-1000", "allow *:1001-65535", "allow *", "deny a:80"], [
    [3, 1, 2],
    [4, 1],
  ]],
  [["deny *:1-1000", "allow *:1001-65535", "allow *"], []],
  [["deny a:1-10", "allow *:11-20", "deny *.test:5", "deny a:5-15"], [
    [4, 1, 2],
  ]],
  [["deny connect a", "deny bind *", "allow connect,bind a"], [[3, 1, 2]]],
  [["deny connect", "deny bind", "deny udp-associate", "allow *"], []],
  [[
    "deny connect,bind",
    "deny udp-associate",
    "deny resolve,resolve-ptr",
    "allow *",
  ], [
    [4, 1, 2, 3],
  ]],
  [["allow user al", "allow user bo", "allow user al,bo 10.0.0.0/8"], [
    [3, 1, 2],
  ]],
  [["allow user al", "allow user bo", "deny user *"], []],
  [
    [
      "deny from 10.0.0.0/9",
      "deny from 10.128.0.0/9",
      "allow from 10.0.0.0/8 a",
    ],
    [[3, 1, 2]],
  ],
  [["deny from 0.0.0.0/0", "deny from ::/0", "allow *"], []],
  [["deny 0.0.0.0/0", "deny [::/0]", "allow a", "allow *"], []],
  [["deny a", "deny b", "allow a,b"], [[3, 1, 2]]],
  [["deny a:1", "allow 10.0.0.0/8", "allow *:1", "allow a:1,10.1.0.0/16"], [
    [4, 1, 2],
  ]],
  // The first two are not needed.
  [[
    "deny *:5",
    "deny 10.0.0.0/9:7",
    "deny 10.0.0.0/9",
    "deny 10.128.0.0/9",
    "allow 10.0.0.0/8",
  ], [
    [5, 3, 4],
  ]],
  // Neither dimension is covered for all values of the other one.
  [
    ["deny 10.0.0.0/9:0-99", "deny 10.128.0.0/9:100-65535", "allow 10.0.0.0/8"],
    [],
  ],
  [["deny a.test", "deny b.test", "allow *.test"], []],
];

for (const [list, found] of shadowed) {
  test(`shadowedRules() finds ${JSON.stringify(found)} in ${JSON.stringify(list)}`, () => {
    const numbers = shadowedRules(list).map((
      { number, by },
    ) => [number, ...by]);
    assertEquals(numbers, found);
  });
}

test("shadowedRules() expands user * if all users are known", () => {
  const list = ["allow user al", "deny user bo", "allow user * a"];
  const hiding = (users?: string[]) =>
    shadowedRules(list, users && new Set(users)).map(({ by }) => by);
  assertEquals(hiding(["al", "bo"]), [[1, 2]]);
  assertEquals(hiding(["al"]), [[1]]);
  assertEquals(hiding(["al", "bo", "cy"]), []);
  assertEquals(hiding([]), []);
  assertEquals(hiding(), []);
  // Clients without a user may exist as well.
  const all = shadowedRules(["deny user al", "allow a"], new Set(["al"]));
  assertEquals(all, []);
});

test("shadowedRules() says whether the rule would open addresses in an earlier place", () => {
  const opens = (...list: string[]) => shadowedRules(list)[0].wouldOpen;
  assertEquals(opens("allow user bob", "allow user bob 10.0.0.0/8"), true);
  assertEquals(opens("allow *:80", "allow a:80"), true);
  assertEquals(opens("allow *:0-80", "allow *:81-65535", "allow a"), true);
  assertEquals(opens("allow *:0-80", "allow a:81-65535", "allow a"), true);
  assertEquals(opens("allow *:0-80", "deny *:81-65535", "allow a"), false);
  assertEquals(opens("allow a:0-80", "allow a:81-65535", "allow a"), false);
  assertEquals(opens("allow *", "deny 10.0.0.0/8"), false);
  assertEquals(opens("deny *", "allow 10.0.0.0/8"), false);
  assertEquals(opens("allow *", "allow *:80"), false);
  assertEquals(opens("allow 10.0.0.0/8", "allow 10.0.0.1"), false);
});

// Against all requests that these words can tell apart

const FROM = ["10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/8", "[::/0]"];
const HOSTS = [
  "*",
  "a.test",
  "*.test",
  "b.a.test",
  "10.0.0.0/9",
  "10.128.0.0/9",
  "10.0.0.0/8",
  "10.1.0.0/16",
  "[2001:db8::/32]",
];
const PORTS = ["0-79", "80", "80-442", "443-65535"];
const USERS = ["*", "al", "bo"];

function drawList(next: (limit: number) => number): string[] {
  const one = <T>(list: readonly T[]) => list[next(list.length)];
  const some = (list: readonly string[], separator = ",") =>
    [one(list), ...next(2) ? [one(list)] : []].join(separator);
  const maybe = (text: string) => next(3) ? "" : text;
  return Array.from({ length: 7 }, () => {
    const words = [
      one(["allow", "deny"]),
      maybe(some(COMMANDS)),
      maybe(`from ${some(FROM).replace(/[[\]]/g, "")}`),
      maybe(`user ${some(USERS)}`),
      Array.from(
        { length: 1 + next(2) },
        () => next(2) ? one(HOSTS) : `${one(HOSTS)}:${some(PORTS, "+")}`,
      ).join(","),
    ];
    return words.filter((it) => it !== "").join(" ");
  });
}

const CLIENTS = ["10.0.0.1", "10.128.0.1", "11.0.0.1", "::1", "unix"];
const TARGETS: [hostname: string, address?: string][] = [
  ["a.test"],
  ["b.a.test"],
  ["c.test"],
  ["other"],
  ["a.test", "10.0.0.1"],
  ...["10.0.0.1", "10.1.0.1", "10.128.0.1", "11.0.0.1", "2001:db8::1", "::1"]
    .map((it): [string, string] => [it, it]),
];

function requests(users: readonly (string | undefined)[]): RuleRequest[] {
  return COMMANDS.flatMap((command) =>
    users.flatMap((user) =>
      CLIENTS.flatMap((client) =>
        TARGETS.flatMap(([hostname, address]) =>
          [0, 80, 81, 443].map((port) => ({
            session: { client: { hostname: client }, user },
            ...{ command, hostname, address, port },
          }))
        )
      )
    )
  );
}

/** The numbers of the rules that are not the first to match any request. */
function neverFirst(list: string[], all: readonly RuleRequest[]): number[] {
  // A rule alone that denies decides exactly the requests that it matches.
  const matchers = list.map((it) => rules([it.replace("allow", "deny")]));
  const left = new Set(list.keys());
  for (const request of all) {
    const first = matchers.findIndex((it) => it(request)?.verdict === "deny");
    left.delete(first);
  }
  return [...left].map((it) => it + 1);
}

for (const known of [undefined, new Set(["al", "bo"])]) {
  const users = known ? [undefined, ...known] : [undefined, "al", "bo", "cy"];
  test(`shadowedRules() finds exactly the rules that are the first to match no request${known ? ", with known users" : ""}`, () => {
    const all = requests(users);
    const next = random(7);
    let together = 0;
    for (let i = 0; i < 150; i++) {
      const list = drawList(next);
      const found = shadowedRules(list, known);
      const numbers = found.map(({ number }) => number);
      assertEquals(numbers, neverFirst(list, all), JSON.stringify(list));
      for (const { number, by } of found) {
        if (by.length > 1) together++;
        // They are enough, and all of them are needed.
        const cover = (rules: readonly number[]) =>
          shadowedRules(
            [...rules, number].map((it) => list[it - 1]),
            known,
          ).some((it) => it.number === rules.length + 1);
        assert(cover(by), JSON.stringify(list));
        if (by.length === 2) {
          assert(!by.some((it) => cover([it])), JSON.stringify(list));
        }
      }
    }
    assert(together > 5, `${together}`);
  });
}

// Bounds

/** Lists of 10,000 rules that overlap in different ways, and how many of them are found. */
const long: readonly (readonly [string, (i: number) => string, number?])[] = [
  ["names", (i) => `deny a${i % 9_999}.test`, 1],
  ["blocks", (i) => `deny 10.${i >> 8}.${i & 255}.0/24`],
  ["clients", (i) => `deny from 10.${i >> 8}.${i & 255}.1`],
  ["users", (i) => `deny user u${i % 9_998}`, 2],
  ["ports", (i) => `deny *:${i}`],
  ["blocks and ports", (i) => `deny 10.${i >> 8}.0.0/${16 + i % 8}:${i}-65535`],
  [
    "everything",
    (i) =>
      `deny user u${i % 7},u${i % 11} from 10.${i % 5}.0.0/16 *:${i % 100}-400`,
  ],
];

for (const [name, write, expected] of long) {
  test(`shadowedRules() ends soon for 10,000 rules about ${name}`, () => {
    const list = Array.from({ length: 10_000 }, (_, i) => write(i));
    const found = shadowedRules(list);
    if (expected !== undefined) assertEquals(found.length, expected);
  }, { timeout: 30_000 });
}

test("shadowedRules() ends soon for rules with thousands of targets", () => {
  const names = Array.from({ length: 2_000 }, (_, i) => `a${i}`).join(",");
  assertEquals(shadowedRules([`deny ${names}`, `deny ${names},b`]), []);
  assertEquals(shadowedRules([`deny ${names},b`, `deny ${names}`]).length, 1);
});

test(
  "shadowedRules() ends soon for hundreds of rules with hundreds of clients and targets",
  () => {
    const numbers = Array.from({ length: 300 }, (_, i) => i);
    const list = Array.from({ length: 400 }, (_, rule) => {
      const clients = numbers.map((i) =>
        `10.${rule >> 1}.${rule & 1}.${i % 256}`
      );
      const targets = numbers.map((i) => `a${i}.r${rule}.test`);
      return `deny from ${clients.join(",")} ${targets.join(",")}`;
    });
    assertEquals(shadowedRules(list), []);
  },
  { timeout: 30_000 },
);
