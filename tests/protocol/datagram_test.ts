import { assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  type Datagram,
  decodeDatagram,
  encodeDatagram,
  encodeDatagramHeader,
  MAX_DATAGRAM,
  maxPayload,
  Reassembler,
} from "../../src/protocol/datagram.ts";
import { test } from "../support/harness.ts";
import { octets } from "../support/table.ts";

const LABEL = "a".repeat(63);
const LONGEST = `${`${LABEL}.`.repeat(3)}${LABEL}`;

/** Name, octets, and the decoded hostname, port, FRAG and payload. */
type Row = readonly [string, string, string, number, number, string];

/** Datagrams that are encoded to the same octets. */
const DATAGRAMS: readonly Row[] = [
  ["IPv4", '00 00 00 01 C0 00 02 01 00 35 "abc"', "192.0.2.1", 53, 0, '"abc"'],
  [
    "IPv6",
    '00 00 00 04 20 01 0D B8 11*00 01 01 BB "abc"',
    "2001:db8::1",
    443,
    0,
    '"abc"',
  ],
  [
    "an IPv4-mapped address",
    "00 00 00 04 10*00 FF FF 01 02 03 04 00 01",
    "::ffff:1.2.3.4",
    1,
    0,
    "",
  ],
  [
    "a name",
    '00 00 00 03 0B "target.test" 00 35 "abc"',
    "target.test",
    53,
    0,
    '"abc"',
  ],
  ["a name of one letter", "00 00 00 03 01 61 00 35 FF", "a", 53, 0, "FF"],
  [
    "the longest name",
    `00 00 00 03 FF "${LONGEST}" 00 35 AA`,
    LONGEST,
    53,
    0,
    "AA",
  ],
  ["U15 no payload", "00 00 00 01 7F 00 00 01 00 35", "127.0.0.1", 53, 0, ""],
  ["port 0", "00 00 00 01 7F 00 00 01 00 00", "127.0.0.1", 0, 0, ""],
  [
    "port 65535",
    "00 00 00 01 7F 00 00 01 FF FF 00",
    "127.0.0.1",
    65535,
    0,
    "00",
  ],
  ["0.0.0.0", "00 00 00 01 00 00 00 00 00 35", "0.0.0.0", 53, 0, ""],
  ["::", "00 00 00 04 16*00 00 35", "::", 53, 0, ""],
  ["U9 FRAG 01", "00 00 01 01 01 02 03 04 00 35 AA", "1.2.3.4", 53, 1, "AA"],
  ["U9 FRAG 82", "00 00 82 01 01 02 03 04 00 35 BB", "1.2.3.4", 53, 0x82, "BB"],
  [
    "U10 FRAG 81",
    "00 00 81 01 01 02 03 04 00 35 BB",
    "1.2.3.4",
    53,
    0x81,
    "BB",
  ],
  ["FRAG 7F", "00 00 7F 01 01 02 03 04 00 35", "1.2.3.4", 53, 0x7f, ""],
  ["FRAG FF", "00 00 FF 01 01 02 03 04 00 35", "1.2.3.4", 53, 0xff, ""],
  [
    "U16 8 KiB",
    "00 00 00 01 01 02 03 04 00 35 8192*42",
    "1.2.3.4",
    53,
    0,
    "8192*42",
  ],
  [
    "U17 the longest payload",
    "00 00 00 01 01 02 03 04 00 35 65497*42",
    "1.2.3.4",
    53,
    0,
    "65497*42",
  ],
];

/** Datagrams that are decoded, but never encoded in this form. */
const TAKEN: readonly Row[] = [
  ["U13 RSV FF FF", "FF FF 00 01 01 02 03 04 00 35 AA", "1.2.3.4", 53, 0, "AA"],
  ["a name in upper case", '00 00 00 03 02 "Ab" 00 35', "ab", 53, 0, ""],
  ["a trailing dot", '00 00 00 03 02 "a." 00 35', "a", 53, 0, ""],
  [
    "a name that is an IPv4 address in disguise",
    '00 00 00 03 06 "0X7F.1" 00 35',
    "127.0.0.1",
    53,
    0,
    "",
  ],
  [
    "a name that is an IPv4 address",
    '00 00 00 03 09 "127.0.0.1" 00 35 AA',
    "127.0.0.1",
    53,
    0,
    "AA",
  ],
  [
    "a name that is an IPv6 address",
    '00 00 00 03 07 "FD00::1" 00 35 AA',
    "fd00::1",
    53,
    0,
    "AA",
  ],
  [
    "a name that is a mapped address",
    '00 00 00 03 0E "::ffff:1.2.3.4" 00 35',
    "::ffff:1.2.3.4",
    53,
    0,
    "",
  ],
];

for (const [name, text, hostname, port, fragment, payload] of DATAGRAMS) {
  test(`encodeDatagram() encodes ${name}`, () => {
    const datagram = { hostname, port, fragment, payload: octets(payload) };
    const expected = octets(text);
    assertEquals(encodeDatagram(datagram), expected);
    const size = expected.length - datagram.payload.length;
    assertEquals(
      encodeDatagramHeader(datagram, fragment),
      expected.slice(0, size),
    );
    assertEquals(maxPayload(hostname), MAX_DATAGRAM - size);
  });
}

for (
  const [name, text, hostname, port, fragment, payload] of [
    ...DATAGRAMS,
    ...TAKEN,
  ]
) {
  test(`decodeDatagram() decodes ${name}`, () => {
    const input = octets(text);
    const expected = { hostname, port, fragment, payload: octets(payload) };
    assertEquals(decodeDatagram(input), expected);
    assertEquals(input, octets(text));
    const header = input.length - expected.payload.length;
    for (let length = 0; length < header; length++) {
      const cut = decodeDatagram(input.subarray(0, length));
      assertEquals(cut, undefined, `${length} octets`);
    }
    // The decoder reads nothing outside of the datagram when it is part of a larger buffer.
    const room = new Uint8Array(input.length + 300).fill(0x61);
    room.set(input, 7);
    const inside = room.subarray(7, 7 + input.length);
    assertEquals(decodeDatagram(inside), expected);
    assertEquals(decodeDatagram(inside.subarray(0, header - 1)), undefined);
  });
}

test("encodeDatagram() and encodeDatagramHeader() use FRAG 0 by default", () => {
  const endpoint = { hostname: "1.2.3.4", port: 53 };
  const header = octets("00 00 00 01 01 02 03 04 00 35");
  assertEquals(encodeDatagramHeader(endpoint), header);
  const payload = new Uint8Array();
  assertEquals(encodeDatagram({ ...endpoint, payload }), header);
});

test("encodeDatagram() uses ATYP 1 or 4 for an IP address", () => {
  const payload = octets("AA");
  assertEquals(
    encodeDatagram({ hostname: "::FFFF:1.2.3.4", port: 1, payload }),
    octets("00 00 00 04 10*00 FF FF 01 02 03 04 00 01 AA"),
  );
});

test("decodeDatagram() returns a payload that shares memory with the input", () => {
  const input = octets("00 00 00 01 01 02 03 04 00 35 AA");
  const payload = decodeDatagram(input)?.payload;
  input[10] = 0xbb;
  assertEquals(payload, octets("BB"));
});

const MALFORMED: readonly [string, string][] = [
  ["U14 nothing", ""],
  ["U14b one octet", "00"],
  ["U14b RSV only", "00 00"],
  ["U14b no ATYP", "00 00 00"],
  ["U14b no address", "00 00 00 01"],
  ["U14b half an IPv4 address", "00 00 00 01 7F 00"],
  ["U14b IPv4 without a port", "00 00 00 01 7F 00 00 01"],
  ["U14b IPv4 and half a port", "00 00 00 01 7F 00 00 01 00"],
  ["U14b IPv6 without a port", "00 00 00 04 16*00"],
  ["U14b IPv6 and half a port", "00 00 00 04 16*00 00"],
  ["U14b a name without its length", "00 00 00 03"],
  ["U14b a name without its letters", "00 00 00 03 04"],
  ["U14b a truncated name", '00 00 00 03 04 "abc"'],
  ["U14b a name without a port", '00 00 00 03 03 "abc"'],
  ["U14b a name and half a port", '00 00 00 03 03 "abc" 00'],
  ["a name of no octets", "00 00 00 03 00 00 35 AA"],
  ["a name with a NUL", '00 00 00 03 03 "a" 00 "b" 00 35 AA'],
  ["a name with a space", '00 00 00 03 03 "a b" 00 35 AA'],
  ["a name in brackets", '00 00 00 03 05 "[::1]" 00 35 AA'],
  ["a name with a zone", '00 00 00 03 06 "::1%lo" 00 35 AA'],
  ["a name that is not ASCII", "00 00 00 03 02 C3 A4 00 35 AA"],
  ["a number that is not an address", '00 00 00 03 07 "1.256.3" 00 35 AA'],
  ["a name of dots", '00 00 00 03 02 ".." 00 35 AA'],
  ["a label that is too long", "00 00 00 03 40 64*61 00 35 AA"],
  ["FRAG 80, last of nothing", "00 00 80 01 01 02 03 04 00 35 AA"],
];

for (const [name, text] of MALFORMED) {
  test(`decodeDatagram() is undefined for ${name}`, () => {
    assertEquals(decodeDatagram(octets(text)), undefined);
  });
}

for (const [name, text] of MALFORMED) {
  test(`decodeDatagram() with a fallback decodes only an invalid name: ${name}`, () => {
    const datagram = decodeDatagram(octets(text), "0.0.0.0");
    const isName = /^00 00 00 03 .* 00 35 AA$/.test(text);
    const expected = {
      hostname: "0.0.0.0",
      port: 53,
      fragment: 0,
      payload: octets("AA"),
    };
    assertEquals(datagram, isName ? expected : undefined);
  });
}

test("decodeDatagram() is undefined for every ATYP but 1, 3 and 4 (U14b)", () => {
  for (let type = 0; type <= 255; type++) {
    if ([1, 3, 4].includes(type)) continue;
    const input = octets("00 00 00 00 300*01");
    input[3] = type;
    assertEquals(decodeDatagram(input), undefined, `ATYP ${type}`);
  }
});

test("encodeDatagram() throws when a value is invalid", () => {
  const good = { hostname: "a", port: 1, payload: new Uint8Array() };
  const bad: [Partial<Datagram>, string][] = [
    [{ hostname: "" }, "neither a hostname"],
    [{ hostname: "[::1]" }, "neither a hostname"],
    [{ hostname: "a\0b" }, "neither a hostname"],
    [{ port: -1 }, "port"],
    [{ port: 65536 }, "port"],
    [{ port: NaN }, "port"],
    [{ fragment: -1 }, "fragment"],
    [{ fragment: 256 }, "fragment"],
    [{ fragment: 1.5 }, "fragment"],
    [{ fragment: 0x80 }, "no position"],
  ];
  for (const [wrong, message] of bad) {
    const datagram = { ...good, ...wrong };
    assertThrows(() => encodeDatagram(datagram), TypeError, message);
    assertThrows(
      () => encodeDatagramHeader(datagram, datagram.fragment),
      TypeError,
      message,
    );
  }
});

for (const hostname of ["1.2.3.4", "::1", "a", LONGEST]) {
  const shown = hostname.slice(0, 10);
  test(`encodeDatagram() throws when the payload exceeds maxPayload() of ${shown}`, () => {
    const most = new Uint8Array(maxPayload(hostname));
    const datagram = encodeDatagram({ hostname, port: 1, payload: most });
    assertEquals(datagram.length, MAX_DATAGRAM);
    const payload = new Uint8Array(most.length + 1);
    assertThrows(
      () => encodeDatagram({ hostname, port: 1, payload }),
      TypeError,
      "longer than 65507 octets",
    );
  });
}

test("maxPayload() subtracts the header", () => {
  assertEquals(MAX_DATAGRAM, 65_535 - 20 - 8); // minus the headers of IP and UDP
  assertEquals(maxPayload("1.2.3.4"), MAX_DATAGRAM - 10);
  assertEquals(maxPayload("::1"), MAX_DATAGRAM - 22);
  assertEquals(maxPayload("::ffff:1.2.3.4"), MAX_DATAGRAM - 22);
  assertEquals(maxPayload("a"), MAX_DATAGRAM - 8);
  assertEquals(maxPayload(LONGEST), MAX_DATAGRAM - 262);
  assertThrows(() => maxPayload("[::1]"), TypeError, "neither a hostname");
});

// The reassembly queue

const TARGET = { hostname: "192.0.2.1", port: 53 };

/**
 * Parses a fragment: FRAG in hexadecimal and a payload, after `@` and a host or a
 * port if the endpoint is another one.
 */
function fragment(text: string): Datagram {
  const [, other, frag, payload] = /^(?:@(\S+) )?(\S+) (\S*)$/.exec(text)!;
  const endpoint = other === undefined
    ? TARGET
    : /^\d+$/.test(other)
    ? { ...TARGET, port: Number(other) }
    : { ...TARGET, hostname: other };
  return {
    ...endpoint,
    fragment: parseInt(frag, 16),
    payload: new TextEncoder().encode(payload),
  };
}

function shown({ hostname, port, fragment, payload }: Datagram): string {
  assertEquals(fragment, 0);
  const host = hostname === TARGET.hostname ? "" : `@${hostname} `;
  const number = port === TARGET.port ? "" : `@${port} `;
  return `${host}${number}${new TextDecoder().decode(payload)}`;
}

/** Name, fragments, delivered datagrams, and whether a sequence is incomplete. */
const SEQUENCES: readonly [
  name: string,
  sent: string[],
  delivered: string[],
  waiting?: boolean,
][] = [
  ["a standalone one", ["00 S"], ["S"]],
  ["U9 two in order", ["01 A", "82 B"], ["AB"]],
  ["three in order", ["01 A", "02 B", "83 C"], ["ABC"]],
  ["U10 only a last one", ["81 A"], ["A"]],
  ["U11 a lower position", ["01 A", "02 B", "01 C", "82 D"], ["CD"]],
  ["U12 a standalone one between", ["01 A", "00 S", "82 D"], ["S"]],
  ["one that is not the last", ["01 A"], [], true],
  ["two that are not the last", ["01 A", "02 B"], [], true],
  ["two sequences", ["01 A", "82 B", "01 C", "82 D"], ["AB", "CD"]],
  ["the same position 1 again", ["01 A", "01 B", "82 C"], ["BC"]],
  ["the same position 2 again", ["01 A", "02 B", "02 C", "83 D"], []],
  ["the last one again", ["01 A", "82 B", "82 B"], ["AB"]],
  ["a lower position as the last", ["01 A", "02 B", "81 C"], ["C"]],
  ["position 2 lower than 3", ["01 A", "02 B", "03 C", "02 D", "84 E"], []],
  ["position 2 first", ["02 B", "83 C"], []],
  ["a last one first", ["82 B", "01 A"], [], true],
  ["a gap", ["01 A", "03 C", "84 D"], []],
  ["a gap before the last", ["01 A", "83 C"], []],
  ["a gap that is filled late", ["01 A", "03 C", "02 B"], []],
  ["a complete one after a gap", ["01 A", "83 C", "01 D", "82 E"], ["DE"]],
  ["FRAG 80", ["01 A", "80 B", "82 C"], []],
  ["FRAG 7F first", ["7F A", "FF B"], []],
  ["empty fragments", ["01 ", "02 ", "83 "], [""]],
  ["empty fragments between", ["01 A", "02 ", "83 C"], ["AC"]],
  ["an empty standalone one", ["01 A", "00 ", "82 B"], [""]],
  ["another port", ["01 A", "@54 82 B", "82 C"], []],
  ["another host", ["01 A", "@192.0.2.2 82 B", "82 C"], []],
  ["a name", ["@a.test 01 A", "@a.test 82 B"], ["@a.test AB"]],
  ["another name", ["@a.test 01 A", "@b.test 82 B"], []],
  [
    "another port's position 1",
    ["01 A", "@54 01 B", "@54 82 C", "82 D"],
    ["@54 BC"],
  ],
  ["only a last one of another host", ["01 A", "@::1 81 B", "82 C"], [
    "@::1 B",
  ]],
  ["a standalone one of another host", ["01 A", "@::1 00 S", "82 B"], [
    "@::1 S",
  ]],
];

for (const [name, sent, delivered, waiting = false] of SEQUENCES) {
  test(`Reassembler returns complete sequences only when it gets ${name}`, () => {
    const queue = new Reassembler();
    assertEquals(queue.waiting, false);
    assertEquals(deliver(queue, sent.map(fragment)).map(shown), delivered);
    assertEquals(queue.waiting, waiting);
    // After any history, a sequence that begins with 1 is complete.
    const next = ["01 X", "82 Y"].map(fragment);
    assertEquals(deliver(queue, next).map(shown), ["XY"]);
  });
}

function deliver(queue: Reassembler, sent: Datagram[]): Datagram[] {
  return sent.flatMap((it) => queue.add(it) ?? []);
}

test("Reassembler returns a datagram with FRAG 0 unchanged", () => {
  const alone = fragment("00 S");
  assertEquals(new Reassembler().add(alone) === alone, true);
});

test("Reassembler.reset() discards an incomplete sequence", () => {
  const queue = new Reassembler();
  queue.reset();
  queue.add(fragment("01 A"));
  assertEquals(queue.waiting, true);
  queue.reset();
  assertEquals(queue.waiting, false);
  assertEquals(queue.add(fragment("82 B")), undefined);
  assertEquals(queue.waiting, false);
});

/** Fragments 1 to `count`; the last one is marked. */
function split(count: number, size: number): Datagram[] {
  return Array.from({ length: count }, (_, i) => ({
    ...TARGET,
    fragment: i + 1 + (i + 1 === count ? 0x80 : 0),
    payload: new Uint8Array(size).fill(i),
  }));
}

test("Reassembler reassembles 127 fragments", () => {
  const fragments = split(127, 3);
  assertEquals(fragments[126].fragment, 0xff);
  const [whole, ...more] = deliver(new Reassembler(), fragments);
  assertEquals(more, []);
  assertEquals(
    whole.payload,
    Uint8Array.from({ length: 3 * 127 }, (_, i) => Math.floor(i / 3)),
  );
});

test("Reassembler discards a sequence that continues after position 127", () => {
  const queue = new Reassembler();
  const endless = split(127, 1).map((it) => ({
    ...it,
    fragment: it.fragment & 0x7f,
  }));
  assertEquals(deliver(queue, endless), []);
  assertEquals(queue.waiting, true);
  assertEquals(queue.add(fragment("7F A")), undefined);
  assertEquals(queue.waiting, false);
});

test("Reassembler discards a sequence of more than MAX_DATAGRAM octets", () => {
  const queue = new Reassembler();
  const delivered = (...sent: Datagram[]) =>
    deliver(queue, sent).map((it) => it.payload.length);
  const [first, last] = split(2, 1);
  const most = { ...first, payload: new Uint8Array(MAX_DATAGRAM - 1) };
  assertEquals(delivered(most, last), [MAX_DATAGRAM]);

  const two = { ...last, payload: new Uint8Array(2) };
  assertEquals(delivered(most, two), []);
  assertEquals(queue.waiting, false);
  assertEquals(delivered({ ...last, fragment: 0x83 }), []);

  const tooLong = { ...first, payload: new Uint8Array(MAX_DATAGRAM + 1) };
  assertEquals(delivered(tooLong), []);
  assertEquals(queue.waiting, false);

  // The octets of a discarded sequence do not count towards the next one.
  assertEquals(delivered(most, most, last), [MAX_DATAGRAM]);
});

/** On Node and Bun a datagram is a Buffer, whose slice() shares memory. */
const MEMORY: Record<string, (octets: Uint8Array) => Uint8Array> = {
  "Uint8Array": (octets) => octets,
  "Buffer": (octets) => Buffer.from(octets),
};

for (const [name, memory] of Object.entries(MEMORY)) {
  test(`Reassembler shares no memory with fragments in a ${name}`, () => {
    const queue = new Reassembler();
    const input = memory(new Uint8Array(100));
    const take = (frag: number, fill: number) => {
      input.fill(fill);
      const payload = input.subarray(98);
      const whole = queue.add({ ...TARGET, fragment: frag, payload });
      input.fill(0xee);
      return whole?.payload;
    };
    take(1, 0xaa);
    const two = take(0x82, 0xbb);
    const one = take(0x81, 0xcc);
    assertEquals(two, octets("AA AA BB BB"));
    assertEquals(one, octets("CC CC"));
    // The returned payload owns no more memory than it needs.
    assertEquals([two, one].map((it) => it?.buffer.byteLength), [4, 2]);
  });
}
