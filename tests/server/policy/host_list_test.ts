/** Lists of hosts that rules refer to. */

import {
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { HostList } from "../../../src/server/policy/host_list.ts";
import { formatRule, parseRule } from "../../../src/server/policy/rule_text.ts";
import { rules } from "../../../src/server/policy/rules.ts";
import { shadowedRules } from "../../../src/server/policy/shadowed.ts";
import { test } from "../../support/harness.ts";

const TEXT = `\ufeff# a comment
one.Example.   ; another
*.below.example
.both.example\r
bücher.example
10.0.0.0/8
2001:db8::/32
0x7f.1

192.0.2.1`.slice(1);

const matches: [hostname: string, address: string | undefined, Expected][] = [
  ["one.example", undefined, "deny"],
  ["a.one.example", undefined, "perhaps"],
  ["below.example", undefined, "perhaps"],
  ["a.b.below.example", undefined, "deny"],
  ["both.example", undefined, "deny"],
  ["a.both.example", undefined, "deny"],
  ["aboth.example", undefined, "perhaps"],
  ["xn--bcher-kva.example", undefined, "deny"],
  ["other.example", undefined, "perhaps"],
  ["other.example", "192.0.2.2", "allow"],
  ["other.example", "10.9.9.9", "deny"],
  ["other.example", "64:ff9b::10.9.9.9", "deny"],
  ["other.example", "0.0.0.0", "deny"], // leads to 127.0.0.1
  ["10.9.9.9", undefined, "deny"],
  ["::ffff:10.9.9.9", undefined, "deny"],
  ["11.9.9.9", undefined, "allow"],
  ["127.0.0.1", undefined, "deny"],
  ["127.0.0.2", undefined, "allow"],
  ["192.0.2.1", undefined, "deny"],
  ["2001:db8::1", undefined, "deny"],
  ["2001:db9::1", undefined, "allow"],
];
type Expected = "allow" | "deny" | "perhaps";

for (const others of [0, 50]) {
  test(`rules() with a list and ${others} other rules`, async () => {
    const list = await HostList.parse(TEXT);
    assertEquals(list.size, 9);
    const more = Array.from({ length: others }, (_, i) => `deny n${i}.test`);
    const policy = rules([...more, "deny @a", "allow *"], {
      lists: { a: list },
    });
    const session = { client: { hostname: "198.51.100.1" } };
    for (const [hostname, address, expected] of matches) {
      const request = {
        session,
        command: "connect",
        hostname,
        port: 1,
        address,
      } as const;
      const verdict = policy(request)?.verdict ?? "perhaps";
      const found = verdict === "default" ? "allow" : verdict;
      assertEquals(found, expected, `${hostname} ${address}`);
    }
  });
}

test("rules() opens the entries of a list, on the ports of the rule", async () => {
  const lists = { a: await HostList.parse("10.0.0.0/8") };
  const policy = rules(["allow @a:80,c.test"], { lists });
  const ask = (hostname: string, port: number) => {
    const session = { client: { hostname: "198.51.100.1" } };
    return policy({ session, command: "connect", hostname, port })?.verdict;
  };
  assertEquals(ask("10.1.1.1", 80), "allow");
  assertEquals(ask("10.1.1.1", 81), "deny");
  assertEquals(ask("c.test", 81), "allow");
});

test("HostList.parse() rejects an invalid line with its number", async () => {
  for (
    const [line, text] of [
      ["a b", '"a b" is neither a name'],
      ["*", '"*" is neither a name'],
      ["*.*.a", "is neither a name"],
      ["*.10.0.0.1", "is neither a name"],
      [".0x7f.1", "is neither a name"],
      ["10.0.0.1/8", "has bits set after its prefix"],
      ["a.test:80", "is neither an IP address nor ADDRESS/PREFIX"],
      ["http://a.test/", "is neither an IP address nor ADDRESS/PREFIX"],
      ["1.2.3.4.5", "is neither an IP address nor ADDRESS/PREFIX"],
    ]
  ) {
    const parse = () => HostList.parse(`ok.test\n\n${line}\n`);
    const { message } = await assertRejects(parse, TypeError, "line 3: ");
    assertStringIncludes(message, text);
  }
});

test("rules() rejects a list that it was not given", async () => {
  const lists = { a: await HostList.parse("") };
  for (const name of ["b", "toString", "__proto__"]) {
    assertThrows(
      () => rules(["allow *", `deny @${name}`], { lists }),
      TypeError,
      `rule 2: there is no list "${name}"`,
    );
  }
  assertThrows(() => rules(["deny @a:b"], { lists }), TypeError);
  assertThrows(() => rules(["deny @"], { lists }), TypeError);
});

test("parseRule() and formatRule() keep the name of a list", () => {
  const text = "allow connect user bob @lists/A.txt:443,*.example";
  assertEquals(formatRule(parseRule(text)), text);
});

test("shadowedRules() compares no entries of lists", async () => {
  const lists = { "a.txt": await HostList.parse("one.test") };
  const hidden = (list: string[]) =>
    shadowedRules(list, undefined, lists).map(({ number }) => number);
  assertEquals(hidden(["deny @a.txt", "deny one.test"]), []);
  assertEquals(hidden(["deny *.txt", "deny @a.txt"]), []);
  assertEquals(hidden(["deny one.test", "deny @a.txt"]), []);
  assertEquals(hidden(["deny @a.txt", "allow @a.txt:80"]), [2]);
  assertEquals(hidden(["deny *", "allow @a.txt"]), [2]);
});
