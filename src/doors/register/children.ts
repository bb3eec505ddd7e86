/**
 * Workers and child processes, which load the same module.
 *
 * @module
 */

import { syncBuiltinESMExports } from "node:module";
import { basename, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { refusal } from "./refusal.ts";

type Call = (this: unknown, ...args: unknown[]) => unknown;
type Class = new (...args: unknown[]) => object;
type Options = Record<string, unknown> & { env?: Record<string, unknown> };

interface Runtimes {
  Worker?: Class;
  Bun?: Record<"spawn" | "spawnSync", Call> & {
    $: { ShellPromise: { prototype: { env: Call } } };
  };
  Deno?: DenoProcesses;
}

interface DenoProcesses {
  Command: Class;
  execPath(): string;
}

const runtimes = globalThis as unknown as Runtimes;
const { Bun: bun, Deno: deno } = runtimes;

/** What the children need besides the flags that load the module. */
const NAMES = [
  "all_proxy",
  "ALL_PROXY",
  "no_proxy",
  "NO_PROXY",
  "SOCKS5_REGISTERED",
];

/** The flags that load the module, by the variable that the runtime reads. */
let flags: Record<string, string> = {};
/** The values of {@linkcode NAMES} at the start; the program cannot change them. */
let values: Record<string, string> = {};

/**
 * Makes the workers of this process load the module at this URL, and if that is a file also
 * its child processes, as far as they are of Node.js and Bun, or `deno run` in Deno.
 */
export function includeChildren(url: string): void {
  values = Object.fromEntries(NAMES.flatMap((name) => {
    const { [name]: value } = process.env;
    return value === undefined ? [] : [[name, value]];
  }));
  if (url.startsWith("file:")) includeProcesses(url);
  const workers = builtin<{ Worker: Class }>("node:worker_threads");
  workers.Worker = workerClass(workers.Worker, url, fileUrl);
  if (runtimes.Worker) {
    runtimes.Worker = workerClass(runtimes.Worker, url, String);
  }
  // Named imports get the patched exports as well.
  syncBuiltinESMExports();
}

function includeProcesses(url: string): void {
  flags = {
    NODE_OPTIONS: `--import=${url}`,
    BUN_OPTIONS: `--preload=${fileURLToPath(url)}`,
  };
  process.env.SOCKS5_REGISTERED = "1";
  Object.assign(process.env, withFlags(process.env));
  const calls = builtin<Record<string, Call>>("node:child_process");
  for (
    const name of [
      "spawn",
      "execFile",
      "fork",
      "spawnSync",
      "execFileSync",
      "exec",
      "execSync",
    ]
  ) {
    const adapt = deno && DENO_CALLS[name];
    calls[name] = patch(calls[name], (args) => {
      adapt?.(args, url);
      return withEnvironment(args);
    });
  }
  if (bun) {
    for (const name of ["spawn", "spawnSync"] as const) {
      bun[name] = patch(bun[name], withEnvironment);
    }
    const { $ } = bun;
    // Both replace the whole environment.
    for (const it of [Object.getPrototypeOf($), $.ShellPromise.prototype]) {
      it.env = patch(
        it.env,
        ([env]) => [withVariables({ env: env as Options }).env],
      );
    }
  }
  if (deno) includeCommands(deno, url);
}

/**
 * Returns the exports of a module. Bun and Deno copy them when the module is imported for
 * the first time, so that named imports of the program get what is patched before.
 */
function builtin<T>(name: string): T {
  return process.getBuiltinModule(name) as T;
}

function withFlags(env: Record<string, unknown>): Record<string, string> {
  const entries = Object.entries(flags).map(([name, flag]) => {
    const given = env[name] ?? "";
    return [
      name,
      `${given}`.includes(flag) ? given : `${given} ${flag}`.trim(),
    ];
  });
  return Object.fromEntries(entries);
}

/** Options with an environment of their own get what the children need. */
function withVariables<T>(options: T, loads = true): T {
  const { env } = (options ?? {}) as Options;
  if (typeof env !== "object" || env === null) return options;
  return {
    ...options,
    env: { ...values, ...env, ...loads && withFlags(env) },
  };
}

/** The arguments of a call that starts a process, with options that have an environment. */
function withEnvironment(args: readonly unknown[]): unknown[] {
  const list = [...args];
  while (list.length > 0 && list.at(-1) == null) list.pop();
  const at = list.findIndex((it) =>
    typeof it === "object" && it !== null && !Array.isArray(it) &&
    !(it instanceof URL)
  );
  if (at < 0) {
    const end = typeof list.at(-1) === "function"
      ? list.length - 1
      : list.length;
    list.splice(end, 0, withVariables({ env: process.env }));
  } else {
    const options = list[at] as Options;
    list[at] = withVariables({ ...options, env: options.env ?? process.env });
  }
  return list;
}

function patch(original: Call, adapt: (args: unknown[]) => unknown[]): Call {
  const adapting = (call: Call): Call =>
    function (...args) {
      return call.apply(this, adapt(args));
    };
  const { custom } = promisify;
  const { [custom]: promised } = original as unknown as Record<symbol, Call>;
  return Object.defineProperties(adapting(original), {
    ...Object.getOwnPropertyDescriptors(original),
    ...promised && { [custom]: { value: adapting(promised) } },
  });
}

function workerClass(
  original: Class,
  url: string,
  toUrl: (script: unknown) => string,
): Class {
  const adapt = deno ? forDeno : bun ? forBun : forNode;
  return class Worker extends original {
    constructor(script: unknown, given: unknown) {
      // Deno's refuses the flag of Node.js.
      const options = withVariables((given ?? {}) as Options, !deno);
      super(...adapt(script, options, url, toUrl));
    }
  };
}

type Adapt = (
  script: unknown,
  options: Options,
  url: string,
  toUrl: (script: unknown) => string,
) => [script: unknown, options: Options];

/** A worker has only one module, which imports both. */
const forDeno: Adapt = (script, options, url, toUrl) => {
  const module = options.eval ? dataUrl(`${script}`) : toUrl(script);
  const text = dataUrl(importing(url, module));
  const isForWeb = toUrl === String;
  return [isForWeb ? text : new URL(text), { ...options, eval: false }];
};

const forBun: Adapt = (script, options, url) => {
  const { preload = [] } = options;
  return [script, { ...options, preload: [url].concat(preload as string) }];
};

const forNode: Adapt = (script, options, url) => {
  const { execArgv, eval: isCode } = options;
  // Node.js runs code without waiting for the flag.
  const path = JSON.stringify(fileURLToPath(url));
  const code = isCode ? `require(${path});${script}` : script;
  const flag = flags.NODE_OPTIONS;
  return [
    code,
    Array.isArray(execArgv)
      ? { ...options, execArgv: [...execArgv, flag] }
      : options,
  ];
};

function importing(...urls: string[]): string {
  return urls.map((it) => `import ${JSON.stringify(it)};`).join("");
}

function dataUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

function fileUrl(script: unknown): string {
  return script instanceof URL
    ? script.href
    : pathToFileURL(resolve(`${script}`)).href;
}

/** The subcommands of `deno` that run programs in their own process. */
const RUN = ["run", "serve", "test", "bench", "eval", "repl"];

function adaptSpawn(args: unknown[], url: string): void {
  const hasShell = args.some((it) => (it as { shell?: unknown } | null)?.shell);
  if (hasShell) return adaptShell(args);
  if (Array.isArray(args[1]) && isDeno(args[0])) {
    args[1] = adapted(args[1], url);
  }
}

function adaptShell(args: unknown[]): void {
  if (/\bdeno\b/.test(args.flat().join(" "))) {
    throw refusal("deno in a command for a shell");
  }
}

function adaptFork(args: unknown[], url: string): void {
  args[0] = dataUrl(importing(url, fileUrl(args[0])));
}

const DENO_CALLS: Record<string, (args: unknown[], url: string) => void> = {
  spawn: adaptSpawn,
  spawnSync: adaptSpawn,
  execFile: adaptSpawn,
  execFileSync: adaptSpawn,
  exec: adaptShell,
  execSync: adaptShell,
  fork: adaptFork,
};

function isDeno(command: unknown): boolean {
  const path = `${command}`;
  return path === deno?.execPath() || /^deno(\.exe)?$/.test(basename(path));
}

function adapted(args: readonly string[], url: string): string[] {
  const [first = "", ...rest] = args;
  const flag = `--preload=${url}`;
  if (RUN.includes(first)) return [first, flag, ...rest];
  if (/^[a-z]*$/.test(first)) return [...args];
  throw refusal("deno without the subcommand run");
}

/** The short forms of `Deno.Command`, and the method that each of them calls. */
const SHORT_FORMS = {
  spawn: "spawn",
  spawnAndWait: "output",
  spawnAndWaitSync: "outputSync",
} as const;

function includeCommands(deno: DenoProcesses, url: string): void {
  const Command = deno.Command = commandClass(deno.Command, url);
  for (const [name, method] of Object.entries(SHORT_FORMS)) {
    if (!(name in deno)) continue;
    const call: Call = (command, ...rest) => {
      const isList = Array.isArray(rest[0]);
      const options = isList
        ? { ...rest[1] as object, args: rest[0] }
        : rest[0];
      return (new Command(command, options) as Record<string, Call>)[method]();
    };
    Object.defineProperty(deno, name, { value: call });
  }
}

function commandClass(original: Class, url: string): Class {
  return class Command extends original {
    constructor(command: unknown, given: unknown) {
      const options = (given ?? {}) as Options & { args?: string[] };
      const { args = [] } = options;
      const all = isDeno(command) ? adapted(args, url) : args;
      super(command, { ...withVariables({ env: {}, ...options }), args: all });
    }
  };
}
