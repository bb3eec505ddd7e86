/**
 * Runs every command and every program of the README as it is written, in empty home
 * folders: those for users with the package as npm and JSR will have it, which a registry
 * on loopback serves, and those for a clone in this checkout. Needs Linux, `unshare`, `ip`,
 * `openssl`, curl and OpenSSH. Run `deno task build:npm` first.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "./files.ts";
import { pack } from "./package/install.ts";
import { failures, report } from "./package/report.ts";
import { serveSsh } from "./readme/clients.ts";
import { isolate, serveWebsite } from "./readme/network.ts";
import { problemsOf } from "./readme/problems.ts";
import { readmeFor } from "./readme/reader.ts";
import { serveRegistry } from "./readme/registry.ts";
import { people, replay } from "./readme/replay.ts";
import { replayClone } from "./readme/replay_clone.ts";
import { run } from "./run.ts";
import { findRuntimes } from "./runtimes.ts";

/** Prepares all that needs the real network, and runs the rest in an isolated one. */
async function prepare(folder: string): Promise<number> {
  const bin = join(folder, "bin");
  await Deno.mkdir(bin);
  await Deno.symlink(Deno.execPath(), join(bin, "deno"));
  for (const { name, path } of await findRuntimes(["bun", "node26"])) {
    await Deno.symlink(path, join(bin, name));
    if (name === "bun") await Deno.symlink(path, join(bin, "bunx"));
  }
  const tarball = await pack(folder);
  const [, deno] = /^npx -y (deno@\S+) task/m.exec(
    await Deno.readTextFile(join(root, "README.md")),
  )!;
  await run("npx", ["-y", deno, "--version"]);
  const script = join(root, "scripts", "check_readme.ts");
  const code = await isolate(folder, ["run", "-A", script, folder, tarball]);
  return code ?? 0;
}

/** Runs the commands, in the network that {@linkcode isolate} has made. */
async function runAll(folder: string, tarball: string): Promise<number> {
  await using _website = await serveWebsite(folder);
  await using _ssh = await serveSsh(folder);
  await using registry = await serveRegistry(tarball);
  const text = await Deno.readTextFile(join(root, "README.md"));
  for (const reader of ["repository", "npm", "jsr"] as const) {
    const wrong = problemsOf(reader, readmeFor(reader, text)).join("\n");
    report(`text for ${reader}`, wrong || undefined);
  }
  for (const person of people) {
    await replay(person, folder, registry.url, text);
  }
  await replayClone(text);
  console.log(
    failures.length === 0
      ? "the README works"
      : `failed: ${failures.join(", ")}`,
  );
  return failures.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  const [folder, tarball] = Deno.args;
  if (folder !== undefined) Deno.exit(await runAll(folder, tarball));
  const temporary = await Deno.makeTempDir();
  let code: number;
  try {
    code = await prepare(temporary);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
  Deno.exit(code);
}
