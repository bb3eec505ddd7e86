/**
 * A worker: one of several servers on one port.
 *
 * @module
 */

import type { MetricValues } from "../../server/metrics.ts";
import { serve, type Server } from "../../server/serve.ts";
import { NetError } from "../../transport/errors.ts";
import { stopAccepting } from "../serve/stop_accepting.ts";
import { thisHost } from "../host/host.ts";
import { load, type Loaded } from "../config/load.ts";
import { type Log, openLog } from "../output/log.ts";
import { UsageError } from "../usage_error.ts";
import { watch } from "../serve/watch.ts";
import type { PrimaryChannel } from "./channel.ts";
import { type FileTexts, fromData, type ToWorker } from "./messages.ts";
import { RemoteLimitsStore } from "./remote_store.ts";

type Start = Extract<ToWorker, { type: "start" }>;

/** Does what it is told, until it is told to end. */
export function work(link: PrimaryChannel): void {
  const books = new RemoteLimitsStore((calls) =>
    link.post({ type: "calls", calls })
  );
  let worker: Promise<WorkerServer> | undefined;
  link.onMessage((message) => {
    if (message.type === "answers") return books.onAnswers(message.answers);
    if (message.type === "start") {
      worker = WorkerServer.start(message, books, link);
      worker.catch((error) => link.post({ type: "failed", ...factsOf(error) }));
    } else worker?.then((it) => it.obey(message));
  });
  link.post({ type: "ready" });
}

function factsOf(error: unknown) {
  const { message } = error as Error;
  return error instanceof NetError
    ? { kind: error.kind, message }
    : { message };
}

class WorkerServer {
  readonly #server: Server;
  readonly #start: Start;
  readonly #store: RemoteLimitsStore;
  readonly #link: PrimaryChannel;
  readonly #log: Log;
  readonly #readMetrics: () => MetricValues;
  #loaded: Loaded;

  constructor(
    server: Server,
    loaded: Loaded,
    log: Log,
    readMetrics: () => MetricValues,
    start: Start,
    books: RemoteLimitsStore,
    link: PrimaryChannel,
  ) {
    this.#server = server;
    this.#loaded = loaded;
    this.#log = log;
    this.#readMetrics = readMetrics;
    this.#start = start;
    this.#store = books;
    this.#link = link;
  }

  static async start(
    start: Start,
    books: RemoteLimitsStore,
    link: PrimaryChannel,
  ): Promise<WorkerServer> {
    const given = fromData(start.given);
    const loaded = await load(given, reading(start.files), { guard: books });
    const log = await openLog(thisHost(), start.log, start.worker);
    const { onEvent, readMetrics } = watch(start.metrics, log);
    const { hostname, port } = start;
    const options = {
      ...loaded.options,
      hostname,
      port,
      reusePort: true,
      sharedLimits: { store: books, servers: start.workers },
      onEvent,
    };
    const server = await serve(options);
    link.post({ type: "listening", addr: server.addr });
    return new WorkerServer(
      server,
      loaded,
      log,
      readMetrics,
      start,
      books,
      link,
    );
  }

  obey(message: Exclude<ToWorker, { type: "start" | "answers" }>): void {
    switch (message.type) {
      case "update":
        return void this.#update(message.files);
      case "close":
        return this.#link.post({
          type: "closed",
          sessions: stopAccepting(this.#server),
        });
      case "metrics":
        return this.#link.post({
          type: "metrics",
          values: this.#readMetrics(),
        });
      case "shutdown":
        this.#server.shutdown(message).then(() => this.#end());
        return;
      case "end":
        return void this.#end();
    }
  }

  /** The files were found to be right: a failure ends this worker, and the next one begins with them. */
  async #update(files: FileTexts): Promise<void> {
    const given = fromData(this.#start.given);
    const loaded = await load(given, reading(files), {
      guard: this.#store,
      before: this.#loaded,
    });
    const { hostname: _, port: __, ...options } = loaded.options;
    await this.#server.update(options);
    this.#loaded = loaded;
    this.#link.post({ type: "updated" });
  }

  async #end(): Promise<void> {
    await this.#log.output.finish();
    this.#link.end();
  }
}

/** Reads what another one has read from the files. */
function reading(files: FileTexts): (path: string) => Promise<string> {
  const texts = new Map(files);
  return (path) => {
    const text = texts.get(path);
    return text === undefined
      ? Promise.reject(new UsageError("was not read"))
      : Promise.resolve(text);
  };
}
