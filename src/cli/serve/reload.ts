/**
 * Reloads the configuration of a running server.
 *
 * @module
 */

import type { LoginGuard } from "../../server/auth/lockout.ts";
import { restartPaths } from "../config/config.ts";
import { type ReadFile, STANDARD_INPUT } from "../config/files.ts";
import type { CommandLine } from "../config/flags.ts";
import { load, type LoadedConfig } from "../config/load.ts";
import { describeFailure } from "../failure.ts";
import type { LogRecord } from "../output/record.ts";
import { showMessage } from "../output/escape.ts";
import type { RunningServer } from "./running_server.ts";

/** The result of a reload. */
export type ReloadRecord = Extract<
  LogRecord,
  { type: "reloaded" | "reload-failed" }
>;

/** Options of {@linkcode Reloader}. */
export interface ReloaderOptions {
  /** The flags and the environment, which stay as they are. */
  readonly commandLine: CommandLine;
  /** Reads the files. */
  readonly read: ReadFile;
  /** The configuration at the start. */
  readonly loaded: LoadedConfig;
  readonly server: Pick<RunningServer, "update">;
  /** Counts failed logins. By default a `Lockout` of this process. */
  readonly guard?: LoginGuard;
  /** Logs the result of each reload. */
  readonly log: (record: LogRecord) => void;
}

/** Reads the files again, and updates the server if the whole configuration is valid. */
export class Reloader {
  readonly #options: ReloaderOptions;
  #current: LoadedConfig;
  #last: Promise<unknown> = Promise.resolve();

  /** Takes the configuration at the start as the current one. */
  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#current = options.loaded;
  }

  /** The current configuration. */
  get current(): LoadedConfig {
    return this.#current;
  }

  /**
   * Reloads after any earlier reload has finished; `read` may read only some of the files
   * again. Resolves with the record of the log; never rejects.
   */
  reload(read: ReadFile = this.#options.read): Promise<ReloadRecord> {
    const reloaded = this.#last.then(() => this.#reload(read));
    this.#last = reloaded;
    return reloaded;
  }

  async #reload(read: ReadFile): Promise<ReloadRecord> {
    const record = await this.#tryReload(read);
    this.#options.log(record);
    return record;
  }

  async #tryReload(read: ReadFile): Promise<ReloadRecord> {
    const { commandLine, server, guard } = this.#options;
    const readsAll = read === this.#options.read;
    if (commandLine.file === STANDARD_INPUT && readsAll) {
      const problems = ["the standard input cannot be read again"];
      return { type: "reload-failed", problems };
    }
    let loaded: LoadedConfig | undefined;
    try {
      const before = this.#current;
      loaded = await load(commandLine, read, { before, guard });
      const { hostname: _, port: __, plainPort: ___, ...options } =
        loaded.options;
      await server.update(options, loaded);
      this.#current = loaded;
    } catch (error) {
      const problems = this.#problemsOf(error, loaded);
      return { type: "reload-failed", problems };
    }
    const { users, rules, warnings, tls } = this.#current;
    const { config } = this.#options.loaded;
    const ignored = restartPaths(config, this.#current.config);
    return {
      type: "reloaded",
      logins: users.size,
      rules,
      ignored,
      ...tls && { validTo: tls.validTo },
      ...warnings.length > 0 && { warnings },
    };
  }

  /** The problems of the new configuration, which is `undefined` if it cannot be loaded. */
  #problemsOf(error: unknown, loaded?: LoadedConfig): readonly string[] {
    const { hostname, port } = this.#options.loaded.options;
    const options = { ...loaded?.options, hostname, port };
    const message = describeFailure(error, options)?.message ??
      showMessage(String(error));
    return message.split("\n");
  }
}
