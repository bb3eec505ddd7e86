/**
 * Runs every command and every program of the README as it is written, in empty home
 * folders: those for users with the package as npm and JSR will have it, which a registry
 * on loopback serves, and those for a clone in this checkout. Needs Linux, `unshare`, `ip`,
 * `openssl` and curl. Run `deno task build:npm` first.
 *
 * @module
 */

import { join } from "node:path";
import { failures, report } from "./package/report.ts";
import { codeBlocks, type Command, commandsOf } from "./readme/blocks.ts";
import {
  certificate,
  isolate,
  page,
  serveWebsite,
  website,
} from "./readme/network.ts";
import { problemsOf } from "./readme/problems.ts";
import { type Reader, readmeFor } from "./readme/reader.ts";
import { serveRegistry } from "./readme/registry.ts";
import { Shell } from "./readme/shell.ts";
import { findRuntimes, root, run } from "./runtimes.ts";
import { stdSource } from "./std.ts";

/** The commands of the README for a clone that this check does not run, but CI does. */
const ranByCi = / task test$/;

/** A reader with tools of one kind. */
interface Person {
  name: string;
  reader: Reader;
  choose: (command: Command) => string;
  /** Runs a program. */
  program: string;
}

const people: Person[] = [
  {
    name: "Deno",
    reader: "jsr",
    choose: ({ text }) => text,
    program: "deno run -A --unstable-net",
  },
  {
    name: "Node",
    reader: "npm",
    choose: ({ text }) => text,
    program: "node26",
  },
  {
    name: "Bun",
    reader: "npm",
    choose: ({ text, other }) => other ?? text,
    program: "bun",
  },
];

/** The environment of commands, whose home is a folder. */
function environment(
  home: string,
  folder: string,
  registry: string,
): Record<string, string> {
  const bins = [".deno/bin", ".npm-global/bin", ".bun/bin"]
    .map((it) => join(home, it));
  const { PATH = "" } = Deno.env.toObject();
  return {
    HOME: home,
    PATH: [...bins, join(folder, "bin"), PATH].join(":"),
    NO_COLOR: "1",
    CURL_CA_BUNDLE: join(folder, certificate),
    JSR_URL: registry,
    npm_config_registry: registry,
    npm_config_prefix: join(home, ".npm-global"),
    npm_config_update_notifier: "false",
  };
}

/** Returns what is wrong with the result of a command, if anything. */
async function problemOf(
  shell: Shell,
  command: string,
): Promise<string | undefined> {
  const { success, isServer, output } = await shell.run(command);
  if (!success) return output;
  if (isServer && await greeting() !== 5) return "it does not speak SOCKS";
  if (command.endsWith(website)) {
    if (!output.includes(page)) return output;
    if (!await shell.logs(/example\.com/)) return "not through the proxy";
  }
}

/** Returns the first octet that a SOCKS5 server on the usual port answers. */
async function greeting(): Promise<number> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: 1080 });
  await conn.write(Uint8Array.of(5, 2, 0, 2));
  const octets = new Uint8Array(2);
  await conn.read(octets);
  return octets[0];
}

/** Runs a README from its first to its last block. */
async function replay(
  person: Person,
  folder: string,
  registry: string,
  text: string,
): Promise<void> {
  const home = await Deno.makeTempDir({ dir: folder });
  const project = await Deno.makeTempDir({ dir: folder });
  const env = environment(home, folder, registry);
  await using shell = new Shell(project, env);
  let programs = 0;
  for (const block of codeBlocks(readmeFor(person.reader, text))) {
    if (block.language === "jsonc") {
      await Deno.writeTextFile(join(project, "socks5.jsonc"), block.text);
    } else if (block.language === "ts") {
      // The programs have no types, so that Node runs them as well.
      const name = `program${++programs}.mjs`;
      await Deno.writeTextFile(join(project, name), block.text);
      await check(person.name, shell, `${person.program} ${name}`);
    } else {
      for (const command of commandsOf(block)) {
        await check(person.name, shell, person.choose(command));
      }
    }
  }
}

async function check(
  name: string,
  shell: Shell,
  command: string,
): Promise<void> {
  const start = performance.now();
  const problem = await problemOf(shell, command);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  report(`${name}, ${seconds} s: ${command}`, problem);
}

/** Runs the commands for a clone. */
async function replayClone(text: string): Promise<void> {
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

/** Prepares what needs the real network, and runs the rest in one of its own. */
async function prepare(folder: string): Promise<number> {
  const bin = join(folder, "bin");
  await Deno.mkdir(bin);
  await Deno.symlink(Deno.execPath(), join(bin, "deno"));
  for (const { name, path } of await findRuntimes(["bun", "node26"])) {
    await Deno.symlink(path, join(bin, name));
    if (name === "bun") await Deno.symlink(path, join(bin, "bunx"));
  }
  const npm = join(root, "npm");
  const packed = await run("npm", [
    "pack",
    npm,
    `--pack-destination=${folder}`,
  ]);
  if (!packed.success) throw new Error(`npm pack failed:\n${packed.stderr}`);
  const tarball = join(folder, packed.stdout.trim().split("\n").at(-1)!);
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
