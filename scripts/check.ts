/**
 * Checks everything except the tests: format, lint, import rules, types,
 * documentation and its examples, the types of the runtimes, publishing. The
 * arguments are names of checks; by default all run.
 *
 * @module
 */

import { join } from "node:path";
import { files, root } from "./files.ts";
import { type Output, run } from "./run.ts";
import { publish } from "./publish.ts";
import { readConfig } from "./stage.ts";
import { stdFlags } from "./std.ts";

const bunTypes = "npm:@types/bun@1.4.4";

async function deno(...args: string[]): Promise<Output> {
  return await run(Deno.execPath(), args, { env: { NO_COLOR: "1" } });
}

async function entries(): Promise<string[]> {
  return Object.values((await readConfig()).exports);
}

/**
 * Returns all modules except the consumers of the npm package, which
 * check_package.ts checks.
 */
async function modules(): Promise<string[]> {
  const found = ["mod.ts"];
  for (const folder of ["src", "scripts", "tests"]) {
    for await (const path of files(join(root, folder))) {
      if (!path.includes("/tests/packaging/") && path.endsWith(".ts")) {
        found.push(path);
      }
    }
  }
  return found;
}

/**
 * Checks that a runtime has the members that its adapter declares. Runs with
 * `--no-config`, because the types of Bun replace those of Deno.
 */
async function shape(
  runtime: "Deno" | "Bun",
  reference: string,
): Promise<Output> {
  const room = join(root, "src", "transport", runtime.toLowerCase());
  const adapter = join(room, "transport.ts");
  const name = `${runtime}Net`;
  const folder = await Deno.makeTempDir();
  try {
    const file = join(folder, "shape.ts");
    await Deno.writeTextFile(
      file,
      `${reference}\nimport type { ${name} } from "${adapter}";\n${runtime} satisfies ${name};\n`,
    );
    return await deno("check", "--quiet", "--no-config", file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const checks: Record<string, (std: string[]) => Promise<Output>> = {
  format: () => deno("fmt", "--check"),
  lint: () => deno("lint", "--quiet"),
  imports: () => deno("run", "--allow-read", "scripts/check_imports.ts"),
  types: async (std) =>
    await deno("check", "--quiet", ...std, ...await modules()),
  docs: async (std) =>
    await deno("doc", "--lint", "--quiet", ...std, ...await entries()),
  examples: async (std) =>
    await deno("test", "--doc", "-A", ...std, "mod.ts", "src", "README.md"),
  "deno types": () => shape("Deno", ""),
  "bun types": () => shape("Bun", `/// <reference types="${bunTypes}" />`),
  publish: () => publish("--dry-run", "--quiet"),
};

/** Ends the program if a check does not exist: nothing would be checked. */
function refuseUnknown(names: readonly string[]): void {
  const known = Object.keys(checks);
  const unknown = names.find((it) => !known.includes(it));
  if (unknown === undefined) return;
  console.error(`there is no check "${unknown}", only ${known.join(", ")}`);
  Deno.exit(2);
}

if (import.meta.main) {
  refuseUnknown(Deno.args);
  const std = await stdFlags();
  const failed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    if (Deno.args.length > 0 && !Deno.args.includes(name)) continue;
    const start = performance.now();
    const { success, stdout, stderr } = await check(std);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${success ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
    if (!success) failed.push(name);
    if (!success) console.log(`${stdout}${stderr}`.trimEnd());
  }
  console.log(
    failed.length === 0 ? "all checks pass" : `failed: ${failed.join(", ")}`,
  );
  Deno.exit(failed.length === 0 ? 0 : 1);
}
