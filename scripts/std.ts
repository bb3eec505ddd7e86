/**
 * Selects the source of `@std/…` and `@deno/dnt`: JSR if it is cached or
 * reachable, otherwise the stand-ins in `standins/`. Prints the flag that the
 * tasks pass to deno, which is empty for JSR. `STD=jsr` or `STD=standins`
 * overrides the selection.
 *
 * @module
 */

const root = new URL("../", import.meta.url);

/** How long to wait for JSR, in milliseconds. */
const patience = 15_000;

async function canCache(
  specifiers: string[],
  ...flags: string[]
): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", "--no-config", ...flags, ...specifiers],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(patience),
  }).output();
  return success;
}

/** Whether the packages of deno.json can be loaded from JSR. */
async function hasJsr(): Promise<boolean> {
  const { imports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", root)),
  );
  const specifiers = Object.values(imports as Record<string, string>)
    .filter((it) => it.startsWith("jsr:"))
    .map((it) => it.startsWith("jsr:@std/cli") ? `${it}/parse-args` : it);
  return await canCache(specifiers, "--cached-only") ||
    await canCache(specifiers);
}

let decision: Promise<"jsr" | "standins"> | undefined;

/** Returns the source of the packages. */
export function stdSource(): Promise<"jsr" | "standins"> {
  return decision ??= decide();
}

async function decide(): Promise<"jsr" | "standins"> {
  const wanted = Deno.env.get("STD");
  if (wanted === "jsr" || wanted === "standins") return wanted;
  if (wanted) {
    throw new TypeError(`STD must be "jsr" or "standins", not "${wanted}"`);
  }
  if (await hasJsr()) return "jsr";
  console.error(
    "JSR is not reachable: using scripts/standins (STD=jsr|standins overrides)",
  );
  return "standins";
}

/** Returns the flags for `deno run`, `test`, `check`, `doc` and `bundle`. */
export async function stdFlags(): Promise<string[]> {
  const source = await stdSource();
  return source === "jsr"
    ? []
    : ["--import-map=scripts/standins/import_map.json"];
}

if (import.meta.main) {
  console.log((await stdFlags()).join(" "));
}
