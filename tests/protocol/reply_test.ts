import { assert, assertEquals } from "@std/assert";
import { REPLY, REPLY4, replyText } from "../../src/protocol/reply.ts";
import { test } from "../support/harness.ts";

test("REPLY has the numbers of RFC 1928 section 6 in their order", () => {
  assertEquals(Object.values(REPLY), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assertEquals(REPLY.notAllowed, 2);
  assertEquals(REPLY.addressTypeNotSupported, 8);
});

test("REPLY4 has the numbers of SOCKS4 in their order", () => {
  assertEquals(Object.values(REPLY4), [0x5a, 0x5b, 0x5c, 0x5d]);
  assertEquals(REPLY4.rejected, 0x5b);
});

test("replyText() has a distinct phrase for every known code", () => {
  const phrases = [
    ...Object.values(REPLY).map((code) => replyText(5, code)),
    ...Object.values(REPLY4).map((code) => replyText(4, code)),
  ];
  assertEquals(new Set(phrases).size, 13);
  for (const phrase of phrases) assert(!phrase.includes("unknown"), phrase);
});

test("replyText() has a distinct phrase for each of Tor's replies", () => {
  const codes = [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7];
  const phrases = codes.map((code) => replyText(5, code));
  assertEquals(new Set(phrases).size, codes.length);
  for (const phrase of phrases) assert(/onion/.test(phrase), phrase);
  assertEquals(replyText(4, 0xf0), "unknown reply 0xf0");
});

test("replyText() includes the number of an unknown code", () => {
  assertEquals(replyText(5, 9), "unknown reply 0x09");
  assertEquals(replyText(5, 0x5a), "unknown reply 0x5a");
  assertEquals(replyText(4, 0), "unknown reply 0x00");
});
