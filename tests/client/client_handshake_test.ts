/** Handshakes without I/O. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  anonymous,
  chapLogin,
  type ClientAuth,
  ClientHandshake,
  type Endpoint,
  errorAtHop,
  type HandshakeOptions,
  NetError,
  parseHops,
  passwordLogin,
  SocksError,
  type SocksErrorCode,
  type SocksPhase,
} from "../../src/client/mod.ts";
import { hmacMd5 } from "../../src/crypto/hmac_md5.ts";
import { test } from "../support/harness.ts";
import { join, octets } from "../support/table.ts";

const NAME = { hostname: "target.test", port: 80 };
const IP = { hostname: "192.0.2.1", port: 80 };
const CHALLENGE = octets("32*C7");
const RESPONSE = hmacMd5(octets('"pw"'), CHALLENGE);
const NOWHERE = { hostname: "0.0.0.0", port: 0 };
const BOUND = { hostname: "10.0.0.1", port: 0x1234 };

/** What the client sends, and what the proxy answers. */
type Exchange = readonly [sends: string, answer: string];

interface Dialogue {
  readonly name: string;
  readonly proxy: string;
  readonly target: Endpoint;
  readonly options?: HandshakeOptions;
  readonly exchanges: readonly Exchange[];
  readonly bound: Endpoint;
}

const REQUEST5 = '05 01 00 03 0B "target.test" 00 50';
const GRANTED5 = "05 00 00 01 0A 00 00 01 12 34";
const hex = (bytes: Uint8Array) =>
  [...bytes].map((it) => it.toString(16).padStart(2, "0")).join(" ");
/** A method whose only message is one of the client. */
const token: ClientAuth = {
  number: 0x80,
  name: "token",
  steps: () => ({
    start: () => ({ send: octets("01 02"), done: true }),
    feed: () => undefined,
  }),
};

const dialogues: Dialogue[] = [
  {
    name: "SOCKS4",
    proxy: "socks4://al@h",
    target: IP,
    exchanges: [['04 01 00 50 C0 00 02 01 "al" 00', "00 5A 12 34 0A 00 00 01"]],
    bound: BOUND,
  },
  {
    name: "SOCKS4a",
    proxy: "socks4a://h",
    target: NAME,
    exchanges: [[
      '04 01 00 50 00 00 00 01 00 "target.test" 00',
      "00 5A 00 00 00 00 00 00",
    ]],
    bound: NOWHERE,
  },
  {
    name: "SOCKS5 without authentication",
    proxy: "socks5h://h",
    target: NAME,
    exchanges: [["05 01 00", "05 00"], [REQUEST5, GRANTED5]],
    bound: BOUND,
  },
  {
    name: "SOCKS5 with an IP address, and a bound address of IPv6",
    proxy: "socks5://h",
    target: IP,
    exchanges: [["05 01 00", "05 00"], [
      "05 01 00 01 C0 00 02 01 00 50",
      "05 00 00 04 FD 00 14*01 12 34",
    ]],
    bound: { hostname: "fd00:101:101:101:101:101:101:101", port: 0x1234 },
  },
  {
    name: "SOCKS5 with a password",
    proxy: "socks5h://al:pw@h",
    target: NAME,
    exchanges: [
      ["05 02 00 02", "05 02"],
      ['01 02 "al" 02 "pw"', "01 00"],
      [REQUEST5, GRANTED5],
    ],
    bound: BOUND,
  },
  {
    name: "SOCKS5 with CHAP",
    proxy: "socks5h://al:pw@h",
    target: NAME,
    options: { auth: [chapLogin()] },
    exchanges: [
      ["05 01 03", "05 03"],
      [
        '01 02 11 01 85 02 02 "al"',
        `01 02 11 01 85 03 20 ${hex(CHALLENGE)}`,
      ],
      [`01 01 04 10 ${hex(RESPONSE)}`, "01 01 00 01 00"],
      [REQUEST5, GRANTED5],
    ],
    bound: BOUND,
  },
  {
    name: "SOCKS5 with a method that needs no answer",
    proxy: "socks5h://h",
    target: NAME,
    options: { auth: [token] },
    exchanges: [["05 01 80", "05 80"], [`01 02 ${REQUEST5}`, GRANTED5]],
    bound: BOUND,
  },
  {
    name: "BIND of SOCKS5",
    proxy: "socks5h://h",
    target: { hostname: "0.0.0.0", port: 0 },
    options: { command: 2 },
    exchanges: [["05 01 00", "05 00"], ["05 02 00 01 6*00", GRANTED5]],
    bound: BOUND,
  },
  {
    name: "HTTP",
    proxy: "http://h",
    target: NAME,
    exchanges: [[
      '"CONNECT target.test:80 HTTP/1.1" 0D 0A "Host: target.test:80" 0D 0A 0D 0A',
      '"HTTP/1.1 103 Early" 0D 0A "A: b" 0D 0A 0D 0A "HTTP/1.1 200 OK" 0A "Via: c" 0D 0A 0A',
    ]],
    bound: NOWHERE,
  },
  {
    name: "HTTP with a login",
    proxy: "https://al:pw@h",
    target: NAME,
    exchanges: [[
      '"CONNECT target.test:80 HTTP/1.1" 0D 0A "Host: target.test:80" 0D 0A ' +
      `"Proxy-Authorization: Basic ${btoa("al:pw")}" 0D 0A 0D 0A`,
      '"HTTP/1.0 200" 0D 0A 0D 0A',
    ]],
    bound: NOWHERE,
  },
];

const begin = ({ proxy, target, options }: Omit<Dialogue, "exchanges">) =>
  new ClientHandshake(proxy, target, options);

for (const dialogue of dialogues) {
  const { name, exchanges, bound } = dialogue;
  const last = exchanges.length - 1;

  test(`ClientHandshake does ${name} octet by octet, and keeps early data`, () => {
    for (const early of ["", "00", '"HTTP/1.1 200 OK" 0D 0A 0D 0A']) {
      for (const size of [1, 2, 3, 7, 1_000]) {
        const handshake = begin(dialogue);
        assertEquals([handshake.phase, handshake.done], ["dial", false]);
        let sent: Uint8Array | undefined = handshake.start();
        exchanges.forEach(([sends, answer], i) => {
          assertEquals(sent, octets(sends));
          sent = undefined;
          const message = octets(i === last ? `${answer} ${early}` : answer);
          const end = octets(answer).length;
          let rest: Uint8Array = new Uint8Array(0);
          for (let at = 0; at < message.length; at += size) {
            assertEquals(handshake.done, i === last && at >= end);
            const chunk = message.slice(at, at + size);
            if (handshake.done) rest = join(rest, chunk);
            else sent ??= handshake.feed(chunk);
            chunk.fill(0xee); // a caller may use its memory again
          }
          if (i < last) return;
          assertEquals(join(handshake.rest, rest), octets(early));
        });
        assertEquals([handshake.done, sent], [true, undefined]);
        assertEquals(handshake.bound, bound);
        assertThrows(() => handshake.feed(octets("00")), TypeError);
      }
    }
  });

  test(`ClientHandshake does ${name} when the proxy answers everything at once`, () => {
    const handshake = begin(dialogue);
    const sent = [handshake.start()];
    const answers = exchanges.map(([, answer]) => answer).join(" ");
    sent.push(handshake.feed(octets(`${answers} AB CD`)) ?? octets(""));
    const expected = exchanges.map(([sends]) => sends).join(" ");
    assertEquals(join(...sent), octets(expected));
    assertEquals(handshake.bound, bound);
    assertEquals(handshake.rest, octets("AB CD"));
  });

  test(`ClientHandshake reports a connection that ends at each octet of ${name}`, () => {
    const handshake = begin(dialogue);
    assertEquals(handshake.ended().code, "proxy-unreachable");
    handshake.start();
    for (const octet of octets(exchanges.map(([, it]) => it).join(" "))) {
      const { phase } = handshake;
      const error = handshake.ended();
      const isRefused = phase === "method" && dialogue.proxy.includes("+tls");
      assertEquals(error.code, isRefused ? "tls-refused" : "proxy-closed");
      assertEquals(error.phase, phase);
      handshake.feed(Uint8Array.of(octet));
    }
    assert(handshake.done);
  });
}

/** Rows: name, proxy, what it answers, the code, phase and reply; `after` octets it is known. */
const failures: [
  name: string,
  proxy: string,
  answer: string,
  code: SocksErrorCode,
  phase: SocksPhase,
  reply?: number,
][] = [
  ["no method", "socks5h://h", "05 FF", "no-method", "method"],
  [
    "a method that was not offered",
    "socks5h://h",
    "05 02",
    "protocol",
    "method",
  ],
  ["HTTP", "socks5h://h", '"H"', "protocol", "method"],
  ["a wrong login", "socks5h://a:b@h", "05 02 01 01", "login-failed", "auth"],
  ...[1, 2, 3, 4, 5, 6, 7, 8, 0xff].map((reply) =>
    [
      `reply ${reply}`,
      "socks5h://h",
      `05 00 05 ${hex(Uint8Array.of(reply))}`,
      "rejected",
      "request",
      reply,
    ] as (typeof failures)[number]
  ),
  [
    "a reply of another version",
    "socks5h://h",
    "05 00 04",
    "protocol",
    "request",
  ],
  [
    "an unknown type of address",
    "socks5h://h",
    "05 00 05 00 00 02",
    "protocol",
    "request",
  ],
  ...[0x5b, 0x5c, 0x5d].map((reply) =>
    [
      `reply ${reply} of SOCKS4`,
      "socks4a://h",
      `00 ${hex(Uint8Array.of(reply))} 6*00`,
      "rejected",
      "request",
      reply,
    ] as (typeof failures)[number]
  ),
  ["SOCKS5", "socks4a://h", "05 FF", "protocol", "request"],
  [
    "a login that is missing",
    "http://h",
    '"HTTP/1.1 407 No" 0D 0A 0D 0A',
    "login-failed",
    "auth",
  ],
  [
    "a login that is wrong",
    "http://a:b@h",
    '"HTTP/1.1 407 No" 0D 0A 0D 0A',
    "login-failed",
    "auth",
  ],
  [
    "status 503",
    "http://h",
    '"HTTP/1.1 503 No" 0D 0A 0D 0A',
    "rejected",
    "request",
    503,
  ],
  ["SSH", "http://h", '"S"', "protocol", "request"],
  [
    "a control character",
    "http://h",
    '"HTTP/1.1 200" 00',
    "protocol",
    "request",
  ],
  [
    "a header that is too long",
    "http://h",
    `"HTTP/1.1 200" 0D 0A ${16 * 1024 - 14}*61`,
    "protocol",
    "request",
  ],
];

for (const [name, proxy, answer, code, phase, reply] of failures) {
  test(`ClientHandshake throws ${code} for ${name} from ${proxy.split(":")[0]}:, at the octet that says so`, () => {
    const message = octets(answer);
    for (const size of [1, message.length]) {
      const handshake = new ClientHandshake(proxy, NAME);
      handshake.start();
      for (let at = 0; at + size < message.length; at += size) {
        handshake.feed(message.slice(at, at + size));
      }
      const final = message.slice(message.length - size);
      const feed = () => handshake.feed(final);
      const error = assertThrows(feed, SocksError);
      assertEquals([error.code, error.phase], [code, phase], error.message);
      assertEquals(error.reply, reply);
      assert(!handshake.done);
      // It stays so.
      assertEquals(assertThrows(feed, SocksError), error);
      assertEquals(handshake.ended(), error);
    }
  });
}

test("ClientHandshake looks at each octet of an HTTP header once", () => {
  // Quadratic work on 16 KiB would be 134 million octets; the test would exceed its limit.
  const start = octets('"HTTP/1.1 200 OK" 0D 0A');
  for (let run = 0; run < 50; run++) {
    const handshake = new ClientHandshake("http://h", NAME);
    handshake.start();
    handshake.feed(start);
    const octet = octets("61");
    for (let at = start.length; at < 16 * 1024 - 1; at++) handshake.feed(octet);
    assertThrows(() => handshake.feed(octet), SocksError);
  }
}, { timeout: 20_000 });

test("ClientHandshake reports timeouts and aborts of its user", () => {
  const handshake = new ClientHandshake("socks5h://h", NAME);
  handshake.start();
  const late = handshake.stopped(new NetError("timeout", "no reply"));
  assertEquals([late.code, late.phase], ["timeout", "method"]);
  const reason = new DOMException("late", "TimeoutError");
  assertEquals(handshake.stopped(reason).code, "timeout");
  assertEquals(handshake.stopped().code, "aborted");
});

test("ClientHandshake waits for the second reply to BIND", () => {
  const second = octets("05 00 00 01 7F 00 00 01 00 50 AA");
  for (const isEarly of [false, true]) {
    const bind = { command: 2 };
    const handshake = new ClientHandshake("socks5h://h", NOWHERE, bind);
    handshake.start();
    handshake.feed(octets("05 00"));
    const first = octets(GRANTED5);
    handshake.feed(isEarly ? join(first, second) : first);
    assertEquals(handshake.bound, BOUND);
    handshake.awaitPeer();
    assertEquals(handshake.phase, "bind");
    assertEquals(handshake.done, isEarly);
    if (!isEarly) {
      assertThrows(() => handshake.bound, TypeError);
      handshake.feed(second);
    }
    assertEquals(handshake.bound, { hostname: "127.0.0.1", port: 80 });
    assertEquals(handshake.rest, octets("AA"));
  }
  const other = new ClientHandshake("socks5h://h", NAME);
  assertThrows(() => other.awaitPeer(), TypeError);
});

test("ClientHandshake throws for calls in the wrong order", () => {
  const handshake = new ClientHandshake("socks5h://h", NAME);
  assertThrows(() => handshake.feed(octets("05")), TypeError);
  assertThrows(() => handshake.bound, TypeError);
  assertThrows(() => handshake.rest, TypeError);
  handshake.start();
  assertThrows(() => handshake.start(), TypeError);
});

const own: ClientAuth = {
  number: 0x81,
  name: "own",
  negotiate: () => Promise.resolve(),
};

const invalid: [why: string, run: () => unknown, message: string][] = [
  [
    "a name over socks5:",
    () => new ClientHandshake("socks5://h", NAME),
    "carries no names",
  ],
  [
    "a name over socks4:",
    () => new ClientHandshake("socks4://h", NAME),
    "carries no names",
  ],
  [
    "a method with I/O",
    () => new ClientHandshake("socks5://h", IP, { auth: [anonymous(), own] }),
    "method own",
  ],
  [
    "a built-in method whose negotiation was replaced",
    () =>
      new ClientHandshake("socks5://a:b@h", IP, {
        auth: [{ ...passwordLogin(), negotiate: own.negotiate }],
      }),
    "method password",
  ],
  [
    "an unknown option",
    () =>
      new ClientHandshake("socks5://h", IP, { comand: 1 } as HandshakeOptions),
    '"command"',
  ],
  [
    "an invalid proxy",
    () => new ClientHandshake("sock5://h", IP),
    "begins with",
  ],
  ["an invalid target", () => new ClientHandshake("socks5://h", "x"), "port"],
  [
    "CHAP without a login",
    () => new ClientHandshake("socks5://h", IP, { auth: [chapLogin()] }),
    "chapLogin()",
  ],
];

for (const [why, run, message] of invalid) {
  test(`ClientHandshake throws a TypeError for ${why}`, () => {
    assertThrows(run, TypeError, message);
  });
}

const unsupported: [string, Endpoint, number, SocksErrorCode][] = [
  ["socks4://h", { hostname: "::1", port: 80 }, 1, "address-type"],
  ["socks4://h", IP, 3, "unsupported"],
  ["http://h", IP, 2, "unsupported"],
  ["https://h", IP, 0xf0, "unsupported"],
  ["http://h", IP, 0x55, "unsupported"],
  ["socks4a://h", IP, 0xf1, "unsupported"],
];

for (const [proxy, target, command, code] of unsupported) {
  test(`ClientHandshake throws ${code} for command ${command} to ${target.hostname} over ${proxy}`, () => {
    const run = () => new ClientHandshake(proxy, target, { command });
    assertEquals(assertThrows(run, SocksError).code, code);
  });
}

test("ClientHandshake reports an error of a method as login-failed", () => {
  const fail = () => {
    throw new Error("no key");
  };
  for (const at of ["steps", "start", "feed"]) {
    const steps = () => ({
      start: () => at === "start" ? fail() : {},
      feed: fail,
    });
    const method: ClientAuth = {
      number: 0x80,
      name: "key",
      steps: at === "steps" ? fail : steps,
    };
    const options = { auth: [method] };
    const handshake = new ClientHandshake("socks5h://h", NAME, options);
    handshake.start();
    const feed = () => handshake.feed(octets("05 80 00"));
    const error = assertThrows(feed, SocksError, "method key failed: no key");
    assertEquals([error.code, error.phase], ["login-failed", "auth"]);
  }
});

test("ClientHandshake ends a method that takes no octets and goes on", () => {
  const idle: ClientAuth = {
    number: 0x80,
    name: "idle",
    steps: () => ({ start: () => ({}), feed: () => ({ size: 0 }) }),
  };
  const options = { auth: [idle] };
  const handshake = new ClientHandshake("socks5h://h", NAME, options);
  handshake.start();
  const feed = () => handshake.feed(octets("05 80 00"));
  assertEquals(assertThrows(feed, SocksError).code, "login-failed");
});

test("SocksError names the proxy, and of a chain the hop", () => {
  const hops = parseHops("socks5h://al:pw@[::1]:1 socks5://b:2 http://c:3");
  const handshake = new ClientHandshake(hops[0], NAME);
  const error = handshake.ended(new Error("refused"));
  assertEquals(error.hop, { number: 1, address: "[::1]:1" });
  const alone = errorAtHop(error, 1, hops.slice(0, 1));
  assertEquals([alone.message, alone.hop], [error.message, error.hop]);
  const second = errorAtHop(error, 2, hops);
  assertEquals(second.hop, { number: 2, address: "b:2" });
  assertEquals(second.message, `hop 2 of 3 (b:2): ${error.message}`);
  assertEquals([second.code, second.cause], [error.code, error.cause]);
  handshake.start();
  const feed = () => handshake.feed(octets("05 00 05 05"));
  const rejected = assertThrows(feed, SocksError);
  assertEquals(rejected.hop?.number, 1);
  const down = errorAtHop(rejected, 1, hops);
  assertEquals(down.reply, 5);
  assertEquals(
    down.message,
    `hop 1 of 3 ([::1]:1) could not reach hop 2 (b:2): ${rejected.message}`,
  );
  assertEquals(
    errorAtHop(rejected, 3, hops).message.includes("not reach"),
    false,
  );
  assert(!`${down.stack}${second.stack}`.includes("pw"));
});

test("ClientHandshake limits the messages of a method that waits for ever", () => {
  const greedy: ClientAuth = {
    number: 0x80,
    name: "greedy",
    steps: () => ({ start: () => ({}), feed: () => undefined }),
  };
  const handshake = new ClientHandshake("socks5h://h", NAME, {
    auth: [greedy],
  });
  handshake.start();
  handshake.feed(octets("05 80"));
  const chunk = new Uint8Array(16 * 1024);
  const feed = () => {
    for (let i = 0; i < 5; i++) handshake.feed(chunk);
  };
  assertEquals(assertThrows(feed, SocksError).code, "protocol");
});

test("parseHops() reads one proxy, lists and texts", () => {
  const text = "socks5h://al:pw@[::1]:1 https://b.example\n socks4://c";
  const shown = parseHops(text).map((it) => `${it.protocol} ${it.port}`);
  assertEquals(shown, ["socks5h 1", "https 443", "socks4 1080"]);
  assertEquals(parseHops(text.split(/\s+/)), parseHops(text));
  assertEquals(parseHops(new URL("socks5://h"))[0].hostname, "h");
  const config = { protocol: "socks5", hostname: "h" } as const;
  assertEquals(parseHops(config)[0].port, 1080);
  assertEquals(parseHops(Array(16).fill("socks5://h")).length, 16);
});

test("parseHops() throws a TypeError without a password for anything else", () => {
  const wrong = [
    "",
    " ",
    [],
    undefined,
    null,
    ["socks5://h socks5://h"],
    "socks5://a:hunter2@h,socks5://a:hunter2@h",
    ["socks5://h", undefined],
    Array(17).fill("socks5://h"),
  ];
  for (const hops of wrong) {
    const error = assertThrows(() => parseHops(hops as string), TypeError);
    assert(!error.message.includes("hunter2"), error.message);
  }
});
