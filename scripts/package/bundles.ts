/**
 * Bundles an application that uses the package with several bundlers, and runs it.
 * An entry of the package must not start a program there: bundlers keep
 * `import.meta.main`, which is true in all modules of a bundle that is run.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { run } from "../run.ts";
import type { Runtime } from "../runtimes.ts";
import { expect, report, tools } from "./report.ts";

/** The application, and where to put its bundle. */
interface Task {
  /** The folder of the application. */
  folder: string;
  /** The file name of the application. */
  input: string;
  /** The path of the bundle in the folder. */
  output: string;
  /** A condition of `exports` that the bundler looks for. */
  condition: string;
}

/** The command that bundles; `config` is the text of its configuration file. */
interface Bundler {
  command: string;
  args: string[];
  config?: string;
}

/** Returns the command of a bundler, or `undefined` if it is not available. */
type Prepare = (task: Task, runtimes: Runtime[]) => Promise<
  Bundler | undefined
>;

const esbuild =
  (...flags: string[]): Prepare => async ({ input, output, condition }) => {
    const tool = await tools("esbuild@0.28.2");
    return tool && {
      command: tool("esbuild", "bin", "esbuild"),
      args: [
        input,
        ...["--bundle", "--format=esm", "--platform=node"],
        ...[`--outfile=${output}`, `--conditions=${condition}`],
        ...["--log-level=warning", ...flags],
      ],
    };
  };

const config = "bundler.config.mjs";

const rollup: Prepare = async ({ input, output, condition }) => {
  const resolver = "@rollup/plugin-node-resolve";
  const tool = await tools("rollup@4.68.8", `${resolver}@16.0.3`);
  return tool && {
    command: "node",
    args: [tool("rollup", "dist", "bin", "rollup"), "--config", config],
    config: `
      import { nodeResolve } from "${tool(resolver, "dist", "es", "index.js")}";
      export default {
        input: "${input}",
        output: { file: "${output}", format: "es", inlineDynamicImports: true },
        plugins: [nodeResolve({ exportConditions: ["${condition}"] })],
        external: /^node:/,
        onLog(level, log) { if (level !== "info") throw new Error(log.message); },
      };`,
  };
};

const vite: Prepare = async ({ input, output, condition }) => {
  const tool = await tools("vite@8.4.0");
  const conditions = `["${condition}", "module", "node"]`;
  return tool && {
    command: "node",
    args: [tool("vite", "bin", "vite.js"), "build", "--config", config],
    config: `
      export default {
        logLevel: "warn",
        build: {
          ssr: "${input}",
          outDir: "${dirname(output)}",
          rollupOptions: { output: { entryFileNames: "mod.js" } },
        },
        ssr: { noExternal: true, resolve: { conditions: ${conditions} } },
      };`,
  };
};

const deno: Prepare = ({ input, output, condition }) => {
  const flags = ["--quiet", "--node-modules-dir=manual", "--platform=deno"];
  // It always looks for this condition.
  const isPossible = condition === conditions.program;
  return Promise.resolve(
    isPossible
      ? {
        command: Deno.execPath(),
        args: ["bundle", ...flags, `--output=${output}`, input],
      }
      : undefined,
  );
};

const bun: Prepare = ({ input, output, condition }, runtimes) => {
  const path = runtimes.find(({ name }) => name === "bun")?.path;
  return Promise.resolve(
    path === undefined ? undefined : {
      command: path,
      args: [
        "build",
        ...["--target=node", "--format=esm", `--conditions=${condition}`],
        `--outfile=${output}`,
        input,
      ],
    },
  );
};

const bundlers: Record<string, Prepare> = {
  esbuild: esbuild(),
  // Nothing of the package is left out.
  "esbuild, whole": esbuild("--ignore-annotations", "--tree-shaking=false"),
  rollup,
  vite,
  "deno bundle": deno,
  "bun build": bun,
};

/**
 * The conditions for the entries that bundlers find, and for the entries that may be
 * a program, as JSR has them.
 */
const conditions = { library: "import", program: "deno" };

/** Versions of Node without `import.meta.main`, which cannot take a bundle for a program. */
const withoutMain = ["node20", "node22"];

/** Checks the bundles of the application in the folder, which prints `printed`. */
export async function checkBundles(
  folder: string,
  input: string,
  printed: string,
  runtimes: Runtime[],
): Promise<void> {
  for (const [bundler, prepare] of Object.entries(bundlers)) {
    for (const [kind, condition] of Object.entries(conditions)) {
      // A path and a name that the module of the program has, too.
      const path = `${bundler}-${kind}`.replaceAll(/\W+/g, "-");
      const output = join("bundles", path, "src", "server", "mod.js");
      const task = { folder, input, output, condition };
      const prepared = await prepare(task, runtimes);
      if (prepared === undefined) continue;
      const { command, args, config: text } = prepared;
      if (text) await Deno.writeTextFile(join(folder, config), text);
      const name = `bundle, ${bundler}, ${kind}`;
      const bundled = await run(command, args, { cwd: folder });
      if (!bundled.success) {
        report(name, `${bundled.stdout}${bundled.stderr}`);
        continue;
      }
      for (const { name: runtime, path } of runtimes) {
        if (withoutMain.includes(runtime)) continue;
        await expect(`${name}, ${runtime}`, {
          folder,
          command: path,
          args: [
            ...(runtime === "deno" ? ["run", "-A", "--unstable-net"] : []),
            output,
            // Flags that the program of the package has, too.
            ...["--port", "0"],
          ],
          output: new RegExp(`^${printed} with --port 0\n$`),
        });
      }
    }
  }
}
