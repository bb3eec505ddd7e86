import { assertEquals } from "@std/assert";
import { importsOf, violationsOf } from "../../scripts/check_imports.ts";
import { test } from "../support/harness.ts";

test("importsOf() finds every form of import", () => {
  const text = `
    import { a } from "./a.ts";
    import type { b } from './b.ts';
    import c, * as d from "./c.ts";
    import "./d.ts";
    import {
      e, // a comment
    } from "./e.ts";
    export * from "./f.ts";
    export { g } from "./g.ts";
    const h = await import("./h.ts");
    type I = import("./i.ts").I;
    const j = await import(name);
    /** import "./k.ts" */
    // import "./l.ts"
    export const m = 1;
    const from = "from";
  `;
  const found = importsOf(text);
  assertEquals(found.map((it) => it.specifier?.[2]), [
    ..."abcdefghi",
    undefined,
  ]);
  assertEquals(found.filter((it) => it.dynamic).length, 3);
});

const allowed: [path: string, text: string][] = [
  ["mod.ts", `export * from "./src/server/mod.ts"`],
  ["src/protocol/socks5.ts", `import { x } from "./address.ts"`],
  ["src/transport/node/transport.ts", `import net from "node:net"`],
  ["src/transport/node/transport.ts", `import { x } from "./transport.ts"`],
  ["src/transport/detect.ts", `await import("./node.ts")`],
  ["src/server/session.ts", `import { x } from "../protocol/socks5.ts"`],
  ["src/server/session.ts", `import { x } from "../transport/detect.ts"`],
  ["src/server/mod.ts", `await import("../cli/main.ts")`],
  ["src/client/connect.ts", `import { x } from "../transport/transport.ts"`],
  ["src/adapters/http.ts", `import { x } from "../client/mod.ts"`],
  ["src/cli/main.ts", `import { parseArgs } from "@std/cli/parse-args"`],
  ["src/cli/main.ts", `import { x } from "../server/mod.ts"`],
];

for (const [path, text] of allowed) {
  test(`violationsOf() allows ${path} ${text}`, () => {
    assertEquals(violationsOf(path, text), []);
  });
}

const refused: [path: string, text: string][] = [
  ["mod.ts", `import "./scripts/std.ts"`],
  ["src/stray.ts", ``],
  ["src/protocol/socks5.ts", `import { x } from "../transport/transport.ts"`],
  ["src/protocol/socks5.ts", `import { Buffer } from "node:buffer"`],
  ["src/transport/transport.ts", `import { x } from "../protocol/socks5.ts"`],
  ["src/transport/node/transport.ts", `import { x } from "./bun.ts"`],
  ["src/transport/node/transport.ts", `import { x } from "./detect.ts"`],
  ["src/transport/relay.ts", `import type { x } from "./node.ts"`],
  ["src/transport/detect.ts", `import { x } from "./node.ts"`],
  ["src/transport/detect.ts", `await import(name)`],
  ["src/transport/bun/transport.ts", `import { x } from "bun"`],
  ["src/server/session.ts", `import { x } from "../client/mod.ts"`],
  ["src/server/session.ts", `import { x } from "../transport/deno.ts"`],
  ["src/server/session.ts", `await import("../cli/main.ts")`],
  ["src/server/session.ts", `import net from "node:net"`],
  ["src/server/mod.ts", `import { main } from "../cli/main.ts"`],
  ["src/client/connect.ts", `export * from "../server/mod.ts"`],
  ["src/adapters/http.ts", `import { x } from "../server/mod.ts"`],
  ["src/cli/main.ts", `import { x } from "npm:x"`],
  ["src/cli/main.ts", `import { x } from "@std/client"`],
  ["src/cli/main.ts", `import { x } from "../../scripts/std.ts"`],
];

for (const [path, text] of refused) {
  test(`violationsOf() refuses ${path} ${text}`, () => {
    assertEquals(violationsOf(path, text).length, 1);
  });
}
