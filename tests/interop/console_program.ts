/**
 * A page in Chromium, steered by lines of JSON: reads {@linkcode PageCall}s from the standard
 * input, and prints a {@linkcode PageResult} for each. The arguments are the folder to load
 * the npm package `playwright-core` from, and the path of Chromium.
 *
 * @module
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

/**
 * A call of a method of Playwright's page, such as `click` or `keyboard.press`, or `log`,
 * which returns the {@linkcode PageLog}.
 */
export interface PageCall {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** What the call returned, or the error. */
export interface PageResult {
  readonly value?: unknown;
  readonly error?: string;
}

/** What the page has done so far. */
export interface PageLog {
  /** The method and the URL of each request. */
  readonly requests: string[];
  /** Errors of scripts, and violations of the content security policy. */
  readonly errors: string[];
}

type Members = Record<string, (...args: unknown[]) => unknown>;

/** The members of the package that are used here. */
interface Package {
  readonly chromium: {
    launch(options: object): Promise<{
      newContext(options: object): Promise<{ newPage(): Promise<Page> }>;
      close(): Promise<void>;
    }>;
  };
}

interface Page {
  on(type: "request", listener: (it: PageRequest) => void): void;
  on(type: "pageerror", listener: (it: Error) => void): void;
  exposeFunction(name: string, fn: (text: string) => void): Promise<void>;
  addInitScript(script: string): Promise<void>;
  setDefaultTimeout(timeout: number): void;
}

interface PageRequest {
  method(): string;
  url(): string;
}

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const WATCH = `addEventListener("securitypolicyviolation", (it) => {
  reportViolation(it.violatedDirective + " " + it.blockedURI);
});`;

async function watched(page: Page): Promise<PageLog> {
  const log: PageLog = { requests: [], errors: [] };
  page.on("request", (it) => log.requests.push(`${it.method()} ${it.url()}`));
  page.on("pageerror", (it) => log.errors.push(String(it)));
  await page.exposeFunction("reportViolation", (it) => log.errors.push(it));
  await page.addInitScript(WATCH);
  return log;
}

async function call(
  page: Page,
  log: PageLog,
  { method, args }: PageCall,
): Promise<PageResult> {
  try {
    if (method === "log") return { value: log };
    const [name, member] = method.split(".");
    const whole = page as unknown as Members & Record<string, Members>;
    const value = member === undefined
      ? await whole[name](...args)
      : await whole[name][member](...args);
    // Handles and responses have circles.
    return {
      value: typeof value === "object" && method !== "evaluate" ? null : value,
    };
  } catch (error) {
    return { error: `${method} ${args[0]}: ${error}` };
  }
}

if (process.argv[2] === "run-console") {
  const [folder, executablePath] = process.argv.slice(3);
  const require = createRequire(join(folder, "from"));
  const { chromium }: Package = require("playwright-core");
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const viewport = { width: 1280, height: 900 };
  const context = await browser.newContext({ viewport, hasTouch: true });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const log = await watched(page);
  for await (const line of createInterface({ input: process.stdin })) {
    const result = await call(page, log, JSON.parse(line));
    console.log(JSON.stringify(result));
  }
  await browser.close();
  process.exit(0);
}
