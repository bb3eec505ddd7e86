/** The README for each place, and its commands. */

import { assert, assertEquals } from "@std/assert";
import { codeBlocks, commandsOf } from "../../scripts/readme/blocks.ts";
import { problemsOf } from "../../scripts/readme/problems.ts";
import { type Reader, readmeFor } from "../../scripts/readme/reader.ts";
import { test } from "../support/harness.ts";

const source = `# a

For everyone.

<!-- for: repository, jsr -->

For Deno.

<!-- for: repository, npm -->

For Node.

<!-- for: all -->

![A picture](scripts/bench/a.svg)

<!-- bench: begin -->

A table.

<!-- bench: end -->

The end.
`;

for (
  const [reader, parts] of [
    ["repository", [
      "For Deno.\n\nFor Node.",
      "![A picture](scripts/bench/a.svg)",
      "<!-- bench: begin -->\n\nA table.\n\n<!-- bench: end -->",
    ]],
    ["npm", ["For Node.", "![A picture](a.svg)", "A table."]],
    ["jsr", ["For Deno.", "A table."]],
  ] as [Reader, string[]][]
) {
  test(`readmeFor() of ${reader} has the parts for it`, () => {
    const all = ["# a", "For everyone.", ...parts, "The end.\n"];
    assertEquals(readmeFor(reader, source), all.join("\n\n"));
  });
}

const markdown = `Text.

\`\`\`sh
npx x # or: bunx x
run --one \\
  --two # a comment
\`\`\`

\`\`\`ts
let a = 1;
\`\`\`
`;

test("codeBlocks() returns the blocks with their languages", () => {
  const [first, second] = codeBlocks(markdown);
  assert(first.text.startsWith("npx x # or: bunx x\n"), first.text);
  assertEquals(second, { language: "ts", text: "let a = 1;\n" });
});

test("commandsOf() returns whole commands, and those with other tools", () => {
  assertEquals(commandsOf(codeBlocks(markdown)[0]), [
    { text: "npx x", other: "bunx x" },
    { text: "run --one   --two # a comment" },
  ]);
});

for (
  const [reader, text, problems] of [
    ["npm", "fine\n", []],
    ["npm", "deno run jsr:@x/socks5\n", ['it has "jsr:"']],
    ["jsr", "npx @x/socks5\n", ['it has "npx"']],
    ["jsr", "[a](scripts/a.md)\n", ["it refers to scripts/a.md"]],
    ["npm", "![a](speed.svg) [b](#b) [c](https://example.com)\n", []],
    ["repository", "<!-- for npm -->\n", ["it has a mark that is not read"]],
    ["repository", "[a](scripts/a.md) npx deno@1\n", []],
    ["repository", "line\n".repeat(401), ["it has 401 lines"]],
  ] as [Reader, string, string[]][]
) {
  test(`problemsOf() of ${JSON.stringify(text.slice(0, 30))} for ${reader} are ${problems.length}`, () => {
    assertEquals(problemsOf(reader, text), problems);
  });
}
