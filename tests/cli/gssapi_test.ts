/** The options of Kerberos logins. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readConfig } from "../../src/cli/config/config.ts";
import { parseFlags } from "../../src/cli/config/flags.ts";
import { load } from "../../src/cli/config/load.ts";
import { UsageError } from "../../src/cli/usage_error.ts";
import { test } from "../support/harness.ts";

function configOf(...args: string[]) {
  const invocation = parseFlags(args, () => undefined);
  if (invocation.type !== "serve") throw new Error(invocation.type);
  return invocation.commandLine;
}

/** A row: the text of the flag, the levels; `undefined` if it is refused. */
const levels: readonly (readonly [string, number[] | undefined])[] = [
  ["2,1", [2, 1]],
  ["2", [2]],
  ["1,2,0", [1, 2, 0]],
  ["", undefined],
  ["3", undefined],
  ["2,", undefined],
  ["2,2", undefined],
  ["2 1", undefined],
];

for (const [text, expected] of levels) {
  test(`--gssapi-levels reads "${text}"`, () => {
    const parse = () => configOf(`--gssapi-levels=${text}`).config.gssapiLevels;
    if (expected) assertEquals(parse(), expected as never);
    else assertThrows(parse, UsageError, "--gssapi-levels");
  });
}

/** A row: the value of a file, the levels; `undefined` if it is refused. */
const values: readonly (readonly [unknown, number[] | undefined])[] = [
  [[2, 1], [2, 1]],
  ["2,1", [2, 1]],
  [2, undefined],
  [[], undefined],
  [[2, 2], undefined],
  [["2"], undefined],
  [[3], undefined],
];

for (const [value, expected] of values) {
  test(`gssapiLevels of a file reads ${JSON.stringify(value)}`, () => {
    const problems: string[] = [];
    const text = JSON.stringify({ gssapiLevels: value });
    const { gssapiLevels } = readConfig(text, "file", problems);
    assertEquals(gssapiLevels, expected as never);
    assertEquals(problems.length, expected ? 0 : 1);
  });
}

for (const flag of ["--gssapi-levels=2", "--gssapi-nec"]) {
  test(`load() refuses ${flag} without a keytab`, async () => {
    const read = () => Promise.reject(new Error("no file"));
    await assertRejects(
      () => load(configOf(flag), read),
      UsageError,
      "--gssapi-keytab",
    );
  });
}
