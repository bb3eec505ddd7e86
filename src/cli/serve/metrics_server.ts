/**
 * Where a monitoring system asks the program how it is, by HTTP.
 *
 * @module
 */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { type Endpoint, formatEndpoint } from "../../protocol/address.ts";
import {
  formatMetrics,
  type MetricFamily,
  METRICS,
  series,
} from "../../server/metrics.ts";
import { toNetError } from "../../transport/errors.ts";
import { EXIT, StartError } from "../failure.ts";
import type { Running } from "./running.ts";
import { VERSION } from "../version.ts";

/** What the program tells of itself, beside what its servers tell. */
const OF_PROGRAM: readonly MetricFamily[] = [
  { name: "socks5_info", type: "gauge", help: "Always 1; which version it is" },
  { name: "socks5_workers", type: "gauge", help: "Workers that listen" },
  {
    name: "socks5_worker_ends_total",
    type: "counter",
    help: "Workers that ended and were started again",
  },
];

const FAMILIES = [...OF_PROGRAM, ...METRICS];

/** What serves, as it is asked how it is. */
export type Watched = Pick<Running, "isListening" | "metrics">;

/**
 * Answers `GET /metrics` in the text format of Prometheus, and `GET /health`
 * with 200 while the program serves, and 503 before and after and while no
 * worker listens.
 */
export class MetricsServer {
  readonly #server: Server;
  #watched: Watched | undefined;
  /** What is being read: whoever asks meanwhile gets the same. */
  #reading: Promise<string> | undefined;
  #isServing = false;

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /**
   * Begins to listen.
   *
   * @throws {StartError} when it cannot.
   */
  static async open({ hostname, port }: Endpoint): Promise<MetricsServer> {
    const { createServer } = await import("node:http");
    const server = createServer();
    try {
      await new Promise<void>((resolve, reject) => {
        server.on("error", reject); // and later ones, of clients that could not be accepted, end nothing
        server.listen(port, hostname, resolve);
      });
    } catch (error) {
      throw failure({ hostname, port }, error);
    }
    return new MetricsServer(server);
  }

  /** Where the values are. */
  get url(): string {
    const { address, port } = this.#server.address() as {
      address: string;
      port: number;
    };
    return `http://${formatEndpoint({ hostname: address, port })}/metrics`;
  }

  /** The program serves from now on. */
  start(watched: Watched): void {
    this.#watched = watched;
    this.#isServing = true;
  }

  /** The program takes no new clients any more. */
  drain(): void {
    this.#isServing = false;
  }

  /** Answers no more. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(
    { method, url }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const isRead = method === "GET" || method === "HEAD";
    if (!isRead) return send(response, 405, "only GET is answered\n");
    switch (url?.replace(/\?.*$/, "")) {
      case "/metrics":
        return send(response, 200, await (this.#reading ??= this.#text()));
      case "/health":
        return this.#isServing && this.#watched?.isListening
          ? send(response, 200, "serving\n")
          : send(response, 503, "not serving\n");
      default:
        return send(response, 404, "there are /metrics and /health\n");
    }
  }

  async #text(): Promise<string> {
    try {
      const info = { [series("socks5_info", { version: VERSION })]: 1 };
      const values = await this.#watched?.metrics();
      return formatMetrics({ ...info, ...values }, FAMILIES);
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

function failure(endpoint: Endpoint, error: unknown): StartError {
  const { kind, message } = toNetError(error);
  const where = formatEndpoint(endpoint);
  return kind === "addr-in-use"
    ? new StartError(
      `${where} is in use: choose another port for --metrics`,
      EXIT.portInUse,
    )
    : new StartError(
      `cannot listen on ${where} for --metrics: ${message}`,
      EXIT.failed,
    );
}
