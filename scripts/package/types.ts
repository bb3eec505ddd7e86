/**
 * Type-checks programs that use the package, with the compilers and settings that
 * projects have.
 *
 * @module
 */

import { join } from "node:path";
import { expect, tools } from "./report.ts";

/** The oldest version of TypeScript that reads the types, later ones, and the newest. */
const versions = ["5.4.5", "5.9.3", "6.0.3", "7.0.2"] as const;

/** The version whose output the runtimes run. */
const emitter: typeof versions[number] = "5.9.3";

/** The types of Node for projects without the types of browsers. */
const nodeTypes = "@types/node@20";

/** The module resolutions, and the first version of TypeScript without it. */
const resolutions: [module: string, resolution: string, until: number][] = [
  ["nodenext", "nodenext", Infinity],
  ["esnext", "bundler", Infinity],
  // Deprecated in version 6, removed in version 7.
  ["esnext", "node10", 6],
];

/**
 * Type-checks the programs in the folder, and compiles them to JavaScript; those for Node
 * only with its types.
 */
export async function checkTypes(
  folder: string,
  programs: readonly string[],
  nodePrograms: readonly string[],
): Promise<void> {
  const types = await tools(nodeTypes);
  /** No types but those of the language and of the named library. */
  const settings: [name: string, options: Record<string, unknown>][] = [
    ["DOM", { lib: ["ES2022", "DOM"], types: [] }],
  ];
  if (types) {
    const typeRoots = [types("@types")];
    settings.push([nodeTypes, { lib: ["ES2022"], types: ["node"], typeRoots }]);
  }
  for (const version of versions) {
    const compiler = await tools(`typescript@${version}`);
    if (compiler === undefined) continue;
    for (const [module, moduleResolution, until] of resolutions) {
      if (Number(version.split(".")[0]) >= until) continue;
      for (const [setting, options] of settings) {
        const isEmitter = version === emitter &&
          moduleResolution === "nodenext" && setting === "DOM";
        const compilerOptions = {
          ...{ module, moduleResolution, target: "es2022", strict: true },
          ...{ skipLibCheck: false, noEmit: !isEmitter, ...options },
        };
        const name = `types, ${version}, ${moduleResolution}, ${setting}`;
        const project = join(folder, "tsconfig.json");
        const files = setting === nodeTypes
          ? [...programs, ...nodePrograms]
          : programs;
        const text = JSON.stringify({ compilerOptions, files });
        await Deno.writeTextFile(project, text);
        await expect(name, {
          folder,
          command: "node",
          args: [compiler("typescript", "bin", "tsc"), "--project", project],
        });
      }
    }
  }
  await Deno.remove(join(folder, "tsconfig.json")).catch(() => {});
}
