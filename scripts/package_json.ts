/**
 * The `package.json` of the npm package, derived from `deno.json`.
 *
 * @module
 */

import type { Config } from "./stage.ts";

/**
 * The command of the npm package, and its module. With the name of the package,
 * `npx @x/socks5` and `bunx @x/socks5` find it.
 */
export const bin = { name: "socks5", path: "./src/cli/bin.ts" };

/**
 * Modules that start a program if they are the main module, and the modules with
 * the same exports that never do. The package has a command, so its entries are the
 * latter: then bundlers do not put the command line into each application. Deno
 * alone can run an entry by its name, as in `deno run npm:@x/socks5/server`.
 */
const programs: Record<string, string> = {
  "./src/server/mod.ts": "./src/server/public.ts",
  "./src/tool/mod.ts": "./src/tool/public.ts",
};

/** Returns the path of a module such as `./src/server/mod.ts` in the package. */
export function emitted(path: string, extension: ".js" | ".d.ts"): string {
  return path.replace("./", "./esm/").replace(/\.ts$/, extension);
}

/**
 * Returns the conditions of an entry. There is none for ES modules, so that
 * `require()` finds the entries in versions of Node that can load them.
 */
function entry(path: string): Record<string, string> {
  const library = programs[path] ?? path;
  return {
    types: emitted(library, ".d.ts"),
    ...(library === path ? {} : { deno: emitted(path, ".js") }),
    default: emitted(library, ".js"),
  };
}

/**
 * Returns the types of the entries besides `.` for `moduleResolution: node10`, which
 * does not read `exports`.
 */
function typesVersions(
  exports: Record<string, string>,
): Record<string, Record<string, string[]>> {
  const paths = Object.entries(exports).filter(([name]) => name !== ".");
  return {
    "*": Object.fromEntries(
      paths.map(([name, path]) => [name.slice(2), [entry(path).types]]),
    ),
  };
}

/** Returns where the project is at home, if deno.json has the URL of its repository. */
function links(repository: string | undefined): Record<string, unknown> {
  if (repository === undefined) return {};
  return {
    homepage: `${repository}#readme`,
    bugs: { url: `${repository}/issues` },
    repository: { type: "git", url: `git+${repository}.git` },
  };
}

/** The fields of the package. */
export interface PackageJson {
  name: string;
  version: string;
  exports: Record<string, string | Record<string, string>>;
  [field: string]: unknown;
}

/** Returns package.json without the command, which dnt adds by itself. */
export function packageJson(config: Config): PackageJson {
  const { exports } = config;
  const main = entry(exports["."]);
  return {
    name: config.name,
    version: config.version,
    description: "SOCKS server and client for Deno, Bun and Node",
    keywords: [
      "socks",
      "socks4",
      "socks4a",
      "socks5",
      "socks-proxy",
      "proxy",
      "proxy-server",
      "server",
      "client",
      "udp",
    ],
    ...links(config.repository),
    license: config.license,
    type: "module",
    main: main.default,
    types: main.types,
    exports: {
      ...Object.fromEntries(
        Object.entries(exports).map(([name, path]) => [name, entry(path)]),
      ),
      "./config.schema.json": "./config.schema.json",
      "./package.json": "./package.json",
    },
    typesVersions: typesVersions(exports),
    // All modules that an entry reaches only define things.
    sideEffects: [
      "./esm/src/cli/**",
      ...Object.keys(programs).map((path) => emitted(path, ".js")),
      emitted("./src/doors/register/mod.ts", ".js"),
    ],
    // The first versions with `process.getBuiltinModule()`, which CHAP and ./register need.
    engines: { node: "^20.16.0 || >=22.3.0" },
    // For Kerberos and for shared limits on Node.js; nothing else loads them.
    peerDependencies: { koffi: ">=2.16 <4", redis: ">=4.6 <7" },
    peerDependenciesMeta: {
      koffi: { optional: true },
      redis: { optional: true },
    },
  };
}
