import { assertEquals, assertThrows } from "@std/assert";
import {
  COMMAND,
  decodeGreeting,
  decodeMethodChoice,
  decodeReply,
  decodeRequest,
  encodeGreeting,
  encodeMethodChoice,
  encodeReply,
  encodeRequest,
  METHOD,
  type Reply,
  type RequestMessage,
} from "../../src/protocol/socks5.ts";
import { test } from "../support/harness.ts";
import {
  assertVersion,
  join,
  octets,
  outcome,
  random,
  type Taken,
  testDecoder,
} from "../support/table.ts";

const LABEL = "a".repeat(63);
const LONGEST = `${`${LABEL}.`.repeat(3)}${LABEL}`;
const ALL = Array.from({ length: 255 }, (_, method) => method);

function offers(...methods: number[]): { methods: Uint8Array } {
  return { methods: Uint8Array.from(methods) };
}

function connect(hostname: string, port: number): RequestMessage {
  return { command: COMMAND.connect, hostname, port };
}

// Prefixes such as G1 number the cases of the conformance list.

testDecoder(decodeGreeting, [
  ["G1 one method", "05 01 00", offers(0)],
  ["G2 two methods", "05 02 00 02", offers(0, 2)],
  ["G3 two methods in reverse order", "05 02 02 00", offers(2, 0)],
  ["G4 no methods", "05 00", offers()],
  [
    "G5 255 methods",
    `05 FF ${ALL.map((n) => n.toString(16).padStart(2, "0")).join(" ")}`,
    offers(...ALL),
  ],
  ["G6 an unknown method", "05 01 7F", offers(0x7f)],
  ["A14 GSSAPI among others", "05 03 00 01 02", offers(0, 1, 2)],
  ["a method twice", "05 02 00 00", offers(0, 0)],
  ["FF as a method", "05 01 FF", offers(255)],
], [
  ["G7 version 6", "06", "version"],
  ["G8 HTTP", '"G"', "version"],
  ["a TLS hello", "16", "version"],
]);

test("METHOD has the methods of RFC 1928 and of IANA's registry", () => {
  const numbers = Object.values(METHOD);
  assertEquals(numbers, [0, 1, 2, 3, 5, 6, 7, 8, 9, 255]);
});

testDecoder(decodeMethodChoice, [
  ["no authentication", "05 00", METHOD.none],
  ["a login", "05 02", METHOD.password],
  ["no method", "05 FF", METHOD.unacceptable],
], [
  ["version 4", "04", "version"],
  ["a SOCKS4 reply", "00", "version"],
  ["HTTP", '"H"', "version"],
]);

testDecoder(decodeRequest, [
  ["C1 ATYP 1", "05 01 00 01 C0 00 02 01 00 50", connect("192.0.2.1", 80)],
  [
    "C2 ATYP 4",
    "05 01 00 04 FD 00 00 77 11*00 01 01 BB",
    connect("fd00:77::1", 443),
  ],
  [
    "C3 ATYP 3",
    '05 01 00 03 0B "target.test" 00 50',
    connect("target.test", 80),
  ],
  ["C3 a name of one octet", '05 01 00 03 01 "a" 00 50', connect("a", 80)],
  [
    "C3 a name in lower case",
    '05 01 00 03 03 "A_b" 00 50',
    connect("a_b", 80),
  ],
  [
    "C5 ATYP 3 with an IPv4 literal",
    '05 01 00 03 09 "192.0.2.1" 00 50',
    connect("192.0.2.1", 80),
  ],
  [
    "C6 ATYP 3 with an IPv6 literal",
    '05 01 00 03 0A "fd00:77::1" 00 50',
    connect("fd00:77::1", 80),
  ],
  [
    "C6 ATYP 3 with an IPv6 literal in another form",
    '05 01 00 03 15 "FD00:0077:0:0:0:0:0:1" 00 50',
    connect("fd00:77::1", 80),
  ],
  [
    "C8 a name without its trailing dot",
    '05 01 00 03 0C "target.test." 00 50',
    connect("target.test", 80),
  ],
  [
    "an IPv4 address in disguise",
    '05 01 00 03 06 "0X7F.1" 00 50',
    connect("127.0.0.1", 80),
  ],
  [
    "C10 a name of 255 octets in valid labels",
    `05 01 00 03 FF "${LONGEST}" 00 50`,
    connect(LONGEST, 80),
  ],
  ["C14 CMD 09", "05 09 00 01 C0 00 02 01 00 50", {
    ...connect("192.0.2.1", 80),
    command: 9,
  }],
  ["C15 RSV 55", "05 01 55 01 C0 00 02 01 00 50", connect("192.0.2.1", 80)],
  ["C17 port 0", "05 01 00 01 C0 00 02 01 00 00", connect("192.0.2.1", 0)],
  [
    "the last port",
    "05 01 00 01 C0 00 02 01 FF FF",
    connect("192.0.2.1", 65535),
  ],
  ["C23 0.0.0.0", "05 01 00 01 4*00 00 50", connect("0.0.0.0", 80)],
  [
    "C24 an IPv4-mapped address",
    "05 01 00 04 10*00 FF FF 01 02 03 04 00 50",
    connect("::ffff:1.2.3.4", 80),
  ],
  ["BIND", "05 02 00 01 C0 00 02 01 00 15", {
    ...connect("192.0.2.1", 21),
    command: COMMAND.bind,
  }],
  ["UDP ASSOCIATE", "05 03 00 01 4*00 00 00", {
    ...connect("0.0.0.0", 0),
    command: COMMAND.udpAssociate,
  }],
  ["RESOLVE", '05 F0 00 03 06 "a.test" 00 00', {
    ...connect("a.test", 0),
    command: COMMAND.resolve,
  }],
  ["RESOLVE_PTR", "05 F1 00 01 C0 00 02 01 00 00", {
    ...connect("192.0.2.1", 0),
    command: COMMAND.resolvePtr,
  }],
], [
  ["C7 an IPv6 literal in brackets", '05 01 00 03 0C "["', "hostname"],
  ["a zone", '05 01 00 03 0C "fe80::1%"', "hostname"],
  ["C9 a name of no octets", "05 01 00 03 00", "hostname"],
  [
    "C10 a name of 255 octets in one label",
    "05 01 00 03 FF 255*61",
    "hostname",
  ],
  ["C11 a NUL in the name", '05 01 00 03 11 "target.test" 00', "hostname"],
  ["a space in the name", '05 01 00 03 03 "a "', "hostname"],
  ["a control character in the name", '05 01 00 03 03 "a" 0A', "hostname"],
  ["UTF-8 in the name", '05 01 00 03 08 "m" C3', "hostname"],
  ["a colon in a name", '05 01 00 03 06 "name:1"', "hostname"],
  ["the name of the root", '05 01 00 03 01 "."', "hostname"],
  ["an empty label", '05 01 00 03 04 "a..b"', "hostname"],
  ["a number that is not an address", '05 01 00 03 07 "1.256.3"', "hostname"],
  ["a label of 64 octets", "05 01 00 03 40 64*61", "hostname"],
  ["C13 ATYP 02", "05 01 00 02", "address-type"],
  ["C13 ATYP 00", "05 01 00 00", "address-type"],
  ["C13 ATYP FF after an unknown command", "05 09 00 FF", "address-type"],
  ["C16 VER 04", "04", "version"],
  ["A11 a login", "01", "version"],
]);

/** Names in BND that are not valid hosts, with their length. */
const UNUSABLE = [
  "00",
  "01 00",
  '03 "a" 00 "b"',
  '05 "web.1"',
  '09 "1.2.3.4:5"',
  '05 "[::1]"',
  '06 "::1%lo"',
  '03 "a b"',
  "02 C3 A4",
  "01 FF",
  "FF 255*61",
];

testDecoder(decodeReply, [
  ["C1 BND with ATYP 1", "05 00 00 01 C0 00 02 01 00 50", {
    reply: 0,
    hostname: "192.0.2.1",
    port: 80,
  }],
  ["C2 BND with ATYP 4", "05 00 00 04 FD 00 00 77 11*00 01 00 50", {
    reply: 0,
    hostname: "fd00:77::1",
    port: 80,
  }],
  ["BND with ATYP 3", '05 00 00 03 05 "proxy" 00 50', {
    reply: 0,
    hostname: "proxy",
    port: 80,
  }],
  ["C22 an error with zeros", "05 05 00 01 4*00 00 00", {
    reply: 5,
    hostname: "0.0.0.0",
    port: 0,
  }],
  ["an unknown reply", "05 FE 00 01 4*00 00 00", {
    reply: 0xfe,
    hostname: "0.0.0.0",
    port: 0,
  }],
  ["RSV 55", "05 00 55 01 4*00 00 00", {
    reply: 0,
    hostname: "0.0.0.0",
    port: 0,
  }],
  ...UNUSABLE.map((name): Taken<Reply> => [
    `BND with the unusable name ${name}`,
    `05 00 00 03 ${name} 1D 49`,
    { reply: 0, hostname: "0.0.0.0", port: 7497 },
  ]),
], [
  ["version 1", "01", "version"],
  ["a SOCKS4 reply", "00", "version"],
  ["ATYP 02", "05 00 00 02", "address-type"],
]);

const DECODERS = [
  decodeGreeting,
  decodeMethodChoice,
  decodeRequest,
  decodeReply,
];

for (const decode of DECODERS) {
  test(`SOCKS5 ${decode.name}() rejects every version but 5`, () => {
    assertVersion<unknown>(decode, 5);
  });
}

test("decodeRequest() rejects every ATYP but 1, 3 and 4", () => {
  for (let type = 0; type <= 255; type++) {
    const expected = [1, 3, 4].includes(type) ? "more" : "address-type";
    const input = Uint8Array.of(5, 1, 0, type);
    assertEquals(outcome(decodeRequest, input), expected, `${type}`);
  }
});

test("decodeRequest() accepts every command and every RSV", () => {
  for (let octet = 0; octet <= 255; octet++) {
    const input = octets("05 01 00 01 C0 00 02 01 00 50");
    input[1] = octet;
    input[2] = 255 - octet;
    assertEquals(decodeRequest(input)?.value.command, octet);
  }
});

test("decodeRequest() rejects a name at the first octet that names must not contain", () => {
  for (let octet = 0; octet <= 255; octet++) {
    const input = join(octets("05 01 00 03 03 61"), Uint8Array.of(octet));
    const allowed = /^[a-z0-9._:-]$/i.test(String.fromCharCode(octet));
    assertEquals(outcome(decodeRequest, input), allowed ? "more" : "hostname");
  }
});

test("P2 P3 decoders find greeting, request and payload when one segment holds them all", () => {
  let input = octets(
    '05 01 00 05 01 00 03 0B "target.test" 00 50 "GET / HTTP/1.1"',
  );
  const greeting = decodeGreeting(input)!;
  input = input.subarray(greeting.size);
  const request = decodeRequest(input)!;
  input = input.subarray(request.size);
  assertEquals(greeting.value, offers(0));
  assertEquals(request.value, connect("target.test", 80));
  assertEquals(new TextDecoder().decode(input), "GET / HTTP/1.1");
});

test("encodeGreeting() encodes as RFC 1928 section 3 says", () => {
  assertEquals(encodeGreeting([METHOD.none]), octets("05 01 00"));
  assertEquals(encodeGreeting([0, 3, 2]), octets("05 03 00 03 02"));
  assertEquals(encodeGreeting(Uint8Array.of(2)), octets("05 01 02"));
  assertEquals(
    encodeGreeting(ALL),
    join(octets("05 FF"), Uint8Array.from(ALL)),
  );
});

test("encodeMethodChoice() encodes as RFC 1928 section 3 says", () => {
  assertEquals(encodeMethodChoice(METHOD.none), octets("05 00"));
  assertEquals(encodeMethodChoice(METHOD.unacceptable), octets("05 FF"));
});

test("encodeReply() returns 10 octets by default and 22 with an IPv6 address", () => {
  assertEquals(encodeReply({ reply: 7 }), octets("05 07 00 01 4*00 00 00"));
  assertEquals(
    encodeReply({ reply: 0, hostname: "::1", port: 1080 }),
    octets("05 00 00 04 15*00 01 04 38"),
  );
});

test("decodeGreeting() decodes what encodeGreeting() returns for random methods", () => {
  const next = random(3);
  for (let i = 0; i < 500; i++) {
    const methods = Uint8Array.from({ length: 1 + next(255) }, () => next(256));
    const octets = encodeGreeting(methods);
    const expected = { value: { methods }, size: octets.length };
    assertEquals(decodeGreeting(octets), expected);
  }
});

test("decoders decode what the SOCKS5 encoders return for every number", () => {
  for (let number = 0; number <= 255; number++) {
    for (const hostname of ["192.0.2.1", "2001:db8::1", "example.com"]) {
      const request = { command: number, hostname, port: number * 257 };
      const sent = encodeRequest(request);
      const size = sent.length;
      assertEquals(decodeRequest(sent), { value: request, size });
      const reply = { reply: number, hostname, port: number * 257 };
      assertEquals(decodeReply(encodeReply(reply)), { value: reply, size });
    }
    const choice = encodeMethodChoice(number);
    assertEquals(decodeMethodChoice(choice), { value: number, size: 2 });
  }
});

test("SOCKS5 encoders throw when a value does not fit", () => {
  assertThrows(() => encodeGreeting([]), TypeError, "methods");
  assertThrows(() => encodeGreeting(new Array(256).fill(0)), TypeError, "256");
  for (const number of [-1, 256, 0.5, NaN]) {
    const endpoint = { hostname: "a", port: 1 };
    assertThrows(() => encodeGreeting([number]), TypeError, "method");
    assertThrows(() => encodeMethodChoice(number), TypeError, "method");
    assertThrows(() => encodeReply({ reply: number }), TypeError, "reply");
    assertThrows(
      () => encodeRequest({ command: number, ...endpoint }),
      TypeError,
      "command",
    );
  }
  assertThrows(() => encodeRequest(connect("a\0b", 1)), TypeError, "hostname");
  assertThrows(() => encodeRequest(connect("a", 65536)), TypeError, "port");
});
