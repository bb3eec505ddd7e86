import { assertEquals, assertThrows } from "@std/assert";
import {
  COMMAND,
  decodeReply,
  decodeRequest,
  encodeReply,
  encodeRequest,
  MAX_USER_ID,
  type RequestMessage,
} from "../../src/protocol/socks4.ts";
import { test } from "../support/harness.ts";
import {
  assertVersion,
  join,
  octets,
  outcome,
  random,
  testDecoder,
} from "../support/table.ts";

const LABEL = "a".repeat(63);
const LONGEST = `${`${LABEL}.`.repeat(3)}${LABEL}`;

function connect(hostname: string, userId = ""): RequestMessage {
  return {
    command: COMMAND.connect,
    hostname,
    port: 80,
    userId: new TextEncoder().encode(userId),
  };
}

// Prefixes such as S2 number the cases of the conformance list.

testDecoder(decodeRequest, [
  ["S1 CONNECT", '04 01 00 50 C0 00 02 01 "al" 00', connect("192.0.2.1", "al")],
  [
    "S2 a SOCKS4a name",
    '04 01 00 50 00 00 00 01 "al" 00 "target.test" 00',
    connect("target.test", "al"),
  ],
  [
    "S2 a SOCKS4a name after 0.0.0.255",
    '04 01 00 50 00 00 00 FF 00 "target.test" 00',
    connect("target.test"),
  ],
  [
    "S2 a SOCKS4a name of 255 octets",
    `04 01 00 50 00 00 00 01 00 "${LONGEST}" 00`,
    connect(LONGEST),
  ],
  [
    "S4 a SOCKS4a name that is an IPv6 literal",
    '04 01 00 50 00 00 00 01 00 "FD00:77::0001" 00',
    connect("fd00:77::1"),
  ],
  [
    "S4 a SOCKS4a name that is an IPv4 literal",
    '04 01 00 50 00 00 00 01 00 "192.0.2.1" 00',
    connect("192.0.2.1"),
  ],
  [
    "a SOCKS4a name in lower case, without its trailing dot",
    '04 01 00 50 00 00 00 01 00 "Target.TEST." 00',
    connect("target.test"),
  ],
  [
    "a SOCKS4a name that is an IPv4 address in disguise",
    '04 01 00 50 00 00 00 01 00 "0300.0x201" 00',
    connect("192.0.2.1"),
  ],
  ["S9 an empty user id", "04 01 00 50 C0 00 02 01 00", connect("192.0.2.1")],
  [
    "S10 a user id of 300 octets",
    "04 01 00 50 C0 00 02 01 300*75 00",
    connect("192.0.2.1", "u".repeat(300)),
  ],
  [
    "S10 a user id of 512 octets",
    "04 01 00 50 C0 00 02 01 512*75 00",
    connect("192.0.2.1", "u".repeat(512)),
  ],
  [
    "S10 the longest request",
    `04 01 00 50 00 00 00 01 512*75 00 "${LONGEST}" 00`,
    connect(LONGEST, "u".repeat(512)),
  ],
  ["a user id of any octets", "04 01 00 50 C0 00 02 01 01 FF 0A 00", {
    ...connect("192.0.2.1"),
    userId: octets("01 FF 0A"),
  }],
  ["S13 CMD 3", "04 03 00 50 C0 00 02 01 00", {
    ...connect("192.0.2.1"),
    command: 3,
  }],
  ["S14 BIND", "04 02 00 50 C0 00 02 01 00", {
    ...connect("192.0.2.1"),
    command: COMMAND.bind,
  }],
  ["RESOLVE", '04 F0 00 00 00 00 00 01 00 "a.test" 00', {
    ...connect("a.test"),
    command: COMMAND.resolve,
    port: 0,
  }],
  ["S15 0.0.0.0", "04 01 00 50 00 00 00 00 00", connect("0.0.0.0")],
  ["0.0.1.0", "04 01 00 50 00 00 01 00 00", connect("0.0.1.0")],
  ["port 0", "04 01 00 00 C0 00 02 01 00", {
    ...connect("192.0.2.1"),
    port: 0,
  }],
], [
  ["version 5", "05", "version"],
  ["HTTP", '"G"', "version"],
  ["S3 an empty SOCKS4a name", "04 01 00 50 00 00 00 01 00 00", "hostname"],
  [
    "S11 a user id that never ends",
    "04 01 00 50 C0 00 02 01 513*75",
    "user-id",
  ],
  [
    "S11 a user id that never ends before a SOCKS4a name",
    "04 01 00 50 00 00 00 01 513*75",
    "user-id",
  ],
  [
    "a SOCKS4a name that never ends",
    "04 01 00 50 00 00 00 01 00 256*61",
    "hostname",
  ],
  [
    "a SOCKS4a name with a label of 64 octets",
    "04 01 00 50 00 00 00 01 00 64*61 00",
    "hostname",
  ],
  [
    "a SOCKS4a name that is a number but not an address",
    '04 01 00 50 00 00 00 01 00 "1.256.3" 00',
    "hostname",
  ],
  [
    "a SOCKS4a name with a space",
    '04 01 00 50 00 00 00 01 00 "a "',
    "hostname",
  ],
  [
    "a SOCKS4a name with brackets",
    '04 01 00 50 00 00 00 01 00 "["',
    "hostname",
  ],
  [
    "a SOCKS4a name with a colon",
    '04 01 00 50 00 00 00 01 00 "a:1" 00',
    "hostname",
  ],
]);

testDecoder(decodeReply, [
  ["S1 granted", "00 5A 00 50 C0 00 02 01", {
    reply: 0x5a,
    hostname: "192.0.2.1",
    port: 80,
  }],
  ["S12 rejected", "00 5B 00 00 4*00", {
    reply: 0x5b,
    hostname: "0.0.0.0",
    port: 0,
  }],
  ["no identd", "00 5C 00 00 4*00", {
    reply: 0x5c,
    hostname: "0.0.0.0",
    port: 0,
  }],
  ["another identity", "00 5D 00 00 4*00", {
    reply: 0x5d,
    hostname: "0.0.0.0",
    port: 0,
  }],
  ["granted with VN 4", "04 5A 00 50 C0 00 02 01", {
    reply: 0x5a,
    hostname: "192.0.2.1",
    port: 80,
  }],
  ["rejected with VN 4", "04 5B 00 00 4*00", {
    reply: 0x5b,
    hostname: "0.0.0.0",
    port: 0,
  }],
], [
  ["a SOCKS5 choice", "05 FF", "reply"],
  ["a SOCKS5 reply", "05 01", "reply"],
  ["HTTP", '"HT"', "reply"],
  ["code 00", "00 00", "reply"],
  ["code 59", "00 59", "reply"],
  ["code 5E", "00 5E", "reply"],
  ["code FF", "00 FF", "reply"],
]);

test("SOCKS4 decodeRequest() rejects every version but 4", () => {
  assertVersion(decodeRequest, 4);
});

test("SOCKS4 decodeReply() ignores the version", () => {
  for (let version = 0; version <= 255; version++) {
    const reply = Uint8Array.of(version, 0x5b, 0, 0, 0, 0, 0, 0);
    assertEquals(decodeReply(reply)?.value.reply, 0x5b);
  }
});

test("S11 decodeRequest() rejects a user id of 64 KiB, and one that ends after octet 512", () => {
  const start = "04 01 00 50 C0 00 02 01";
  assertEquals(outcome(decodeRequest, octets(`${start} 65536*75`)), "user-id");
  assertEquals(outcome(decodeRequest, octets(`${start} 513*75 00`)), "user-id");
});

test("encodeRequest() uses SOCKS4 for an IPv4 address", () => {
  const request = { command: 1, hostname: "192.0.2.1", port: 80 };
  const start = "04 01 00 50 C0 00 02 01";
  assertEquals(encodeRequest(request), octets(`${start} 00`));
  assertEquals(
    encodeRequest({ ...request, userId: "é" }),
    octets(`${start} C3 A9 00`),
  );
  assertEquals(
    encodeRequest({ ...request, userId: Uint8Array.of(255) }),
    octets(`${start} FF 00`),
  );
});

test("encodeRequest() uses SOCKS4a for a name or an IPv6 address", () => {
  const request = { command: 1, port: 80, userId: "al" };
  const start = '04 01 00 50 00 00 00 01 "al" 00';
  assertEquals(
    encodeRequest({ ...request, hostname: "target.test" }),
    octets(`${start} "target.test" 00`),
  );
  assertEquals(
    encodeRequest({ ...request, hostname: "fd00:77::1" }),
    octets(`${start} "fd00:77::1" 00`),
  );
});

test("encodeRequest() uses SOCKS4a for 0.0.0.7, which would announce a name in SOCKS4", () => {
  const request = { ...connect("0.0.0.7"), command: COMMAND.bind };
  const sent = encodeRequest(request);
  assertEquals(sent, octets('04 02 00 50 00 00 00 01 00 "0.0.0.7" 00'));
  assertEquals(decodeRequest(sent), { value: request, size: sent.length });
  assertEquals(
    encodeRequest(connect("0.0.0.0")),
    octets("04 01 00 50 00 00 00 00 00"),
  );
});

test("decodeRequest() decodes what encodeRequest() returns for random requests", () => {
  const next = random(4);
  const hostnames = ["192.0.2.1", "0.0.0.0", "2001:db8::1", "example.com"];
  for (let i = 0; i < 500; i++) {
    const request = {
      command: next(256),
      hostname: hostnames[next(hostnames.length)],
      port: next(65536),
      userId: Uint8Array.from(
        { length: next(MAX_USER_ID + 1) },
        () => 1 + next(255),
      ),
    };
    const sent = encodeRequest(request);
    const longer = join(sent, octets("01 02"));
    assertEquals(decodeRequest(longer), { value: request, size: sent.length });
  }
});

test("encodeReply() returns 8 octets, with zeros for an address that is not IPv4", () => {
  assertEquals(encodeReply({ reply: 0x5b }), octets("00 5B 00 00 4*00"));
  for (
    const [hostname, hex] of [
      ["192.0.2.1", "C0 00 02 01"],
      ["::ffff:192.0.2.1", "C0 00 02 01"],
      ["2001:db8::1", "4*00"],
    ]
  ) {
    const reply = encodeReply({ reply: 0x5a, hostname, port: 80 });
    assertEquals(reply, octets(`00 5A 00 50 ${hex}`));
  }
});

test("SOCKS4 encoders throw when a value does not fit", () => {
  const request = connect("a");
  const refused: [Partial<Parameters<typeof encodeRequest>[0]>, string][] = [
    [{ userId: "a\0b" }, "NUL"],
    [{ userId: Uint8Array.of(0) }, "NUL"],
    [{ userId: "u".repeat(513) }, "512"],
    [{ hostname: "a\0b" }, "hostname"],
    [{ hostname: "[::1]" }, "hostname"],
    [{ hostname: "" }, "hostname"],
    [{ command: 256 }, "command"],
    [{ port: -1 }, "port"],
  ];
  for (const [part, message] of refused) {
    const sent = { ...request, ...part };
    assertThrows(() => encodeRequest(sent), TypeError, message);
  }
  assertThrows(() => encodeReply({ reply: 300 }), TypeError, "reply");
  const named = { reply: 0x5a, hostname: "example.com" };
  assertThrows(() => encodeReply(named), TypeError, "IP address");
  const far = { reply: 0x5a, port: 65536 };
  assertThrows(() => encodeReply(far), TypeError, "port");
});
