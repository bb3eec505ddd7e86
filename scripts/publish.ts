/**
 * Publishes the package on JSR, with the README for its readers. The arguments are flags
 * of `deno publish`, for example `--dry-run`.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "./files.ts";
import { type Output, run } from "./run.ts";
import { stage } from "./stage.ts";
import { stdSource } from "./std.ts";

/**
 * Publishes a staged copy; with `--dry-run` only checks the package as JSR does. Then
 * the stand-ins replace the packages of JSR if it is not reachable.
 */
export async function publish(...flags: string[]): Promise<Output> {
  const isDry = flags.includes("--dry-run");
  const linked = isDry && await stdSource() === "standins";
  await using staged = await stage((config) => {
    if (linked) config.links = ["../cli"];
  });
  if (linked) {
    const cli = staged.beside("cli");
    await Deno.mkdir(cli);
    const standin = join(root, "scripts", "standins", "parse_args.ts");
    await Deno.copyFile(standin, join(cli, "parse_args.ts"));
    const exports = { "./parse-args": "./parse_args.ts" };
    const config = {
      name: "@std/cli",
      version: "1.999.0",
      license: "MIT",
      exports,
    };
    await Deno.writeTextFile(join(cli, "deno.json"), JSON.stringify(config));
  }
  const args = ["publish", "--allow-dirty", ...flags];
  return await run(Deno.execPath(), args, {
    cwd: staged.folder,
    env: { NO_COLOR: "1" },
  });
}

if (import.meta.main) {
  const { code, stdout, stderr } = await publish(...Deno.args);
  console.log(`${stdout}${stderr}`.trimEnd());
  Deno.exit(code);
}
