/**
 * Runs the commands of the README for a clone, in this checkout.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "../files.ts";
import { report } from "../package/report.ts";
import { stdSource } from "../std.ts";
import { codeBlocks, commandsOf } from "./blocks.ts";
import { readmeFor } from "./reader.ts";
import { check } from "./replay.ts";
import { Shell } from "./shell.ts";

/** The commands of the README for a clone that this check does not run, but CI does. */
const ranByCi = / task test$/;

/** Runs the commands for a clone. */
export async function replayClone(text: string): Promise<void> {
  const published = codeBlocks(readmeFor("npm", text)).map(({ text }) => text);
  const ci = await Deno.readTextFile(join(root, ".ci", "run"));
  const env = {
    ...Deno.env.toObject(),
    STD: await stdSource(),
    // This network has no registry, but the cache has this version of deno.
    npm_config_offline: "true",
  };
  await using shell = new Shell(root, env);
  for (const block of codeBlocks(text)) {
    if (published.includes(block.text) || block.language !== "sh") continue;
    for (const { text } of commandsOf(block)) {
      if (!/^npx -y deno@[\d.]+ task /.test(text)) continue;
      if (!ranByCi.test(text)) await check("clone", shell, text);
      else {
        const parts = text.split(" task ");
        const isRun = ci.includes(`(${parts[0]})`) &&
          ci.includes(`step "\${deno[@]}" task ${parts[1]}\n`);
        report(`.ci/run: ${text}`, isRun ? undefined : "it is not run");
      }
    }
  }
}
