/**
 * The process that the program runs in.
 *
 * On Deno these are its own functions, looked up structurally: loading
 * `node:process` there about doubles the time until the server listens.
 *
 * @module
 */

/** The signals that end the program, and their numbers. */
export const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** The name of such a signal. */
export type Signal = keyof typeof SIGNALS;

/** What the program needs of its process. */
export interface Host {
  /** The arguments behind the program's name. */
  readonly args: readonly string[];
  /**
   * An environment variable. `undefined` also where Deno would have to ask for
   * the permission: a server must not wait for an answer.
   */
  env(name: string): string | undefined;
  /** Whether {@linkcode Host.env} may be asked for it. */
  mayReadEnv(name: string): boolean;
  /** Calls `listener` for a signal instead of ending the process. Gives what undoes it. */
  onSignal(signal: Signal, listener: () => void): () => void;
  /** Makes a standard stream that nobody reads any more an error of nobody. */
  ignoreClosedOutput(): void;
  /** Ends the process when its output is written. */
  end(code: number): void;
  /** Ends the process now. */
  exit(code: number): never;
}

/** The members of `Deno` that are used here. */
interface DenoProcess {
  readonly args: readonly string[];
  readonly env: { get(name: string): string | undefined };
  readonly permissions: {
    querySync(wanted: { name: "env"; variable: string }): { state: string };
  };
  addSignalListener(signal: Signal, listener: () => void): void;
  removeSignalListener(signal: Signal, listener: () => void): void;
  exit(code: number): never;
}

/** The members of `process` that are used here. */
interface NodeProcess {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: NodeOutput;
  readonly stderr: NodeOutput;
  on(signal: Signal, listener: () => void): void;
  off(signal: Signal, listener: () => void): void;
  exit(code: number): never;
}

interface NodeOutput {
  on(event: "error", listener: () => void): void;
  write(text: string, done: () => void): void;
}

/** The process of the runtime that runs this. */
export function thisHost(): Host {
  const runtime = globalThis as unknown as {
    Deno?: DenoProcess;
    process: NodeProcess;
  };
  return runtime.Deno ? denoHost(runtime.Deno) : nodeHost(runtime.process);
}

function denoHost(deno: DenoProcess): Host {
  const mayReadEnv = (variable: string) =>
    deno.permissions.querySync({ name: "env", variable }).state === "granted";
  return {
    args: deno.args,
    env: (name) => mayReadEnv(name) ? deno.env.get(name) : undefined,
    mayReadEnv,
    onSignal(signal, listener) {
      try {
        deno.addSignalListener(signal, listener);
      } catch {
        return () => {}; // Windows has no SIGTERM
      }
      return () => deno.removeSignalListener(signal, listener);
    },
    ignoreClosedOutput() {},
    end: (code) => deno.exit(code),
    exit: (code) => deno.exit(code),
  };
}

function nodeHost(process: NodeProcess): Host {
  const { stdout, stderr } = process;
  return {
    args: process.argv.slice(2),
    env: (name) => process.env[name],
    mayReadEnv: () => true,
    onSignal(signal, listener) {
      process.on(signal, listener);
      return () => process.off(signal, listener);
    },
    ignoreClosedOutput() {
      for (const output of [stdout, stderr]) output.on("error", () => {});
    },
    end(code) {
      stdout.write("", () => stderr.write("", () => process.exit(code)));
    },
    exit: (code) => process.exit(code),
  };
}
