/**
 * {@linkcode Host} on Deno.
 *
 * @module
 */

import type { Host, HostSignal } from "./host.ts";
import { chunks, encoder, writeAll } from "./chunks.ts";

/** The name of the threads that are workers of the program. */
export const WORKER_THREAD = "socks5 worker";

/** The members of `Deno` that are used here. */
export interface DenoProcess {
  readonly noColor: boolean;
  readonly stdin: {
    isTerminal(): boolean;
    setRaw(on: boolean): void;
    read(into: Uint8Array): Promise<number | null>;
  };
  readonly stdout: {
    isTerminal(): boolean;
    write(bytes: Uint8Array): Promise<number>;
  };
  readonly stderr: { writeSync(bytes: Uint8Array): number };
  readonly args: readonly string[];
  readonly env: { get(name: string): string | undefined };
  readonly permissions: {
    querySync(permission: { name: "env"; variable: string }): { state: string };
  };
  addSignalListener(signal: HostSignal, listener: () => void): void;
  removeSignalListener(signal: HostSignal, listener: () => void): void;
  exit(code: number): never;
}

/** Creates the host on Deno. */
export function denoHost(deno: DenoProcess): Host {
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
        return () => {}; // Windows has only SIGINT and SIGBREAK
      }
      return () => deno.removeSignalListener(signal, listener);
    },
    hasTerminal: () => Promise.resolve(deno.stdout.isTerminal()),
    get wantsColors() {
      return !deno.noColor && this.env("TERM") !== "dumb";
    },
    async write(text) {
      for (const lines of chunks(encoder.encode(text))) {
        await writeAll(lines, (bytes) => deno.stdout.write(bytes));
      }
    },
    writeError: (text) => void deno.stderr.writeSync(encoder.encode(text)),
    input: {
      get isTerminal() {
        return deno.stdin.isTerminal();
      },
      setRaw: (on) => deno.stdin.setRaw(on),
      async read() {
        const buffer = new Uint8Array(1024);
        const length = await deno.stdin.read(buffer);
        return length === null ? null : buffer.subarray(0, length);
      },
    },
    end: (code) => deno.exit(code),
    exit: (code) => deno.exit(code),
    isWorker: (globalThis as { name?: string }).name === WORKER_THREAD,
  };
}
