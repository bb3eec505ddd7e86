import { assert, assertEquals } from "@std/assert";
import { decodeRequest, MAX_HEAD } from "../../src/protocol/http_connect.ts";
import { headDecoder } from "../../src/protocol/http_head_decoder.ts";
import { test } from "../support/harness.ts";
import { outcome } from "../support/table.ts";
import { latin1 } from "../support/text.ts";

const LINE = "CONNECT a.example:80 HTTP/1.1\r\n";

const inputs: readonly [name: string, text: string][] = [
  ["a request and early data", `${LINE}Host: x\r\nA: b\r\n\r\nearly\n\n`],
  ["a request of one line", "CONNECT a.example:80 HTTP/1.0\r\n\r\n"],
  ["another method", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["an invalid first line", "CONNECT a.example HTTP/1.1\r\nHost: x\r\n"],
  ["a first line that ends in LF", "CONNECT a:80 HTTP/1.1\nHost: x\n\n"],
  ["a field that ends in LF", `${LINE}Host: x\nA: b\r\n\r\n`],
  ["a CR without LF in the first line", "CONNECT\ra:80 HTTP/1.1\r\n\r\n"],
  ["a CR without LF in a field", `${LINE}Host: x\rA: b\r\n\r\n`],
  ["a control character in the first line", "CON\0NECT a:80"],
  ["a control character in a field", `${LINE}Host: \x7f`],
  ["a field without a name", `${LINE}: x\r\n\r\n`],
  ["no Host", `${LINE}\r\n`],
];

for (const [name, text] of inputs) {
  test(`headDecoder() decides with the same octet as decodeRequest() for ${name}`, () => {
    const input = latin1(text);
    for (const step of [1, 2, 7]) {
      const decode = headDecoder(decodeRequest);
      for (let length = step; length <= input.length; length += step) {
        const part = input.subarray(0, length);
        const expected = outcome(decodeRequest, part);
        assertEquals(outcome(decode, part), expected, `${length} octets`);
        if (expected !== "more") break;
      }
    }
  });
}

test("headDecoder() takes little time for a long header that arrives octet by octet", () => {
  const target = "a".repeat(MAX_HEAD / 2);
  const fields = "A:\r\n".repeat(MAX_HEAD / 8 - 10);
  const input = latin1(`GET /${target} HTTP/1.1\r\n${fields}`);
  const decode = headDecoder(decodeRequest);
  const start = performance.now();
  for (let length = 1; length <= input.length; length++) {
    assertEquals(decode(input.subarray(0, length)), undefined);
  }
  // Less than 50 ms; if each call began at the first octet, several seconds.
  assert(performance.now() - start < 1_000);
});
