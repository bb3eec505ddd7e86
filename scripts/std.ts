/**
 * Selects the source of `@std/…` and `@deno/dnt`: JSR if it is cached or
 * reachable, otherwise the stand-ins in `standins/`. Prints the flag that the
 * tasks pass to deno, which is empty for JSR. The arguments are the names of the
 * packages that the task needs; by default all of deno.json. `STD=jsr` or
 * `STD=standins` overrides the selection.
 *
 * @module
 */

type Source = "jsr" | "standins";

const root = new URL("../", import.meta.url);

/** The registry that deno asks. */
const registry = new URL(Deno.env.get("JSR_URL") || "https://jsr.io/");

/** How long to wait for an answer of the registry, in milliseconds. */
const PATIENCE = 3_000;

/** How long a download may take after the registry has answered, in milliseconds. */
const DOWNLOAD_TIME = 60_000;

/** How long a registry that did not answer is not asked again, in milliseconds. */
const MEMORY = 60 * 60_000;

/** The file that remembers it, in this checkout. */
const memory = new URL(".build/jsr.json", root);

interface Memory {
  registry: string;
  /** When the registry did not answer, in milliseconds since 1970. */
  failedAt: number;
}

/** Returns the imports of deno.json with these names, by default all from JSR. */
async function specifiers(names: readonly string[]): Promise<string[]> {
  const { imports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", root)),
  ) as { imports: Record<string, string> };
  const unknown = names.find((name) => !Object.hasOwn(imports, name));
  if (unknown !== undefined) {
    throw new TypeError(`deno.json does not import "${unknown}"`);
  }
  return (names.length > 0 ? names : Object.keys(imports))
    .map((name) => imports[name])
    .filter((it) => it.startsWith("jsr:"))
    .map((it) => it.startsWith("jsr:@std/cli") ? `${it}/parse-args` : it);
}

/** Whether deno can load the modules; `flags` may keep it from asking the registry. */
async function canLoad(
  specifiers: readonly string[],
  ...flags: string[]
): Promise<boolean> {
  const options = ["--quiet", "--no-config", ...flags];
  const { success } = await new Deno.Command(Deno.execPath(), {
    // `deno cache` does the same, but has no flag --cached-only.
    args: ["install", "--entrypoint", ...options, ...specifiers],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(DOWNLOAD_TIME),
  }).output();
  return success;
}

/** Whether the registry has a package. */
async function answers(specifier: string): Promise<boolean> {
  const name = /^jsr:(@[^/]+\/[^@/]+)/.exec(specifier)?.[1];
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const response = await fetch(new URL(`${name}/meta.json`, registry), {
      signal,
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // no name server, no route, no answer
  }
}

/** Returns when the registry did not answer, if it should not be asked again. */
async function recall(): Promise<Date | undefined> {
  try {
    const it: Memory = JSON.parse(await Deno.readTextFile(memory));
    const age = Date.now() - it.failedAt;
    const isRecent = age >= 0 && age < MEMORY;
    if (isRecent && it.registry === registry.href) return new Date(it.failedAt);
  } catch {
    // There is no such file, or another process is writing it.
  }
}

async function remember(): Promise<void> {
  const it: Memory = { registry: registry.href, failedAt: Date.now() };
  await Deno.mkdir(new URL("./", memory), { recursive: true });
  await Deno.writeTextFile(memory, JSON.stringify(it));
}

/** Whether the modules can be loaded from JSR. Reports what takes time, and a failure. */
async function hasJsr(specifiers: readonly string[]): Promise<boolean> {
  if (specifiers.length === 0) return true;
  if (await canLoad(specifiers, "--cached-only")) return true;
  const failedAt = await recall();
  const hint = "using scripts/standins (STD=jsr|standins overrides)";
  if (failedAt) {
    const time = failedAt.toTimeString().slice(0, 5);
    console.error(`JSR was not reachable at ${time}: ${hint}`);
    return false;
  }
  console.error(`Loading ${specifiers.join(", ")} from ${registry.host}`);
  if (await answers(specifiers[0]) && await canLoad(specifiers)) return true;
  await remember();
  console.error(`JSR is not reachable: ${hint}`);
  return false;
}

const decisions = new Map<string, Promise<Source>>();

/** Returns the source of the named packages, by default of all of deno.json. */
export function stdSource(...names: string[]): Promise<Source> {
  const key = names.join();
  const decision = decisions.get(key) ?? decide(names);
  decisions.set(key, decision);
  return decision;
}

async function decide(names: readonly string[]): Promise<Source> {
  const wanted = Deno.env.get("STD");
  if (wanted === "jsr" || wanted === "standins") return wanted;
  if (wanted) {
    throw new TypeError(`STD must be "jsr" or "standins", not "${wanted}"`);
  }
  return await hasJsr(await specifiers(names)) ? "jsr" : "standins";
}

/** Returns the flags for `deno run`, `test`, `check`, `doc` and `bundle`. */
export async function stdFlags(...names: string[]): Promise<string[]> {
  const source = await stdSource(...names);
  return source === "jsr"
    ? []
    : ["--import-map=scripts/standins/import_map.json"];
}

if (import.meta.main) {
  console.log((await stdFlags(...Deno.args)).join(" "));
}
