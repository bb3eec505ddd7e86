/**
 * Builds the npm package in `npm/`: modules with types, without dependencies,
 * and the command `socks5`. Uses dnt or, if JSR is not reachable,
 * `deno pack` with the stand-ins, which produces the same layout.
 *
 * @module
 */

import { build } from "@deno/dnt";
import { basename, dirname, join, relative } from "node:path";
import { bundle } from "./bundle.ts";
import { bin, emitted, packageJson } from "./package_json.ts";
import { readmeFor } from "./readme/reader.ts";
import { files, root } from "./files.ts";
import { run } from "./run.ts";
import { type Config, readConfig, stage } from "./stage.ts";

const out = join(root, "npm");
/** The modules of the command that other files refer to. */
const command = ["./src/cli/main.ts", bin.path];

/** Copies the documents into one folder, with the README for the users of npm. */
async function copyDocuments(): Promise<void> {
  const picture = "scripts/bench/speed.svg";
  for (
    const path of ["LICENSE", "src/cli/config/config.schema.json", picture]
  ) {
    await Deno.copyFile(join(root, path), join(out, basename(path)));
  }
  const readme = await Deno.readTextFile(join(root, "README.md"));
  await Deno.writeTextFile(join(out, "README.md"), readmeFor("npm", readme));
}

async function withDnt(config: Config): Promise<void> {
  const [main, ...others] = Object.entries(config.exports);
  await build({
    entryPoints: [
      main[1],
      ...others.map(([name, path]) => ({ name, path })),
      { kind: "bin", ...bin },
    ],
    outDir: out,
    package: {
      ...packageJson(config),
      devDependencies: { "@types/node": "^24" },
    },
    shims: {},
    polyfills: false,
    scriptModule: false,
    declaration: "inline",
    skipSourceOutput: true,
    compilerOptions: { lib: ["ESNext", "DOM"], target: "ES2022" },
    // scripts/test.ts runs the tests on Node, scripts/check_package.ts the package.
    test: false,
  });
  await Deno.remove(join(out, "node_modules"), { recursive: true }).catch(
    () => {},
  );
  await Deno.remove(join(out, "package-lock.json")).catch(() => {});
}

async function withPack(config: Config): Promise<void> {
  await using staged = await stage((config) => {
    config.exports["./bin"] = bin.path;
    config.imports = {};
  });
  await inlineStandins(staged.folder);
  const tarball = staged.beside("package.tgz");
  const args = [
    "pack",
    "--quiet",
    "--allow-dirty",
    "--no-source-maps",
    `--output=${tarball}`,
  ];
  const packed = await run(Deno.execPath(), args, { cwd: staged.folder });
  if (!packed.success) throw new Error(`deno pack failed:\n${packed.stderr}`);

  const esm = join(out, "esm");
  await Deno.mkdir(esm, { recursive: true });
  const flags = [
    "--extract",
    "--gzip",
    "--strip-components=1",
    `--directory=${esm}`,
  ];
  const unpacked = await run("tar", [...flags, `--file=${tarball}`]);
  if (!unpacked.success) throw new Error(`tar failed:\n${unpacked.stderr}`);
  for await (const path of files(esm)) {
    // Only the compiled modules and their types are published.
    if (!/\.js$|\.d\.ts$/.test(path)) await Deno.remove(path);
  }
  await Deno.writeTextFile(join(esm, "package.json"), `{"type":"module"}\n`);
  const json = {
    ...packageJson(config),
    bin: { [bin.name]: emitted(bin.path, ".js") },
  };
  await Deno.writeTextFile(
    join(out, "package.json"),
    `${JSON.stringify(json, null, 2)}\n`,
  );
}

/**
 * Makes the types load without `lib: ["ESNext.Disposable"]` in the project that uses
 * them. JSR allows such directives in no source, and does not need them.
 */
async function referToLibraries(): Promise<void> {
  for await (const path of files(join(out, "esm"))) {
    if (!path.endsWith(".d.ts")) continue;
    const text = await Deno.readTextFile(path);
    if (!/\bAsyncDisposable\b|\bSymbol\.(asyncD|d)ispose\b/.test(text)) {
      continue;
    }
    const directive = `/// <reference lib="esnext.disposable" />\n`;
    await Deno.writeTextFile(path, directive + text);
  }
}

/** Copies the stand-ins next to the modules and makes their imports relative. */
async function inlineStandins(folder: string): Promise<void> {
  const standins = join(root, "scripts", "standins");
  const map = JSON.parse(
    await Deno.readTextFile(join(standins, "import_map.json")),
  );
  for await (const path of files(join(folder, "src"))) {
    let text = await Deno.readTextFile(path);
    for (const [name, target] of Object.entries<string>(map.imports)) {
      if (!text.includes(`"${name}"`)) continue;
      const copy = join(folder, "src", "deps", target);
      await Deno.mkdir(dirname(copy), { recursive: true });
      await Deno.copyFile(join(standins, target), copy);
      text = text.replaceAll(`"${name}"`, `"${relative(dirname(path), copy)}"`);
      await Deno.writeTextFile(path, text);
    }
  }
}

if (import.meta.main) {
  const config = await readConfig();
  await Deno.remove(out, { recursive: true }).catch(() => {});
  if (import.meta.resolve("@deno/dnt").startsWith("file:")) {
    console.error("dnt is not reachable: building with `deno pack`");
    await withPack(config);
  } else {
    await withDnt(config);
  }
  await referToLibraries();
  await bundle(out, command.map((path) => emitted(path, ".js")));
  await copyDocuments();
  if (config.repository === undefined) {
    console.error("deno.json has no repository: package.json links to none");
  }
  console.log(`${config.name} ${config.version} is in npm/`);
}
