import { assertEquals, assertThrows } from "@std/assert";
import {
  decodeLogin,
  decodeLoginStatus,
  encodeLogin,
  encodeLoginStatus,
  type Login,
} from "../../src/protocol/password.ts";
import { test } from "../support/harness.ts";
import {
  assertVersion,
  octets,
  random,
  testDecoder,
} from "../support/table.ts";

function login(username: string, password: string): Login {
  return { username: octets(username), password: octets(password) };
}

// Prefixes such as A4 number the cases of the conformance list.

testDecoder(decodeLogin, [
  ["A1 a login", '01 02 "me" 02 "pw"', login('"me"', '"pw"')],
  ["A4 ULEN 0", '01 00 02 "pw"', login("", '"pw"')],
  ["A5 PLEN 0", '01 02 "me" 00', login('"me"', "")],
  ["A4 A5 both 0", "01 00 00", login("", "")],
  [
    "A6 255 and 255 octets",
    "01 FF 255*75 FF 255*70",
    login("255*75", "255*70"),
  ],
  ["A7 a password and one octet", '01 01 "u" 03 "pwx"', login('"u"', '"pwx"')],
  [
    "A8 a password, a NUL and x",
    '01 01 "u" 04 "pw" 00 78',
    login('"u"', '"pw" 00 78'),
  ],
  [
    "A16 octets that are not UTF-8",
    "01 02 FF C3 01 80",
    login("FF C3", "80"),
  ],
], [
  ["A3 version 05", "05", "version"],
  ["A11 a request instead of the login", "05", "version"],
  ["version 0", "00", "version"],
]);

testDecoder(decodeLoginStatus, [
  ["A1 success", "01 00", 0],
  ["A2 failure", "01 01", 1],
  ["A2 failure FF", "01 FF", 255],
  ["success with version 05", "05 00", 0],
  ["success with version 00", "00 00", 0],
  ["failure with version 05", "05 01", 1],
], []);

test("decodeLogin() rejects every version but 1", () => {
  assertVersion(decodeLogin, 1);
});

test("decodeLoginStatus() ignores the version", () => {
  for (let version = 0; version <= 255; version++) {
    const status = Uint8Array.of(version, 2);
    assertEquals(decodeLoginStatus(status), { value: 2, size: 2 });
  }
});

test("encodeLogin() encodes strings as UTF-8 and leaves octets unchanged", () => {
  assertEquals(
    encodeLogin({ username: "mé", password: Uint8Array.of(0, 255) }),
    octets("01 03 6D C3 A9 02 00 FF"),
  );
});

test("decodeLogin() decodes what encodeLogin() returns for random octets", () => {
  const next = random(5);
  const field = () => {
    return Uint8Array.from({ length: 1 + next(255) }, () => next(256));
  };
  for (let i = 0; i < 500; i++) {
    const value = { username: field(), password: field() };
    const sent = encodeLogin(value);
    assertEquals(decodeLogin(sent), { value, size: sent.length });
  }
});

test("decodeLoginStatus() decodes what encodeLoginStatus() returns for every status", () => {
  for (let status = 0; status <= 255; status++) {
    const sent = encodeLoginStatus(status);
    assertEquals(sent, Uint8Array.of(1, status));
    assertEquals(decodeLoginStatus(sent), { value: status, size: 2 });
  }
});

test("encodeLogin() encodes empty fields as ULEN 0 and PLEN 0", () => {
  const rows = [
    ["al", "", '01 02 "al" 00'],
    ["", "pw", '01 00 02 "pw"'],
    ["", "", "01 00 00"],
  ];
  for (const [username, password, sent] of rows) {
    assertEquals(encodeLogin({ username, password }), octets(sent));
  }
});

test("encodeLogin() throws if a field has more than 255 octets", () => {
  const fields: (string | Uint8Array)[] = [
    "x".repeat(256),
    "é".repeat(128),
    new Uint8Array(256),
  ];
  for (const wrong of fields) {
    assertThrows(
      () => encodeLogin({ username: wrong, password: "p" }),
      TypeError,
      "username",
    );
    assertThrows(
      () => encodeLogin({ username: "u", password: wrong }),
      TypeError,
      "password",
    );
  }
});

test("encodeLoginStatus() throws when the status does not fit in one octet", () => {
  for (const status of [-1, 256, 0.5, NaN]) {
    assertThrows(() => encodeLoginStatus(status), TypeError, "status");
  }
});
