/// <reference lib="deno.unstable" />

import { assertEquals } from "@std/assert";
import plugin from "../../scripts/lint.ts";
import { runtime, test } from "../support/harness.ts";

const skip = runtime === "deno" ? undefined : "only Deno has a linter";

const old = "it.x = () => 1; it.y = function () {}; this.#z = async () => {};";

const young = `
  const f = () => 1;
  it.x = f;
  const it = { x: () => 1, y() {} };
  class It { x = () => 1; #y = function () {}; }
  let g;
  g = () => 1;`;

/** The texts that the rules report. */
function rangesIn(file: string, text: string): string[] {
  return Deno.lint.runPlugin(plugin, `/any/${file}`, text)
    .map(({ range: [from, to] }) => text.slice(from, to));
}

test(
  "no-old-functions reports functions that V8 allocates in the old generation",
  () => {
    const inClass = `class It { #z; constructor(it) { ${old} } }`;
    assertEquals(rangesIn("src/server/session.ts", inClass), [
      "it.x = () => 1",
      "it.y = function () {}",
      "this.#z = async () => {}",
    ]);
    assertEquals(rangesIn("src/server/session.ts", young), []);
    assertEquals(rangesIn("src/cli/main.ts", inClass), []);
  },
  { skip },
);

const typed = [
  "it.x = (() => 1) as F",
  "it.x = (() => 1) satisfies F",
  "it.x = (() => 1)!",
  "it.x = ((() => 1) as unknown) as F",
  "(it.x as F) = () => 1",
  "it.x ??= () => 1",
  "it[x] = () => 1",
];

for (const text of typed) {
  test(`no-old-functions reports ${text}`, () => {
    assertEquals(rangesIn("src/server/session.ts", `${text};`), [text]);
  }, { skip });
}

const WORDS = "word ".repeat(19).trim(); // 94 characters
const URL = `https://example.com/${"a".repeat(100)}`;

const fitting: [name: string, text: string][] = [
  ["a line of 100 columns", `//    ${WORDS}`],
  ["a comment after code", `const a = 1; // ${WORDS.slice(16)}`],
  ["a block comment", `/**\n * ${WORDS} x\n */`],
  ["a URL", `// See ${URL}`],
  ["a URL after a line of 100 columns", `// (${WORDS}) ${URL}`],
  ["a long line without a comment", `const b = "${WORDS} ${WORDS}";`],
  ["a comment in a string", `const c = "// ${WORDS} ${WORDS}";`],
  ["characters of several octets", `// ä ☃ 💩💩💩💩 ${WORDS.slice(9)}`],
  ["a comment after a long line", `const d = "${WORDS} ${WORDS}";\n// short`],
];

for (const [name, text] of fitting) {
  test(`comment-width accepts ${name}`, () => {
    assertEquals(rangesIn("tests/a_test.ts", text), []);
  }, { skip });
}

const tooWide: [name: string, text: string][] = [
  ["a line of 101 columns", `//     ${WORDS}`],
  ["a comment after code", `// ${WORDS}`],
  ["a line of 101 columns and a URL", `// (${WORDS})  ${URL}`],
  ["a block comment on a line", `/*  ${WORDS} */`],
];

for (const [name, text] of tooWide) {
  test(`comment-width reports ${name}`, () => {
    const code = name.endsWith("after code") ? "const a = 1; " : "";
    const before = `const x = "ä☃💩"; // short\n`;
    const file = `${before}${code}${text}\n`;
    assertEquals(rangesIn("tests/a_test.ts", file), [text]);
  }, { skip });
}

test(
  "comment-width reports each line of a block comment that is too wide",
  () => {
    const text = `  /**
   * Short.
   * ${WORDS} and more words.
   *
   * ${WORDS} and other words. */
  const a = 1; // ${WORDS}`;
    assertEquals(rangesIn("mod.ts", text), [
      `   * ${WORDS} and more words.`,
      `   * ${WORDS} and other words. */`,
      `// ${WORDS}`,
    ]);
  },
  { skip },
);
