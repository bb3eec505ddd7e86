/**
 * An HTTP server for monitoring systems.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { type Endpoint, formatEndpoint } from "../../protocol/address.ts";
import {
  formatMetrics,
  type MetricFamily,
  METRICS,
  series,
  sumMetrics,
} from "../../server/metrics.ts";
import { PROCESS_METRICS, processMetrics } from "../output/process_metrics.ts";
import { SHARED_METRICS } from "../serve/shared_limits.ts";
import type { RunningServer } from "../serve/running_server.ts";
import { VERSION } from "../version.ts";
import { HttpListener } from "./http_listener.ts";

/** The metrics of the program, in addition to those of its servers. */
const PROGRAM_METRICS: readonly MetricFamily[] = [
  {
    name: "socks5_build_info",
    type: "gauge",
    help: "Always 1; the label is the version of the program",
  },
  {
    name: "socks5_workers",
    type: "gauge",
    help: "Workers that are listening",
  },
  {
    name: "socks5_worker_exits_total",
    type: "counter",
    help: "Workers that ended unexpectedly and were restarted",
  },
];

/** All metrics that `--metrics` reports. */
export const METRIC_FAMILIES: readonly MetricFamily[] = [
  ...PROGRAM_METRICS,
  ...SHARED_METRICS,
  ...PROCESS_METRICS,
  ...METRICS,
];

/** The server whose state and metrics are reported. */
export type MonitoredServer = Pick<RunningServer, "isListening" | "metrics">;

/**
 * Answers `GET /metrics` in the text format of Prometheus; `GET /health` and `/ready` with
 * 200 while clients are to be sent here, and with 503 before the server accepts them, from
 * the beginning of the shutdown, and while no worker is listening; and `GET /live` with 200
 * while the program runs.
 */
export class MetricsServer {
  #listener: HttpListener | undefined;
  #monitored: MonitoredServer | undefined;
  /** The metrics being read; concurrent requests share them. */
  #reading: Promise<string> | undefined;
  #isServing = false;

  /**
   * Starts to listen.
   *
   * @throws {StartError} if it cannot listen.
   */
  static async open(place: Endpoint): Promise<MetricsServer> {
    const server = new MetricsServer();
    server.#listener = await HttpListener.open({
      place,
      flag: "--metrics",
      onRequest: (request, response) => server.#answer(request, response),
    });
    return server;
  }

  /** The URL of the metrics. */
  get url(): string {
    return `http://${formatEndpoint(this.#listener!.addr)}/metrics`;
  }

  /** Reports the state and the metrics of the server from now on. */
  start(server: MonitoredServer): void {
    this.#monitored = server;
    this.#isServing = true;
  }

  /** Reports from now on that the server does not accept connections. */
  drain(): void {
    this.#isServing = false;
  }

  /** Stops listening and closes all connections. */
  close(): Promise<void> {
    return this.#listener!.close();
  }

  async #answer(
    { method, url }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const isRead = method === "GET" || method === "HEAD";
    if (!isRead) return send(response, 405, "only GET and HEAD are allowed\n");
    switch (url?.replace(/\?.*$/, "")) {
      case "/metrics":
        return send(response, 200, await (this.#reading ??= this.#text()));
      case "/live":
        return send(response, 200, "running\n");
      case "/health":
      case "/ready":
        return this.#isServing && this.#monitored?.isListening
          ? send(response, 200, "serving\n")
          : send(response, 503, "not serving\n");
      default:
        return send(
          response,
          404,
          "not found: try /metrics, /health or /live\n",
        );
    }
  }

  async #text(): Promise<string> {
    try {
      const info = { [series("socks5_build_info", { version: VERSION })]: 1 };
      const values = await this.#monitored?.metrics() ?? {};
      const all = sumMetrics([info, processMetrics(), values]);
      return formatMetrics(all, METRIC_FAMILIES);
    } finally {
      this.#reading = undefined;
    }
  }
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/plain; version=0.0.4; charset=utf-8",
    "content-length": new TextEncoder().encode(text).length,
    ...status === 405 && { allow: "GET, HEAD" },
  });
  response.end(text);
}
