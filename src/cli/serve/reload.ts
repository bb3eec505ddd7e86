/**
 * A new configuration for a server that runs.
 *
 * @module
 */

import type { ServerUpdate } from "../../server/serve.ts";
import { describeFailure } from "../failure.ts";
import type { ReadFile } from "../config/files.ts";
import type { Given } from "../config/flags.ts";
import { load, type Loaded } from "../config/load.ts";
import type { LogRecord } from "../output/format.ts";

/** What {@linkcode Reloader} works with. */
export interface ReloaderOptions {
  /** What it was started with; flags stay. */
  readonly given: Given;
  /** Reads the files. */
  readonly read: ReadFile;
  /** What was loaded at the start. */
  readonly loaded: Loaded;
  /** What runs. */
  readonly server: {
    update(options: ServerUpdate, loaded: Loaded): Promise<void>;
  };
  /** Told how it went. */
  readonly note: (record: LogRecord) => void;
}

/** Reads the files again, and gives the server what they say if all of it is right. */
export class Reloader {
  readonly #options: ReloaderOptions;
  #current: Loaded;
  #last: Promise<void> = Promise.resolve();

  /** Begins with what was loaded at the start. */
  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#current = options.loaded;
  }

  /** What holds now. */
  get current(): Loaded {
    return this.#current;
  }

  /** One reload after the other; never rejects. */
  reload(): Promise<void> {
    return this.#last = this.#last.then(() => this.#reload());
  }

  async #reload(): Promise<void> {
    const { given, read, server, note } = this.#options;
    try {
      const loaded = await load(given, read, { before: this.#current });
      const { hostname: _, port: __, ...options } = loaded.options;
      await server.update(options, loaded);
      this.#current = loaded;
    } catch (error) {
      note({ type: "reload-failed", problems: this.#problemsOf(error) });
      return;
    }
    const { users, rules } = this.#current;
    const ignored = this.#ignored();
    note({ type: "reloaded", logins: users.size, rules, ignored });
  }

  /** What cannot be changed of a server that runs. */
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
