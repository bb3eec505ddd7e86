/**
 * Checks the npm package in `npm/` from the point of view of its users: packs
 * it, installs the tarball, uses server and client on every runtime, runs the
 * command, and type-checks a program that uses it. Run `deno task build:npm`
 * first.
 *
 * @module
 */

import { delimiter, dirname, isAbsolute, join } from "node:path";
import {
  files,
  findRuntimes,
  npmInstall,
  root,
  run,
  type Runtime,
  runtimeNames,
  strict,
} from "./runtimes.ts";

const typescript = "typescript@5.9.3";

/** The time limit of a program, in milliseconds. */
const patience = 60_000;

const failures: string[] = [];

function report(name: string, problem: string | undefined): void {
  console.log(`${problem === undefined ? "ok    " : "FAILED"} ${name}`);
  if (problem === undefined) return;
  failures.push(name);
  console.log(problem.trimEnd());
}

/** Runs a program in the folder; it must succeed and print the text. */
async function expect(
  name: string,
  folder: string,
  command: string,
  args: string[],
  text = "",
  searchPath = Deno.env.get("PATH") ?? "",
): Promise<void> {
  const signal = AbortSignal.timeout(patience);
  const output = await run(command, args, {
    cwd: folder,
    env: { NO_COLOR: "1", PATH: searchPath },
    signal,
  });
  const ok = output.success && output.stdout.includes(text);
  const shown = `${output.stdout}${output.stderr}${
    signal.aborted ? "it exceeded the time limit\n" : ""
  }`;
  report(name, ok ? undefined : `exit code ${output.code}\n${shown}`);
}

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
  for (
    const kind of ["dependencies", "peerDependencies", "optionalDependencies"]
  ) {
    if (Object.keys(json[kind] ?? {}).length > 0) wrong.push(`it has ${kind}`);
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

/** Type-checks the consumer with both module resolutions; compiles it to consumer.js. */
async function compile(folder: string): Promise<void> {
  const compiler = await npmInstall(typescript);
  if (compiler === undefined) {
    if (strict) throw new Error(`${typescript} is not available`);
    return console.error(
      `${typescript} is not available: the types are not checked`,
    );
  }
  const variants = [
    { module: "nodenext", moduleResolution: "nodenext", noEmit: false },
    { module: "esnext", moduleResolution: "bundler", noEmit: true },
  ];
  for (const variant of variants) {
    const compilerOptions = {
      ...variant,
      target: "es2022",
      lib: ["ESNext", "DOM"],
      types: [],
      strict: true,
      skipLibCheck: false,
    };
    const project = `tsconfig.${variant.moduleResolution}.json`;
    await Deno.writeTextFile(
      join(folder, project),
      JSON.stringify({ compilerOptions, files: ["consumer.ts"] }),
    );
    const tsc = join(compiler, "node_modules", "typescript", "bin", "tsc");
    const args = [tsc, "--project", project];
    await expect(`types, ${variant.moduleResolution}`, folder, "node", args);
  }
}

const command = "socks5-server";
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
  const ways: Record<string, [string, ...string[]]> = {
    deno: [path, ...denoFlags, `npm:${packageName}`],
    bun: [path, "x", "--bun", "--no-install", command],
    node: ["npx", "--no-install", command],
  };
  const [program, ...args] = ways[name.replace(/\d+$/, "")];
  // npx uses the first node on the PATH.
  const folders = isAbsolute(path) ? [dirname(path)] : [];
  const searchPath = [...folders, Deno.env.get("PATH")].join(delimiter);
  await expect(
    `command, ${name}`,
    folder,
    program,
    [...args, "--version"],
    command,
    searchPath,
  );
}

/** Starts the installed command, sends it a greeting, and ends it with SIGTERM. */
async function serveByCommand(
  { name, path }: Runtime,
  folder: string,
  ...flags: string[]
): Promise<void> {
  const program = join(folder, "node_modules", ".bin", command);
  const child = new Deno.Command(path, {
    args: [
      ...(name === "deno" ? denoFlags : []),
      ...[program, "--port", "0", "--log", "text", ...flags],
    ],
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
  report(["server", name, ...flags].join(", "), ok ? undefined : problem);
}

async function check(folder: string): Promise<void> {
  await install(folder, await pack(folder));
  const { name } = JSON.parse(
    await Deno.readTextFile(join(root, "npm", "package.json")),
  );
  report("contents", await contents(join(folder, "node_modules", name)));

  for (const file of ["consumer.ts", "consumer.cjs"]) {
    await Deno.copyFile(
      join(root, "tests", "packaging", file),
      join(folder, file),
    );
  }
  await compile(folder);
  for (const runtime of await findRuntimes(runtimeNames)) {
    const { name: runtimeName, path } = runtime;
    await runCommand(runtime, folder, name);
    await serveByCommand(runtime, folder);
    await serveByCommand(runtime, folder, "--workers=2");
    const flags = runtimeName === "deno" ? denoFlags : [];
    await expect(
      `import, ${runtimeName}`,
      folder,
      path,
      [...flags, "consumer.js"],
      "it works",
    );
    // Node 20 cannot require() an ES module.
    if (runtimeName === "node20") continue;
    await expect(
      `require, ${runtimeName}`,
      folder,
      path,
      [...flags, "consumer.cjs"],
      "it works",
    );
  }
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
