/** The spread of clients over addresses and prefixes. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { cidrContains, parseCidr } from "../../../src/protocol/cidr.ts";
import { resolveEgress } from "../../../src/server/egress/egress_options.ts";
import {
  choiceOf,
  type EgressSession,
} from "../../../src/server/egress/session_sources.ts";
import { SourceList } from "../../../src/server/egress/source_list.ts";
import { test } from "../../support/harness.ts";

const KEY = new Uint8Array(16).fill(7);
const MINUTE = 60_000;

interface Who {
  readonly user?: string;
  readonly sessionWord?: string;
  readonly client?: string;
  readonly startedAt?: number;
  readonly id?: number;
}

/** The choice of a session that starts at this time, or of one of another key. */
function choice(
  { user, sessionWord, client = "192.0.2.1", startedAt = 0, id = 1 }: Who,
  sticky?: number,
  key: Uint8Array = KEY,
) {
  return choiceOf({
    ...{ id, startedAt, user, sessionWord },
    client: { hostname: client, port: 1 },
    settings: { egress: resolveEgress({ sticky, key }) },
  } as unknown as EgressSession);
}

function first(list: SourceList, who: Who, sticky?: number, key?: Uint8Array) {
  for (const it of list.order(4, choice(who, sticky, key))) return it;
}

/** How many of 10,000 users have each address. */
function spread(list: SourceList, version = 4): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < 10_000; i++) {
    const [address] = list.order(version, choice({ user: `user${i}` }));
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

const FOUR = ["192.0.2.1", "192.0.2.2", "198.51.100.7", "203.0.113.9"];

test("SourceList spreads 10,000 users over four addresses evenly", () => {
  const counts = spread(new SourceList(FOUR));
  assertEquals([...counts.keys()].sort(), [...FOUR].sort());
  for (const [address, count] of counts) {
    assert(Math.abs(count - 2_500) < 200, `${address}: ${count}`); // 4.6 sigma
  }
});

test("SourceList spreads 10,000 users over the addresses of a prefix evenly", () => {
  const counts = spread(new SourceList(["198.51.100.16/28"]));
  assertEquals(counts.size, 14); // without the network and the broadcast address
  assert(!counts.has("198.51.100.16") && !counts.has("198.51.100.31"));
  for (const [address, count] of counts) {
    assert(Math.abs(count - 714) < 130, `${address}: ${count}`); // 5 sigma
  }
});

test("SourceList has another address of a /64 for each of 10,000 users", () => {
  const block = parseCidr("2001:db8:1::/64")!;
  const counts = spread(new SourceList([block.text]), 6);
  assertEquals(counts.size, 10_000);
  for (const it of counts.keys()) assert(cidrContains(block, it), it);
  // All bits of the host are used.
  const groups = [...counts.keys()].map((it) => it.split(":").length);
  assert(Math.max(...groups) >= 8);
});

test("SourceList uses all addresses of small prefixes, and the host bits of large ones", () => {
  const all = (prefix: string, version: number) =>
    [...spread(new SourceList([prefix]), version).keys()].sort();
  assertEquals(all("192.0.2.8/31", 4), ["192.0.2.8", "192.0.2.9"]);
  assertEquals(all("192.0.2.8/32", 4), ["192.0.2.8"]);
  assertEquals(all("192.0.2.8/30", 4), ["192.0.2.10", "192.0.2.9"]);
  assertEquals(all("2001:db8::/127", 6), ["2001:db8::", "2001:db8::1"]);
  assertEquals(
    all("2001:db8::/126", 6),
    ["2001:db8::1", "2001:db8::2", "2001:db8::3"],
  );
  const [one] = all("2001:db8::/32", 6);
  assert(/^2001:db8:[^:]/.test(one) && one.length > 30, one);
});

test("SourceList gives each source the same share, whatever its size", () => {
  const counts = spread(new SourceList(["192.0.2.1", "198.51.100.0/24"]));
  const one = counts.get("192.0.2.1")!;
  assert(Math.abs(one - 5_000) < 250, `${one}`);
});

test("SourceList has addresses of one IP version in an order that is the same for the same client", () => {
  const list = new SourceList([...FOUR, "2001:db8::1", "2001:db8:1::/64"]);
  assertEquals([4, 6].map((it) => list.has(it)), [true, true]);
  assertEquals(new SourceList(FOUR).has(6), false);
  const order = (version: number, who: Who) => [
    ...list.order(version, choice(who)),
  ];
  const alice = { user: "alice" };
  assertEquals(order(4, alice).sort(), [...FOUR].sort());
  assertEquals(order(4, alice), order(4, { ...alice, client: "::1", id: 9 }));
  const six = order(6, alice);
  assertEquals(six.length, 5); // one address, and four of the prefix
  assertEquals(new Set(six).size, 5);
  assertEquals(six, order(6, alice));
});

test("SourceList tries at most 16 addresses", () => {
  const many = Array.from({ length: 200 }, (_, i) => `192.0.2.${i + 1}`);
  const tried = [...new SourceList(many).order(4, choice({ user: "a" }))];
  assertEquals(new Set(tried).size, 16);
  assertEquals(tried.length, 16);
});

test("SourceList moves only the clients of a source that is removed", () => {
  const before = new SourceList(FOUR);
  const after = new SourceList(FOUR.slice(1));
  for (let i = 0; i < 1_000; i++) {
    const who = { user: `user${i}` };
    const address = first(before, who);
    if (address !== FOUR[0]) assertEquals(first(after, who), address);
  }
});

test("new SourceList() rejects what is no address", () => {
  for (const bad of ["eth0", "192.0.2.1/24", "", undefined, 7]) {
    assertThrows(
      () => new SourceList([bad as string]),
      TypeError,
      "is neither an IP address nor a prefix",
    );
  }
  const many = Array.from({ length: 257 }, () => "192.0.2.1");
  assertThrows(() => new SourceList(many), TypeError, "at most 256");
});

test("choiceOf() knows a client by user and word, by user, or by address", () => {
  const wide = new SourceList(["10.0.0.0/8"]);
  const same = (a: Who, b: Who) => first(wide, a) === first(wide, b);
  const [a, b] = [{ client: "192.0.2.1" }, { client: "192.0.2.2" }];
  assert(same(a, { ...a, id: 2 }) && !same(a, b));
  assert(same({ ...a, user: "alice" }, { ...b, user: "alice" }));
  assert(!same({ user: "alice" }, { user: "bob" }));
  const word = (sessionWord: string, user = "alice") => ({ user, sessionWord });
  assert(same({ ...a, ...word("7") }, { ...b, ...word("7") }));
  assert(!same(word("7"), word("8")));
  assert(!same(word("7"), { user: "alice" }));
  assert(!same(word("7"), word("7", "bob")));
  assert(!same({ user: "192.0.2.1" }, a));
  // The addresses of an IPv6 client change within its /64.
  assert(same({ client: "2001:db8::1" }, { client: "2001:db8::2" }));
  assert(!same({ client: "2001:db8::1" }, { client: "2001:db8:0:1::1" }));
  // Who does not know the key cannot find out the client of an address.
  const other = new Uint8Array(16).fill(8);
  assert(first(wide, a) !== first(wide, a, undefined, other));
});

test("choiceOf() keeps an address as long as it is sticky, and changes at different times", () => {
  const wide = new SourceList(["10.0.0.0/8"]);
  const day = Array.from({ length: 24 * 60 }, (_, i) => i * MINUTE);
  const changes = (user: string, sticky?: number) => {
    const seen = day.map((startedAt) =>
      first(wide, { user, startedAt }, sticky)
    );
    return seen.flatMap((it, i) => i > 0 && it !== seen[i - 1] ? [i] : []);
  };
  assertEquals(changes("alice"), []);
  const alice = changes("alice", 10 * MINUTE);
  assertEquals(alice.length, 144, `${alice}`);
  assertEquals(new Set(alice.map((it) => it % 10)).size, 1);
  const minutes = new Set(
    Array.from({ length: 50 }, (_, i) => changes(`u${i}`, 10 * MINUTE)[0]),
  );
  assert(minutes.size > 5, `${[...minutes]}`);
  const ids = Array.from({ length: 50 }, (_, id) => first(wide, { id }, 0));
  assertEquals(new Set(ids).size, 50);
});

test("resolveEgress() checks its options", () => {
  for (const sticky of [-1, 1.5, NaN, "1"]) {
    assertThrows(
      () => resolveEgress({ sticky: sticky as number }),
      TypeError,
      "egress.sticky must be",
    );
  }
  for (const key of [new Uint8Array(15), "0123456789abcdef"]) {
    assertThrows(
      () => resolveEgress({ key: key as Uint8Array }),
      TypeError,
      "egress.key must be 16 bytes",
    );
  }
  assertEquals(resolveEgress().key, resolveEgress().key);
});
