/**
 * Calculations with usage.
 *
 * @module
 */

import type { Usage } from "./usage_store.ts";

/** Nothing. */
export const NO_USAGE: Usage = { sent: 0, received: 0, sessions: 0 };

/** The sum of both. */
export function addUsage(a: Usage, b: Usage): Usage {
  return {
    sent: a.sent + b.sent,
    received: a.received + b.received,
    sessions: a.sessions + b.sessions,
  };
}

/** The first minus the second. */
export function subtractUsage(a: Usage, b: Usage): Usage {
  return {
    sent: a.sent - b.sent,
    received: a.received - b.received,
    sessions: a.sessions - b.sessions,
  };
}

/** Whether it is nothing. */
export function isNoUsage({ sent, received, sessions }: Usage): boolean {
  return sent === 0 && received === 0 && sessions === 0;
}
