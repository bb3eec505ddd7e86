/** Users files: what they may contain, and the problems that are reported. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseUsers, UsersError } from "../../../src/server/mod.ts";
import { test } from "../../support/harness.ts";

/** Of `secret`. */
const HASH =
  "$pbkdf2-sha256$i=1$c2FsdHNhbHQ$7q77FNs/69qVkPyRNSqXo6plaOX9a1Kyv7l1dRFK7ZE";

test("parseUsers() reads names and hashes, comments and all kinds of line ends", () => {
  const text =
    `\uFEFF# users\r\n\r\nalice:${HASH}\r\n  # more\n\t\nb o:b:${HASH}  \nü:${HASH}`;
  assertEquals([...parseUsers(text).hashes], [
    ["alice", HASH],
    ["b o:b", HASH],
    ["ü", HASH],
  ]);
  assertEquals(parseUsers(`${"ü".repeat(127)}x:${HASH}`).hashes.size, 1);
});

/** The text of a file, and its problems: the line and a part of the reason. */
const badFiles: [text: string, problems: [line?: number, reason?: string][]][] =
  [
    ["", [[undefined, "no user"]]],
    ["# alice\n", [[undefined, "no user"]]],
    ["hunter2", [[1, "NAME:HASH"]]],
    ["alice:hunter2", [[1, "hash-password"]]],
    ["alice:hunter2:$", [[1, "$pbkdf2-sha256$i=N$SALT$KEY"]]],
    ["alice:", [[1, "hash-password"]]],
    [`:${HASH}`, [[1, "1 to 255"]]],
    [`${"ü".repeat(128)}:${HASH}`, [[1, "1 to 255"]]],
    [`alice: ${HASH}`, [[1, "hash-password"]]],
    [` alice:${HASH}`, [[1, "white space"]]],
    [`alice :${HASH}`, [[1, "white space"]]],
    // As `socks5 hash-password >> FILE` appends to a file without a last line break.
    [`bob:${HASH}alice:${HASH}\n`, [[1, "line break is missing"]]],
    [`bob:${HASH} sessions=5alice:${HASH} rate=1M`, [[1, "line break"]]],
    [`caf\uFFFD:${HASH}`, [[1, "UTF-8"]]],
    [`# users\ralice:${HASH}`, [[1, "carriage return"]]],
    [`a:${HASH}\rb:${HASH}\n`, [[1, "carriage return"]]],
    [`a:${HASH}\n\r\r\n`, [[2, "carriage return"]]],
    [`a:${HASH}\r\r\n`, [[1, "carriage return"]]],
    [`ali\0ce:${HASH}`, [[1, "control character"]]],
    [`ali\tce:${HASH}`, [[1, "control character"]]],
    [`a:${HASH}\n# \x1b[2K`, [[2, "control character"]]],
    [`a:${HASH}\n\uFEFFalice:hunter2`, [[2, "white space"]]],
    [`a:${HASH}\n\na:${HASH}\nA:${HASH}`, [[3, "line 1"]]],
    [`a:hunter2\r\nb:${HASH}\r\na:${HASH}\r\nhunter2`, [
      [1, "hash-password"],
      [3, "line 1"],
      [4, "NAME:HASH"],
    ]],
  ];

for (const [text, expected] of badFiles) {
  test(`parseUsers() throws for ${JSON.stringify(text).slice(0, 40)}`, () => {
    const error = assertThrows(() => parseUsers(text), UsersError);
    assertEquals(
      error.problems.map(({ line }) => line),
      expected.map(([line]) => line),
    );
    for (const [i, [line, reason]] of expected.entries()) {
      assert(error.problems[i].reason.includes(reason!), error.message);
      assert(line === undefined || error.message.includes(`line ${line}: `));
    }
    assert(!/hunter2|alice|caf/.test(error.message), error.message);
  });
}
