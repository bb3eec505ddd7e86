/**
 * A page in Chromium that a test steers, on any runtime.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { PageLog, PageResult } from "./console_program.ts";
import { findProgram, until } from "./programs.ts";
import { environment, installed, withProgramOn } from "./runtimes.ts";

/** A page in Chromium. */
export interface ConsolePage {
  /** Calls a method of Playwright's page. */
  call(method: string, ...args: unknown[]): Promise<unknown>;
  /** Evaluates an expression in the page. */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is truthy in the page. */
  until(expression: string): Promise<void>;
  /** The requests and the errors so far. */
  log(): Promise<PageLog>;
}

/** Runs `use` with an empty page, and closes the browser afterwards. */
export async function withPage(
  use: (page: ConsolePage) => Promise<void>,
): Promise<void> {
  const folder = await installed("playwright-core@1.65.1");
  await withProgramOn("node", "console", async ([command, ...args]) => {
    const chromium = findProgram("chromium") ?? "chromium";
    const child = spawn(command, [...args, folder, chromium], {
      env: environment(),
      stdio: ["pipe", "pipe", "pipe"],
    });
    const closed = new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    try {
      await use(pageOf(child));
      child.stdin.end();
      assertEquals(await closed, 0);
    } finally {
      child.stdin.end();
      await closed;
    }
  });
}

function pageOf(child: ChildProcessWithoutNullStreams): ConsolePage {
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  const lines = createInterface({ input: child.stdout })
    [Symbol.asyncIterator]();
  let last: Promise<unknown> = Promise.resolve();

  async function request(method: string, args: unknown[]): Promise<unknown> {
    child.stdin.write(`${JSON.stringify({ method, args })}\n`);
    const { value: line, done } = await lines.next();
    if (done) throw new Error(`the browser ended: ${stderr}`);
    const { value, error }: PageResult = JSON.parse(line);
    if (error !== undefined) throw new Error(error);
    return value;
  }

  /** One call after the other. */
  function call(method: string, ...args: unknown[]): Promise<unknown> {
    const result = last.then(() => request(method, args));
    last = result.catch(() => {});
    return result;
  }

  return {
    call,
    evaluate: <T>(expression: string) =>
      call("evaluate", expression) as Promise<T>,
    // Playwright's own waiting evaluates text in the page, which the page's policy forbids.
    until: (expression) =>
      until(
        expression,
        async () => Boolean(await call("evaluate", expression)),
      ),
    log: () => call("log") as Promise<PageLog>,
  };
}
