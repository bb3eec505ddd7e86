/** Rules: their text form, their matches, and their verdicts before an address is known. */

import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { CommandName } from "../../../src/server/events.ts";
import { explain, parseQuestion } from "../../../src/server/policy/explain.ts";
import type { Verdict } from "../../../src/server/policy/policy.ts";
import type { Rule } from "../../../src/server/policy/rule.ts";
import { formatRule, parseRule } from "../../../src/server/policy/rule_text.ts";
import { type RulePolicy, rules } from "../../../src/server/policy/rules.ts";
import { test } from "../../support/harness.ts";

const texts: [text: string, canonical: string, rule: Rule][] = [
  ["allow *", "allow *", { action: "allow" }],
  ["deny *", "deny *", { action: "deny" }],
  ["allow", "allow *", { action: "allow" }],
  ["  DENY\t*\n", "deny *", { action: "deny" }],
  ["deny *,*", "deny *,*", {
    action: "deny",
    to: [{ host: "*" }, { host: "*" }],
  }],
  ["allow *:443", "allow *:443", {
    action: "allow",
    to: [{ host: "*", ports: [443] }],
  }],
  ["deny udp-associate,CONNECT,connect", "deny connect,udp-associate *", {
    action: "deny",
    commands: ["connect", "udp-associate"],
  }],
  [
    "allow Example.COM.,*.Example.COM.",
    "allow example.com,*.example.com",
    {
      action: "allow",
      to: [{ host: "example.com" }, { host: "*.example.com" }],
    },
  ],
  ["deny Bücher.example", "deny xn--bcher-kva.example", {
    action: "deny",
    to: [{ host: "xn--bcher-kva.example" }],
  }],
  ["deny *.bücher.example", "deny *.xn--bcher-kva.example", {
    action: "deny",
    to: [{ host: "*.xn--bcher-kva.example" }],
  }],
  ["deny a:80+443+1-1023+7-7", "deny a:80+443+1-1023+7", {
    action: "deny",
    to: [{ host: "a", ports: [80, 443, { first: 1, last: 1023 }, 7] }],
  }],
  ["deny a:0-65535", "deny a:0-65535", {
    action: "deny",
    to: [{ host: "a", ports: [{ first: 0, last: 65535 }] }],
  }],
  ["deny 10.0.0.0/8:22,192.0.2.1/32", "deny 10.0.0.0/8:22,192.0.2.1", {
    action: "deny",
    to: [{ host: "10.0.0.0/8", ports: [22] }, { host: "192.0.2.1" }],
  }],
  ["deny 0x7f.1", "deny 127.0.0.1", {
    action: "deny",
    to: [{ host: "127.0.0.1" }],
  }],
  [
    "deny [::0001]:80,[2001:DB8::/32]:1-2,fc00::/7",
    "deny [::1]:80,[2001:db8::/32]:1-2,[fc00::/7]",
    {
      action: "deny",
      to: [
        { host: "::1", ports: [80] },
        { host: "2001:db8::/32", ports: [{ first: 1, last: 2 }] },
        { host: "fc00::/7" },
      ],
    },
  ],
  [
    "deny [::ffff:10.0.0.0/104],[::ffff:127.0.0.1]",
    "deny 10.0.0.0/8,127.0.0.1",
    {
      action: "deny",
      to: [{ host: "10.0.0.0/8" }, { host: "127.0.0.1" }],
    },
  ],
  [
    "deny from 2001:db8::/32,[::1],192.0.2.0/24",
    "deny from 2001:db8::/32,::1,192.0.2.0/24 *",
    { action: "deny", from: ["2001:db8::/32", "::1", "192.0.2.0/24"] },
  ],
  ["allow user *", "allow user * *", { action: "allow", users: ["*"] }],
  ["allow user a,*", "allow user * *", { action: "allow", users: ["*"] }],
  [
    "allow user Al,CORP\\bo,c@d.e,%2c%20%25,%66rom,%C3%A9,ü,a%2Ab,a%0A",
    "allow user Al,CORP\\bo,c@d.e,%2C%20%25,%66rom,é,ü,a%2Ab,a%0A *",
    {
      action: "allow",
      users: ["Al", "CORP\\bo", "c@d.e", ", %", "from", "é", "ü", "a*b", "a\n"],
    },
  ],
  ["allow user e%CC%81,%F0%9F%99%82", "allow user e%CC%81,%F0%9F%99%82 *", {
    action: "allow",
    users: ["e\u0301", "🙂"],
  }],
  ["deny bind.,ALL.", "deny bind.,all.", {
    action: "deny",
    to: [{ host: "bind" }, { host: "all" }],
  }],
  [
    "allow prefer IPv6 via 192.0.2.7 a.example from ::1 user al connect",
    "allow connect from ::1 user al a.example via 192.0.2.7 prefer ipv6",
    {
      action: "allow",
      commands: ["connect"],
      from: ["::1"],
      users: ["al"],
      to: [{ host: "a.example" }],
      via: "192.0.2.7",
      prefer: "ipv6",
    },
  ],
  [
    "allow via [2001:DB8::1] prefer ipv4",
    "allow * via 2001:db8::1 prefer ipv4",
    {
      action: "allow",
      via: "2001:db8::1",
      prefer: "ipv4",
    },
  ],
  [
    "allow through tor-2 *.onion",
    "allow *.onion through tor-2",
    { action: "allow", to: [{ host: "*.onion" }], through: "tor-2" },
  ],
  [
    "allow via 192.0.2.7,[2001:DB8:1::]/64,192.0.2.7,2001:db8::1/128 a.example",
    "allow a.example via 192.0.2.7,2001:db8:1::/64,2001:db8::1",
    {
      action: "allow",
      to: [{ host: "a.example" }],
      via: ["192.0.2.7", "2001:db8:1::/64", "2001:db8::1"],
    },
  ],
  [
    "allow via 198.51.100.0/28",
    "allow * via 198.51.100.0/28",
    { action: "allow", via: "198.51.100.0/28" },
  ],
  [
    "allow via 192.0.2.7 through direct",
    "allow * via 192.0.2.7 through direct",
    { action: "allow", via: "192.0.2.7", through: "direct" },
  ],
];

for (const [text, canonical, rule] of texts) {
  test(`parseRule() parses ${JSON.stringify(text)}`, () => {
    assertEquals(parseRule(text), rule);
    assertEquals(formatRule(rule), canonical);
    assertEquals(parseRule(canonical), rule);
  });
}

const long = "a".repeat(64);

const badTexts: [text: string, message: string][] = [
  ["", 'a rule begins with allow or deny, not ""'],
  ["alow *", 'a rule begins with allow or deny, not "alow"'],
  ["* allow", 'a rule begins with allow or deny, not "*"'],
  ["allow user", "user must be followed by the names of users"],
  [
    "allow user from 10.0.0.0/8",
    'the names of users (alice,bob or *), not by "from"',
  ],
  [
    "deny from user al",
    'from must be followed by addresses of clients (192.0.2.1,10.0.0.0/8), not by "user"',
  ],
  ["deny from a.example", '"a.example" is neither an IP address'],
  ["deny from 10.0.0.0/33", "from 0 to 32"],
  ["deny from 10.0.0.1/8", "10.0.0.0/8 is the whole block"],
  ["deny from *", '"*" is neither an IP address'],
  ["deny a, b", "joined by commas"],
  ["deny a b", '"a" and "b" would both be targets'],
  ["deny conect a", "other words are connect, bind, udp-associate"],
  ["deny connect bind a", "commands may appear only once"],
  ["deny connect,a", '"a" in "connect,a" is not a command'],
  ["deny user a user b", "user may appear only once"],
  ["deny a,,b", "a comma has no item before or after it"],
  ["deny a,", "a comma has no item before or after it"],
  ["deny user a,", "a user name is text of 1 to 255 bytes"],
  ["deny user al*", "names have no other wildcard"],
  ["deny user %2A", "a user named *"],
  ["deny user 100%", "a % is written as %25"],
  ["deny user %ff", "invalid percent-encoding"],
  ["deny user \ud800", "a user name is text"],
  [`deny user ${"a".repeat(256)}`, "1 to 255 bytes"],
  ["deny all", "any target is *"],
  ["deny ANY:80", '"ANY" is not accepted as a target'],
  ["deny to a", '"to" and "a" would both'],
  ["deny udp", "a host of that name is written udp. with a dot"],
  ["deny ::1", "needs brackets: [::1]"],
  ["deny 2001:db8::1:443", "needs brackets"],
  ["deny [::1", "is not a target"],
  ["deny [10.0.0.1]", "is not a target"],
  ["deny [fc00::]/7", "is not a target"],
  ["deny [::/129]", "from 0 to 128"],
  [
    "deny 10.0.0.1/8",
    "10.0.0.0/8 is the whole block, 10.0.0.1 the one address",
  ],
  ["deny example.com/8", "is neither an IP address nor ADDRESS/PREFIX"],
  ["deny a*.example", "no other wildcard"],
  ["deny *.*.example", "no other wildcard"],
  ["deny *.", "is not a target"],
  ["deny *.1.2.3.4", "is not a target"],
  ["deny *.10.0.0.0/8", "is neither an IP address"],
  ["deny 1.2.3.256", "is not a target"],
  ["deny a..b", "is not a target"],
  ["deny a\0b", '"a\\x00b" is not a target'],
  ["deny a\u202eb", '"a\\u{202e}b" is not a target'],
  ["deny from \u202e", '"\\u{202e}" is neither an IP address'],
  ["deny \u202e/8", '"\\u{202e}/8" is neither an IP address'],
  ["deny from 10.0.0.0/\u20608", '"10.0.0.0/\\u{2060}8"'],
  ["deny a%2eb", "is not a target"],
  ["deny http://a", '"//a" is not a list of ports'],
  [`deny ${long}`, "is not a target"],
  [`deny ${"b.".repeat(200)}`, "is not a target"],
  ["deny 25", '"25" is not a target: a port of any target is written *:25'],
  ["deny a,80-90", "written *:80-90"],
  ["deny 80+443", "written *:80+443"],
  ["deny private", "are 10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,[fc00::/7]"],
  [
    "deny Everything",
    "any target is *, and a host of that name is written Ever",
  ],
  ["deny associate", "the command is udp-associate"],
  ["deny user bob https", "a port is written *:443"],
  ["deny a:", '"" is not a list of ports'],
  ["deny a:http", "is not a list of ports such as 443, 1-1023 or 80+443"],
  ["deny a:-1", "is not a list of ports"],
  ["deny a:1-2-3", "is not a list of ports"],
  ["deny a:80+", "is not a list of ports"],
  [
    "deny a:65536",
    "ports are from 0 to 65535, the lowest one first, not 65536",
  ],
  ["deny a:2-1", "not 2-1"],
  [
    "deny * via 192.0.2.1",
    "via, prefer and through are valid only in rules that allow",
  ],
  [
    "deny * prefer ipv4",
    "via, prefer and through are valid only in rules that allow",
  ],
  [
    "allow * via eth0",
    'via takes IP addresses and prefixes of this machine, not "eth0"',
  ],
  ["allow * via 192.0.2.1,eth0", 'of this machine, not "eth0"'],
  ["allow * via 192.0.2.1,", 'of this machine, not ""'],
  ["allow * via 192.0.2.1/24", "has bits set after its prefix"],
  ["allow * via 0.0.0.0/0", "prefixes of at least 8 bits"],
  ["allow * via 2000::/15", "prefixes of at least 16 bits"],
  ["allow * via", "via must be followed by IP addresses of this machine"],
  ["allow * prefer ip4", "prefer takes ipv4 or ipv6"],
  [
    "deny * through tor",
    "via, prefer and through are valid only in rules that allow",
  ],
  ["allow * through", "through must be followed by direct or the name of an"],
  ["allow * through deny", "must be followed by direct or the name of an ups"],
  [
    "allow * through Tor",
    'through takes direct or the name of an upstream, not "Tor"',
  ],
  [
    "allow * through a,b",
    'through takes direct or the name of an upstream, not "a,b"',
  ],
  ["allow * through a through b", "through may appear only once"],
  ["allow * via 192.0.2.1 through tor", "via is for direct connections, not"],
  ["deny " + "a,".repeat(8190), "more than 16384 characters"],
];

for (const [text, message] of badTexts) {
  test(`parseRule() rejects ${JSON.stringify(text.slice(0, 60))}`, () => {
    const error = assertThrows(() => parseRule(text), TypeError);
    assertStringIncludes(error.message, message);
    assert(error.message.length < 500, error.message);
    assert(error.message.startsWith('rule "'), error.message);
    assert(!/[\p{C}\p{Zl}\p{Zp}]/u.test(error.message), "not escaped");
  });
}

test("parseRule() parses hostile texts of the maximum length quickly", () => {
  for (const part of ["a,", "[", ":", "::/", "%", "1+", "*.", "a:1,", " "]) {
    const text = `deny ${part.repeat(16_000 / part.length)}`;
    try {
      parseRule(text);
    } catch (error) {
      assert(error instanceof TypeError);
    }
  }
});

const badRules: [rule: unknown, message: string][] = [
  [{ action: "permit" }, 'not "permit"'],
  [{ action: "deny", form: ["10.0.0.0/8"] }, 'a rule has no "form"'],
  [{ action: "deny", to: [{ host: "a", port: 1 }] }, 'a target has no "port"'],
  [{ action: "deny", to: "a" }, "to is a list"],
  [{ action: "deny", to: ["a"] }, "a target is an object"],
  [{ action: "deny", users: [] }, "users is a list of at least one item"],
  [{ action: "deny", users: [1] }, "a user name is text"],
  [{ action: "deny", commands: ["associate"] }, "a command is one of"],
  [{ action: "deny", to: [{ host: "a user b" }] }, "is not a target"],
  [{ action: "deny", to: [{ host: "a,b" }] }, "is not a target"],
  [
    { action: "deny", to: [{ ports: ["80"] }] },
    "a range of ports is an object",
  ],
  [{ action: "deny", to: [{ ports: [1.5] }] }, "ports are from 0 to 65535"],
  [{ action: "deny", to: [{ ports: [{ first: 1 }] }] }, "not 1-undefined"],
  [{ action: "deny", from: ["10.0.0.0/8 user b"] }, "prefix"],
  [{ action: "allow", via: "192.0.2.1 prefer ipv6" }, "via takes"],
  [{ action: "allow", via: ["192.0.2.1", 7] }, "via takes"],
  [{ action: "allow", via: [] }, "via is a list of at least one item"],
  [
    {
      action: "allow",
      via: Array.from({ length: 257 }, (_, i) => `10.0.${i >> 8}.${i & 255}`),
    },
    "via takes at most 256 addresses",
  ],
  [{ action: "allow", through: "a b" }, "through takes direct or the name"],
  [{ action: "allow", through: 5 as never }, "through takes direct or the"],
  [null, "a rule is an object"],
];

for (const [rule, message] of badRules) {
  test(`rules() rejects ${JSON.stringify(rule)}`, () => {
    const error = assertThrows(
      () => rules(["allow *", rule as Rule]),
      TypeError,
    );
    assertStringIncludes(error.message, message);
    assert(error.message.startsWith("rule 2: "), error.message);
  });
}

test("rules() reports which text is invalid", () => {
  const error = assertThrows(() => rules(["allow *", "deny a b"]), TypeError);
  assert(error.message.startsWith('rule 2: "deny a b": "a" and "b"'));
});

/** A question to rules, with defaults for tables. */
interface Asked {
  command?: CommandName;
  client?: string;
  user?: string;
  hostname: string;
  port?: number;
  address?: string;
}

function ask(policy: RulePolicy, asked: Asked): Verdict | undefined {
  const { client = "192.0.2.9", user, ...request } = asked;
  const session = { client: { hostname: client }, user };
  return policy({ command: "connect", port: 80, ...request, session });
}

/**
 * The verdict and the number of the rule that decides, `none` for the verdict
 * of no rule, or `-` for no verdict.
 */
function decided(list: string[], asked: Asked): string {
  const said = ask(rules(list), asked);
  if (!said) return "-";
  const number = list.findIndex((it) =>
    formatRule(parseRule(it)) === said.rule
  );
  return number === -1
    ? `${said.verdict} none`
    : `${said.verdict} ${number + 1}`;
}

const ip = (address: string): Asked => ({ hostname: address, address });
const name = (hostname: string, address?: string): Asked => ({
  hostname,
  address,
});

const matches: [list: string[], asked: Asked, decided: string][] = [
  // Requests that no rule matches.
  [[], ip("192.0.2.1"), "-"],
  [["deny a.example"], ip("192.0.2.1"), "-"],
  [["deny a.example", "allow b.example"], ip("192.0.2.1"), "deny none"],
  [["allow user al"], name("a.example"), "deny none"],
  // The first that matches.
  [["deny 10.0.0.0/8", "allow 10.0.0.1"], ip("10.0.0.1"), "deny 1"],
  [["allow 10.0.0.1", "deny 10.0.0.0/8"], ip("10.0.0.1"), "allow 1"],
  [["allow 10.0.0.1", "deny 10.0.0.0/8"], ip("10.0.0.2"), "deny 2"],
  // Commands.
  [["deny bind", "allow *"], { ...ip("1.1.1.1"), command: "bind" }, "deny 1"],
  [["deny bind", "allow *"], ip("1.1.1.1"), "default 2"],
  [["deny connect,bind"], { ...ip("1.1.1.1"), command: "udp-associate" }, "-"],
  // Clients.
  [["deny from 192.0.2.0/24"], ip("1.1.1.1"), "deny 1"],
  [
    ["deny from 192.0.2.0/24"],
    { ...ip("1.1.1.1"), client: "::ffff:192.0.2.1" },
    "deny 1",
  ],
  [["deny from 192.0.2.0/24"], { ...ip("1.1.1.1"), client: "192.0.3.1" }, "-"],
  [
    ["deny from fe80::/10"],
    { ...ip("1.1.1.1"), client: "fe80::1%eth0" },
    "deny 1",
  ],
  [["deny from ::1,192.0.2.9"], ip("1.1.1.1"), "deny 1"],
  [
    ["deny from 0.0.0.0/0,::/0"],
    { ...ip("1.1.1.1"), client: "/run/socket" },
    "-",
  ],
  // Users.
  [["deny user al"], { ...ip("1.1.1.1"), user: "al" }, "deny 1"],
  [["deny user al"], { ...ip("1.1.1.1"), user: "Al" }, "-"],
  [["deny user al"], ip("1.1.1.1"), "-"],
  [["deny user *"], ip("1.1.1.1"), "-"],
  [["deny user *"], { ...ip("1.1.1.1"), user: "al" }, "deny 1"],
  [["deny user *"], { ...ip("1.1.1.1"), user: "" }, "deny 1"],
  [["deny user a%20b,c"], { ...ip("1.1.1.1"), user: "a b" }, "deny 1"],
  // Names.
  [["deny A.Example."], name("a.example"), "deny 1"],
  [["deny A.Example."], name("b.a.example"), "-"],
  [["deny *.example"], name("a.example"), "deny 1"],
  [["deny *.example"], name("b.a.example"), "deny 1"],
  [["deny *.example"], name("example"), "-"],
  [["deny *.example"], name("badexample"), "-"],
  [["deny *.bücher.example"], name("a.xn--bcher-kva.example"), "deny 1"],
  [["deny *"], name("a.example"), "deny 1"],
  [["deny a.example"], name("a.example", "192.0.2.1"), "deny 1"],
  [["deny a.example"], ip("192.0.2.1"), "-"],
  [["allow a.example"], name("a.example", "10.0.0.1"), "allow 1"],
  // Addresses.
  [["deny 10.0.0.0/8"], name("a.example", "10.9.9.9"), "deny 1"],
  [["deny 10.0.0.0/8"], name("a.example", "11.0.0.0"), "-"],
  [["deny 10.0.0.0/8"], ip("::ffff:10.0.0.1"), "deny 1"],
  [["deny 10.0.0.0/8"], ip("64:ff9b::a00:1"), "deny 1"],
  [["deny 10.0.0.0/8"], ip("2002:a00:1::"), "deny 1"],
  [["deny [::ffff:10.0.0.0/104]"], ip("10.0.0.1"), "deny 1"],
  [["deny 0x7f.0.0.1"], ip("127.0.0.1"), "deny 1"],
  [["deny [2001:db8::/32]"], ip("2001:db8:ffff::1"), "deny 1"],
  [["deny [2001:db8::/32]"], ip("2001:db9::"), "-"],
  [["deny [::/0]"], ip("10.0.0.1"), "-"],
  [["deny 0.0.0.0/0"], ip("2001:db8::1"), "-"],
  // An address that is given as a hostname only: with a dialer.
  [["deny 10.0.0.0/8"], name("10.0.0.1"), "deny 1"],
  [["deny [::1]"], name("::1"), "deny 1"],
  [["deny 127.0.0.0/8"], name("0.0.0.0"), "deny 1"],
  [["deny 127.0.0.0/8"], name("::ffff:0.0.0.0"), "deny 1"],
  [["deny [::1]"], name("::"), "deny 1"],
  [["deny [::1]"], name("0.0.0.0"), "-"],
  [["deny 127.0.0.0/8"], name("0.0.0.1"), "-"],
  // Ports.
  [["deny *:25"], { ...ip("1.1.1.1"), port: 25 }, "deny 1"],
  [["deny *:25"], { ...ip("1.1.1.1"), port: 26 }, "-"],
  [["deny *:1-25+80"], { ...ip("1.1.1.1"), port: 1 }, "deny 1"],
  [["deny *:1-25+80"], { ...ip("1.1.1.1"), port: 25 }, "deny 1"],
  [["deny *:1-25+80"], { ...ip("1.1.1.1"), port: 0 }, "-"],
  [["deny *:1-25+80"], { ...ip("1.1.1.1"), port: 80 }, "deny 1"],
  [["deny a:1,b:2"], { hostname: "a", port: 2 }, "-"],
  [["deny a:1,b:2"], { hostname: "b", port: 2 }, "deny 1"],
  [["deny [::1]:80"], ip("::1"), "deny 1"],
  [["deny [::1]:81"], ip("::1"), "-"],
  // The catch-all opens what the default does; a named target is always opened.
  [["allow *"], ip("10.0.0.1"), "default 1"],
  [["allow *:80"], ip("10.0.0.1"), "default 1"],
  [["allow user al"], { ...ip("10.0.0.1"), user: "al" }, "default 1"],
  [["allow *,10.0.0.0/8"], ip("10.0.0.1"), "allow 1"],
  [["allow 10.0.0.0/8,*"], ip("10.0.0.1"), "allow 1"],
  [["allow *,10.0.0.0/8"], ip("1.1.1.1"), "default 1"],
  [["allow *,10.0.0.0/8:81"], ip("10.0.0.1"), "default 1"],
  [["allow 0.0.0.0/0"], ip("10.0.0.1"), "allow 1"],
  [["allow *.example"], name("a.example", "10.0.0.1"), "allow 1"],
  // A name before it is resolved: denied when the addresses cannot change that.
  [["deny 10.0.0.0/8"], name("a.example"), "-"],
  [["deny a.example", "allow *"], name("a.example"), "deny 1"],
  [["allow 10.0.0.0/8", "deny a.example"], name("a.example"), "-"],
  [["allow 10.0.0.0/8:81", "deny a.example"], name("a.example"), "deny 2"],
  [["allow user al 10.0.0.0/8", "deny a.example"], name("a.example"), "deny 2"],
  [["allow from 10.0.0.0/8 10.0.0.0/8"], name("a.example"), "deny none"],
  [["deny 10.0.0.0/8", "deny a.example"], name("a.example"), "deny 2"],
  [["deny 10.0.0.0/8", "allow a.example"], name("a.example"), "-"],
  [["deny 10.0.0.0/8", "allow a.example"], name("b.example"), "deny none"],
  [["deny 10.0.0.0/8,*.example"], name("a.example"), "deny 1"],
  [["allow a.example"], name("a.example"), "allow 1"],
  [["allow *"], name("a.example"), "default 1"],
  // Any peer: its address is not known yet either.
  [["allow bind 10.0.0.0/8"], { ...name("0.0.0.0"), command: "bind" }, "-"],
  [["allow bind 10.0.0.0/8"], { ...name("::"), command: "bind" }, "-"],
  [["allow bind 10.0.0.0/8"], {
    ...name("0.0.0.0", "10.0.0.1"),
    command: "bind",
  }, "allow 1"],
  [["allow bind 10.0.0.0/8"], {
    ...name("0.0.0.0", "11.0.0.1"),
    command: "bind",
  }, "deny none"],
  [["deny 0.0.0.0/8"], { ...name("0.0.0.0"), command: "bind" }, "-"],
  [["deny 0.0.0.0/8"], name("0.0.0.0"), "deny 1"],
  [["deny bind"], { ...name("0.0.0.0"), command: "bind" }, "deny 1"],
];

for (const [list, asked, expected] of matches) {
  const shown = Object.values(asked).join(" ");
  test(`rules() returns ${expected} for ${shown} with ${JSON.stringify(list)}`, () => {
    assertEquals(decided(list, asked), expected);
  });
}

test("rules() returns the rule, and how to connect", () => {
  const policy = rules([
    "allow A.example via 192.0.2.7 prefer ipv6",
    { action: "allow", prefer: "ipv4" },
    "deny *",
  ]);
  assertEquals(ask(policy, name("a.example", "10.0.0.1")), {
    verdict: "allow",
    rule: "allow a.example via 192.0.2.7 prefer ipv6",
    localAddress: "192.0.2.7",
    family: 6,
  });
  assertEquals(ask(policy, ip("1.1.1.1")), {
    verdict: "default",
    rule: "allow * prefer ipv4",
    family: 4,
  });
});

test("rules() copies its arguments", () => {
  const users = ["al"];
  const list: Rule[] = [{ action: "deny", users }];
  const policy = rules(list);
  users[0] = "bo";
  list.pop();
  assertEquals(ask(policy, { ...ip("1.1.1.1"), user: "al" })?.verdict, "deny");
});

/** Blocks of addresses in the model: the first characters of the addresses in them. */
const BLOCKS: Record<string, string> = {
  "10.0.0.0/8": "10.",
  "10.1.0.0/16": "10.1.",
  "192.0.2.7": "192.0.2.7",
  "[2001:db8::/32]": "2001:db8:",
};
const ADDRESSES = ["10.1.2.3", "10.9.9.9", "192.0.2.7", "2001:db8::5", "::1"];
const NAMES = ["a.test", "b.a.test", "c.b.a.test", "test", "xa.test"];
const HOSTS = ["*", "a.test", "*.a.test", "*.test", ...Object.keys(BLOCKS)];
const USERS = [undefined, "al", "bo"];
const CLIENTS = ["10.1.1.1", "10.2.2.2", "192.0.2.7"];
const COMMANDS: CommandName[] = [
  "connect",
  "bind",
  "udp-associate",
  "resolve",
  "resolve-ptr",
];
const PORTS = [1, 80, 443];

/** A rule in the model. */
interface Drawn {
  action: string;
  command?: CommandName;
  from?: string;
  user?: string;
  targets: { host: string; range?: [number, number] }[];
}

/** Pseudorandom numbers below `limit`, the same in every run. */
function dice(seed: number): (limit: number) => number {
  return (limit) => {
    seed = Math.imul(seed ^ seed >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return ((seed ^ seed >>> 13) >>> 0) % limit;
  };
}

function draw(roll: (limit: number) => number): Drawn {
  const one = <T>(list: readonly T[]) => list[roll(list.length)];
  const maybe = <T>(list: readonly T[]) => roll(3) ? undefined : one(list);
  return {
    action: one(["allow", "deny"]),
    command: maybe(COMMANDS),
    from: maybe(["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7"]),
    user: maybe(["*", "al", "bo"]),
    targets: Array.from({ length: 1 + roll(2) }, () => ({
      host: one(HOSTS),
      range: maybe<[number, number]>([[1, 80], [80, 80], [100, 500]]),
    })),
  };
}

function write({ action, command, from, user, targets }: Drawn): string {
  const written = targets.map(({ host, range }) =>
    range ? `${host}:${range.join("-")}` : host
  );
  return [
    action,
    command,
    from && `from ${from}`,
    user && `user ${user}`,
    written.join(","),
  ].filter(Boolean).join(" ");
}

/** The verdict of a list, computed slowly; `isIn` decides which blocks contain the address. */
function modelled(
  list: Drawn[],
  { command, client = "", user, hostname, port = 0 }: Asked,
  isIn: (block: string, rule: number, target: number) => boolean,
): string {
  for (const [i, rule] of list.entries()) {
    if (rule.command && rule.command !== command) continue;
    if (rule.from && !client.startsWith(BLOCKS[rule.from])) continue;
    if (rule.user && (user === undefined || !["*", user].includes(rule.user))) {
      continue;
    }
    const found = rule.targets.filter(({ host, range }, j) => {
      if (range && !(range[0] <= port && port <= range[1])) return false;
      if (host === "*" || host === hostname) return true;
      if (host.startsWith("*.")) {
        return hostname.split(".").some((_, k, labels) =>
          k > 0 && labels.slice(k).join(".") === host.slice(2)
        );
      }
      return BLOCKS[host] !== undefined && isIn(host, i, j);
    });
    if (found.length === 0) continue;
    const named = found.some(({ host }) => host !== "*");
    const said = rule.action === "deny" || named ? rule.action : "default";
    return `${said} ${formatRule(parseRule(write(rule)))}`;
  }
  return list.some(({ action }) => action === "allow")
    ? "deny no rule allows it"
    : "default";
}

/** The verdicts of a list for every combination of blocks that could contain the address. */
function allModelled(list: Drawn[], asked: Asked): Set<string> {
  const places = new Map<string, number>();
  for (const [i, { targets }] of list.entries()) {
    for (const [j, { host }] of targets.entries()) {
      if (BLOCKS[host]) places.set(`${i} ${j}`, places.size);
    }
  }
  const said = new Set<string>();
  for (let bits = 0; bits < 1 << places.size; bits++) {
    const isIn = (_: string, i: number, j: number) =>
      (bits >> places.get(`${i} ${j}`)! & 1) === 1;
    said.add(modelled(list, asked, isIn));
  }
  return said;
}

const shown = (said: Verdict | undefined) =>
  said ? `${said.verdict} ${said.rule}` : "default";

test("rules() agrees with a slow model of it", () => {
  const roll = dice(20);
  let denied = 0;
  for (let round = 0; round < 3_000; round++) {
    const list = Array.from({ length: roll(5) }, () => draw(roll));
    const texts = list.map(write);
    const policy = rules(texts);
    const asked: Asked = {
      command: COMMANDS[roll(3)],
      client: CLIENTS[roll(3)],
      user: USERS[roll(3)],
      port: PORTS[roll(3)],
      hostname: NAMES[roll(NAMES.length)],
    };
    const about = JSON.stringify([texts, asked]);

    const address = ADDRESSES[roll(ADDRESSES.length)];
    const isIn = (block: string) => address.startsWith(BLOCKS[block]);
    for (const hostname of [asked.hostname, address]) {
      const request = { ...asked, hostname, address };
      const expected = modelled(list, request, isIn);
      assertEquals(shown(ask(policy, request)), expected, about + address);
    }

    const possible = allModelled(list, asked);
    const said = shown(ask(policy, asked));
    const isDenied = [...possible].every((it) => it.startsWith("deny"));
    assertEquals(said.startsWith("deny"), isDenied, about);
    assert(said === "default" || possible.has(said), about);
    if (possible.size === 1) assert(possible.has(said), about);
    if (isDenied && possible.size > 1) denied++;
  }
  assert(denied > 0, "no list denies a name for more than one reason");
});

const questions: [text: string, question: unknown][] = [
  ["user alice connect db.internal:5432 from 203.0.113.9", {
    command: "connect",
    hostname: "db.internal",
    port: 5432,
    client: "203.0.113.9",
    user: "alice",
  }],
  ["BÜCHER.example.:80", {
    command: "connect",
    hostname: "xn--bcher-kva.example",
    port: 80,
    client: "127.0.0.1",
  }],
  ["bind 0.0.0.0 from [::1] user a%2Cb", {
    command: "bind",
    hostname: "0.0.0.0",
    port: 0,
    client: "::1",
    user: "a,b",
  }],
  ["resolve a.test user al", {
    command: "resolve",
    hostname: "a.test",
    port: 0,
    client: "127.0.0.1",
    user: "al",
  }],
  ["resolve-ptr [::0001]", {
    command: "resolve-ptr",
    hostname: "::1",
    port: 0,
    client: "127.0.0.1",
  }],
  ["UDP-associate [::0001]:53 from ::ffff:10.0.0.1", {
    command: "udp-associate",
    hostname: "::1",
    port: 53,
    client: "10.0.0.1",
  }],
];

for (const [text, question] of questions) {
  test(`parseQuestion() parses ${text}`, () => {
    assertEquals(
      parseQuestion(text),
      question as ReturnType<typeof parseQuestion>,
    );
  });
}

const badQuestions: [text: string, message: string][] = [
  [
    "",
    "the target is missing: [COMMAND] [user USER] HOST:PORT [from ADDRESS]",
  ],
  ["user al", "the target is missing"],
  ["a.example", "needs one port"],
  ["a.example:1-2", "needs one port"],
  ["a.example:65536", "needs one port"],
  ["*:80", '"*" is neither a name nor an IP address'],
  ["10.0.0.0/8:80", "is neither a name nor an IP address"],
  ["a:80,b:80", "needs one port"],
  ["connect,bind a:80", "one command at a time"],
  ["user * a:80", "user takes one name"],
  ["user a,b a:80", "user takes one name"],
  ["a:80 from 10.0.0.0/8", "from takes one IP address"],
  ["a:80 via 10.0.0.1", "before a value from, user"],
  ["resolve a:80", "a look-up has no port: resolve a"],
  ["resolve-ptr a", 'resolve-ptr takes an IP address, not "a"'],
];

for (const [text, message] of badQuestions) {
  test(`parseQuestion() rejects ${JSON.stringify(text)}`, () => {
    const error = assertThrows(() => parseQuestion(text), TypeError);
    assertStringIncludes(error.message, message);
  });
}

const lookup = () => ["10.0.0.1", "1.1.1.1", "::ffff:10.0.0.2"];

const explained: [list: string[], question: string, said: string[]][] = [
  [["allow a.test"], "b.test:80", ["deny: no rule allows it"]],
  [["allow a.test"], "a.test:80", ["allow: allow a.test"]],
  [["allow 1.1.1.1"], "1.1.1.1:80", ["1.1.1.1 allow: allow 1.1.1.1"]],
  [["allow *"], "10.0.0.1:80", [
    "10.0.0.1 deny: special-purpose address 10.0.0.1",
  ]],
  [[], "1.1.1.1:80", ["1.1.1.1 allow: no rule matches"]],
  [["deny 10.0.0.2", "allow 10.0.0.0/8,*"], "a.test:80", [
    "10.0.0.1 allow: allow 10.0.0.0/8,*",
    "1.1.1.1 allow: allow 10.0.0.0/8,*",
    "10.0.0.2 deny: deny 10.0.0.2",
  ]],
  [["allow bind 1.1.1.1"], "bind 0.0.0.0", ["depends: the addresses decide"]],
  [["deny connect,bind *"], "resolve a.test", [
    "10.0.0.1 deny: special-purpose address 10.0.0.1",
    "1.1.1.1 allow: no rule matches",
    "10.0.0.2 deny: special-purpose address 10.0.0.2",
  ]],
  [["allow *:443"], "resolve a.test", ["deny: no rule allows it"]],
  [["allow resolve *"], "resolve-ptr 1.1.1.1", [
    "1.1.1.1 deny: no rule allows it",
  ]],
  [["deny 127.0.0.1", "allow 0.0.0.0/0"], "0:80", [
    "127.0.0.1 deny: deny 127.0.0.1",
  ]],
  [["allow *"], "9.9.9.9:80", [
    "9.9.9.9 deny: the server's own address 9.9.9.9",
  ]],
  [["allow 9.9.9.9"], "9.9.9.9:80", ["9.9.9.9 allow: allow 9.9.9.9"]],
];

const isOwn = (address: string) => address === "9.9.9.9";

for (const [list, question, said] of explained) {
  test(`explain() explains ${question} with ${JSON.stringify(list)}`, async () => {
    const options = { exposed: true, lookup, isOwn };
    const rows = await explain(rules(list), parseQuestion(question), options);
    const texts = rows.map(({ address, verdict, rule }) =>
      `${address ? `${address} ` : ""}${verdict}: ${rule}`
    );
    assertEquals(texts, said);
  });
}

test("explain() reports the rule that matches first and leaves an address closed", async () => {
  const list = ["deny *:25", "allow user bob", "allow user bob 10.0.0.0/8"];
  const ask = (list: string[], exposed = true) =>
    explain(rules(list), parseQuestion("user bob 10.0.0.1:80"), { exposed });
  const [closed] = await ask(list);
  assertEquals([closed.verdict, closed.matched], ["deny", "allow user bob *"]);
  const [reversed] = await ask([...list].reverse());
  assertEquals([reversed.verdict, reversed.matched], ["allow", undefined]);
  const [none] = await ask(["deny *:25"]);
  assertEquals([none.verdict, none.matched], ["deny", undefined]);
});

for (
  const text of [
    "allow private.",
    "allow associate.,https.:8443",
    "allow 80-90.",
    "allow user private,https",
    "deny *.private",
  ]
) {
  test(`formatRule() formats a host that looks like a filter: ${text}`, () => {
    const whole = text.includes("user") ? `${text} *` : text;
    assertEquals(formatRule(parseRule(text)), whole);
    assertEquals(parseRule(formatRule(parseRule(text))), parseRule(text));
  });
}

test("explain() needs no look-up when the addresses do not decide", async () => {
  const question = parseQuestion("a.test:80");
  const verdict = async (list: string[], exposed: boolean) =>
    (await explain(rules(list), question, { exposed }))
      .map(({ verdict }) => verdict);
  assertEquals(await verdict(["allow *"], false), ["allow"]);
  assertEquals(await verdict(["allow *"], true), ["depends"]);
  assertEquals(await verdict(["deny 10.0.0.0/8"], false), ["depends"]);
  assertEquals(await verdict(["deny *:80"], true), ["deny"]);
});

test("rules() has the names of the upstreams of its rules", () => {
  assertEquals(rules(["allow *"]).through, []);
  const list = [
    "allow a through tor",
    "allow b through direct",
    "allow c through tor",
  ];
  assertEquals(rules(list).through, ["tor", "direct"]);
});

test("rules() does not match addresses with a name that is resolved elsewhere", () => {
  const session = { client: { hostname: "192.0.2.1" } };
  const ask = (list: string[], hostname: string) => {
    const policy = rules(list);
    const request = {
      session,
      command: "connect",
      hostname,
      port: 80,
    } as const;
    const { verdict, through } =
      policy({ ...request, resolvedElsewhere: true }) ?? {};
    return [verdict, through];
  };
  // With and without an index.
  for (const count of [0, 100]) {
    const before = Array.from(
      { length: count },
      (_, i) => `deny 10.0.${i}.0/24`,
    );
    const and = (...list: string[]) => [...before, ...list];
    const tor = "allow *.test through tor";
    assertEquals(ask(and("deny 10.0.0.0/8", tor), "a.test"), ["allow", "tor"]);
    assertEquals(ask(and("allow 10.0.0.0/8", tor), "a.test"), ["allow", "tor"]);
    assertEquals(ask(and("allow 10.0.0.0/8"), "a.test"), ["deny", undefined]);
    assertEquals(ask(and("deny 10.0.0.0/8,a.test", tor), "a.test"), [
      "deny",
      undefined,
    ]);
    assertEquals(ask(and("allow * through tor"), "a.test"), ["default", "tor"]);
    if (count > 0) assertEquals(ask(before, "a.test"), [undefined, undefined]);
  }
});
