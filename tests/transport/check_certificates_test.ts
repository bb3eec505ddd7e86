/** Certificates and keys that a runtime would take, and then fail every handshake. */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  CertificateError,
  checkCertificates,
} from "../../src/transport/tls/check_certificates.ts";
import { certificates, issue } from "../support/certificates.ts";
import { runtime, test } from "../support/harness.ts";

const AUTHORITY = ["basicConstraints=critical,CA:TRUE"];
const { ca, server } = certificates();

/** The kinds of keys, by the options of `openssl`, and the runtimes that use them. */
const kinds: readonly [args: string, runtimes: readonly string[]][] = [
  ["RSA -pkeyopt rsa_keygen_bits:2048", ["deno", "bun", "node"]],
  ["EC -pkeyopt ec_paramgen_curve:P-256", ["deno", "bun", "node"]],
  ["EC -pkeyopt ec_paramgen_curve:P-384", ["deno", "bun", "node"]],
  ["EC -pkeyopt ec_paramgen_curve:P-521", ["deno", "bun", "node"]],
  ["ED25519", ["deno", "bun", "node"]],
  ["RSA-PSS -pkeyopt rsa_keygen_bits:2048", ["node"]],
  ["ED448", ["node"]],
  ["EC -pkeyopt ec_paramgen_curve:P-224", []],
  ["EC -pkeyopt ec_paramgen_curve:secp256k1", []],
  ["EC -pkeyopt ec_paramgen_curve:brainpoolP256r1", []],
];

for (const [args, runtimes] of kinds) {
  const isUsed = runtimes.includes(runtime);
  test(`checkCertificates() ${isUsed ? "accepts" : "refuses"} keys of ${args}`, () => {
    const own = issue({
      subject: "/CN=localhost",
      kind: ["-algorithm", ...args.split(" ")],
    });
    if (isUsed) return void checkCertificates(own);
    const error = assertThrows(
      () => checkCertificates(own),
      CertificateError,
    ) as CertificateError;
    assertMatch(error.flaw, /RSA, P-256, P-384, P-521 and Ed25519/);
  });
}

const root = issue({ subject: "/CN=root", extensions: AUTHORITY });
const middle = issue({
  subject: "/CN=middle",
  by: root,
  extensions: AUTHORITY,
});
const lower = issue({
  subject: "/CN=lower",
  by: middle,
  extensions: AUTHORITY,
});

const lists: readonly [name: string, given: string[], kept: string[]][] = [
  ["a root", [root.cert], [root.cert]],
  [
    "intermediates with their root",
    [lower.cert, middle.cert, root.cert],
    [root.cert, middle.cert, lower.cert],
  ],
  [
    "another root with an intermediate without its own",
    [middle.cert, ca.cert],
    [ca.cert],
  ],
  [
    "a root with an intermediate two levels below",
    [root.cert, lower.cert],
    [root.cert],
  ],
];

const trimmed = (text: string | undefined) => text?.replaceAll("\n", "");

for (const [name, given, kept] of lists) {
  test(`checkCertificates() keeps the authorities that are trusted: ${name}`, () => {
    const text = given.join("some words\n");
    const { ca, clientCa } = checkCertificates({ ca: text, clientCa: text });
    assertEquals(trimmed(ca), trimmed(kept.join("")));
    assertEquals(ca, clientCa);
  });
}

for (const option of ["ca", "clientCa"] as const) {
  test(`checkCertificates() refuses ${option} with intermediates alone, and names their root`, () => {
    const text = lower.cert + middle.cert;
    assertThrows(
      () => checkCertificates({ [option]: text }),
      CertificateError,
      "intermediate authorities, of which none is trusted",
    );
    assertThrows(
      () => checkCertificates({ [option]: middle.cert }),
      CertificateError,
      "CN=root",
    );
  });
}

test("checkCertificates() refuses more authorities than the clients of Deno take", () => {
  // One certificate many times: only its size counts.
  const size = pem(ca.cert).length + "CN=Test authority".length + 14;
  const count = Math.floor((64 * 1024 - pem(server.cert).length) / size);
  const of = (count: number) => ({
    ...server,
    clientCa: ca.cert.repeat(count),
  });
  checkCertificates(of(count));
  if (runtime !== "deno") return void checkCertificates(of(count + 1));
  assertThrows(
    () => checkCertificates(of(count + 1)),
    CertificateError,
    `clientCa has ${count + 1} certificates`,
  );
});

/** The bytes of a text in PEM. */
function pem(text: string): Uint8Array {
  const [, base64] = text.match(/-----\n([^-]*)-----/)!;
  return Uint8Array.from(
    atob(base64.replaceAll("\n", "")),
    (it) => it.charCodeAt(0),
  );
}
