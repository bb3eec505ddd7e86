/**
 * A program that answers one line for each line that it gets.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import { NetError } from "../../transport/errors.ts";

/** The maximum length of an answer: more than any helper sends. */
const MAX_ANSWER = 8_192;

/** A question without an answer. */
interface Pending {
  resolve(answer: string): void;
  reject(error: Error): void;
}

/** A running program, which answers one question at a time. */
export class HelperProcess {
  readonly #child: ChildProcess;
  #received = "";
  #pending: Pending | undefined;
  /** Resolves when the program has ended. */
  readonly exited: Promise<void>;
  /** Why the program gives no more answers. */
  #failure: Error | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("error", (error) => this.#fail(error));
    this.exited = new Promise((resolve) => {
      child.on("exit", (code, signal) => {
        const how = signal ?? `exit code ${code}`;
        this.#fail(new NetError("ended", `the program ended (${how})`));
        resolve();
      });
    });
    child.stdin!.on("error", () => {}); // its end is reported by `exit`
    child.stdout!.setEncoding("latin1");
    child.stdout!.on("data", (text: string) => this.#receive(text));
    child.stdout!.on("error", () => {});
  }

  /** Starts the program; its errors go to the standard error of this process. */
  static async start(
    [program, ...args]: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<HelperProcess> {
    const { spawn } = await import("node:child_process");
    const child = spawn(program, args, {
      env: { ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const helper = new HelperProcess(child);
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    helper.#letProcessExit();
    return helper;
  }

  /** Whether it can be asked. */
  get isRunning(): boolean {
    return this.#failure === undefined;
  }

  /** Sends a line and returns the answer. Rejects if the program ends, or answers too much. */
  ask(line: string): Promise<string> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#child.stdin!.write(`${line}\n`);
    });
  }

  /** Kills the program. `reason` is the error of a question without an answer. */
  kill(reason: Error = new NetError("closed", "the program was ended")): void {
    this.#fail(reason);
    this.#child.ref(); // its end may be awaited
    this.#child.kill("SIGKILL");
  }

  #receive(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf("\n");
    if (end < 0 && this.#received.length <= MAX_ANSWER) return;
    const answer = this.#received.slice(0, end);
    const isExpected = end >= 0 && end === this.#received.length - 1 &&
      this.#pending !== undefined;
    // A line too many would be taken for the answer to the next question.
    if (!isExpected) {
      return this.kill(new Error("the program broke the protocol"));
    }
    this.#received = "";
    const pending = this.#pending!;
    this.#pending = undefined;
    pending.resolve(answer);
  }

  #fail(reason: Error): void {
    this.#failure ??= reason;
    this.#pending?.reject(this.#failure);
    this.#pending = undefined;
  }

  /** Without that, a program that uses the library would not exit while a helper runs. */
  #letProcessExit(): void {
    const { stdin, stdout } = this.#child;
    this.#child.unref();
    for (const stream of [stdin, stdout] as { unref?(): void }[]) {
      stream.unref?.();
    }
  }
}
