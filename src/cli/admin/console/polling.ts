/**
 * When the console asks for data.
 *
 * @module
 */

import type { Browser } from "./browser.ts";
import type { RequestError } from "./requests.ts";

/** The state of the polling, which the page shows. */
export type PollingState =
  | { readonly name: "live" | "paused" | "locked" }
  | {
    readonly name: "failed";
    readonly error: RequestError;
    /** When the next attempt follows, in milliseconds. */
    readonly delay: number;
  };

/** The polling of the page. */
export interface Polling {
  /** Asks at once, also while paused, and after a request under way. */
  now(): void;
  /** Pauses and resumes. */
  toggle(): void;
}

/**
 * Part of the page's script: must not refer to anything outside.
 *
 * Calls `refresh` once a second while somebody sees the page: never again before it has
 * settled, less often while it rejects, and not at all without a valid token.
 */
export function polling(
  browser: Pick<Browser, "setTimeout" | "clearTimeout"> & {
    readonly document: Pick<Browser["document"], "hidden" | "addEventListener">;
  },
  refresh: () => Promise<void>,
  onState: (state: PollingState) => void,
): Polling {
  const { document } = browser;
  const interval = 1_000;
  const longest = 30_000;
  let timer: number | undefined;
  let isRunning = false;
  let isAgain = false;
  let isPaused = false;
  /** Whether the token is wrong, which another attempt would not change. */
  let isLocked = false;
  let failures = 0;

  function later(delay: number): void {
    browser.clearTimeout(timer);
    timer = undefined;
    if (!document.hidden) timer = browser.setTimeout(run, delay);
  }

  async function run(): Promise<void> {
    if (isRunning) {
      isAgain = true;
      return;
    }
    isRunning = true;
    isAgain = isLocked = false;
    browser.clearTimeout(timer);
    try {
      await refresh();
      failures = 0;
      onState({ name: isPaused ? "paused" : "live" });
      if (!isPaused) later(interval);
    } catch (error) {
      failed(error as RequestError);
    }
    isRunning = false;
    if (isAgain) run();
  }

  function failed(error: RequestError): void {
    isLocked = error.status === 401;
    if (isLocked) return onState({ name: "locked" });
    const delay = Math.min(longest, interval * 2 ** failures++);
    onState({ name: "failed", error, delay });
    if (!isPaused) later(delay);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) browser.clearTimeout(timer);
    else if (!isPaused && !isLocked) run();
  });
  return {
    now: run,
    toggle() {
      isPaused = !isPaused;
      browser.clearTimeout(timer);
      if (isPaused) onState({ name: "paused" });
      else run();
    },
  };
}
