/**
 * The environment variables that workers, child processes and the `fetch` of some runtimes
 * read, which therefore have to stay as they are.
 *
 * @module
 */

import process from "node:process";

type Change = (name: string, value?: string) => void;

interface DenoEnvironment {
  readonly env: { set: Change; delete: Change };
}

const KEPT = /^(all|http|https|no)_proxy$/i;

/**
 * Ignores what the program writes to the variables with the way, as if another process had
 * written: libraries that load a file `.env` are no reason for a direct connection.
 */
export function keepVariables(): void {
  const isKept = (name: unknown) => typeof name === "string" && KEPT.test(name);
  process.env = new Proxy(process.env, {
    set: (env, name, value) => isKept(name) || Reflect.set(env, name, value),
    deleteProperty: (env, name) =>
      isKept(name) || Reflect.deleteProperty(env, name),
    defineProperty: (env, name, descriptor) =>
      isKept(name) || Reflect.defineProperty(env, name, descriptor),
  });
  const { Deno: deno } = globalThis as { Deno?: DenoEnvironment };
  if (!deno) return;
  const { env } = deno;
  for (const change of ["set", "delete"] as const) {
    const { [change]: original } = env;
    env[change] = (name, value) =>
      isKept(name) ? undefined : original.call(env, name, value);
  }
}
