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
  { document }: Browser,
  refresh: () => Promise<void>,
  onState: (state: PollingState) => void,
): Polling {
  const interval = 1_000;
  const longest = 30_000;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isRunning = false;
  let isAgain = false;
  let isPaused = false;
  let failures = 0;

  function later(delay: number): void {
    clearTimeout(timer);
    timer = undefined;
    if (!document.hidden) timer = setTimeout(run, delay);
  }

  async function run(): Promise<void> {
    if (isRunning) {
      isAgain = true;
      return;
    }
    isRunning = true;
    isAgain = false;
    clearTimeout(timer);
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
    if (error.status === 401) return onState({ name: "locked" });
    const delay = Math.min(longest, interval * 2 ** failures++);
    onState({ name: "failed", error, delay });
    if (!isPaused) later(delay);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!isPaused) run();
  });
  return {
    now: run,
    toggle() {
      isPaused = !isPaused;
      clearTimeout(timer);
      if (isPaused) onState({ name: "paused" });
      else run();
    },
  };
}
