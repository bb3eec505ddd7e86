/** The content of HTTP messages. */

import { assertEquals } from "@std/assert";
import { ProtocolError } from "../../src/protocol/decode.ts";
import {
  bodyDecoder,
  type BodyLength,
  encodeChunk,
  LAST_CHUNK,
} from "../../src/protocol/http_body.ts";
import { test } from "../support/harness.ts";
import { join, random, withoutStacks } from "../support/table.ts";
import { fromLatin1, latin1 } from "../support/text.ts";

/** Content and rest of an input in pieces that end at these places, or the error's code. */
function decode(
  length: BodyLength,
  input: Uint8Array,
  cuts: readonly number[],
): string {
  const decoder = bodyDecoder(length);
  let content = "";
  let start = 0;
  try {
    for (const end of [...cuts, input.length]) {
      if (decoder.isDone) break;
      const taken = decoder.take(input.subarray(start, end));
      content += fromLatin1(taken.content);
      start += taken.size;
      if (!decoder.isDone && start !== end) return "octets are left";
    }
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  const rest = fromLatin1(input.subarray(start));
  return decoder.isDone ? `${content}|${rest}` : `${content}...`;
}

/** A row: name, length, input, content and rest. */
const bodies: readonly [string, BodyLength, string, string][] = [
  ["no content", 0, "abc", "|abc"],
  ["a length", 2, "abc", "ab|c"],
  ["too few octets", 5, "abc", "abc..."],
  ["content up to the end of the connection", "close", "abc", "abc..."],
  ["no chunk", "chunked", "0\r\n\r\nabc", "|abc"],
  ["chunks", "chunked", "3\r\nabc\r\n1\r\n\r\r\n0\r\n\r\nd", "abc\r|d"],
  [
    "a size in hexadecimal",
    "chunked",
    "0A\r\n0123456789\r\n00\r\n\r\n",
    "0123456789|",
  ],
  ["extensions", "chunked", '1;a="b";c\r\nd\r\n0;e\r\n\r\n', "d|"],
  ["trailers", "chunked", "1\r\na\r\n0\r\nB: c\r\nD:\r\n\r\ne", "a|e"],
  ["a chunk that is cut off", "chunked", "4\r\nabc", "abc..."],
  ["a last chunk that is cut off", "chunked", "1\r\na\r\n0\r\n", "a..."],
  ["a size that is too long", "chunked", `${"0".repeat(17)}\r\n`, "header"],
  ["a size that cannot be counted", "chunked", "fffffffffffffff\r\n", "header"],
  ["no size", "chunked", "\r\n", "header"],
  ["a size that is no number", "chunked", "g\r\n", "header"],
  ["a size with 0x", "chunked", "0x1\r\na\r\n", "header"],
  ["a negative size", "chunked", "-1\r\na\r\n", "header"],
  ["a space after the size", "chunked", "1 \r\na\r\n", "header"],
  ["a size that ends in LF", "chunked", "1\na\r\n", "header"],
  ["a CR in an extension", "chunked", "1;a\rb\r\n", "header"],
  ["a NUL in an extension", "chunked", "1;a\0", "header"],
  ["a chunk that is too long", "chunked", "1\r\nab", "header"],
  ["a chunk that ends in LF", "chunked", "1\r\na\n", "header"],
  ["a chunk without an end", "chunked", "1\r\na1\r\n", "header"],
  ["a trailer that ends in LF", "chunked", "0\r\nA: b\n", "header"],
  ["a trailer that is no field", "chunked", "0\r\nA\r\n", "header"],
  ["a folded trailer", "chunked", "0\r\nA: b\r\n c\r\n", "header"],
  ["an endless extension", "chunked", `1;${"a".repeat(256)}`, "size"],
  ["endless trailers", "chunked", `0\r\n${"A: b\r\n".repeat(3_277)}`, "size"],
];

for (const [name, length, input, expected] of bodies) {
  test(`bodyDecoder() takes ${name}, however it is split`, () => {
    const all = latin1(input);
    assertEquals(decode(length, all, []), expected);
    const step = Math.ceil(all.length / 300);
    for (let cut = 1; cut < all.length; cut += step) {
      assertEquals(decode(length, all, [cut]), expected, `cut at ${cut}`);
    }
    const each = all.length > 1_000 ? [] : [...all.keys()].slice(1);
    assertEquals(decode(length, all, each), expected, "octet by octet");
  });
}

test("bodyDecoder() bounds the framing of short chunks", () => {
  const chunk = latin1(`1;${"a".repeat(200)}\r\nb\r\n`);
  const decoder = bodyDecoder("chunked");
  let chunks = 0;
  try {
    while (chunks < 1_000) {
      decoder.take(chunk);
      chunks++;
    }
  } catch (error) {
    assertEquals((error as ProtocolError).code, "size");
  }
  assertEquals(chunks, 87); // 16 KiB / 188
  const plain = latin1("1\r\nb\r\n".repeat(100_000));
  assertEquals(bodyDecoder("chunked").take(plain).content.length, 100_000);
});

test("encodeChunk() encodes what bodyDecoder() takes", () => {
  const content = latin1("x".repeat(70_000));
  const sent = join(encodeChunk(content), encodeChunk(latin1("y")), LAST_CHUNK);
  assertEquals(fromLatin1(sent.subarray(0, 8)), "11170\r\nx");
  assertEquals(decode("chunked", sent, []), `${"x".repeat(70_000)}y|`);
});

const MANY = 1_000_000;

test(
  `bodyDecoder() gives the same for ${MANY} random inputs in one piece and in two`,
  () => {
    const next = random(15);
    const seeds = bodies.filter((it) =>
      it[1] === "chunked" && it[2].length < 300
    )
      .map((it) => latin1(it[2]));
    const alphabet = latin1("01aF;\r\n\r\n:\0 x");
    let done = 0;
    withoutStacks(() => {
      for (let i = 0; i < MANY; i++) {
        const input = seeds[next(seeds.length)].slice();
        for (let edits = next(4); edits > 0; edits--) {
          input[next(input.length)] = alphabet[next(alphabet.length)];
        }
        const whole = decode("chunked", input, []);
        const parts = decode("chunked", input, [next(input.length)]);
        if (whole.includes("|")) done++;
        // Not assertEquals(), which takes most of the time.
        if (whole !== parts) assertEquals(parts, whole, fromLatin1(input));
      }
    });
    assertEquals(done > 50_000, true, `${done}`);
  },
  { timeout: 240_000 },
);
