/**
 * A worker: one of several servers on one port, controlled by messages.
 *
 * @module
 */

import { NetError } from "../../transport/errors.ts";
import { load, type LoadedConfig } from "../config/load.ts";
import { detectHost } from "../host/detect.ts";
import { type Log, openLog } from "../output/log.ts";
import { processMetrics } from "../output/process_metrics.ts";
import type { RunningServer } from "../serve/running_server.ts";
import { startSingleServer } from "../serve/single_server.ts";
import { UsageError } from "../usage_error.ts";
import type { SupervisorChannel } from "./channel.ts";
import { type FileTexts, fromData, type ToWorker } from "./messages.ts";
import { RemoteLimitsStore } from "./remote_store.ts";

type Start = Extract<ToWorker, { type: "start" }>;

/** Runs a worker until the supervisor ends it. */
export function runWorker(channel: SupervisorChannel): void {
  const store = new RemoteLimitsStore((calls) =>
    channel.post({ type: "calls", calls })
  );
  let worker: Promise<WorkerServer> | undefined;
  channel.onMessage((message) => {
    if (message.type === "results") return store.onResults(message.results);
    if (message.type === "start") {
      worker = WorkerServer.start({ channel, start: message, store });
      worker.catch((error) => channel.post(failureOf(error)));
    } else worker?.then((it) => it.receive(message));
  });
  channel.post({ type: "ready" });
}

function failureOf(error: unknown) {
  const { message } = error as Error;
  return error instanceof NetError
    ? { type: "failed", kind: error.kind, message } as const
    : { type: "failed", message } as const;
}

interface WorkerServerOptions {
  readonly channel: SupervisorChannel;
  readonly start: Start;
  readonly store: RemoteLimitsStore;
}

class WorkerServer {
  readonly #options: WorkerServerOptions;
  readonly #server: RunningServer;
  readonly #log: Log;
  #loaded: LoadedConfig;

  constructor(
    options: WorkerServerOptions,
    server: RunningServer,
    log: Log,
    loaded: LoadedConfig,
  ) {
    this.#options = options;
    this.#server = server;
    this.#log = log;
    this.#loaded = loaded;
  }

  static async start(options: WorkerServerOptions): Promise<WorkerServer> {
    const { channel, start, store } = options;
    const { commandLine, files, workers } = start;
    const { hostname, port, plainPort } = start;
    const loaded = await load(fromData(commandLine), readFrom(files), {
      guard: store,
    });
    const log = await openLog(detectHost(), start);
    const server = await startSingleServer({
      options: {
        ...loaded.options,
        egress: egressOf(loaded, start),
        hostname,
        port,
        plainPort,
        reusePort: true,
        sharedLimits: { store, servers: workers, exact: start.exact },
        accounting: {
          store: { add: (reports) => store.addUsage(reports) },
          interval: start.accounting,
        },
      },
      log,
      countsMetrics: start.metrics,
      guard: store,
      worker: start.worker,
    });
    channel.post({ type: "listening", addr: server.addr });
    return new WorkerServer(options, server, log, loaded);
  }

  async receive(
    message: Exclude<ToWorker, { type: "start" | "results" }>,
  ): Promise<void> {
    const { channel } = this.#options;
    switch (message.type) {
      case "update": {
        await this.#update(message.files);
        return channel.post({ type: "updated" });
      }
      case "request": {
        const { id, method, args } = message;
        const call = this.#server.control[method] as (
          ...args: readonly unknown[]
        ) => Promise<unknown>;
        return channel.post({
          type: "response",
          id,
          value: await call(...args),
        });
      }
      case "drain":
        return this.#server.drain();
      case "stop-accepting": {
        const sessions = await this.#server.stopAccepting();
        return channel.post({ type: "stopped-accepting", sessions });
      }
      case "read-metrics": {
        const own = channel.isProcess ? processMetrics() : {};
        const values = { ...await this.#server.metrics(), ...own };
        return channel.post({ type: "metrics", values });
      }
      case "report-usage":
        await this.#server.reportUsage();
        return channel.post({ type: "usage-reported" });
      case "shutdown":
        await this.#server.shutdown({ grace: message.grace });
        return await this.#exit();
      case "exit":
        await this.#server.terminate();
        return await this.#exit();
    }
  }

  /**
   * Adopts the configuration in the files. The supervisor has found it valid: an
   * error ends this worker, and its successor starts with these files.
   */
  async #update(files: FileTexts): Promise<void> {
    const { start, store } = this.#options;
    const loaded = await load(fromData(start.commandLine), readFrom(files), {
      guard: store,
      before: this.#loaded,
    });
    const { hostname: _, port: __, plainPort: ___, ...options } =
      loaded.options;
    const egress = egressOf(loaded, start);
    await this.#server.update({ ...options, egress }, loaded);
    this.#loaded = loaded;
  }

  async #exit(): Promise<void> {
    await this.#log.output.finish();
    this.#options.channel.exit();
  }
}

function egressOf({ options }: LoadedConfig, { egressKey }: Start) {
  return { ...options.egress, key: Uint8Array.from(egressKey) };
}

/** Reads files from the contents that the supervisor has sent. */
function readFrom(files: FileTexts): (path: string) => Promise<string> {
  const texts = new Map(files);
  return (path) => {
    const text = texts.get(path);
    return text === undefined
      ? Promise.reject(new UsageError("was not read"))
      : Promise.resolve(text);
  };
}
