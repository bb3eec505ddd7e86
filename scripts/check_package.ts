/**
 * Checks the npm package in `npm/` from the point of view of its users: packs
 * it, installs the tarball, measures entries, uses server and client on every runtime,
 * runs the command, bundles and compiles applications and the command, type-checks a
 * program that uses it, and has the tools of others check it. Run `deno task build:npm`
 * first.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "./files.ts";
import { checkBundles } from "./package/bundles.ts";
import { checkServer, denoFlags, runCommand } from "./package/command.ts";
import { contents, install, pack } from "./package/install.ts";
import { lint } from "./package/linters.ts";
import { checkPrograms } from "./package/programs.ts";
import { expect, failures, report } from "./package/report.ts";
import { checkSizes } from "./package/sizes.ts";
import { checkTool } from "./package/tool.ts";
import { checkTypes } from "./package/types.ts";
import { bin, emitted } from "./package_json.ts";
import { findRuntimes, runtimeNames } from "./runtimes.ts";

/**
 * Writes a program that exports what all entries of the package do. Returns the
 * names of its exports.
 */
async function writeEntries(
  folder: string,
  { name, exports }: { name: string; exports: Record<string, unknown> },
): Promise<string[]> {
  // The one has no exports, and the other ends a process without a proxy.
  const paths = Object.keys(exports).filter((it) =>
    !it.endsWith(".json") && it !== "./register"
  );
  const names = paths.map((it) => it === "." ? "main" : it.slice(2));
  const lines = paths.map((path, i) =>
    `export * as ${names[i]} from "${name}${path.slice(1)}";\n`
  );
  const isDoor = (_: unknown, i: number) =>
    JSON.stringify(exports[paths[i]]).includes("/doors/");
  const isOther = (_: unknown, i: number) => !isDoor(_, i);
  const write = (file: string, lines: string[]) =>
    Deno.writeTextFile(join(folder, file), lines.join(""));
  await write("entries.js", lines);
  // The compiler of TypeScript writes a module beside each of these.
  await write("others.ts", lines.filter(isOther));
  await write("doors.ts", lines.filter(isDoor));
  return names.sort();
}

async function check(folder: string): Promise<void> {
  const tarball = await pack(folder);
  await install(folder, tarball);
  const npm = join(root, "npm");
  const json = JSON.parse(await Deno.readTextFile(join(npm, "package.json")));
  const installed = join(folder, "node_modules", json.name);
  report("contents", await contents(installed));
  await lint(npm, tarball);
  await checkSizes(folder, json.name);

  for (const file of ["consumer.ts", "consumer.cjs", "application.js"]) {
    const source = join(root, "tests", "packaging", file);
    await Deno.copyFile(source, join(folder, file));
  }
  const entries = await writeEntries(folder, json);
  // The doors lead to APIs of Node.
  await checkTypes(folder, ["consumer.ts", "others.ts"], ["doors.ts"]);
  const runtimes = await findRuntimes(runtimeNames);
  for (const runtime of runtimes) {
    const { name, path } = runtime;
    const flags = name === "deno" ? denoFlags : [];
    const program = [...flags, join(folder, "node_modules", ".bin", bin.name)];
    await runCommand(runtime, folder, json.name);
    await checkServer(`server, ${name}`, folder, path, program);
    await checkServer(`workers, ${name}`, folder, path, [
      ...program,
      "--workers=2",
    ]);
    await checkTool(name, folder, path, program);
    const consumers = ["consumer.js"];
    // Node 20 cannot require() an ES module.
    if (name !== "node20") consumers.push("consumer.cjs");
    for (const consumer of consumers) {
      await expect(`${consumer}, ${name}`, {
        folder,
        command: path,
        args: [...flags, consumer],
        output: "it works",
      });
    }
  }
  await checkBundles(folder, "application.js", entries.join(), runtimes);
  const module = join(installed, emitted(bin.path, ".js"));
  await checkPrograms(folder, module, runtimes, async (runtime, args, name) => {
    const { path } = runtime;
    const title = `${name}, ${runtime.name}`;
    await checkServer(`server, ${title}`, folder, path, args);
    await checkServer(`workers, ${title}`, folder, path, [
      ...args,
      "--workers=2",
    ]);
  });
}

if (import.meta.main) {
  const folder = await Deno.makeTempDir();
  try {
    await check(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  console.log(
    failures.length === 0
      ? "the package works"
      : `failed: ${failures.join(", ")}`,
  );
  Deno.exit(failures.length === 0 ? 0 : 1);
}
