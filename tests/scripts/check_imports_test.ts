import { assertEquals } from "@std/assert";
import { violationsOf } from "../../scripts/check_imports.ts";
import { circlesOf } from "../../scripts/imports/circles_of.ts";
import { importsOf } from "../../scripts/imports/imports_of.ts";
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

const disguised: [name: string, text: string][] = [
  ["a string with a comment's start", 'const a = "src/**";\nIMPORT\n/** b */'],
  ["a template with a comment's start", "const a = `/*`;\nIMPORT\n/** b */"],
  [
    "a template in a template",
    "const a = `${{ b: `/*` }.b}//*`; IMPORT\n/** c */",
  ],
  [
    "a regular expression with a comment's start",
    "const a = b.replace(/[/*]/, c);\nIMPORT\n/** d */",
  ],
  ["a quotation mark in a regular expression", 'const a = /"/; IMPORT // "'],
  ["two slashes in a string", 'const a = "b // c"; IMPORT'],
  ["a comment without a space", "import {\n  a,// b\n} FROM"],
  ["a comment with an apostrophe", "import {\n  a, // it's\n} FROM"],
  ["a long comment", "import {\n  /**\n   * from 'b';\n   */\n  a,\n} FROM"],
  ["a name in quotation marks", 'export { a as "b c" } FROM'],
  ["a name with an umlaut", "export { a as größe } FROM"],
  ["a namespace", "export * as a FROM"],
  ["types", "export type * FROM"],
  ["line breaks", 'import\n{ a }\nfrom\n"../server/serve.ts"'],
  ["an import by require()", 'import a = require("../server/serve.ts");'],
  ["a reference", '/// <reference types="../server/serve.ts" />'],
  [
    "the types of a module",
    '// @ts-types="../server/serve.ts"\nimport "./a.js"',
  ],
  ["a dynamic import with a comment", 'import(/* a */ "../server/serve.ts")'],
  ["a template as a name", "import(`../server/serve.ts`)"],
  ["a path from the root", 'import "/src/server/serve.ts"'],
  ["an escape in a path", 'import "./%2e%2e/server/serve.ts"'],
  ["an escape in a string", String.raw`import "../\x73erver/serve.ts"`],
  ["a query", 'import "./proxy.ts?server"'],
  ["an own name", 'import "@x/socks5/server"'],
];

for (const [name, text] of disguised) {
  test(`violationsOf() finds a wrong import with ${name}`, () => {
    const module = text
      .replace("IMPORT", 'export { a } from "../server/serve.ts";')
      .replace("FROM", 'from "../server/serve.ts";');
    const path = "src/client/connect.ts";
    assertEquals(violationsOf(path, module).length, 1);
    assertEquals(violationsOf(path, `const before = 1;\n${module}`).length, 1);
  });
}

const allowed: [path: string, text: string][] = [
  ["mod.ts", `export { serve } from "./src/server/serve.ts"`],
  ["mod.ts", `export * from "./src/server/mod.ts"`],
  [
    "mod.ts",
    `export { MessageReader } from "./src/transport/message_reader.ts"`,
  ],

  ["src/protocol/socks5.ts", `import { x } from "./address.ts"`],

  ["src/transport/relay.ts", `import type { x } from "./transport.ts"`],
  ["src/transport/mod.ts", `export { x } from "./detect.ts"`],
  ["src/transport/detect.ts", `await import("./node/transport.ts")`],
  ["src/transport/detect.ts", `import type { x } from "./transport.ts"`],
  ["src/transport/common/lookup.ts", `import { x } from "../errors.ts"`],
  ["src/transport/common/lookup.ts", `await import("node:dns")`],
  ["src/transport/mod.ts", `export { x } from "./detect.ts"`],
  ["src/transport/node/transport.ts", `import net from "node:net"`],
  ["src/transport/node/transport.ts", `import { x } from "../transport.ts"`],
  ["src/transport/node/transport.ts", `import { x } from "./conn.ts"`],
  ["src/transport/bun/transport.ts", `import { x } from "../common/checks.ts"`],
  ["src/transport/deno/transport.ts", `await import("../node/transport.ts")`],
  ["src/transport/deno/datagrams.ts", `await import("../node/datagrams.ts")`],

  ["src/client/connect.ts", `import { x } from "../transport/transport.ts"`],
  ["src/client/connect.ts", `import { x } from "../transport/detect.ts"`],
  ["src/client/connect.ts", `import { x } from "../protocol/address.ts"`],

  ["src/server/session.ts", `import { x } from "../protocol/socks5.ts"`],
  ["src/server/session.ts", `import { x } from "../transport/detect.ts"`],
  ["src/server/session.ts", `import { x } from "./commands/connect.ts"`],
  ["src/server/session.ts", `import { x } from "./frontends/detect.ts"`],
  ["src/server/serve.ts", `import { x } from "./limits/server_limits.ts"`],
  ["src/server/options.ts", `import { x } from "./policy/policy.ts"`],
  ["src/server/mod.ts", `await import("../cli/main.ts")`],
  ["src/server/options.ts", `import type { x } from "./cluster/store.ts"`],
  ["src/server/serve.ts", `await import("./cluster/shared_limits.ts")`],
  ["src/server/mod.ts", `export { x } from "./auth/users.ts"`],
  ["src/server/policy/policy.ts", `import type { x } from "../events.ts"`],
  [
    "src/server/policy/policy.ts",
    `import { x } from "../../transport/errors.ts"`,
  ],
  [
    "src/server/policy/authorize.ts",
    `import { x } from "../../transport/dial.ts"`,
  ],
  ["src/server/policy/authorize.ts", `import { x } from "./policy.ts"`],
  ["src/server/auth/users.ts", `import { x } from "../client_key.ts"`],
  [
    "src/server/limits/connection_limiter.ts",
    `import { x } from "../client_key.ts"`,
  ],
  [
    "src/server/cluster/coordinator.ts",
    `import { x } from "../auth/lockout.ts"`,
  ],
  [
    "src/server/cluster/coordinator.ts",
    `import { x } from "../limits/keyed_limit.ts"`,
  ],
  ["src/server/cluster/mod.ts", `import type { x } from "../serve.ts"`],
  ["src/server/frontends/socks5.ts", `import { x } from "../auth/method.ts"`],
  ["src/server/frontends/socks5.ts", `import type { x } from "../settings.ts"`],
  ["src/server/frontends/socks5.ts", `import { x } from "./frontend.ts"`],
  [
    "src/server/commands/connect.ts",
    `import { x } from "../policy/authorize.ts"`,
  ],
  [
    "src/server/commands/connect.ts",
    `import { x } from "../limits/rate_limiters.ts"`,
  ],
  [
    "src/server/commands/connect.ts",
    `import type { x } from "../frontends/frontend.ts"`,
  ],

  ["src/doors/agent.ts", `import { x } from "../client/mod.ts"`],
  ["src/doors/agent.ts", `import http from "node:http"`],
  ["src/doors/bridge.ts", `import { x } from "../server/serve.ts"`],
  ["src/doors/bridge/http.ts", `import { x } from "../../server/serve.ts"`],
  ["src/doors/fetch/bridge.ts", `await import("../bridge/mod.ts")`],
  ["src/doors/fetch/node.ts", `import { x } from "../undici/mod.ts"`],

  ["src/cli/main.ts", `import { parseArgs } from "@std/cli/parse-args"`],
  ["src/cli/main.ts", `import { x } from "../server/mod.ts"`],
  ["src/cli/main.ts", `import { x } from "./commands/dry_run.ts"`],
  ["src/cli/main.ts", `await import("./workers/worker.ts")`],
  ["src/cli/main.ts", `await import("../tool/tool.ts")`],

  ["src/tool/mod.ts", `await import("../cli/main.ts")`],
  ["src/tool/check/check.ts", `import { x } from "../../client/hops.ts"`],
  ["src/tool/commands/run.ts", `import { x } from "../../cli/host/host.ts"`],
  [
    "src/tool/commands/run.ts",
    `import { x } from "../../doors/bridge/bridge.ts"`,
  ],
  ["src/cli/host/node.ts", `import process from "node:process"`],
  ["src/cli/output/log.ts", `import type { x } from "../host/host.ts"`],
  ["src/cli/config/kinds.ts", `import { x } from "../output/escape.ts"`],
  ["src/cli/config/load.ts", `import { x } from "../usage_error.ts"`],
  ["src/cli/failure.ts", `import { x } from "./config/flags.ts"`],
  ["src/cli/serve/reload.ts", `import { x } from "../failure.ts"`],
  ["src/cli/workers/worker.ts", `import { x } from "../serve/watch.ts"`],
  [
    "src/cli/workers/processes.ts",
    `import { x } from "../../transport/detect.ts"`,
  ],
  [
    "src/cli/admin/metrics_server.ts",
    `import type { x } from "../serve/running.ts"`,
  ],
  ["src/cli/commands/dry_run.ts", `import { x } from "../workers/channel.ts"`],
  ["src/tool/main.ts", `import { x } from "../client/mod.ts"`],
  ["src/tool/main.ts", `import { parseArgs } from "@std/cli/parse-args"`],
];

for (const [path, text] of allowed) {
  test(`violationsOf() allows ${path} ${text}`, () => {
    assertEquals(violationsOf(path, text), []);
  });
}

const refused: [path: string, text: string][] = [
  ["mod.ts", `import "./scripts/std.ts"`],
  ["mod.ts", `export { x } from "./src/transport/node/transport.ts"`],
  ["mod.ts", `export { x } from "./src/cli/main.ts"`],

  ["src/stray.ts", ``],
  ["src/strays/stray.ts", ``],
  ["src/transport/strays/stray.ts", ``],
  ["src/server/strays/stray.ts", ``],
  ["src/cli/strays/stray.ts", ``],

  ["src/protocol/socks5.ts", `import { x } from "../transport/transport.ts"`],
  ["src/protocol/socks5.ts", `import { Buffer } from "node:buffer"`],

  ["src/transport/transport.ts", `import { x } from "../protocol/socks5.ts"`],
  ["src/transport/relay.ts", `import type { x } from "./node/conn.ts"`],
  ["src/transport/relay.ts", `import { x } from "./common/checks.ts"`],
  ["src/transport/relay.ts", `await import("./node/transport.ts")`],
  ["src/transport/relay.ts", `import net from "node:net"`],
  ["src/transport/node/conn.ts", `import { x } from "../mod.ts"`],
  ["src/transport/detect.ts", `import { x } from "./node/transport.ts"`],
  ["src/transport/detect.ts", `await import("./node/conn.ts")`],
  ["src/transport/detect.ts", `await import(name)`],
  ["src/transport/common/lookup.ts", `import { x } from "../node/conn.ts"`],
  ["src/transport/common/lookup.ts", `import { x } from "../detect.ts"`],
  ["src/transport/node/transport.ts", `import { x } from "../bun/conn.ts"`],
  ["src/transport/node/transport.ts", `import { x } from "../detect.ts"`],
  ["src/transport/node/transport.ts", `await import("../deno/transport.ts")`],
  ["src/transport/bun/transport.ts", `await import("../node/transport.ts")`],
  ["src/transport/bun/transport.ts", `import { x } from "bun"`],
  [
    "src/transport/deno/transport.ts",
    `import { x } from "../node/transport.ts"`,
  ],
  ["src/transport/deno/transport.ts", `await import("../bun/transport.ts")`],

  ["src/client/connect.ts", `export * from "../server/mod.ts"`],
  [
    "src/client/connect.ts",
    `import { x } from "../transport/deno/transport.ts"`,
  ],
  [
    "src/client/connect.ts",
    `import { x } from "../transport/common/checks.ts"`,
  ],
  ["src/client/connect.ts", `import net from "node:net"`],

  ["src/server/session.ts", `import { x } from "../client/mod.ts"`],
  [
    "src/server/session.ts",
    `import { x } from "../transport/deno/transport.ts"`,
  ],
  [
    "src/server/session.ts",
    `import { x } from "../transport/common/checks.ts"`,
  ],
  ["src/server/session.ts", `await import("../cli/main.ts")`],
  ["src/server/session.ts", `import net from "node:net"`],
  ["src/server/serve.ts", `import type { x } from "./cluster/coordinator.ts"`],
  ["src/server/mod.ts", `import { main } from "../cli/main.ts"`],
  ["src/server/mod.ts", `await import("../cli/host/host.ts")`],
  [
    "src/server/policy/policy.ts",
    `import type { x } from "../commands/command.ts"`,
  ],
  ["src/server/policy/policy.ts", `import { x } from "./rules.ts"`],
  [
    "src/server/policy/policy.ts",
    `import { x } from "../../transport/dial.ts"`,
  ],
  [
    "src/server/policy/rules.ts",
    `import type { x } from "../commands/command.ts"`,
  ],
  [
    "src/server/policy/rules.ts",
    `import type { x } from "../limits/keyed_limit.ts"`,
  ],
  ["src/server/policy/rules.ts", `import type { x } from "../auth/users.ts"`],
  ["src/server/policy/rules.ts", `import type { x } from "../settings.ts"`],
  ["src/server/auth/users.ts", `import { x } from "../limits/keyed_limit.ts"`],
  ["src/server/auth/users.ts", `import { x } from "../cluster/store.ts"`],
  ["src/server/auth/users.ts", `import { x } from "../policy/policy.ts"`],
  ["src/server/auth/users.ts", `import { x } from "../commands/connect.ts"`],
  ["src/server/auth/users.ts", `import { x } from "../frontends/frontend.ts"`],
  [
    "src/server/limits/keyed_limit.ts",
    `import type { x } from "../cluster/store.ts"`,
  ],
  [
    "src/server/limits/keyed_limit.ts",
    `import { x } from "../auth/lockout.ts"`,
  ],
  [
    "src/server/limits/keyed_limit.ts",
    `import { x } from "../commands/command.ts"`,
  ],
  [
    "src/server/cluster/coordinator.ts",
    `import { x } from "../policy/policy.ts"`,
  ],
  [
    "src/server/cluster/coordinator.ts",
    `import { x } from "../commands/command.ts"`,
  ],
  ["src/server/cluster/coordinator.ts", `import { x } from "../mod.ts"`],
  ["src/server/frontends/socks5.ts", `import { x } from "../policy/policy.ts"`],
  [
    "src/server/frontends/socks5.ts",
    `import { x } from "../commands/connect.ts"`,
  ],
  ["src/server/frontends/socks5.ts", `import { x } from "../session.ts"`],
  ["src/server/commands/connect.ts", `import { x } from "../auth/method.ts"`],
  ["src/server/commands/connect.ts", `import { x } from "../cluster/store.ts"`],
  [
    "src/server/commands/connect.ts",
    `import { x } from "../frontends/socks5.ts"`,
  ],
  ["src/server/commands/connect.ts", `import { x } from "../session.ts"`],

  ["src/doors/agent.ts", `import { x } from "../server/mod.ts"`],
  ["src/doors/agent.ts", `import { x } from "./bridge.ts"`],
  ["src/doors/agent.ts", `import { x } from "undici"`],
  ["src/doors/bridge.ts", `import { x } from "../cli/main.ts"`],
  ["src/doors/fetch/bridge.ts", `import { x } from "../bridge/mod.ts"`],
  ["src/doors/fetch/bridge.ts", `await import("../../server/mod.ts")`],

  ["src/tool/mod.ts", `import { x } from "../cli/main.ts"`],
  ["src/tool/check/check.ts", `import { x } from "../../cli/host/host.ts"`],
  ["src/tool/check/check.ts", `import { x } from "../../server/serve.ts"`],
  ["src/tool/check/check.ts", `import { x } from "node:net"`],
  ["src/tool/commands/run.ts", `import { x } from "../../cli/main.ts"`],

  ["src/cli/main.ts", `import { x } from "npm:x"`],
  ["src/cli/main.ts", `import { x } from "@std/client"`],
  ["src/cli/main.ts", `import { x } from "../../scripts/std.ts"`],
  ["src/cli/usage_error.ts", `import { x } from "./host/host.ts"`],
  ["src/cli/host/host.ts", `import { x } from "../output/log.ts"`],
  ["src/cli/output/format.ts", `import { x } from "../config/duration.ts"`],
  ["src/cli/config/load.ts", `import { x } from "../failure.ts"`],
  ["src/cli/failure.ts", `import { x } from "./serve/running.ts"`],
  [
    "src/cli/failure.ts",
    `import { x } from "../transport/common/checks.ts"`,
  ],
  [
    "src/cli/workers/processes.ts",
    `await import("../../transport/node/transport.ts")`,
  ],
  ["src/cli/serve/running.ts", `await import("../workers/supervisor.ts")`],
  [
    "src/cli/workers/supervisor.ts",
    `import { x } from "../admin/metrics_server.ts"`,
  ],
  [
    "src/cli/admin/metrics_server.ts",
    `import { x } from "../commands/dry_run.ts"`,
  ],
  ["src/cli/commands/dry_run.ts", `import { x } from "../main.ts"`],
  ["src/tool/main.ts", `import { x } from "../../scripts/std.ts"`],
];

for (const [path, text] of refused) {
  test(`violationsOf() refuses ${path} ${text}`, () => {
    assertEquals(violationsOf(path, text).length, 1);
  });
}

const graphs: [name: string, modules: Record<string, string>, string[][]][] = [
  ["none in a tree", {
    "src/a.ts": `import "./b.ts"; import { x } from "./c.ts";`,
    "src/b.ts": `import "./c.ts"; import "node:net";`,
    "src/c.ts": ``,
  }, []],
  ["two modules", {
    "src/a.ts": `import { b } from "./b/b.ts";`,
    "src/b/b.ts": `import { a } from "../a.ts";`,
  }, [["src/a.ts", "src/b/b.ts"]]],
  ["three modules with a type-only import", {
    "src/b.ts": `export * from "./a.ts";`,
    "src/a.ts": `import type { c } from "./c.ts";`,
    "src/c.ts": `import { type b } from "./b.ts";`,
  }, [["src/a.ts", "src/c.ts", "src/b.ts"]]],
  ["a dynamic import", {
    "src/a.ts": `await import("./b.ts");`,
    "src/b.ts": `import type { a } from "./a.ts";`,
  }, [["src/a.ts", "src/b.ts"]]],
  ["a module that imports itself", {
    "src/a.ts": `import { b } from "./a.ts";`,
  }, [["src/a.ts"]]],
  ["two circles with a common module", {
    "mod.ts": `export * from "./src/a.ts";`,
    "src/a.ts": `import "./b.ts"; import "./c.ts";`,
    "src/b.ts": `import "./a.ts";`,
    "src/c.ts": `import "./a.ts";`,
  }, [["src/a.ts", "src/b.ts"], ["src/a.ts", "src/c.ts"]]],
];

for (const [name, modules, circles] of graphs) {
  test(`circlesOf() finds ${name}`, () => {
    assertEquals(circlesOf(new Map(Object.entries(modules))), circles);
  });
}
