import { assertEquals, assertThrows } from "@std/assert";
import {
  decodeCredentials,
  encodeCredentials,
} from "../../src/protocol/http_basic.ts";
import type { LoginInit } from "../../src/protocol/password.ts";
import { test } from "../support/harness.ts";
import { octets, random } from "../support/table.ts";

test("encodeCredentials() encodes the examples of RFC 7617", () => {
  const rows: [string, string, string][] = [
    ["Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
    ["test", "123£", "Basic dGVzdDoxMjPCow=="],
    ["", "", "Basic Og=="],
    ["al", "p:w", "Basic YWw6cDp3"],
  ];
  for (const [username, password, value] of rows) {
    assertEquals(encodeCredentials({ username, password }), value);
  }
});

test("encodeCredentials() throws for colons in names and for control characters", () => {
  const logins: LoginInit[] = [
    { username: "a:b", password: "" },
    { username: "a\r\nX: y", password: "" },
    { username: "a", password: "\0" },
    { username: "a", password: "\x7f" },
    { username: Uint8Array.of(1), password: "" },
  ];
  for (const login of logins) {
    assertThrows(() => encodeCredentials(login), TypeError);
  }
});

test("decodeCredentials() decodes the octets that encodeCredentials() encodes", () => {
  const next = random(11);
  const field = () =>
    Uint8Array.from({ length: next(256) }, () => 0x80 + next(128));
  for (let i = 0; i < 500; i++) {
    const login = { username: field(), password: field() };
    assertEquals(decodeCredentials(encodeCredentials(login)), login);
  }
});

/** A row: name, the field's value, and the login in the notation of `octets()`. */
const rows: readonly (readonly [string, string, [string, string]?])[] = [
  ["a login", "Basic bWU6cHc=", ['"me"', '"pw"']],
  ["a scheme in capitals, several spaces", "BASIC   bWU6cHc=", [
    '"me"',
    '"pw"',
  ]],
  ["a login without padding", "Basic bWU6cHc", ['"me"', '"pw"']],
  ["colons in the password", "Basic bWU6Ojo=", ['"me"', '"::"']],
  ["empty fields", "Basic Og==", ["", ""]],
  ["octets that are not UTF-8", "Basic wzqA", ["C3", "80"]],
  ["no colon", "Basic bWU="],
  ["no credentials", "Basic"],
  ["no credentials after the space", "Basic "],
  ["another scheme", "Bearer bWU6cHc="],
  ["a scheme that begins alike", "Basically bWU6cHc="],
  ["base64 of another alphabet", "Basic bWU6-_-_"],
  ["base64 with spaces", "Basic bWU6 cHc="],
  ["base64 of a wrong length", "Basic bWU6c"],
  ["padding in the middle", "Basic bW=U6cHc="],
  ["parameters", 'Basic realm="x"'],
  ["two credentials", "Basic bWU6cHc=, Basic bWU6cHc="],
];

for (const [name, value, expected] of rows) {
  test(`decodeCredentials() ${expected ? "accepts" : "refuses"} ${name}`, () => {
    const login = expected && {
      username: octets(expected[0]),
      password: octets(expected[1]),
    };
    assertEquals(decodeCredentials(value), login);
  });
}

test("decodeCredentials() refuses fields of more than 255 octets", () => {
  const decoded = (user: number, password: number) =>
    decodeCredentials(
      `Basic ${btoa(`${"u".repeat(user)}:${"p".repeat(password)}`)}`,
    );
  assertEquals(decoded(255, 255)?.username.length, 255);
  assertEquals(decoded(256, 1), undefined);
  assertEquals(decoded(1, 256), undefined);
});
