/**
 * Reloads the configuration of a running server.
 *
 * @module
 */

import type { ReadFile } from "../config/files.ts";
import type { Given } from "../config/flags.ts";
import { load, type Loaded } from "../config/load.ts";
import { describeFailure } from "../failure.ts";
import type { LogRecord } from "../output/format.ts";
import type { RunningServer } from "./running_server.ts";

/** Options of {@linkcode Reloader}. */
export interface ReloaderOptions {
  /** The flags and the environment, which stay as they are. */
  readonly given: Given;
  /** Reads the files. */
  readonly read: ReadFile;
  /** The configuration at the start. */
  readonly loaded: Loaded;
  readonly server: Pick<RunningServer, "update">;
  /** Logs the result of each reload. */
  readonly log: (record: LogRecord) => void;
}

/** Reads the files again, and updates the server if the whole configuration is valid. */
export class Reloader {
  readonly #options: ReloaderOptions;
  #current: Loaded;
  #last: Promise<void> = Promise.resolve();

  /** Takes the configuration at the start as the current one. */
  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#current = options.loaded;
  }

  /** The current configuration. */
  get current(): Loaded {
    return this.#current;
  }

  /** Reloads after any earlier reload has finished. Never rejects. */
  reload(): Promise<void> {
    return this.#last = this.#last.then(() => this.#reload());
  }

  async #reload(): Promise<void> {
    const { given, read, server, log } = this.#options;
    try {
      const loaded = await load(given, read, { before: this.#current });
      const { hostname: _, port: __, ...options } = loaded.options;
      await server.update(options, loaded);
      this.#current = loaded;
    } catch (error) {
      log({ type: "reload-failed", problems: this.#problemsOf(error) });
      return;
    }
    const { users, rules } = this.#current;
    const ignored = this.#ignored();
    log({ type: "reloaded", logins: users.size, rules, ignored });
  }

  /** The changed settings that a running server cannot adopt. */
  #ignored(): string[] {
    const [before, now] = [this.#options.loaded, this.#current];
    const changed = {
      hostname: before.options.hostname !== now.options.hostname,
      port: before.options.port !== now.options.port,
      log: before.log !== now.log,
      workers: before.workers !== now.workers,
      metrics: JSON.stringify(before.metrics) !== JSON.stringify(now.metrics),
    };
    return Object.entries(changed).flatMap(([name, is]) => is ? [name] : []);
  }

  #problemsOf(error: unknown): readonly string[] {
    const { options } = this.#options.loaded;
    const message = describeFailure(error, options)?.message ?? String(error);
    return message.split("\n");
  }
}
