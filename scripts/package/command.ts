/**
 * Runs the command of the package.
 *
 * @module
 */

import { delimiter, dirname, isAbsolute } from "node:path";
import { bin } from "../package_json.ts";
import type { Runtime } from "../runtimes.ts";
import { expect, patience, report } from "./report.ts";

/** The flags of Deno for programs in a folder with the installed package. */
export const denoFlags = [
  "run",
  "-A",
  "--unstable-net",
  "--node-modules-dir=manual",
];

/** Runs the command with the tool that the runtime has for commands of packages. */
export async function runCommand(
  { name, path }: Runtime,
  folder: string,
  packageName: string,
): Promise<void> {
  const ways: Record<string, [string, ...string[]][]> = {
    deno: [
      [path, ...denoFlags, `npm:${packageName}`],
      [path, ...denoFlags, `npm:${packageName}/server`],
    ],
    bun: [[path, "x", "--bun", "--no-install", bin.name]],
    node: [["npx", "--no-install", bin.name]],
  };
  // npx uses the first node on the PATH.
  const folders = isAbsolute(path) ? [dirname(path)] : [];
  const searchPath = [...folders, Deno.env.get("PATH")].join(delimiter);
  for (const [command, ...args] of ways[name.replace(/\d+$/, "")]) {
    await expect(`command, ${name}`, {
      folder,
      command,
      args: [...args, "--version"],
      output: bin.name,
      searchPath,
    });
  }
}

/** Starts a program that serves, sends it a greeting, and ends it with SIGTERM. */
export async function checkServer(
  name: string,
  folder: string,
  command: string,
  args: string[],
): Promise<void> {
  const child = new Deno.Command(command, {
    args: [...args, "--port", "0", "--log", "text"],
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), patience);
  let said = "";
  let answer = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const isNew = !said.includes("\n");
    said += text;
    const port = Number(/ listens on [^ ]+:(\d+) .*\n/.exec(said)?.[1]);
    if (!isNew || !port) continue;
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(Uint8Array.of(5, 1, 0));
    const octets = new Uint8Array(2);
    await conn.read(octets);
    answer = octets.join(" ");
    child.kill("SIGTERM");
  }
  const { code } = await child.status;
  clearTimeout(timer);
  const ok = code === 0 && answer === "5 0" && said.includes("SIGTERM");
  const problem = `exit code ${code}, answer ${answer}\n${said}`;
  report(name, ok ? undefined : problem);
}
