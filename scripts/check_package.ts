/**
 * Checks the npm package in `npm/` from the point of view of its users: packs
 * it, installs the tarball, uses server and client on every runtime, runs the
 * command, bundles and compiles applications and the command, type-checks a program
 * that uses it, and has the tools of others check it. Run `deno task build:npm`
 * first.
 *
 * @module
 */

import { delimiter, dirname, isAbsolute, join } from "node:path";
import { checkBundles } from "./package/bundles.ts";
import { lint } from "./package/linters.ts";
import { bin, emitted } from "./package_json.ts";
import { checkPrograms } from "./package/programs.ts";
import { expect, failures, patience, report } from "./package/report.ts";
import { checkTypes } from "./package/types.ts";
import {
  files,
  findRuntimes,
  root,
  run,
  type Runtime,
  runtimeNames,
} from "./runtimes.ts";

/** Packs `npm/` and returns the path of the tarball. */
async function pack(folder: string): Promise<string> {
  const args = [
    "pack",
    join(root, "npm"),
    "--json",
    `--pack-destination=${folder}`,
  ];
  const { success, stdout, stderr } = await run("npm", args);
  if (!success) throw new Error(`npm pack failed:\n${stderr}`);
  const [{ filename }] = JSON.parse(stdout);
  return join(folder, filename);
}

/** Returns the problems of the files of the package. */
async function contents(folder: string): Promise<string | undefined> {
  const wrong: string[] = [];
  const json = JSON.parse(
    await Deno.readTextFile(join(folder, "package.json")),
  );
  for (const kind of ["dependencies", "optionalDependencies"]) {
    if (Object.keys(json[kind] ?? {}).length > 0) wrong.push(`it has ${kind}`);
  }
  for (const name of Object.keys(json.peerDependencies ?? {})) {
    if (json.peerDependenciesMeta?.[name]?.optional === true) continue;
    wrong.push(`it needs ${name}`);
  }
  for (const kind of ["preinstall", "install", "postinstall"]) {
    if (json.scripts?.[kind]) wrong.push(`it runs a script at ${kind}`);
  }
  for await (const path of files(folder)) {
    const name = path.slice(folder.length + 1);
    if (/(?<!\.d)\.ts$/.test(name)) wrong.push(`${name} is not compiled`);
    const text = await Deno.readTextFile(path);
    if (/\bfile:\/\/\/|\bfrom "(jsr|npm|https):/.test(text)) {
      wrong.push(`${name} refers to a file outside the package`);
    }
  }
  return wrong.length > 0 ? wrong.join("\n") : undefined;
}

/** Installs the tarball into a new project. */
async function install(folder: string, tarball: string): Promise<void> {
  await Deno.writeTextFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "consumer", private: true, type: "module" }),
  );
  const flags = [
    "--offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ];
  const installed = await run("npm", ["install", ...flags, tarball], {
    cwd: folder,
  });
  if (!installed.success) {
    throw new Error(`npm install failed:\n${installed.stderr}`);
  }
  const names: string[] = [];
  for await (const { name } of Deno.readDir(join(folder, "node_modules"))) {
    if (!name.startsWith(".")) names.push(name);
  }
  report(
    "installs nothing else",
    names.length === 1 ? undefined : names.join("\n"),
  );
}

/**
 * Writes a program that exports what all entries of the package do. Returns the
 * names of its exports.
 */
async function writeEntries(
  folder: string,
  { name, exports }: { name: string; exports: Record<string, unknown> },
): Promise<string[]> {
  const paths = Object.keys(exports).filter((it) => !it.endsWith(".json"));
  const names = paths.map((it) => it === "." ? "main" : it.slice(2));
  const text = paths.map((path, i) =>
    `export * as ${names[i]} from "${name}${path.slice(1)}";\n`
  ).join("");
  await Deno.writeTextFile(join(folder, "entries.ts"), text);
  await Deno.writeTextFile(join(folder, "entries.js"), text);
  return names.sort();
}

const denoFlags = [
  "run",
  "-A",
  "--unstable-net",
  "--node-modules-dir=manual",
];

/** Runs the command with the tool that the runtime has for commands of packages. */
async function runCommand(
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
async function checkServer(
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

async function check(folder: string): Promise<void> {
  const tarball = await pack(folder);
  await install(folder, tarball);
  const npm = join(root, "npm");
  const json = JSON.parse(await Deno.readTextFile(join(npm, "package.json")));
  const installed = join(folder, "node_modules", json.name);
  report("contents", await contents(installed));
  await lint(npm, tarball);

  for (const file of ["consumer.ts", "consumer.cjs", "application.js"]) {
    const source = join(root, "tests", "packaging", file);
    await Deno.copyFile(source, join(folder, file));
  }
  const entries = await writeEntries(folder, json);
  await checkTypes(folder, ["consumer.ts", "entries.ts"]);
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
