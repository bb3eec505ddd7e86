/**
 * The module that leads the connections of JavaScript programs through a proxy.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Where the module is: beside the sources, and beside the bundle in the npm package. */
const PLACES = ["../../doors/register/mod.ts", "../doors/register/mod.js"];

/** Returns the URL of the module; `undefined` if it is no file, as on JSR. */
export function findPreload(
  base: string = import.meta.url,
): string | undefined {
  const urls = PLACES.map((it) => new URL(it, base));
  return urls.find(isFile)?.href;
}

function isFile(url: URL): boolean {
  try {
    return url.protocol === "file:" && existsSync(url);
  } catch {
    return false; // without the permission to read, on Deno
  }
}

/** Returns the variables by which Node.js and Bun load the module, in addition to others. */
export function preloadVariables(
  url: string,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const flags = {
    NODE_OPTIONS: `--import=${url}`,
    BUN_OPTIONS: `--preload=${fileURLToPath(url)}`,
  };
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => {
      const given = env[name];
      return [name, given ? `${given} ${flag}` : flag];
    }),
  );
}

/** The runtimes of JavaScript, and programs that start them. */
const RUNTIMES = /^(node|nodejs|npm|npx|bun|bunx|yarn|pnpm|tsx|deno)$/;

/**
 * Why a program would connect directly: most of JavaScript ignores the variables for proxies.
 * `undefined` for programs of which nothing is known.
 */
export function uncovered(
  [command, ...args]: readonly [string, ...string[]],
  preload: string | undefined,
): string | undefined {
  const name = RUNTIMES.exec(command.replace(/^.*[\\/]/, ""))?.[1];
  if (name === "deno") {
    if (args.some((it) => it.startsWith("--preload"))) return undefined;
    return "deno would connect directly for everything but fetch and WebSocket: add " +
      `--preload=${preload ?? "npm:@x/socks5/register"} after "deno run"`;
  }
  if (name === undefined || preload !== undefined) return undefined;
  return `${name} would connect directly: the module that leads it through the proxy is ` +
    "only in the npm package, and on Deno needs --allow-read";
}
