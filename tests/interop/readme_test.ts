/** The programs of the README that need other packages, with real servers. */

import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import * as agent from "../../src/doors/agent/mod.ts";
import * as socket from "../../src/doors/socket/mod.ts";
import { userPass } from "../../src/server/mod.ts";
import { test } from "../support/harness.ts";
import { startServer } from "../support/server.ts";
import { databases } from "./databases.ts";
import { load, loadModule } from "./libraries.ts";
import { missingRuntime } from "./runtimes.ts";
import { startHttp } from "./targets.ts";

/** The packages of the programs. */
const PACKAGES: Readonly<Record<string, string>> = {
  axios: "1.21.1",
  got: "11.8.6",
  pg: "8.23.1",
};
const OWN: Readonly<Record<string, object>> = {
  "@x/socks5/agent": agent,
  "@x/socks5/socket": socket,
};

/** The blocks of `js ignore`; those in `ts` need nothing but this package. */
function programs(): string[] {
  const readme = readFileSync("README.md", "utf8");
  return [...readme.matchAll(/^```js ignore\n([^]*?)^```$/gm)].map(([, text]) =>
    text
  );
}

async function moduleOf(name: string): Promise<object> {
  if (Object.hasOwn(OWN, name)) return OWN[name];
  const loading = name === "axios" ? loadModule : load;
  return { default: await loading(name, PACKAGES[name]) };
}

/** The program as a function body, with its imports as parameters. */
async function prepare(program: string) {
  const names: string[] = [];
  const values: unknown[] = [];
  const body = program.replace(
    /^import (?:\{ ([^}]+) \}|(\w+)) from "([^"]+)";\n/gm,
    (_, named: string | undefined, whole: string, from: string) => {
      for (const name of named?.split(", ") ?? [whole]) {
        names.push(name);
        values.push({ name: named ? name : "default", from });
      }
      return "";
    },
  );
  assert(!/^import /m.test(body), "an import of an unknown form");
  const imports = await Promise.all(
    (values as { name: string; from: string }[]).map(async ({ name, from }) =>
      (await moduleOf(from) as Record<string, unknown>)[name]
    ),
  );
  return { names, imports, body };
}

const AsyncFunction = (async () => {}).constructor as new (
  ...parameters: string[]
) => (...values: unknown[]) => Promise<void>;

/** Runs a program; its addresses become those of real servers. Returns what it prints. */
async function run(
  program: string,
  ports: Readonly<Record<number, number>>,
): Promise<unknown[]> {
  const { names, imports, body } = await prepare(program);
  const text = body.replace(
    /127\.0\.0\.1:(\d+)/g,
    (_, port) => `127.0.0.1:${ports[port]}`,
  );
  const printed: unknown[] = [];
  const console = { log: (value: unknown) => printed.push(value) };
  await new AsyncFunction("console", ...names, text)(console, ...imports);
  return printed;
}

const skip = missingRuntime("deno") ?? databases.PostgreSQL.skip;

const EXPECTED: readonly (readonly unknown[])[] = [["hello", "hello"], [42]];

test("the README has as many programs as are tested", () => {
  assertEquals(programs().length, EXPECTED.length);
});

for (const [i, expected] of EXPECTED.entries()) {
  const program = programs()[i];
  const packages = [...program.matchAll(/from "([\w/@-]+)"/g)]
    .map(([, name]) => name);
  test(`the README's program with ${packages.join()} works`, async () => {
    const proxy = await startServer({ auth: [userPass({ alice: "secret" })] });
    const http = await startHttp();
    try {
      await databases.PostgreSQL.run(async ({ port }) => {
        const printed = await run(program, {
          1080: proxy.server.addr.port,
          8080: http.port,
          5432: port,
        });
        assertEquals(printed, expected);
      });
      const granted = proxy.events.filter((event) =>
        event.type === "reply" && event.session.reply === 0
      );
      assert(granted.length > 0, "no session of the proxy");
    } finally {
      await http.close();
      await proxy.close();
    }
  }, { skip });
}
