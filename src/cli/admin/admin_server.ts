/**
 * The HTTP server of the console and the Admin API.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import process from "node:process";
import { randomBytes } from "node:crypto";
import { type Endpoint, formatEndpoint } from "../../protocol/address.ts";
import { type Clock, systemClock } from "../../transport/clock.ts";
import { detectRuntime } from "../../transport/detect.ts";
import { localPlace } from "../../transport/local_place.ts";
import type { Address } from "../../transport/transport.ts";
import type { LogRecord } from "../output/record.ts";
import type { ReloadRecord } from "../serve/reload.ts";
import type { RunningServer } from "../serve/running_server.ts";
import { errorAnswer, RequestError, sendJson, sendPage } from "./answer.ts";
import { checkRequest } from "./check_request.ts";
import { CounterReader } from "./counters.ts";
import { findRoute } from "./find_route.ts";
import { History } from "./history.ts";
import { HttpListener, type HttpTimeouts } from "./http_listener.ts";
import { type Act, type AdminContext, ROUTES } from "./routes.ts";
import { newToken, TokenGuard } from "./token_guard.ts";

/** Options of {@linkcode AdminServer.open}. */
export interface AdminServerOptions {
  /** An IP address and a port, or `unix:PATH`. */
  readonly place: Endpoint;
  /** The token of the configuration; by default the server makes one. */
  readonly token?: string;
  /** See {@linkcode HttpListener}. */
  readonly timeouts?: HttpTimeouts;
  /** For the delays of answers and for samples. */
  readonly clock?: Clock;
}

/** What the Admin API reports and steers. */
export interface Administrated {
  readonly server: RunningServer;
  /** The token of the current configuration, if it has one. */
  token(): string | undefined;
  /** Reloads the configuration. */
  reload(): Promise<ReloadRecord>;
  /** Begins the shutdown. May be called again. */
  drain(): void;
  /** Logs each act. */
  log(record: LogRecord): void;
}

/** The maximum size of a request's body, in bytes. None is read. */
const MAX_BODY = 16 * 1024;

/** Answers requests of the console and of other clients. */
export class AdminServer {
  /** The token of the configuration at the start, or one that was made. */
  readonly #firstToken: string;
  readonly #isMade: boolean;
  readonly #guard: TokenGuard;
  readonly #clock: Clock;
  #listener: HttpListener | undefined;
  #context: AdminContext | undefined;
  #administrated: Administrated | undefined;
  #isDraining = false;

  private constructor(token: string | undefined, clock: Clock) {
    this.#clock = clock;
    this.#guard = new TokenGuard(() => this.#token, clock);
    this.#isMade = token === undefined;
    this.#firstToken = token ?? newToken();
  }

  /**
   * Starts to listen. Requests are answered with 503 until `start()`.
   *
   * @throws {StartError} if it cannot listen.
   */
  static async open(
    { place, token, timeouts, clock = systemClock }: AdminServerOptions,
  ): Promise<AdminServer> {
    const server = new AdminServer(token, clock);
    server.#listener = await HttpListener.open({
      place,
      flag: "--admin",
      onRequest: (request, response) => server.#answer(request, response),
      timeouts,
    });
    return server;
  }

  /** The URL of the console, or `unix:PATH`. */
  get url(): string {
    const { addr } = this.#listener!;
    if (localPlace(addr.hostname)) return addr.hostname;
    return `http://${formatEndpoint(addr)}/`;
  }

  /** The URL with the token that the server has made; `undefined` if it has made none. */
  get secretUrl(): string | undefined {
    const isShown = this.#isMade && !this.#isLocal;
    return isShown ? `${this.url}#token=${this.#firstToken}` : undefined;
  }

  get #token(): string {
    return this.#administrated?.token() ?? this.#firstToken;
  }

  get #isLocal(): boolean {
    return localPlace(this.#listener!.addr.hostname) !== undefined;
  }

  /** Answers for this server from now on. */
  start(administrated: Administrated): void {
    const { server, reload, drain } = administrated;
    const read = () => server.control.counters();
    const counters = new CounterReader(read, this.#clock);
    const isDraining = () => this.#isDraining;
    this.#administrated = administrated;
    this.#context = {
      server,
      counters,
      history: new History(counters, this.#clock),
      startedAt: Date.now(),
      runtime: runtimeText(),
      get isDraining() {
        return isDraining();
      },
      reload,
      drain,
    };
  }

  /** Reports from now on that the server is shutting down. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Stops listening and closes all connections. */
  async close(): Promise<void> {
    this.#context?.history.close();
    await this.#listener!.close();
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    try {
      checkRequest(request, this.#listener!.addr);
      const { method = "", url = "" } = request;
      if (method === "GET" && /^\/(?:\?|$)/.test(url)) {
        return await page(response);
      }
      await this.#checkToken(request);
      const { route, item, query } = findRoute(ROUTES, method, url);
      await skipBody(request);
      const context = this.#context;
      if (!context) throw new RequestError(503, "the server is starting");
      const log = (act: Act) => this.#log(request, act);
      sendJson(response, await route.answer({ context, item, query, log }));
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      // The body of a refused request is not read to its end.
      if (!request.complete || error.status === 413) {
        response.setHeader("connection", "close");
      }
      sendJson(response, errorAnswer(error));
    }
  }

  async #checkToken(request: IncomingMessage): Promise<void> {
    if (this.#isLocal) return;
    const { remoteAddress: client = "" } = request.socket;
    const { authorization } = request.headers;
    const outcome = await this.#guard.verify(authorization, client);
    if (outcome === "right") return;
    if (outcome === "wrong") this.#log(request, { act: "login-failed" });
    const text = outcome === "wrong"
      ? "the token is wrong"
      : "a token is needed: Authorization: Bearer TOKEN";
    throw new RequestError(401, text, { "www-authenticate": "Bearer" });
  }

  #log(request: IncomingMessage, act: object): void {
    const origin = this.#isLocal ? "unix" : originOf(request);
    const record = { type: "admin", ...act, origin } as LogRecord;
    this.#administrated?.log(record);
  }
}

function originOf({ socket }: IncomingMessage): Address {
  const { remoteAddress: hostname = "", remotePort: port = 0 } = socket;
  return { hostname, port };
}

async function page(response: ServerResponse): Promise<void> {
  const { consolePage } = await import("./console/page.ts");
  const nonce = randomBytes(16).toString("base64url");
  sendPage(response, consolePage(nonce), nonce);
}

/** Reads the body, which no route needs, up to its end. */
async function skipBody(request: IncomingMessage): Promise<void> {
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) {
      throw new RequestError(413, `the body has more than ${MAX_BODY} bytes`);
    }
  }
}

function runtimeText(): string {
  const name = detectRuntime();
  return `${name} ${process.versions[name]}`;
}
