/** An index of many rules, which must not change what they mean. */

import { assert, assertEquals } from "@std/assert";
import { type RuleRequest, rules } from "../../../src/server/policy/rules.ts";
import { test } from "../../support/harness.ts";
import { random } from "../../support/table.ts";

const HOSTS = [
  "*",
  "example.com",
  "www.example.com",
  "*.example.com",
  "*.com",
  "10.0.0.0/8",
  "10.1.0.0/16",
  "10.1.2.3",
  "0.0.0.0/0",
  "127.0.0.0/8",
  "[::/0]",
  "[::1]",
  "[2001:db8::/32]",
  "[64:ff9b::/96]",
];
const TARGETS = [
  "example.com",
  "www.example.com",
  "a.b.example.com",
  "com",
  "example.org",
  "10.1.2.3",
  "10.9.9.9",
  "192.0.2.1",
  "0.0.0.0",
  "::",
  "::1",
  "2001:db8::5",
  "64:ff9b::10.1.2.3",
  "::ffff:10.1.2.3",
  "fe80::1%eth0",
];
const USERS = ["alice", "bob"];
const CLIENTS = ["192.0.2.1", "198.51.100.7", "2001:db8::1"];

type Pick = (limit: number) => number;

function oneOf<T>(list: readonly T[], pick: Pick): T {
  return list[pick(list.length)];
}

function randomRule(pick: Pick): string {
  const words = [oneOf(["allow", "deny"], pick)];
  if (pick(4) === 0) words.push(oneOf(["connect", "bind"], pick));
  if (pick(4) === 0) words.push("user", oneOf([...USERS, "*"], pick));
  if (pick(4) === 0) {
    words.push("from", oneOf(["192.0.2.0/24", "2001:db8::/32"], pick));
  }
  const hosts = Array.from({ length: 1 + pick(2) }, () => oneOf(HOSTS, pick));
  const ports = pick(3) === 0 ? ":443" : "";
  words.push(hosts.map((it) => it + ports).join());
  return words.join(" ");
}

function randomRequest(pick: Pick): RuleRequest {
  const hostname = oneOf(TARGETS, pick);
  const isName = /[a-z]$/.test(hostname) && !hostname.includes(":");
  return {
    session: {
      client: { hostname: oneOf(CLIENTS, pick) },
      user: oneOf([undefined, ...USERS], pick),
    },
    command: oneOf(["connect", "bind", "udp-associate"], pick),
    hostname,
    port: oneOf([443, 80], pick),
    address: isName && pick(2) === 0
      ? oneOf(TARGETS.slice(5), pick)
      : undefined,
  };
}

test("rules() judges alike with and without an index", () => {
  const pick = random(1);
  const verdicts = new Map<string, number>();
  for (let round = 0; round < 2_000; round++) {
    const few = Array.from({ length: 1 + pick(8) }, () => randomRule(pick));
    // Rules that match none of the requests, which make an index worth while.
    const many = few.flatMap((rule, i) => [
      ...Array.from({ length: 16 }, (_, j) => `deny other-${i}-${j}.test`),
      rule,
    ]);
    const [direct, indexed] = [rules(few), rules(many)];
    for (let i = 0; i < 20; i++) {
      const request = randomRequest(pick);
      const expected = direct(request);
      assertEquals(
        indexed(request),
        expected,
        `${JSON.stringify(request)} of:\n${few.join("\n")}`,
      );
      const verdict = expected?.verdict ?? "none";
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    }
  }
  for (const it of ["allow", "deny", "default", "none"]) {
    assert(verdicts.get(it)! > 1_000, `${it}: ${verdicts.get(it)}`);
  }
});

test("rules() asks few of many rules", () => {
  const list = Array.from({ length: 2_000 }, (_, i) => [
    `deny host-${i}.example.com`,
    `deny *.zone-${i}.example.org`,
    `deny 10.${i >> 8}.${i & 255}.0/24`,
    `deny user user-${i}`,
    `deny from 198.18.${i >> 8}.${i & 255}`,
  ]).flat();
  const policy = rules([...list, "allow *"]);
  let reads = 0;
  const request = {
    session: { client: { hostname: "192.0.2.1" }, user: "alice" },
    command: "connect",
    hostname: "www.example.net",
    address: "192.0.2.7",
    get port() {
      reads++;
      return 443;
    },
  } as const;
  assertEquals(policy(request)?.verdict, "default");
  assert(reads < 10, `${reads} rules were compared`);
});
