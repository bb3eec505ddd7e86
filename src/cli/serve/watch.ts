/**
 * What the program does with a server's events: lines of the log, and metrics.
 *
 * @module
 */

import type { ServerEvent } from "../../server/events.ts";
import { Metrics, type MetricValues } from "../../server/metrics.ts";
import type { Log } from "../output/log.ts";

/** Both are looked at only when they are asked for. */
export interface Watch {
  /** `undefined` when nobody wants to know. */
  readonly onEvent: ((event: ServerEvent) => void) | undefined;
  readonly readMetrics: () => MetricValues;
}

/** Watches a server, and counts if somebody is to be told. */
export function watch(tellsMetrics: boolean, { onEvent }: Log): Watch {
  if (!tellsMetrics) return { onEvent, readMetrics: () => ({}) };
  const counted = new Metrics();
  return {
    onEvent: (event) => {
      counted.onEvent(event);
      onEvent?.(event);
    },
    readMetrics: () => counted.read(),
  };
}
