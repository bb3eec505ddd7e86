/**
 * The commands of the README for programs and ssh, which need a proxy, a program and a
 * server.
 *
 * @module
 */

import { join } from "node:path";
import { report } from "../package/report.ts";
import { run } from "../run.ts";
import { type Block, commandsOf } from "./blocks.ts";
import { branch, page, sshServer, sshText, website } from "./network.ts";
import type { Shell } from "./shell.ts";

/** The program of the commands. */
const APP = `fetch("https://${website}").then(async (response) => {
  console.log(await response.text());
});
`;

/** Runs the commands as they are written, each with a proxy on the port that it names. */
export async function replayClients(
  name: string,
  shell: Shell,
  project: string,
  block: Block,
): Promise<void> {
  await Deno.writeTextFile(join(project, "app.js"), APP);
  for (const { text } of commandsOf(block)) {
    const start = performance.now();
    const problem = await problemOf(shell, text);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    report(`${name}, ${seconds} s: ${text}`, problem);
  }
}

async function problemOf(
  shell: Shell,
  command: string,
): Promise<string | undefined> {
  const [, login, port] = /socks5h:\/\/(?:(\w+:\w+)@)?127\.0\.0\.1:(\d+)/
    .exec(command) ?? [];
  if (port === undefined) return "it names no proxy";
  const users = login === undefined ? "" : `SOCKS5_USERS=${login} `;
  const proxy = await shell.run(`${users}socks5 --port ${port}`);
  if (!proxy.isServer) return proxy.output;
  const [target, expected] = expectedOf(command);
  const { success, output } = await shell.run(command, { keepsServer: true });
  if (!success || !output.includes(expected)) return output || "no output";
  const isThrough = await shell.logs(new RegExp(RegExp.escape(target)));
  return isThrough ? undefined : "not through the proxy";
}

/** The host that a command reaches, and what it prints. */
function expectedOf(command: string): [string, string] {
  if (command.startsWith("ssh ")) return [sshServer, sshText];
  return [website, command.startsWith("git ") ? branch : page.trim()];
}

/** Starts the server of the ssh command, with the files that {@linkcode isolate} has made. */
export async function serveSsh(folder: string): Promise<AsyncDisposable> {
  const { success, stdout } = await run("which", ["sshd"]);
  if (!success) throw new Error("sshd is missing");
  await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const child = new Deno.Command(stdout.trim(), {
    args: ["-D", "-e", "-f", join(folder, "sshd_config")],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}
