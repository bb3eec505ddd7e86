/**
 * Loads pages in Chromium with the npm package `playwright-core`, and prints what it has
 * loaded as JSON. The arguments are the folder to load the package from, the path of
 * Chromium, and the {@linkcode Visit}s as JSON.
 *
 * @module
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

/** A page to load in a window of its own. */
export interface Visit {
  readonly url: string;
  /** The proxy of the window, in Playwright's notation. */
  readonly proxy: {
    readonly server: string;
    readonly username?: string;
    readonly password?: string;
  };
  /** The file for a screenshot; none by default. */
  readonly screenshot?: string;
}

/** What was loaded: the text of the page, or the error. */
export interface Visited {
  readonly status?: number;
  readonly text?: string;
  readonly error?: string;
}

/** The members of the package that are used here. */
interface Package {
  readonly chromium: {
    launch(options: object): Promise<{
      newContext(options: object): Promise<{
        newPage(): Promise<Page>;
        close(): Promise<void>;
      }>;
      close(): Promise<void>;
    }>;
  };
}

interface Page {
  goto(url: string): Promise<{ status(): number } | null>;
  waitForFunction(expression: string): Promise<unknown>;
  innerText(selector: string): Promise<string>;
  screenshot(options: { readonly path: string }): Promise<unknown>;
}

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function visit(
  page: Page,
  { url, screenshot }: Visit,
): Promise<Visited> {
  try {
    const response = await page.goto(url);
    const status = response?.status();
    if (status !== 200) return { status };
    await page.waitForFunction("document.body.dataset.done");
    if (screenshot) await page.screenshot({ path: screenshot });
    return { status, text: await page.innerText("body") };
  } catch (error) {
    return { error: String(error) };
  }
}

if (process.argv[2] === "run-browser") {
  const [folder, executablePath, visits] = process.argv.slice(3);
  const require = createRequire(join(folder, "from"));
  const { chromium }: Package = require("playwright-core");
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const visited: Visited[] = [];
  for (const each of JSON.parse(visits) as Visit[]) {
    const proxy = { ...each.proxy, bypass: "<-loopback>" };
    const context = await browser.newContext({
      proxy,
      ignoreHTTPSErrors: true,
    });
    visited.push(await visit(await context.newPage(), each));
    await context.close();
  }
  await browser.close();
  console.log(JSON.stringify(visited));
  process.exit(0);
}
