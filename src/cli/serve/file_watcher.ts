/**
 * Notices that files have changed.
 *
 * @module
 */

import { type Clock, systemClock } from "../../transport/clock.ts";
import type { Timeout } from "../../transport/timeouts.ts";

/** Options of {@linkcode FileWatcher}. */
export interface FileWatcherOptions {
  /** Returns the paths of the files to watch now. */
  files(): readonly string[];
  /** Called after one of them has changed, once all of them have stopped changing. */
  onChange(files: readonly string[]): void;
  /** @default {systemClock} */
  readonly clock?: Clock;
}

/** The time between two looks at the files, in milliseconds. */
export const WATCH_INTERVAL = 2_000;

/**
 * Looks at files from time to time, through symbolic links: events of the file system would
 * not report that a link in the path leads elsewhere, which is how certbot and Kubernetes
 * replace files.
 */
export class FileWatcher {
  readonly #options: FileWatcherOptions;
  #timeout: Timeout | undefined;
  #files: readonly string[] = [];
  #state = "";
  /** Whether the files have changed since the last call of `onChange`. */
  #hasChanged = false;
  #isStopped = false;

  /** The files as they are now count as unchanged. */
  constructor(options: FileWatcherOptions) {
    this.#options = options;
    void this.#look();
  }

  /** Stops watching. */
  stop(): void {
    this.#isStopped = true;
    this.#timeout?.cancel();
  }

  async #look(): Promise<void> {
    const files = this.#options.files();
    const state = await stateOf(files);
    if (this.#isStopped) return;
    const areSame = this.#files.join("\n") === files.join("\n");
    if (areSame && this.#hasChanged && state === this.#state) {
      this.#hasChanged = false;
      this.#options.onChange(files);
    } else {this.#hasChanged = areSame &&
        (this.#hasChanged || state !== this.#state);}
    this.#files = files;
    this.#state = state;
    const { clock = systemClock } = this.#options;
    this.#timeout = clock.startTimeout(WATCH_INTERVAL, () => void this.#look());
  }
}

/** Returns a text that differs if one of the files is another one, or has changed. */
async function stateOf(files: readonly string[]): Promise<string> {
  // Loaded lazily: most servers start without a file.
  const { stat } = await import("node:fs/promises");
  const states = files.map((path) =>
    stat(path).then(
      ({ dev, ino, size, mtimeMs }) => [dev, ino, size, mtimeMs].join(),
      () => "missing",
    )
  );
  return (await Promise.all(states)).join(";");
}
