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
