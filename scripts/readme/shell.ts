/**
 * Runs the commands of the README as a reader does, one after the other.
 *
 * @module
 */

import { join } from "node:path";
import { patience } from "../package/report.ts";

/** The input of `hash-password`, which asks twice only on a terminal. */
const PASSWORD = "correct horse\n";

/** Matches the first line of a server, which is ready then. */
const READY = / listens on |"type":"listening"/;

/** Matches the commands that speak to the server that runs. */
const CLIENT = /^(curl|socks5 (sessions|end|users|unlock|drain))\b/;

/** How a command ended, or that it is a server, which goes on. */
export interface Ended {
  success: boolean;
  isServer: boolean;
  output: string;
}

/** A process with its output so far. */
class Running {
  readonly child: Deno.ChildProcess;
  /** Resolves when the output has ended. */
  readonly ended: Promise<unknown>;
  output = "";
  #waiting = new Map<RegExp, () => void>();

  constructor(child: Deno.ChildProcess) {
    this.child = child;
    this.ended = Promise.all([
      this.#read(child.stdout),
      this.#read(child.stderr),
    ]);
  }

  /** Waits until the output matches; returns `false` if it ends without. */
  async prints(pattern: RegExp): Promise<boolean> {
    const found = Promise.withResolvers<void>();
    this.#waiting.set(pattern, found.resolve);
    this.#look();
    const timer = setTimeout(() => kill(this.child, "SIGKILL"), patience);
    await Promise.race([found.promise, this.ended]);
    clearTimeout(timer);
    this.#waiting.delete(pattern);
    return pattern.test(this.output);
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.output += text;
      this.#look();
    }
  }

  #look(): void {
    for (const [pattern, resolve] of this.#waiting) {
      if (pattern.test(this.output)) resolve();
    }
  }
}

/** A shell in which at most one server runs in the background. */
export class Shell implements AsyncDisposable {
  readonly #cwd: string;
  readonly #env: Record<string, string>;
  #server?: Running;

  constructor(cwd: string, env: Record<string, string>) {
    this.#cwd = cwd;
    this.#env = env;
  }

  /**
   * Runs a command to its end, or until it is ready as a server. By default only those of
   * {@linkcode CLIENT} are for the server that runs; everything else may need its port.
   */
  async run(
    command: string,
    { keepsServer = CLIENT.test(command) } = {},
  ): Promise<Ended> {
    if (!keepsServer) await this.stop();
    const running = this.#start(command);
    const isServer = await running.prints(READY);
    if (isServer) this.#server = running;
    const success = isServer || (await running.child.status).success;
    return { success, isServer, output: running.output };
  }

  /** Returns the text of a file that a command has written. */
  file(name: string): Promise<string> {
    return Deno.readTextFile(join(this.#cwd, name));
  }

  /** Waits until the server logs a text; returns `false` if it ends without. */
  async logs(text: RegExp): Promise<boolean> {
    return await this.#server?.prints(text) ?? false;
  }

  /** Ends the server. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    kill(server.child, "SIGTERM");
    const timer = setTimeout(() => kill(server.child, "SIGKILL"), patience);
    await server.ended;
    await server.child.status;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #start(command: string): Running {
    const child = new Deno.Command("bash", {
      args: ["-c", command],
      cwd: this.#cwd,
      env: this.#env,
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      // A process group: npx does not pass signals on.
      detached: true,
    }).spawn();
    const input = child.stdin.getWriter();
    input.write(new TextEncoder().encode(PASSWORD)).then(
      () => input.close(),
      () => {}, // The program has ended, or reads nothing.
    ).catch(() => {});
    return new Running(child);
  }
}

/** Sends a signal to a process and those that it has started. */
function kill({ pid }: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    Deno.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
