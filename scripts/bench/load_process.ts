/**
 * Controls the process that generates the load.
 *
 * @module
 */

import { join } from "node:path";
import { root } from "../files.ts";
import { lines } from "./lines.ts";
import type { Job, Outcome } from "./load.ts";

/** The process that generates the load; it runs one job at a time. */
export class LoadProcess {
  readonly #child: Deno.ChildProcess;
  readonly #answers: AsyncGenerator<string>;
  readonly #jobs: WritableStreamDefaultWriter<Uint8Array>;

  /** Starts the process; `prefix` is a command that pins it to processors. */
  constructor(prefix: readonly string[]) {
    const entry = join(root, "scripts", "bench", "load.ts");
    const [program, ...args] = [
      ...prefix,
      ...[Deno.execPath(), "run", "-A", "--quiet", "--unstable-net", entry],
    ];
    this.#child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#answers = lines(this.#child.stdout);
    this.#jobs = this.#child.stdin.getWriter();
  }

  /** Runs a job. */
  async do(job: Job): Promise<Outcome> {
    const line = new TextEncoder().encode(`${JSON.stringify(job)}\n`);
    await this.#jobs.write(line);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("the load process has exited");
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#jobs.close();
    await this.#child.status;
  }
}
