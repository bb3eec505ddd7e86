import { assertEquals } from "@std/assert";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { runtime, test } from "../support/harness.ts";

/** The runtimes run the sources in the root folder, not the bundles of the tests. */
const root = process.cwd();

const { exports: entries, version } = JSON.parse(
  readFileSync(`${root}/deno.json`, "utf8"),
) as { exports: Record<string, string>; version: string };

const cannotStrip = runtime === "node" && !process.features.typescript
  ? "this version of Node does not run TypeScript"
  : undefined;

interface Result {
  code: unknown;
  stdout: string;
  stderr: string;
}

/** Runs the runtime with the arguments. */
function run(...args: string[]): Promise<Result> {
  // The entry ./register requires a proxy otherwise.
  const env = { ...process.env, NO_COLOR: "1", NO_PROXY: "*" };
  const options = { cwd: root, env };
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stdout, stderr });
    });
  });
}

/** The flag that the tests were started with if JSR is not reachable. */
function importMap(): string[] {
  if (runtime !== "deno") return [];
  const parser = import.meta.resolve("@std/cli/parse-args");
  if (!parser.startsWith("file:")) return [];
  return [`--import-map=${new URL("./import_map.json", parser)}`];
}

/** Evaluates a module that has no file. */
function evaluate(code: string): Promise<Result> {
  const flags = {
    deno: ["eval", "--quiet", ...importMap()],
    bun: ["-e"],
    node: ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "-e"],
  };
  return run(...flags[runtime], code);
}

for (const [name, path] of Object.entries(entries)) {
  test(`the entry ${name} loads from its source`, async () => {
    const code = `
      import("${root}/${path}").then((it) => {
        console.log(Object.keys(it).length > 0);
      });`;
    assertEquals(await evaluate(code), {
      code: 0,
      stdout: `${name !== "./register"}\n`, // which only has an effect
      stderr: "",
    });
  }, { skip: cannotStrip });
}

const expected = { code: 0, stdout: `socks5 ${version}\n`, stderr: "" };

test("src/server/mod.ts starts the program from its source", async () => {
  assertEquals(await run("src/server/mod.ts", "--version"), expected);
}, {
  skip: runtime === "bun"
    ? undefined
    : "process_test.ts starts it on Deno, and Node lacks the names of deno.json",
});
