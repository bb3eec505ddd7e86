/**
 * `fetch()` of `http:` and `https:` URLs over the sockets of the door `./socket`, for
 * runtimes whose own function cannot be led through proxies completely.
 *
 * @module
 */

import type { Field } from "../../../protocol/http_head.ts";
import type { Route } from "../../socket/route.ts";
import { followRedirects, loginIn, type Step } from "../redirects.ts";
import { checkPort } from "./bad_ports.ts";
import { Connections, type TlsToOrigins } from "./connections.ts";
import { acceptEncoding } from "./content_coding.ts";
import { type Incoming, type Outgoing, Unanswered } from "./messages.ts";
import { toResponse } from "./response.ts";
import { Stop } from "./stop.ts";
import { contentOf, Upload } from "./upload.ts";

/** A call of `fetch()`. */
export interface HttpCall {
  readonly input: string | Request;
  readonly init: RequestInit;
  readonly signal: AbortSignal | null | undefined;
}

/** Sends a step of a call elsewhere; `undefined` if it goes through the proxies. */
export type Detour = (
  url: URL,
  /** The options for a `fetch()` of the runtime, which is to be called then. */
  init: () => RequestInit,
) => Promise<Response> | undefined;

/** A client of HTTP. */
export class HttpClient {
  readonly #connections: Connections;
  readonly #detour: Detour | undefined;

  constructor(
    route: Route | Promise<Route>,
    tls: TlsToOrigins = {},
    detour?: Detour,
  ) {
    this.#connections = new Connections(route, tls);
    this.#detour = detour;
  }

  /** Fetches a resource. */
  async fetch({ input, init, signal }: HttpCall): Promise<Response> {
    if (signal?.aborted) throw signal.reason;
    const request = new Request(input, { ...init, signal: undefined });
    const { url, method, redirect } = request;
    const body = await bodyOf(request, input, init.body) as BodyInit;
    const headers = new Headers(request.headers);
    for (const name of ["host", "content-length", "transfer-encoding"]) {
      headers.delete(name);
    }
    const call = {
      input: url,
      url,
      signal,
      init: { method, headers, body, redirect },
    };
    const response = await followRedirects(
      call,
      (step) => this.#send(step, signal),
    );
    if (redirect !== "error" || !isRedirect(response)) return response;
    await response.body?.cancel();
    throw new TypeError("fetch failed: a redirect, with redirect: error");
  }

  async #send(step: Step, signal: HttpCall["signal"]): Promise<Response> {
    checkPort(step.url);
    const content = step.init.body as unknown as Outgoing["content"];
    if (content instanceof Upload && content.isUsed) {
      throw new TypeError(
        "fetch failed: the stream of a request body cannot be sent again after a redirect",
      );
    }
    const elsewhere = this.#detour?.(step.url, () => ownInit(step, signal));
    if (elsewhere) return await elsewhere;
    const request = outgoing(step, content);
    return toResponse(await this.#exchange(request, signal), request);
  }

  /** Sends a request, again if the connection had been closed. */
  async #exchange(
    request: Outgoing,
    signal: HttpCall["signal"],
  ): Promise<Incoming> {
    const connections = this.#connections;
    for (let count = 1;; count++) {
      const stop = new Stop(signal);
      try {
        stop.check();
        const connection = connections.kept(request.url) ??
          await connections.open(request.url, stop);
        const { isUsed } = connection;
        try {
          return await connection.send(request, stop);
        } catch (error) {
          stop.check();
          if (!(error instanceof Unanswered)) throw error;
          if (!isRepeatable(request, error, isUsed, count)) throw failed(error);
        }
      } catch (error) {
        stop.end();
        throw error;
      }
    }
  }

  /** Closes all connections. */
  close(): void {
    this.#connections.close();
  }
}

/** Methods whose requests may be sent again (RFC 9110 section 9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** How often a request is sent that the server has not processed. */
const MAX_REFUSED = 3;

function isRepeatable(
  { method, content }: Outgoing,
  { isUnprocessed }: Unanswered,
  isUsed: boolean,
  count: number,
): boolean {
  if (content instanceof Upload && content.isUsed) return false;
  if (isUnprocessed) return count < MAX_REFUSED;
  return isUsed && IDEMPOTENT.has(method);
}

function failed(error: Unanswered): TypeError {
  return new TypeError(`fetch failed: ${error.message}`, {
    cause: error.cause ?? error,
  });
}

function isRedirect({ status }: Response): boolean {
  return status > 300 && status < 309 && status !== 304 && status !== 305 &&
    status !== 306;
}

/** The body, in a form that can be sent after a redirect as well, if there is one. */
async function bodyOf(
  request: Request,
  input: string | Request,
  given: RequestInit["body"],
): Promise<Uint8Array | Upload | undefined> {
  if ((given ?? undefined) === undefined && typeof input === "string") {
    return undefined; // the member `body` would create a stream
  }
  const { body } = request;
  if (!body) return undefined;
  if (given instanceof ReadableStream) return new Upload(body.getReader());
  return await contentOf(body);
}

/** The options of a step for a `fetch()` of the runtime. */
function ownInit({ init }: Step, signal: HttpCall["signal"]): RequestInit {
  const body: unknown = init.body;
  if (!(body instanceof Upload)) return { ...init, signal };
  const duplex = { duplex: "half" };
  return { ...init, ...duplex, signal, body: body.stream() };
}

function outgoing(
  { url, init: { method = "GET", headers } }: Step,
  content: Outgoing["content"],
): Outgoing {
  const fields: Field[] = [...headers as Headers];
  const add = (name: string, value: string) => {
    if (!(headers as Headers).has(name)) fields.push([name, value]);
  };
  const login = loginIn(url);
  if (login) add("authorization", login);
  add("accept", "*/*");
  add("accept-language", "*");
  add("user-agent", navigator.userAgent);
  const codings = acceptEncoding(fields);
  if (codings) fields.push(codings);
  return { method, url, fields, content };
}
