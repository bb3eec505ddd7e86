/**
 * Bundles and compiles the command of the package.
 *
 * @module
 */

import { join } from "node:path";
import { compileFlags } from "../build_binary.ts";
import { run } from "../run.ts";
import type { Runtime } from "../runtimes.ts";
import { expect, report, tools } from "./report.ts";

/** Runs a tool that builds `name`; returns whether it succeeded. */
async function build(
  name: string,
  folder: string,
  command: string,
  args: string[],
): Promise<boolean> {
  const { success, stdout, stderr } = await run(command, args, { cwd: folder });
  if (!success) report(name, `${stdout}${stderr}`);
  return success;
}

/**
 * Builds programs of the command's module: bundles in both formats, a single
 * executable application of Node from the one in CommonJS, and executables by Bun. All must
 * answer `--version`; `serve` checks one of each kind as a server.
 */
export async function checkPrograms(
  folder: string,
  module: string,
  runtimes: Runtime[],
  serve: (runtime: Runtime, program: string[], name: string) => Promise<void>,
): Promise<void> {
  const output = /^socks5 \d+\.\d+\.\d+\n$/;
  const esbuild = await tools("esbuild@0.28.2");
  for (const format of esbuild ? ["cjs", "esm"] : []) {
    const program = join(folder, `program.${format === "cjs" ? "c" : "m"}js`);
    const name = `${format} bundle of the command`;
    const args = [module, "--bundle", `--format=${format}`, "--platform=node"];
    const command = esbuild!("esbuild", "bin", "esbuild");
    // In CommonJS there is no import.meta, which only Deno's threads need.
    const flags = [`--outfile=${program}`, "--log-level=error"];
    if (!await build(name, folder, command, [...args, ...flags])) continue;
    for (const runtime of runtimes) {
      const flags = runtime.name === "deno"
        ? ["run", "-A", "--unstable-net"]
        : [];
      await expect(`${name}, ${runtime.name}`, {
        folder,
        command: runtime.path,
        args: [...flags, program, "--version"],
        output,
      });
      // Deno needs import.meta for several workers, the others do not.
      const server = format === "cjs" ? "node24" : "deno";
      if (runtime.name !== server) continue;
      await serve(runtime, [...flags, program], name);
    }
  }

  const node = runtimes.find(({ name }) => name === "node26");
  if (node && esbuild) {
    const name = "node --build-sea";
    const program = join(folder, "single-executable");
    const main = join(folder, "program.cjs");
    const config = join(folder, "sea.json");
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        main,
        output: program,
        disableExperimentalSEAWarning: true,
      }),
    );
    if (await build(name, folder, node.path, ["--build-sea", config])) {
      await serve({ ...node, path: program }, [], name);
    }
  }

  const bun = runtimes.find(({ name }) => name === "bun");
  if (bun === undefined) return;
  for (const flags of [[], ["--bytecode"]]) {
    const name = ["bun build --compile", ...flags].join(" ");
    const program = join(folder, "program");
    const args = [...compileFlags(module, program), ...flags];
    if (!await build(name, folder, bun.path, args)) continue;
    const elsewhere = join(folder, "elsewhere");
    await Deno.mkdir(elsewhere, { recursive: true });
    // The executable reads neither of them.
    for (const file of [".env", "bunfig.toml"]) {
      await Deno.writeTextFile(join(elsewhere, file), "broken");
    }
    await expect(name, {
      folder: elsewhere,
      command: program,
      args: ["--version"],
      output,
    });
    await serve({ ...bun, path: program }, [], name);
  }
}
