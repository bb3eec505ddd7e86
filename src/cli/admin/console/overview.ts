/**
 * The state and the totals of the server, and its throughput.
 *
 * @module
 */

import type { Desk } from "./desk.ts";
import type { Plot, Sample } from "./plot.ts";
import type { Target } from "./requests.ts";

/** The status as the API describes it. */
interface Status {
  readonly version: string;
  readonly runtime: string;
  readonly startedAt: number;
  readonly workers: number;
  readonly listening: string;
  readonly isDraining: boolean;
  readonly sessions: number;
  readonly sent: number;
  readonly received: number;
  readonly started: number;
  readonly rejected: number;
  readonly denied: number;
}

interface History {
  readonly interval: number;
  readonly samples: readonly Sample[];
}

/** The upper part of the page. */
export interface Overview {
  /** The requests for its data. */
  targets(): readonly [Target, Target];
  /** Shows the answers. */
  show(status: unknown, history: unknown): void;
  /** Whether the server drains, by the last answer. */
  readonly isDraining: boolean;
}

/** Part of the page's script: must not refer to anything outside. */
export function overview(
  { elements, formats }: Pick<Desk, "elements" | "formats">,
  plot: Plot,
): Overview {
  const { get, setText } = elements;
  const { count, bytes, rate, duration } = formats;
  const span = 600_000;
  let samples: readonly Sample[] = [];
  let startedAt = 0;
  let isDraining = false;

  function showTexts(values: Record<string, string>): void {
    for (const [id, text] of Object.entries(values)) setText(get(id), text);
  }

  function showStatus(status: Status): void {
    if (status.startedAt !== startedAt) samples = []; // another process
    ({ startedAt, isDraining } = status);
    const { workers } = status;
    const facts = [
      status.listening,
      `version ${status.version}`,
      status.runtime,
      `${workers} ${workers === 1 ? "worker" : "workers"}`,
      `up ${duration(Date.now() - startedAt)}`,
    ];
    showTexts({
      facts: facts.map((it) => it.replaceAll(" ", "\u00a0")).join(" · "),
      open: count(status.sessions),
      "sent-total": `${bytes(status.sent)} in all`,
      "received-total": `${bytes(status.received)} in all`,
      started: count(status.started),
      rejected: count(status.rejected),
      denied: count(status.denied),
    });
  }

  function showHistory(history: History): void {
    const last = samples.at(-1)?.[0] ?? 0;
    const later = history.samples.filter(([time]) => time > last);
    const end = later.at(-1)?.[0] ?? last;
    samples = [...samples, ...later].filter(([time]) => time >= end - span);
    const perSecond = 1000 / history.interval;
    const [sent, received] = samples.at(-1)?.slice(2) ?? [];
    const textOf = (it: number | undefined) =>
      it === undefined ? "–" : rate(it * perSecond);
    showTexts({ sent: textOf(sent), received: textOf(received) });
    plot.update(samples, history.interval);
  }

  return {
    get isDraining() {
      return isDraining;
    },
    targets() {
      const since = samples.at(-1)?.[0]; // only what is new
      return [["status"], ["history", { since }]];
    },
    show(status, history) {
      showStatus(status as Status);
      showHistory(history as History);
    },
  };
}
